"""The job ``features.build``: the feature table of many symbols as one Parquet file.

Symbols are computed in parallel and written in their order, a row group each: the bytes of the file do
not depend on where and how many at a time they were computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from features.catalog import CATALOG
from features.command_line import (
    IntervalOption,
    PathOption,
    SchedulerOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
    WorkersOption,
    run,
)
from features.context import choose_universe
from features.errors import BearmodeError, UsageError
from features.feature_rows import feature_rows, feature_schema
from features.parallel.outcomes import SymbolsFailedError, Tell, named
from features.parallel.symbol_tasks import each_symbol
from features.parquet import appended_parquet
from features.sources.context_closes import first_bars
from features.sources.listing import listed_symbols
from features.sources.loading import parse_date, parse_symbols
from features.store_setting import store_setting

__all__ = ["Built", "build_features", "main"]


@dataclass(frozen=True)
class Built:
    """What was written.

    Attributes
    ----------
    rows : int
    symbols : tuple of str
        In the file, in this order.
    failed : mapping of str to BearmodeError
        Left out, and why.
    """

    rows: int
    symbols: tuple[str, ...]
    failed: Mapping[str, BearmodeError] = field(default_factory=dict)


def build_features(
    symbols: str = "",
    out: Path = Path("features.parquet"),
    *,
    source: str | None = None,
    path: Path | None = None,
    store: Path | str = "data",
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    labels: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    skip_failed: bool = False,
    tell: Tell | None = None,
) -> Built:
    """Compute and write the table: ``symbol, time``, one float32 column per feature.

    Features across markets look at the symbols of the table, at most
    :data:`features.context.MAX_SYMBOLS` of them (:func:`features.context.choose_universe`); with one
    symbol they are NaN.

    With ``labels`` also ``hindsight_regime`` and ``confirmed_at``: they have seen the future.

    Parameters
    ----------
    workers, scheduler, tell
        As for :func:`features.parallel.symbol_tasks.each_symbol`.
    skip_failed : bool, default=False
        Write the symbols that can be built. Without it one that cannot means that nothing is written:
        a table that lacks a symbol nobody left out would pass for a whole one. All failures are found
        before the error is raised.

    Raises
    ------
    BearmodeError
        If the options or the data make no sense; ``out`` is then as it was.
    """
    start, end = parse_date(since, "since"), parse_date(until, "until")
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--since {start.date()} is not before --until {end.date()}", field="since")
    path = None if path is None else path.absolute()
    names = listed_symbols(source, parse_symbols(symbols), path=path, store=store, interval=interval)
    store = store if "://" in str(store) else Path(store).absolute()
    begins = first_bars(source, names, path=path, store=store, interval=interval)
    task = partial(
        feature_rows,
        source=source,
        path=path,
        store=store,
        interval=interval,
        universe=choose_universe(begins),
        run=uuid4().hex,
        since=start,
        until=end,
        labels=labels,
    )
    written: dict[str, int] = {}
    failed: dict[str, BearmodeError] = {}
    with (
        appended_parquet(out, feature_schema(labels=labels)) as append,
        closing(each_symbol(task, names, workers=workers, scheduler=scheduler, tell=tell)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.error is not None:
                failed[outcome.symbol] = outcome.error
            elif outcome.result is not None and (skip_failed or not failed):
                append(outcome.result)
                written[outcome.symbol] = outcome.result.num_rows
        if failed and (not skip_failed or not written):
            raise SymbolsFailedError.of(failed, len(names))
    return Built(sum(written.values()), tuple(written), failed)


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
    skip_failed: Annotated[
        bool,
        typer.Option(
            "--skip-failed", help="Leave out symbols that cannot be built, instead of writing nothing."
        ),
    ] = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Write the feature table of some symbols."""
    with _progress() as tell:
        built = build_features(
            symbols,
            out,
            source=source,
            path=path,
            store=store_setting(store),
            interval=interval,
            since=since,
            until=until,
            labels=labels,
            workers=workers,
            scheduler=scheduler,
            skip_failed=skip_failed,
            tell=tell,
        )
    for symbol, error in built.failed.items():
        typer.echo(f"left out: {named(symbol, error)}", err=True)
    typer.echo(f"{out}: {built.rows:,} rows, {len(CATALOG)} features, {len(built.symbols):,} symbols")


@contextmanager
def _progress() -> Iterator[Tell]:
    """Show one bar on a terminal; each symbol has two steps."""
    from rich.console import Console  # noqa: PLC0415 - workers import this module's neighbours, not rich
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("features", total=None)
        steps: dict[str, tuple[int, int]] = {}

        def tell(symbol: str, done: int, total: int) -> None:
            steps[symbol] = (done, total)
            so_far, whole = (sum(column) for column in zip(*steps.values(), strict=True))
            progress.update(task, description=symbol, completed=so_far, total=whole)

        yield tell


if __name__ == "__main__":
    run(lambda: typer.run(main))
