"""The command ``retrain``; ``python -m training.retrain`` takes the same options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import pandas as pd
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
from features.errors import GateRefusedError, UsageError
from features.json_file import check_target, write_json
from features.sources import parse_date, parse_symbols
from training.parallel.workforce import Workforce
from training.progress import step_progress
from training.retrain_options import (
    DryRunOption,
    EveryOption,
    FitWorkersOption,
    FreshOption,
    NoUpdateOption,
    RecipeOption,
)
from training.retraining.gate_report import print_checks
from training.retraining.outcome import REFUSED, Outcome
from training.retraining.request import Request, parse_period
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
    no_update: NoUpdateOption = False,
    no_promote: NoPromoteOption = False,
    recipe: RecipeOption = None,
    dry_run: DryRunOption = False,
    fresh: FreshOption = False,
    every: EveryOption = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
    ] = None,
    workers: FitWorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Update, train, judge, and promote what is better; goes on where a run was killed."""
    check_target(json, "json")
    for name, text in (("since", since), ("until", until)):
        parse_date(text, name)
    request = Request(
        symbols=tuple(parse_symbols(symbols)),
        source=source,
        path=path,
        interval=interval,
        since=since,
        until=until,
        update=not no_update,
        promote=not no_promote,
        recipe=recipe,
        fresh=fresh,
        workers=workers,
        scheduler=scheduler,
    )
    Workforce(workers, scheduler)
    places = Places.load(store=store)
    if every is not None:
        period = parse_period(every)
        if dry_run or fresh or until is not None:
            raise UsageError("--every goes with neither --dry-run, --fresh nor --until", field="every")
        _loop(period, request, places, json)
    elif dry_run:
        _plan(request, places, json)
    else:
        _once(request, places, json)


def _once(request: Request, places: Places, json: Path | None) -> None:
    from training.retraining.job import retrain  # noqa: PLC0415

    with ExitStack() as shown:
        bar: list[Callable[[str, int], None]] = []

        def progress(name: str, total: int) -> None:
            if not bar:  # a run that is refused at the door shows none
                bar.append(shown.enter_context(step_progress()))
            bar[0](name, total)

        outcome = retrain(request, places, say=typer.echo, progress=progress)
    show(outcome)
    if json is not None:
        write_json(json, outcome.as_dict())
    if outcome.outcome == REFUSED:
        raise GateRefusedError(
            f"the gate refused {outcome.version}: {outcome.reason}",
            hint=f"the champion {outcome.champion} stays; bearmode journal shows every check",
        )


def _plan(request: Request, places: Places, json: Path | None) -> None:
    from training.retraining.dry_run import plan  # noqa: PLC0415

    steps = plan(request, places)
    for one in steps:
        typer.echo(f"{'do  ' if one.does else 'skip'} {one.step:<16} {one.why}")
    if json is not None:
        write_json(json, [one.as_dict() for one in steps])


def _loop(period: pd.Timedelta, request: Request, places: Places, json: Path | None) -> None:
    from training.retraining.loop import Loop  # noqa: PLC0415

    options = {
        "--symbols": ",".join(request.symbols) or None,
        "--source": request.source,
        "--path": request.path,
        "--store": places.store,
        "--interval": request.interval,
        "--since": request.since,
        "--recipe": request.recipe,
        "--workers": request.workers,
        "--scheduler": request.scheduler,
        "--json": json,
    }
    command = [sys.executable, "-m", "training.retrain"]
    for name, value in options.items():
        if value is not None:
            command += [name, str(value)]
    command += ["--no-update"] * (not request.update) + ["--no-promote"] * (not request.promote)
    status = Loop(command, period, places.bundles, typer.echo).run()
    if status:
        raise typer.Exit(status)


def show(outcome: Outcome) -> None:
    """Print how a retraining ended."""
    if outcome.made is not None:
        from training.console import print_report  # noqa: PLC0415

        print_report(outcome.made.report)
    for fold in outcome.skipped_folds:
        typer.echo(f"not walked, {fold}")
    if outcome.verdict is not None:
        print_checks(outcome.verdict)
    if outcome.outcome != REFUSED:
        typer.echo(f"{outcome.version} {outcome.outcome.replace('_', ' ')}: {outcome.reason}")
        typer.echo(f"champion {outcome.champion}")


if __name__ == "__main__":
    run(lambda: typer.run(main))
