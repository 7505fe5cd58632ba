"""``fetch --signal``: optional series, each with the rule that says when it was known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import typer

from features.errors import UsageError
from features.raw import LedgerEntry, Series
from features.sources.fear_greed import fetch_fear_greed
from features.sources.series import load_series
from features.store import MARKET_WIDE, Change, Store
from training.data.fetched import Fetched
from training.settings import Places

__all__ = ["fetch_signals"]

FEAR_GREED = "fear_greed"


def fetch_signals(
    signals: Sequence[str],
    symbols: Sequence[str],
    places: Places,
    available_after: str | None,
    stale_after: str | None,
) -> list[Fetched]:
    """Store series: for the named symbols, or for all where none is named.

    Parameters
    ----------
    signals : sequence of str
        ``fear_greed`` (downloaded from alternative.me) or ``name=FILE``.
    symbols : sequence of str
        Empty: the series speaks of all symbols.
    places : Places
    available_after : str or None
        Time after a row's stamp at which its value was known, such as ``1d``; needed for files.
    stale_after : str or None
        Age at which a value no longer joins a bar; two days by default.

    Raises
    ------
    UsageError
        For options that make no sense; nothing is written.
    BearmodeError
        If a series cannot be had; nothing is written.
    """
    loaded: list[tuple[str, Change]] = []
    for signal in signals:
        name, _, file = signal.partition("=")
        if not file:
            if name != FEAR_GREED:
                raise UsageError(
                    f"--signal is {signal!r}, expected {FEAR_GREED} or name=FILE", field="signal"
                )
            table, ledger = fetch_fear_greed(places.fear_greed_url)
            change = Change("signals", {FEAR_GREED: table}, ledger={f"signal/{name}": ledger})
            typer.echo("fear & greed: alternative.me, Crypto Fear & Greed Index")
        else:
            if available_after is None:
                raise UsageError(
                    "--signal name=FILE needs --available-after, such as 1d: how long after its stamp a "
                    "value was known",
                    field="available_after",
                )
            series, ledger = load_series(Path(file), name, available_after, stale_after=stale_after)
            change = _change(name, series, ledger)
        loaded.append((name, change))
    return _commit(loaded, symbols, Store(places.store))


def _change(name: str, series: Series, ledger: Sequence[LedgerEntry]) -> Change:
    kind = f"signal_{name}"
    return Change(
        "signals",
        {kind: series.table},
        ledger={f"signal/{name}": ledger},
        options={kind: {"stale_after_hours": series.stale_after_hours}},
    )


def _commit(loaded: Sequence[tuple[str, Change]], symbols: Sequence[str], store: Store) -> list[Fetched]:
    fetched = []
    with store.writing():
        targets = {name: store.state(name) for name in symbols}
        missing = [name for name, state in targets.items() if state is None]
        if missing:
            raise UsageError(
                f"{missing[0]}: {store} does not hold it", field="symbols", hint="fetch its bars first"
            )
        sources = {name: state.source for name, state in targets.items() if state is not None}
        for name, change in loaded:
            for symbol, source in (sources or {MARKET_WIDE: "signals"}).items():
                store.commit(symbol, Change(source, change.tables, {}, change.ledger, {}, change.options))
            (table,) = change.tables.values()
            whose = ", ".join(sources) or "all symbols"
            typer.echo(f"{name}: {_span(table)}, for {whose}")
            entries = [entry for scope in change.ledger.values() for entry in scope]
            for entry in entries:
                typer.echo(f"  {entry.kind}: {entry.subject} {entry.detail} ({entry.count:,})")
            fetched.append(
                Fetched(
                    f"signal_{name}",
                    {"rows": len(table), "ledger": [entry.as_dict() for entry in entries]},
                )
            )
    return fetched


def _span(table: pd.DataFrame) -> str:
    if table.empty:
        return "no value"
    first, last = table["time"].iloc[0], table["time"].iloc[-1]
    return f"{len(table):,} values, known {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
