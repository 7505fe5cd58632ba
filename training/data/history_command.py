"""The commands ``history`` and ``regimes``: a symbol's tables out to files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import typer

from features.errors import UsageError
from features.history import History
from features.json_file import write_json
from features.parquet import write_parquet
from features.regimes import REGIMES, hindsight_regimes
from features.sources import load_histories, parse_date, parse_symbols
from training.data.ledger_table import print_ledger
from training.settings import Places

__all__ = ["one_symbol", "write_history", "write_regimes"]


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
    print_ledger(history.symbol, history.ledger)
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
