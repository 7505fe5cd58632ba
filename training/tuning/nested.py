"""What a search is worth: a walk in which every fold has searched by itself, in its own training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.regimes import REGIMES
from training.calibration import fit_strength, fit_temperature
from training.dataset import Dataset
from training.evaluation import Answers
from training.models.boosted_logistic import softmax
from training.out_of_fold import fit_out_of_fold
from training.recipe import Recipe
from training.splits import Fold
from training.tuning.search import TrialResult, Tuned, tune
from training.walk_forward import walkable

__all__ = ["NestedWalk", "answered", "nested_walk"]


@dataclass(frozen=True)
class NestedWalk:
    """Out-of-fold answers of the recipe as given, and of what each fold's own search made of it.

    Attributes
    ----------
    given, tuned : Answers
        The likeliest regime of each sampled bar.
    searches : dict of str to Tuned
        By fold.
    """

    given: Answers
    tuned: Answers
    searches: dict[str, Tuned]


def nested_walk(
    dataset: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    trials: int,
    minutes: float | None = None,
    seed: int = 7,
    told: Callable[[str, TrialResult], None] = lambda _fold, _trial: None,
) -> NestedWalk:
    """Search, fit and answer fold after fold; each search sees its fold's training rows and no other.

    Parameters
    ----------
    dataset, recipe, folder, trials, minutes, seed
        As for :func:`training.tuning.search.tune`; trials and minutes are of each fold.
    told : callable
        The fold's name and each trial.
    """
    shape = (len(dataset.y), len(REGIMES))
    given, tuned = np.full(shape, np.nan), np.full(shape, np.nan)
    searches: dict[str, Tuned] = {}
    for fold in walkable(dataset, recipe):
        found = tune(
            dataset,
            recipe,
            fold.train,
            folder,
            trials=trials,
            minutes=minutes,
            seed=seed,
            told=lambda trial, name=fold.name: told(name, trial),  # type: ignore[misc]
        )
        searches[fold.name] = found
        rows = fold.test[dataset.sampled[fold.test] & dataset.present[fold.test]]
        given[rows] = answered(dataset, recipe, fold, rows)
        tuned[rows] = given[rows] if found.recipe == recipe else answered(dataset, found.recipe, fold, rows)
    return NestedWalk(Answers.likeliest("given", given), Answers.likeliest("tuned", tuned), searches)


def answered(
    dataset: Dataset, recipe: Recipe, fold: Fold, rows: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Calibrated probabilities of some bars by the model of a fold, shape (n_rows, 4)."""
    found = fit_out_of_fold(dataset, recipe, fold.train, fold.cut)
    inside = dataset.sampled[found.rows]
    bars = found.rows[inside]
    y, spells = dataset.y[bars], len(np.unique(dataset.spell[bars]))
    base, every = found.base_log_odds[inside], found.log_odds[inside]
    X = dataset.X[rows]
    log_odds = found.model.log_odds(X)
    if recipe.boosting.prior:
        temperature, strength = fit_strength(base, every - base, y, spells)
        start = found.model.base_log_odds(X)
        log_odds = start + strength * (log_odds - start)
    else:
        temperature = fit_temperature(every, y, spells)
    return softmax(log_odds / temperature)
