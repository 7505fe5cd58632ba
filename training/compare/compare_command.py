"""The command ``compare``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import typer

from features.errors import TrainingError, UsageError
from features.json_file import check_target, write_json
from features.parallel.symbol_tasks import each_symbol
from features.sources import parse_date, parse_symbols
from training.compare.compare_log import CompareLog, logged_comparison
from training.compare.compare_page import render_page, write_page
from training.compare.compare_progress import compare_progress
from training.compare.comparison import Comparison, compare
from training.compare.entries import chosen
from training.compare.leaderboard import as_dict, print_leaderboard
from training.compare.plan import Market, Plan, Workbench
from training.compare.recipe_choice import champions_recipe
from training.recipe import Recipe
from training.settings import Places
from training.splits import AXES, Axis

__all__ = ["compare_command"]


def compare_command(
    symbols: str,
    places: Places,
    *,
    source: str | None = None,
    path: Path | None = None,
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    models: str | None = None,
    axis: str = "time",
    rolling: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    json: Path | None = None,
    page: Path | None = None,
) -> None:
    """Compare models: leaderboard in the terminal, runs in MLflow, a page and a file where asked for.

    Parameters
    ----------
    symbols : str
        Comma-separated; empty: all that the source has.
    places : Places
    source, path, interval, since, until
        As for :func:`features.sources.load_histories`; the dates as ISO text.
    models : str, optional
        Comma-separated entries; all by default.
    axis : str
        ``time``, ``symbols`` or ``both``.
    rolling : float, optional
        Days of the training window; expanding by default.
    workers, scheduler
        As for :func:`features.parallel.symbol_tasks.each_symbol`.
    json, page : Path, optional
        Files to write.

    Raises
    ------
    BearmodeError
        If options or data make no sense, before anything is fitted; or, at the end, with the entries
        that failed: the others stand in the runs and files then.
    """
    named = [name.strip() for name in (models or "").split(",") if name.strip()]
    chosen(named)
    if models is not None and not models.strip(" ,"):
        raise UsageError("--models names no entry", field="models")
    for file, option in ((json, "json"), (page, "page")):
        check_target(file, option)
    if json is not None and page is not None and json.absolute() == page.absolute():
        raise UsageError(f"--json and --page both name {json}", field="json")
    _check_workers(workers, scheduler)
    start, end = parse_date(since, "since"), parse_date(until, "until")
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--since {since} is not before --until {until}", field="since")
    recipe, whose = champions_recipe(places.bundles)
    entries = chosen(named, recipe.features)
    market = Market(
        source=source,
        symbols=tuple(parse_symbols(symbols)),
        path=None if path is None else path.absolute(),
        store=places.store,
        interval=interval,
        since=start,
        until=end,
    )
    plan = Plan(market, _rolling(recipe, rolling), _axis(axis))
    typer.echo(f"the model follows {whose}", err=True)
    with ExitStack() as stack:
        logs: list[CompareLog] = []

        def begun(bench: Workbench) -> None:
            shown.begin([entry.name for entry in entries], len(bench.folds))
            logs.append(stack.enter_context(logged_comparison(places, plan, bench, whose)))

        shown, tell = stack.enter_context(compare_progress())
        comparison = compare(plan, entries, workers=workers, scheduler=scheduler, begun=begun, tell=tell)
        (log,) = logs
        text = render_page(comparison, whose=whose, run_id=log.run_id) if comparison.entries else ""
        log.comparison(comparison, text)
        _write(comparison, log.run_id, text, json, page)
    print_leaderboard(comparison)
    typer.echo(f"run {log.run_id} in MLflow (bearmode ui){f'; {page}' if page and text else ''}")
    comparison.raise_failures()


def _write(comparison: Comparison, run_id: str, text: str, json: Path | None, page: Path | None) -> None:
    if json is not None:
        write_json(json, {**as_dict(comparison), "run_id": run_id})
    if page is not None and text:
        write_page(page, text)


def _check_workers(workers: int | None, scheduler: str | None) -> None:
    """Ask what takes the jobs, before minutes of features."""
    each_symbol(lambda job, _tell: job, (), workers=workers, scheduler=scheduler).close()


def _axis(text: str) -> Axis:
    for axis in AXES:
        if text == axis:
            return axis
    raise UsageError(f"--axis is {text!r}, expected one of {', '.join(AXES)}", field="axis")


def _rolling(recipe: Recipe, days: float | None) -> Recipe:
    if days is None:
        return recipe
    try:
        return replace(recipe, splits=replace(recipe.splits, window_days=days))
    except TrainingError as error:
        raise UsageError(
            f"--rolling is {days:g}: {error.message}", field="rolling", hint=error.hint
        ) from error
