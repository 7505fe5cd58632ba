"""Readings of the data that is served: how old it is, and whether live mode keeps it up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from features.raw import interval_delta
from features.store import Store
from serving.data_age import data_state
from serving.live.state_files import read_status
from serving.watching.current_state import Reading

__all__ = ["live_readings", "store_readings"]

MOST_SYMBOLS = 1_000
"""Symbols with a time series each; the first ones by name where a store has more."""
_AGE = ("bearmode_data_age_seconds", "Since the newest bar of a symbol in the store closed")
_STALE = ("bearmode_data_stale", "1 where more than three bars of a symbol are overdue")
_STATES = ("running", "degraded", "down")


def store_readings(store: Store, interval: Callable[[], str]) -> Callable[[float], Iterable[Reading]]:
    """Readings of a store.

    Parameters
    ----------
    store : Store
        Need not be there.
    interval : callable
        Of the bars that the model reads.

    Returns
    -------
    callable
        Takes the time, Unix seconds.
    """

    def readings(now: float) -> Iterable[Reading]:
        moment = pd.Timestamp(now, unit="s", tz="UTC")
        step = interval()
        names = store.symbols(step)
        yield "bearmode_store_symbols", "Symbols in the store", {}, float(len(names))
        for symbol in names[:MOST_SYMBOLS]:
            state = store.state(symbol)
            kind = None if state is None else state.kinds.get(f"bars_{step}")
            if kind is None:
                continue
            newest = kind.last + interval_delta(step)
            yield (*_AGE, {"symbol": symbol}, (moment - newest).total_seconds())
            yield (*_STALE, {"symbol": symbol}, float(data_state(newest, moment, step) == "stale"))

    return readings


def live_readings(folder: Path) -> Callable[[float], Iterable[Reading]]:
    """Readings of live mode; none where it never ran.

    Parameters
    ----------
    folder : Path
        Where it leaves its state.
    """

    def readings(now: float) -> Iterable[Reading]:
        status = read_status(folder, datetime.fromtimestamp(now, UTC))
        if status is None:
            return
        for state in _STATES:
            words = "What live mode does: 1 for the state that it is in"
            yield "bearmode_live_state", words, {"state": state}, float(status["state"] == state)
        words = "Since live mode's last sign of life"
        yield "bearmode_live_heartbeat_age_seconds", words, {}, float(status["heartbeat_age_seconds"])
        yield from _symbols(status["symbols"])
        yield from _webhooks(status.get("webhooks") or [])

    return readings


def _symbols(rows: list[dict[str, Any]]) -> Iterable[Reading]:
    for row in rows[:MOST_SYMBOLS]:
        failing = row["source_error"] is not None or row["error"] is not None
        words = "1 where the newest attempt to update or answer a symbol failed"
        yield "bearmode_live_failing", words, {"symbol": row["symbol"]}, float(failing)


def _webhooks(rows: list[dict[str, Any]]) -> Iterable[Reading]:
    for row in rows:
        for state in ("pending", "dead"):
            if state in row:
                labels = {"webhook": str(row["name"]), "state": state}
                words = "Deliveries that wait, and those that were given up"
                yield "bearmode_webhook_deliveries", words, labels, float(row[state])
