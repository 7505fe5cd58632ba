"""The command ``train``; ``python -m training.train`` takes the same options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.command_line import (
    IntervalOption,
    NoPromoteOption,
    PathOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
    run,
)
from features.sources import load_histories, parse_date, parse_symbols
from serving.bundle import write_json
from training.console import print_report
from training.pipeline import TrainResult, train
from training.progress import step_progress
from training.settings import Places

__all__ = ["main"]


def main(
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    no_promote: NoPromoteOption = False,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
    ] = None,
) -> None:
    """Train on history, prove the model, register it, make it the champion."""
    places = Places.load(store=store)
    with step_progress() as progress:
        histories = load_histories(
            source,
            parse_symbols(symbols),
            path=path,
            store=places.store,
            interval=interval,
            since=parse_date(since, "since"),
            until=parse_date(until, "until"),
        )
        result = train(histories, places, promote_it=not no_promote, progress=progress)
    show(result)
    if json is not None:
        write_json(json, result.as_dict())


def show(result: TrainResult) -> None:
    """Print what a run made."""
    print_report(result.report)
    for fold in result.skipped_folds:
        typer.echo(f"not walked, {fold}")
    typer.echo(
        f"model {result.version}: {result.rows:,} training rows, ONNX within {result.parity:.1e} of the "
        f"model; registered as bearmode version {result.registered_version}"
    )
    typer.echo(f"bundle {result.bundle}")
    typer.echo("it is now the champion" if result.promoted else "the champion is unchanged")


if __name__ == "__main__":
    run(lambda: typer.run(main))
