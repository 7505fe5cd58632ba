"""The command ``train``; ``python -m training.train`` takes the same options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.command_line import (
    IntervalOption,
    NoPromoteOption,
    PathOption,
    SchedulerOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
    run,
)
from features.sources import parse_date, parse_symbols
from serving.bundle import write_json
from training.compare.plan import Market
from training.console import print_report
from training.parallel.workforce import Workforce
from training.pipeline import TrainResult, train
from training.progress import step_progress
from training.retrain_options import FitWorkersOption, RecipeOption
from training.retraining.request import read_recipe
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
    recipe: RecipeOption = None,
    workers: FitWorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Train on history, prove the model, register it, make it the champion."""
    places = Places.load(store=store)
    start, end = parse_date(since, "since"), parse_date(until, "until")
    place = Market(
        source=source,
        symbols=tuple(parse_symbols(symbols)),
        path=None if path is None else path.absolute(),
        store=places.store,
        interval=interval,
        since=start,
        until=end,
    )
    workforce = Workforce(workers, scheduler, place)
    with step_progress() as progress:
        histories = place.load()
        result = train(
            histories,
            places,
            promote_it=not no_promote,
            recipe=None if recipe is None else read_recipe(recipe),
            origin={"source": source, "path": None if path is None else str(path.absolute())},
            workforce=workforce,
            progress=progress,
        )
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
