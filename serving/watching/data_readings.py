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

__all__ = ["data_readings"]

MOST_SYMBOLS = 1_000
"""Symbols with a time series each; the first ones by name where a store has more."""
_AGE = ("bearmode_data_age_seconds", "Since the newest bar of a symbol in the store closed")
_STALE = ("bearmode_data_stale", "1 where more than three bars of a symbol are overdue")
_STATES = ("running", "degraded", "down")


def data_readings(
    store: Store, interval: Callable[[], str], folder: Path
) -> Callable[[float], Iterable[Reading]]:
    """Readings of a store and of what keeps it up to date.

    Parameters
    ----------
    store : Store
        Need not be there.
    interval : callable
        Of the bars that the model reads.
    folder : Path
        Where live mode leaves its state; it need never have run.

    Returns
    -------
    callable
        Takes the time, Unix seconds.
    """

    def readings(now: float) -> Iterable[Reading]:
        status = read_status(folder, datetime.fromtimestamp(now, UTC))
        yield from _ages(store, interval(), now, [] if status is None else status["symbols"])
        if status is not None:
            yield from _live(status)

    return readings


def _ages(store: Store, interval: str, now: float, watched: list[dict[str, Any]]) -> Iterable[Reading]:
    """Age of each symbol; by live mode's own word where it watches one: its clock may be simulated."""
    moment = pd.Timestamp(now, unit="s", tz="UTC")
    told = {row["symbol"]: row for row in watched if row["data_age_seconds"] is not None}
    names = store.symbols(interval)
    yield "bearmode_store_symbols", "Symbols in the store", {}, float(len(names))
    for symbol in names[:MOST_SYMBOLS]:
        labels = {"symbol": symbol}
        if symbol in told:
            yield (*_AGE, labels, float(told[symbol]["data_age_seconds"]))
            yield (*_STALE, labels, float(told[symbol]["data_state"] == "stale"))
            continue
        state = store.state(symbol)
        kind = None if state is None else state.kinds.get(f"bars_{interval}")
        if kind is not None:
            newest = kind.last + interval_delta(interval)
            yield (*_AGE, labels, (moment - newest).total_seconds())
            yield (*_STALE, labels, float(data_state(newest, moment, interval) == "stale"))


def _live(status: dict[str, Any]) -> Iterable[Reading]:
    for state in _STATES:
        words = "What live mode does: 1 for the state that it is in"
        yield "bearmode_live_state", words, {"state": state}, float(status["state"] == state)
    words = "Since live mode's last sign of life"
    yield "bearmode_live_heartbeat_age_seconds", words, {}, float(status["heartbeat_age_seconds"])
    yield from _symbols(status["symbols"])
    yield from _webhooks(status.get("webhooks") or [])


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
