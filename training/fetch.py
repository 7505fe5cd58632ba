"""The jobs around history: ``fetch`` into the store, ``history`` and ``regimes`` out to files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from features.errors import UsageError
from features.history import History
from features.parquet import write_parquet
from features.raw import RawMarket, interval_delta
from features.regimes import REGIMES, hindsight_regimes
from features.sources import load_histories, load_raw, parse_date, parse_symbols
from features.store import Store
from serving.bundle import write_json
from training.settings import Places

__all__ = ["fetch", "one_symbol", "write_history", "write_regimes"]

SHOWN = 12


def fetch(
    source: str,
    symbols: str,
    places: Places,
    *,
    path: Path | None = None,
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    json: Path | None = None,
) -> None:
    """Bring raw tables into the store; every symbol is checked before the first is written.

    Raises
    ------
    BearmodeError
        If options, files or store make no sense; the store is then as it was.
    """
    start, end = parse_date(since, "since"), parse_date(until, "until")
    names = parse_symbols(symbols)
    real = [name for name in names if source == "simulated" and not name.startswith("SIM")]
    if real:
        raise UsageError(
            f"a simulated market may not bear the name {real[0]}", field="symbols", hint="begin it with SIM"
        )
    markets = [_cut(market, start, end) for market in load_raw(source, names, path=path, interval=interval)]
    histories = [History.from_raw(market) for market in markets]
    store = Store(places.store)
    with store.writing():
        for market in markets:
            store.check_source(market)
        held = {market.symbol: store.write(market) for market in markets}
    for history in histories:
        typer.echo(
            f"{history.symbol}: {len(history):,} bars {history.time[0]:%Y-%m-%d %H:%M} to "
            f"{history.time[-1]:%Y-%m-%d %H:%M}, {held[history.symbol]:,} in {places.store}"
        )
        _show_ledger(history)
    if json is not None:
        write_json(
            json,
            {
                history.symbol: {
                    "bars": len(history),
                    "held": held[history.symbol],
                    "ledger": [entry.as_dict() for entry in history.ledger],
                }
                for history in histories
            },
        )


def _cut(market: RawMarket, start: pd.Timestamp | None, end: pd.Timestamp | None) -> RawMarket:
    """Raw rows whose bar closes in the span; other tables keep what was known before its end."""
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--since {start.date()} is not before --until {end.date()}", field="since")
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

    return RawMarket(
        market.symbol,
        market.interval,
        market.bars.loc[keep].reset_index(drop=True),
        known(market.funding),
        known(market.open_interest),
        known(market.positioning),
        known(market.fear_greed),
        market.source,
        market.ledger,
    )


def one_symbol(text: str) -> list[str]:
    """Parse the argument of a command that is about one symbol.

    Raises
    ------
    UsageError
        If it names none or several.
    """
    names = parse_symbols(text)
    if len(names) != 1:
        raise UsageError(f"{text!r} names {len(names)} symbols, expected one", field="symbols")
    return names


def _one(
    symbol: str,
    source: str | None,
    path: Path | None,
    places: Places,
    interval: str,
    since: str | None,
    until: str | None,
) -> History:
    (history,) = load_histories(
        source,
        one_symbol(symbol),
        path=path,
        store=places.store,
        interval=interval,
        since=parse_date(since, "since"),
        until=parse_date(until, "until"),
    )
    return history


def write_history(
    symbol: str,
    out: Path,
    source: str | None,
    path: Path | None,
    places: Places,
    interval: str,
    since: str | None,
    until: str | None,
    json: Path | None = None,
) -> None:
    """Write the joined table of a symbol and print its gap ledger."""
    history = _one(symbol, source, path, places, interval, since, until)
    write_parquet(history.table(), out)
    typer.echo(
        f"{out}: {history.symbol}, {len(history):,} bars "
        f"{history.time[0]:%Y-%m-%d %H:%M} to {history.time[-1]:%Y-%m-%d %H:%M}"
    )
    _show_ledger(history)
    if json is not None:
        write_json(json, {"symbol": symbol, "ledger": [entry.as_dict() for entry in history.ledger]})


def write_regimes(
    symbol: str,
    out: Path,
    source: str | None,
    path: Path | None,
    places: Places,
    interval: str,
    until: str | None,
    json: Path | None = None,
) -> None:
    """Write ``time, regime, confirmed_at`` of a symbol: hindsight, null where not confirmed."""
    history = _one(symbol, source, path, places, interval, None, until)
    labels = hindsight_regimes(history)
    known = labels["regime"].notna()
    names = labels["regime"].map(dict(enumerate(REGIMES)), na_action="ignore")
    frame = pd.DataFrame(
        {
            "time": history.time,
            "regime": names.astype("object").where(known, None).array,
            "confirmed_at": labels["confirmed_at"].array,
        }
    )
    frame["regime"] = frame["regime"].astype("str")
    write_parquet(frame, out)
    share = names[known].value_counts(normalize=True)
    shown = ", ".join(f"{name} {share.get(name, 0.0):.2f}" for name in REGIMES)
    if json is not None:
        shares = {name: float(share.get(name, 0.0)) for name in REGIMES}
        write_json(
            json, {"symbol": symbol, "bars": len(frame), "confirmed": int(known.sum()), "shares": shares}
        )
    typer.echo(f"{out}: {len(frame):,} bars, {int(known.sum()):,} with a confirmed regime ({shown})")


def _show_ledger(history: History) -> None:
    if not history.ledger:
        return
    table = Table(title=f"{history.symbol}: gap ledger", title_justify="left")
    for name in ("kind", "what", "from", "to", "count", "detail"):
        table.add_column(name)
    for entry in history.ledger[:SHOWN]:
        table.add_row(
            entry.kind,
            entry.subject,
            "" if entry.start is None else f"{entry.start:%Y-%m-%d %H:%M}",
            "" if entry.end is None else f"{entry.end:%Y-%m-%d %H:%M}",
            f"{entry.count:,}",
            entry.detail,
        )
    console = Console(width=118)
    console.print(table)
    if len(history.ledger) > SHOWN:
        console.print(f"... and {len(history.ledger) - SHOWN} more (--json FILE writes all)")
