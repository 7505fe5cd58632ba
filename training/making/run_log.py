"""What a run tells MLflow: one parent run, one nested run a fold, scores, figures, the bundle, the inputs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from features.history import History
from training.dataset import Dataset
from training.environment import environment, environment_tags
from training.making.make import Made
from training.recipe import Recipe
from training.run_figures import run_figures
from training.tracking import Tracker
from training.walk_forward import Walk

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["INPUTS", "log_fold", "log_inputs", "log_results", "spans"]

INPUTS = "inputs.json"
"""Artifact that says what a run was made from: recipe, source, and each symbol's span."""


def spans(histories: tuple[History, ...] | list[History]) -> dict[str, list[str]]:
    """First and last bar close of each symbol."""
    return {one.symbol: [one.time[0].isoformat(), one.time[-1].isoformat()] for one in histories}


def log_inputs(
    tracker: Tracker,
    run: Run,
    dataset: Dataset,
    recipe: Recipe,
    hashes: tuple[str, str],
    *,
    job: str,
    origin: dict[str, Any],
) -> None:
    """Log what a run is made from, before anything is fitted.

    Parameters
    ----------
    tracker : Tracker
    run : mlflow.entities.Run
    dataset : Dataset
    recipe : Recipe
    hashes : tuple of str
        Data hash and feature hash.
    job : str
        ``train`` or ``retrain``.
    origin : dict
        Where the history came from: source and path.
    """
    symbols = ", ".join(dataset.symbols)
    tags = {
        **environment_tags(job),
        "bearmode/recipe_sha256": recipe.recipe_hash(),
        "bearmode/data_sha256": hashes[0],
        "bearmode/feature_sha256": hashes[1],
    }
    tracker.log(run, parameters=_parameters(dataset, recipe, hashes), tags=tags)
    tracker.log_dataset(
        run,
        name=symbols,
        digest=hashes[0],
        profile=f'{{"bars": {len(dataset.y)}, "sha256": "{hashes[0]}"}}',
    )
    tracker.log_text(run, environment(), "environment.txt")
    inputs = {
        "recipe": recipe.as_dict(),
        "interval": dataset.histories[0].interval,
        "spans": spans(dataset.histories),
        **origin,
    }
    tracker.log_text(run, json.dumps(inputs, indent=1, sort_keys=True), INPUTS)


def log_fold(tracker: Tracker, parent: Run, walk: Walk, dataset: Dataset) -> None:
    """Log the newest fold as a nested run, with its own scores; once, however often a run is continued."""
    from training.evaluation import scores  # noqa: PLC0415

    index = len(walk.folds) - 1
    fold, fitted = walk.folds[index], walk.models[index]
    name = f"fold {fold.name}"
    if tracker.has_nested(parent, name):
        return
    rows = fold.test[dataset.usable[fold.test]]
    with tracker.run(name, parent=parent) as run:
        tracker.log(
            run,
            parameters={
                "fold": fold.name,
                "start": fold.start.isoformat(),
                "end": fold.end.isoformat(),
                "train_rows": len(fold.train),
                "trained_until": fitted.trained_until.isoformat(),
            },
            metrics={
                "calibration/temperature": fitted.temperature,
                **_numbers("decision", fitted.decision.model_dump()),
                **{
                    f"cv/{name}": value
                    for name, value in scores(
                        walk.probabilities[rows], dataset.y[rows], walk.regime[rows]
                    ).items()
                },
            },
        )


def log_results(tracker: Tracker, run: Run, dataset: Dataset, made: Made, skipped: list[str]) -> None:
    """Log scores, description, figures and the bundle."""
    from training.description import describe  # noqa: PLC0415

    walk, report = made.walk, made.report
    words = describe(report, dataset, made.packaged)
    tracker.log(
        run,
        metrics={**report.metrics(), "onnx/largest_difference": made.packaged.parity.largest_difference},
        tags={
            "mlflow.note.content": words,
            "bearmode/bundle": made.packaged.hash,
            "bearmode/skipped_folds": "; ".join(skipped),
        },
    )
    for name, figure in run_figures(dataset, walk, report):
        tracker.log_figure(run, figure, f"figures/{name}.html")
    tracker.log_folder(run, made.packaged.folder, "bundle")
    tracker.log_text(run, words, "report.md")


def _parameters(dataset: Dataset, recipe: Recipe, hashes: tuple[str, str]) -> dict[str, object]:
    return {
        **_flat(recipe.as_dict()),
        "symbols": ",".join(dataset.symbols),
        "interval": dataset.histories[0].interval,
        "sources": ",".join(sorted({history.source for history in dataset.histories})),
        "first_bar": dataset.time.min().isoformat(),
        "last_bar": dataset.time.max().isoformat(),
        "data_hash": hashes[0],
        "feature_hash": hashes[1],
        "cores": os.cpu_count(),
    }


def _numbers(group: str, content: dict[str, Any]) -> dict[str, float]:
    return {f"{group}/{name}": value for name, value in content.items() if isinstance(value, int | float)}


def _flat(content: dict[str, Any], path: str = "") -> dict[str, object]:
    """Settings by path; of lists how long they are: the artifact has them whole."""
    found: dict[str, object] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{path}{name}/")
        else:
            found[f"{path}{name}"] = len(value) if isinstance(value, list) else value
    return found
