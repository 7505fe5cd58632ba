"""Every baseline with few trees, one fold of the small market, and the same market with another future."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest
from small_training import replaced_after, small_markets, small_recipe
from threadpoolctl import threadpool_limits

from features.history import History
from training.compare.entries import ENTRIES
from training.dataset import Dataset, build_dataset
from training.models.baseline import Baseline
from training.models.learned import HistogramBoosting, PlainLightGBM
from training.splits import Fold
from training.walk_forward import walkable

__all__ = ["MOMENT", "NAMES", "Case", "fitted", "other_future", "small_fold"]

NAMES = [entry.name for entry in ENTRIES if entry.make is not None]
MOMENT = pd.Timestamp("2022-09-14 08:00", tz="UTC")
RECIPE = small_recipe()


@dataclass(frozen=True)
class Case:
    """A dataset and one of its folds."""

    dataset: Dataset
    fold: Fold


def small_fold(dataset: Dataset, name: str) -> Case:
    """The fold of that name."""
    (fold,) = (one for one in walkable(dataset, RECIPE) if one.name == name)
    return Case(dataset, fold)


@cache
def other_future(name: str, moment: pd.Timestamp = MOMENT) -> Case:
    """The same fold of a market that goes another way from a moment on."""
    histories = [History.from_raw(replaced_after(market, moment)) for market in small_markets()]
    return small_fold(build_dataset(histories, RECIPE.selected()), name)


def fitted(
    name: str,
    case: Case,
    patch: pytest.MonkeyPatch,
    rows: np.ndarray[tuple[int], np.dtype[np.intp]] | None = None,
) -> Baseline:
    """A baseline, quickly fitted on the fold's training rows, or on some of them."""
    patch.setattr(PlainLightGBM, "ROUNDS", 4)
    patch.setattr(HistogramBoosting, "SETTINGS", {**HistogramBoosting.SETTINGS, "max_iter": 4})
    (make,) = (entry.make for entry in ENTRIES if entry.name == name)
    assert make is not None
    baseline = make(small_recipe(rounds=4))
    if hasattr(baseline, "inner_blocks"):
        baseline.inner_blocks = 2
    if hasattr(baseline, "starts"):
        baseline.starts = 1
    with threadpool_limits(1):
        baseline.fit(case.dataset, case.fold.train if rows is None else rows, case.fold.cut)
    return baseline
