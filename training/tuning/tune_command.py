"""The command ``tune``: search for better settings, each trial a run, and write the recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from features.errors import UsageError
from features.json_file import check_target, write_json
from features.sources import load_histories, parse_date, parse_symbols
from training.dataset import Dataset, build_dataset
from training.evaluation import difference
from training.progress import step_progress
from training.recipe import Recipe
from training.retraining.request import DEFAULT_RECIPE, read_recipe
from training.settings import Places
from training.tracking import open_tracker
from training.tuning.nested import nested_walk
from training.tuning.search import SEED, TrialResult, Tuned, study_name, tune
from training.walk_forward import walkable

__all__ = ["tune_command"]

TAG = "bearmode/search"
OWN = "search"
"""What a search on all rows is called, beside those of folds."""


def tune_command(
    symbols: str,
    places: Places,
    source: str | None = None,
    path: Path | None = None,
    *,
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    trials: int = 30,
    minutes: float | None = None,
    recipe: str | None = None,
    out: Path | None = None,
    nested: bool = False,
    json: Path | None = None,
) -> dict[str, Any]:
    """Search, log every trial as a run, write the recipe that was found; returns what it found.

    Parameters
    ----------
    symbols, source, path, interval, since, until
        The history, as for ``train``.
    trials : int
        Of the search; with ``nested``, of each fold's.
    minutes : float, optional
        No trial is begun after so long.
    recipe : str, optional
        File of the recipe to begin with; the default one otherwise.
    out : Path, optional
        Where the recipe is written: the tuned one if it is proven better, else the one begun with.
    nested : bool
        Measure what searching is worth instead: every fold of the walk searches in its own training rows.
    json : Path, optional
        The result for programs.

    Raises
    ------
    UsageError
        For options that make no sense together.
    """
    if nested and out is not None:
        raise UsageError(
            "--nested measures what searching is worth and finds no recipe: there is nothing for --out",
            field="out",
            hint="call tune without --nested for a recipe",
        )
    for file, name in ((out, "out"), (json, "json")):
        check_target(file, name)
    given = read_recipe(recipe or DEFAULT_RECIPE)
    histories = load_histories(
        source,
        parse_symbols(symbols),
        path=path,
        store=places.store,
        interval=interval,
        since=parse_date(since, "since"),
        until=parse_date(until, "until"),
    )
    dataset = build_dataset(histories, given.selected())
    console = Console(width=110)
    if nested:
        result = _nested(dataset, given, places, trials, minutes, console)
    else:
        result = _search(dataset, given, places, trials, minutes, out, console)
    if json is not None:
        write_json(json, result)
    return result


def _search(
    dataset: Dataset,
    given: Recipe,
    places: Places,
    trials: int,
    minutes: float | None,
    out: Path | None,
    console: Console,
) -> dict[str, Any]:
    train = np.flatnonzero(dataset.usable)
    name = study_name(dataset, given, train, SEED)
    with _TrialRuns(places, dataset, given, name) as told, step_progress() as progress:

        def tell(trial: TrialResult) -> None:
            progress(f"trial {trial.number}: {trial.log_loss:.4f}", trials)
            told(OWN, trial)

        found = tune(dataset, given, train, _folder(places), trials=trials, minutes=minutes, told=tell)
    if out is not None:
        write_json(out, found.recipe.as_dict())
    _say(found, console)
    if out is not None:
        console.print(f"wrote the {'tuned' if found.proven else 'given'} recipe to {out}")
    return {**_summary(found), "out": None if out is None else str(out)}


def _nested(
    dataset: Dataset,
    given: Recipe,
    places: Places,
    trials: int,
    minutes: float | None,
    console: Console,
) -> dict[str, Any]:
    folds = walkable(dataset, given)
    train = np.flatnonzero(dataset.usable)
    name = f"nested {study_name(dataset, given, train, SEED)}"
    with _TrialRuns(places, dataset, given, name) as told, step_progress() as progress:

        def tell(fold: str, trial: TrialResult) -> None:
            progress(f"fold {fold}, trial {trial.number}", trials * len(folds))
            told(f"fold {fold}", trial)

        walk = nested_walk(dataset, given, _folder(places), trials=trials, minutes=minutes, told=tell)
    for fold, one in walk.searches.items():
        console.print(f"fold {fold}: ", end="")
        _say(one, console)
    gap = difference(dataset, walk.tuned, walk.given)
    low, high = gap.interval.low, gap.interval.high
    console.print(
        f"log loss of the walk, tuned less given: {gap.interval.estimate:+.4f} ({low:+.4f} to {high:+.4f}, "
        f"{gap.interval.blocks} independent spells)"
    )
    return {
        "folds": {fold: _summary(one) for fold, one in walk.searches.items()},
        "difference": gap.interval.estimate,
        "low": low,
        "high": high,
        "spells": gap.interval.blocks,
    }


def _folder(places: Places) -> Path:
    return places.mlruns / "searches"


def _say(found: Tuned, console: Console) -> None:
    ended, given_up = len(found.trials), sum(trial.state == "pruned" for trial in found.trials)
    gap = found.difference
    if gap is None:
        words = "none was better than the recipe that it began with"
    else:
        proof = "proven better" if found.proven else "not proven better, the given recipe stays"
        words = (
            f"the best is {gap.estimate:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}) from the given one: {proof}"
        )
    console.print(f"{ended} trials, {given_up} given up early; {words}")


def _summary(found: Tuned) -> dict[str, Any]:
    gap = found.difference
    return {
        "search": found.name,
        "proven": found.proven,
        "best": found.best,
        "difference": None if gap is None else asdict(gap),
        "recipe": found.recipe.as_dict(),
        "trials": [asdict(trial) for trial in found.trials],
    }


class _TrialRuns:
    """The parent run of a search, open while it goes on; gives what logs a trial beneath it.

    A search that was killed goes on under the run that it began.
    """

    def __init__(self, places: Places, dataset: Dataset, given: Recipe, name: str) -> None:
        self._tracker = open_tracker(places)
        self._name, self._given = name, given
        label = f"tune {datetime.now(UTC):%Y-%m-%d %H:%M} {', '.join(dataset.symbols)}"[:120]
        resumed = self._tracker.find(TAG, name)
        self._open = self._tracker.run(label, tags={TAG: name}, resumed=resumed)

    def __enter__(self) -> Callable[[str, TrialResult], None]:
        self._run = self._open.__enter__()
        self._tracker.log(self._run, tags={"bearmode/recipe": self._given.recipe_hash()})
        return self._tell

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def _tell(self, search: str, trial: TrialResult) -> None:
        name = f"{search}, trial {trial.number}"
        if self._tracker.has_nested(self._run, name):
            return
        with self._tracker.run(name, parent=self._run) as run:
            self._tracker.log(
                run,
                parameters=trial.values or {"given": True},
                metrics={"inner/log_loss": trial.log_loss, "inner/blocks": float(trial.blocks)},
                tags={"bearmode/trial": trial.state},
            )
