"""The job ``features.build``: the feature table of some symbols as one Parquet file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from features.catalog import CATALOG
from features.command_line import (
    IntervalOption,
    PathOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
    run,
)
from features.parquet import write_parquet
from features.pipeline import feature_table
from features.regimes import REGIMES, hindsight_regimes
from features.sources.loading import load_histories, parse_date, parse_symbols

__all__ = ["build_features", "main"]


def build_features(
    symbols: str = "",
    out: Path = Path("features.parquet"),
    *,
    source: str | None = None,
    path: Path | None = None,
    store: Path = Path("data"),
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    labels: bool = False,
) -> pd.DataFrame:
    """Compute and write the table: ``symbol, time``, one float32 column per feature.

    With ``labels`` also ``hindsight_regime`` and ``confirmed_at``: they have seen the future.

    Raises
    ------
    BearmodeError
        If the options or the data make no sense.
    """
    histories = load_histories(
        source,
        parse_symbols(symbols),
        path=path,
        store=store,
        interval=interval,
        since=parse_date(since, "since"),
        until=parse_date(until, "until"),
    )
    tables = []
    for history in histories:
        table = feature_table(history, CATALOG).reset_index()
        table.insert(0, "symbol", history.symbol)
        if labels:
            found = hindsight_regimes(history)
            names = found["regime"].map(dict(enumerate(REGIMES)), na_action="ignore")
            table["hindsight_regime"] = names.astype("str").where(found["regime"].notna()).to_numpy()
            table["confirmed_at"] = found["confirmed_at"].array
        tables.append(table)
    frame = pd.concat(tables, ignore_index=True)
    write_parquet(frame, out)
    return frame


def main(
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("features.parquet"),
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    labels: Annotated[bool, typer.Option(help="Add hindsight labels; they have seen the future.")] = False,
) -> None:
    """Write the feature table of some symbols."""
    frame = build_features(
        symbols,
        out,
        source=source,
        path=path,
        store=store or Path(os.environ.get("BEARMODE_STORE") or "data"),
        interval=interval,
        since=since,
        until=until,
        labels=labels,
    )
    typer.echo(f"{out}: {len(frame):,} rows, {len(CATALOG)} features")


if __name__ == "__main__":
    run(lambda: typer.run(main))
