"""One entry on one fold: the piece of work that a process or a worker of a cluster does at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import TrainingError
from features.parallel.outcomes import Tell
from features.regimes import REGIMES
from training.compare.entries import chosen
from training.compare.plan import Plan, Workbench, workbench
from training.dataset import Dataset
from training.parallel.one_thread import one_thread
from training.splits import Fold, WalkForward
from training.walk_forward import walk_forward

__all__ = ["FoldAnswers", "answer_fold", "fold_job", "job_name", "longest_first", "parts_of"]


@dataclass(frozen=True)
class FoldAnswers:
    """What one entry answered at the test bars of one fold.

    Attributes
    ----------
    probabilities : ndarray of shape (n_test, 4)
    regime : ndarray of int, shape (n_test,)
    parameters : dict of str to object
        What it was set to.
    seconds : float
        Of one core, fitting and answering.
    """

    probabilities: FloatArray
    regime: npt.NDArray[np.int64]
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def job_name(entry: str, fold: str) -> str:
    """Name of a job; no entry holds the separator."""
    return f"{entry}|{fold}"


def parts_of(job: str) -> tuple[str, str]:
    """Entry and fold of a job.

    Examples
    --------
    >>> parts_of(job_name("climatology", "2022-01 BTCUSDT"))
    ('climatology', '2022-01 BTCUSDT')
    """
    entry, _, fold = job.partition("|")
    return entry, fold


def fold_job(job: str, tell: Tell, *, plan: Plan) -> FoldAnswers:
    """Do the job that a name stands for; see :func:`answer_fold`."""
    entry, fold = parts_of(job)
    bench = workbench(plan)
    found = answer_fold(entry, bench, bench.folds[fold])
    tell(job, 1, 1)
    return found


def answer_fold(name: str, bench: Workbench, fold: Fold) -> FoldAnswers:
    """Fit an entry on a fold's training rows and answer its test bars.

    Everything in here runs on one thread, so that the bits do not depend on the machine.

    Raises
    ------
    TrainingError
        If the entry cannot be fitted, or what it answers are no probabilities.
    """
    (entry,) = chosen([name])
    started = time.process_time()
    with one_thread():
        if entry.make is None:
            p, regime, parameters = _answered_by_model(bench, fold)
        else:
            baseline = entry.make(bench.recipe)
            baseline.fit(bench.dataset, fold.train, fold.cut)
            p = baseline.answer(bench.dataset, fold.test)
            regime, parameters = baseline.decide(bench.dataset, fold.test, p), baseline.parameters()
    total = p.sum(axis=1)
    if p.shape != (len(fold.test), len(REGIMES)) or not (np.abs(total - 1) < 1e-6).all() or (p < 0).any():
        raise TrainingError(f"{name}: what it answered on {fold.name} are no probabilities")
    return FoldAnswers(p, regime, parameters, time.process_time() - started)


@dataclass(frozen=True)
class _GivenFold(WalkForward):
    """A split that has been made before."""

    given: Fold | None = None

    def split(self, time: pd.DatetimeIndex, confirmed_at: pd.Series) -> list[Fold]:  # noqa: ARG002
        return [] if self.given is None else [self.given]


def _answered_by_model(
    bench: Workbench, fold: Fold
) -> tuple[FloatArray, npt.NDArray[np.int64], dict[str, Any]]:
    """The project's model, fitted and decided as ``bearmode train`` does on this fold."""
    splits = bench.recipe.splits
    # The walk learns until the fold's start less the embargo, which has to be the fold's own cut.
    given = replace(fold, start=fold.cut + pd.Timedelta(days=splits.embargo_days))
    recipe = replace(
        bench.recipe,
        splits=_GivenFold(splits.embargo_days, splits.min_train_days, splits.window_days, given),
        min_symbol_days=0.0,
    )
    dataset = _without_labels(bench.dataset, fold.unseen)
    regimes_alone = replace(bench.excursions, squeeze=None)
    _, fitted, walk = next(walk_forward(dataset, recipe, regimes_alone, lambda _name: None))
    parameters: dict[str, Any] = {
        "recipe": bench.recipe.recipe_hash(),
        f"temperature_{fold.name}": fitted.temperature,
    }
    return walk.probabilities[fold.test], walk.regime[fold.test], parameters


def _without_labels(dataset: Dataset, symbol: int | None) -> Dataset:
    """The dataset as it is to a model that never learns of one symbol."""
    if symbol is None:
        return dataset
    mine = dataset.symbol == symbol
    return replace(
        dataset,
        y=np.where(mine, -1, dataset.y).astype(dataset.y.dtype),
        confirmed_at=dataset.confirmed_at.mask(mine),
        spell=np.where(mine, -1, dataset.spell),
    )


def longest_first(entries: Sequence[str], folds: Sequence[str]) -> list[str]:
    """Every job, the longest first: the last ones to end are then short."""
    weights = {entry.name: entry.weight for entry in chosen(entries)}
    ordered = sorted(entries, key=lambda name: -weights[name])
    return [job_name(entry, fold) for entry in ordered for fold in reversed(folds)]
