"""``fetch`` from files and from the simulated market: whole tables, merged into the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import typer

from features.errors import NothingUsableError, UsageError
from features.history import History
from features.raw import RawMarket, interval_delta
from features.sources import load_raw
from features.sources.files import RefusedFile
from features.store import Store
from training.data.fetched import Fetched
from training.data.ledger_table import print_ledger
from training.settings import Places

__all__ = ["fetch_files"]


def fetch_files(
    source: str,
    names: Sequence[str],
    places: Places,
    *,
    path: Path | None,
    interval: str,
    since: pd.Timestamp | None,
    until: pd.Timestamp | None,
    columns: str | None = None,
) -> list[Fetched]:
    """Read, check and store; every symbol is checked before the first is written.

    Raises
    ------
    BearmodeError
        If options, files or store make no sense; the store is then as it was.
    """
    real = [name for name in names if source == "simulated" and not name.startswith("SIM")]
    if real:
        raise UsageError(
            f"a simulated market may not bear the name {real[0]}", field="symbols", hint="begin it with SIM"
        )
    refused: list[RefusedFile] = []
    loaded = load_raw(source, names, path=path, interval=interval, columns=columns, refused=refused)
    for one in refused:
        typer.echo(f"refused {one.file}: {one.reason}")
    markets = [_cut(market, since, until) for market in loaded]
    histories = [History.from_raw(market) for market in markets]
    store = Store(places.store)
    with store.writing():
        for market in markets:
            store.check_source(market.symbol, market.source)
        held = {market.symbol: store.write(market) for market in markets}
    for history in histories:
        typer.echo(
            f"{history.symbol}: {len(history):,} bars {history.time[0]:%Y-%m-%d %H:%M} to "
            f"{history.time[-1]:%Y-%m-%d %H:%M}, {held[history.symbol]:,} in {store}"
        )
        print_ledger(history.symbol, history.ledger)
    there = {history.symbol for history in histories}
    absent = [
        Fetched(name, error=NothingUsableError(f"{name}: {_why(name, refused)}", field="symbols"))
        for name in names
        if name not in there
    ]
    return absent + [
        Fetched(
            history.symbol,
            {
                "bars": len(history),
                "held": held[history.symbol],
                "ledger": [entry.as_dict() for entry in history.ledger],
                "refused": [{"file": str(one.file), "reason": one.reason} for one in refused],
            },
        )
        for history in histories
    ]


def _why(symbol: str, refused: Sequence[RefusedFile]) -> str:
    """Why a symbol that was named gave no bars."""
    reasons = [one.reason.removeprefix(f"{symbol}: ") for one in refused if one.symbol == symbol]
    return "; ".join(reasons) or "no bars of it were found"


def _cut(market: RawMarket, start: pd.Timestamp | None, end: pd.Timestamp | None) -> RawMarket:
    """Raw rows whose bar closes in the span; other tables keep what was known before its end."""
    close = market.bars["open_time"] + interval_delta(market.interval)
    keep = pd.Series(True, index=market.bars.index)
    if start is not None:
        keep &= close >= start
    if end is not None:
        keep &= close < end

    def known(table: pd.DataFrame | None) -> pd.DataFrame | None:
        if table is None or end is None:
            return table
        return table.loc[table["time"] < end].reset_index(drop=True)

    return replace(
        market,
        bars=market.bars.loc[keep].reset_index(drop=True),
        funding=known(market.funding),
        open_interest=known(market.open_interest),
        positioning=known(market.positioning),
        fear_greed=known(market.fear_greed),
        extras={
            name: series if (table := known(series.table)) is None else replace(series, table=table)
            for name, series in market.extras.items()
        },
    )
