"""The fits of an ablation: what does not depend on the features is worked out once, and shared.

All folds, their rows and their purge are the same for every set of features. So is the linear base
wherever a set has all of its columns, and no seed changes it: only the trees are grown anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from features.bars import FloatArray
from features.regimes import REGIMES
from training.calibration import fit_strength, fit_temperature
from training.dataset import spell_weights
from training.feature_study.feature_sample import FeatureSample
from training.models.boosted_logistic import ABSENT_LOG_ODDS, BoostedLogistic, softmax
from training.recipe import BASE_PREFIXES, Recipe
from training.splits import Fold, purged_blocks
from training.walk_forward import walkable

__all__ = ["FoldRows", "SharedFits", "WalkAnswers", "fold_rows"]

Float32Array = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]
T = TypeVar("T")


@dataclass(frozen=True)
class FoldRows:
    """Which bars one fold fits and answers, whatever the features are.

    Attributes
    ----------
    fold : Fold
    inner : tuple of (ndarray of int, ndarray of int)
        Bars to fit and to answer, of each block of the cross-validation for the temperature.
    test : ndarray of int
        Scored bars: sampled, labelled, present.
    """

    fold: Fold
    inner: tuple[tuple[IndexArray, IndexArray], ...]
    test: IndexArray

    @property
    def fits(self) -> tuple[tuple[IndexArray, IndexArray], ...]:
        """Bars to fit and to answer: of the fold itself, then of its inner blocks."""
        return ((self.fold.train, self.test), *self.inner)


@dataclass(frozen=True)
class WalkAnswers:
    """What one walk over the folds gave.

    Attributes
    ----------
    probabilities : ndarray of shape (n_scored, 4)
        Calibrated, fold after fold.
    temperatures : tuple of float
        By fold.
    gain : ndarray of shape (n_columns,)
        Share of the trees' gain, the mean over folds.
    """

    probabilities: FloatArray
    temperatures: tuple[float, ...]
    gain: FloatArray


def fold_rows(
    sample: FeatureSample, recipe: Recipe, skipped: Callable[[str], None] = lambda _fold: None
) -> list[FoldRows]:
    """Folds as :func:`training.walk_forward.walk_forward` walks them; ``skipped`` is told of the others.

    Raises
    ------
    TrainingError
        If the history is too short for a fold.
    """
    dataset = sample.dataset
    result = []
    for fold in walkable(dataset, recipe, skipped):
        cut = fold.start - pd.Timedelta(days=recipe.splits.embargo_days)
        known = np.flatnonzero(np.asarray(dataset.confirmed_at < cut) & (dataset.y >= 0) & dataset.present)
        blocks = purged_blocks(
            dataset.time,
            dataset.confirmed_at,
            known,
            blocks=recipe.inner_blocks,
            embargo_days=recipe.splits.embargo_days,
        )
        inner = []
        for block in blocks:
            train = np.intersect1d(block.train, fold.train, assume_unique=True)
            if len(np.unique(dataset.y[train])) >= 2:
                inner.append((train, block.test[dataset.sampled[block.test]]))
        result.append(FoldRows(fold, tuple(inner), fold.test[dataset.usable[fold.test]]))
    return result


class SharedFits:
    """Fits sets of features on the same folds.

    Parameters
    ----------
    sample : FeatureSample
    folds : sequence of FoldRows
    recipe : Recipe
        Its base columns are not used.
    base : sequence of str
        Features that the linear base reads, where a set has them.
    """

    def __init__(
        self, sample: FeatureSample, folds: Sequence[FoldRows], recipe: Recipe, base: Sequence[str]
    ) -> None:
        self.sample = sample
        self.folds = tuple(folds)
        self.recipe = recipe
        self.base = tuple(base)
        self._place = {name: column for column, name in enumerate(sample.names)}
        self._fits = [fit for one in folds for fit in one.fits]
        self._linear: dict[tuple[str, ...], list[tuple[FloatArray, FloatArray]]] = {}

    def walk(self, features: Sequence[str], seed_step: int = 0) -> WalkAnswers:
        """Fit every fold on some features and answer its scored bars.

        Differs from the model that is served in one thing: leaves are not rounded to single
        precision, which moves a log-odd by less than 1e-4.

        Parameters
        ----------
        features : sequence of str
            In the order of the columns.
        seed_step : int
            Added to the recipe's seed.
        """
        X = np.ascontiguousarray(self.sample.X[:, [self._place[name] for name in features]])
        names, prior = self._base_of(features)
        linear = self._linear_answers(names, prior)
        boosting = self.recipe.boosting
        settings = replace(boosting, seed=boosting.seed + seed_step).boosting()

        def grow(number: int) -> tuple[FloatArray, FloatArray, FloatArray]:
            (train, test), (start, held) = self._fits[number], linear[number]
            y, weight = self._targets(train)
            data = lgb.Dataset(X[self.sample.at(train)], y, weight=weight, init_score=start)
            booster = lgb.train(settings, data, boosting.rounds)
            # As many threads as the fits beside it: LightGBM has one number for the whole process.
            trees = booster.predict(X[self.sample.at(test)], raw_score=True, num_threads=boosting.threads)
            return held, np.asarray(trees, dtype=np.float64), booster.feature_importance("gain")

        answers = iter(self._each(grow))
        found, temperatures, gains = [], [], []
        for one in self.folds:
            base, trees, gain = next(answers)
            temperature, strength = self._calibration(one, [next(answers) for _ in one.inner], prior)
            temperatures.append(temperature)
            found.append(softmax((base + strength * trees) / temperature))
            gains.append(gain / max(gain.sum(), 1e-12))
        return WalkAnswers(np.concatenate(found), tuple(temperatures), np.mean(gains, axis=0))

    def _base_of(self, features: Sequence[str]) -> tuple[tuple[str, ...], bool]:
        """Columns of the base, and whether they are a prior: a set that lacks a share of it has none."""
        names = tuple(name for name in self.base if name in features)
        if not self.recipe.boosting.prior:
            return names, False
        if len(names) == len(self.base):
            return names, True
        return tuple(name for name in features if name.startswith(BASE_PREFIXES)), False

    def _linear_answers(self, names: tuple[str, ...], prior: bool) -> list[tuple[FloatArray, FloatArray]]:
        """Log-odds of the base on the fitted and on the answered bars of each fit."""
        if names not in self._linear:
            columns = np.ascontiguousarray(self.sample.X[:, [self._place[name] for name in names]])
            self._linear[names] = self._each(lambda number: self._fit_linear(columns, number, prior))
        return self._linear[names]

    def _fit_linear(self, columns: Float32Array, number: int, prior: bool) -> tuple[FloatArray, FloatArray]:
        train, test = self._fits[number]
        y, weight = self._targets(train)
        if not columns.shape[1]:  # nothing to read: the shares of the classes
            shares = np.bincount(y, weights=weight, minlength=len(REGIMES)) / weight.sum()
            constant = np.where(shares > 0, np.log(np.maximum(shares, 1e-12)), ABSENT_LOG_ODDS)
            return np.tile(constant, (len(train), 1)), np.tile(constant, (len(test), 1))
        settings = replace(self.recipe.boosting, base_columns=tuple(range(columns.shape[1])), prior=prior)
        model = BoostedLogistic(settings)
        model.fit_base(columns[self.sample.at(train)], y, weight)
        return (
            model.base_log_odds(columns[self.sample.at(train)]),
            model.base_log_odds(columns[self.sample.at(test)]),
        )

    def _targets(self, train: IndexArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
        dataset = self.sample.dataset
        y = dataset.y[train]
        return y, spell_weights(y, dataset.spell[train], self.recipe.spell_power)

    def _each(self, work: Callable[[int], T]) -> list[T]:
        """One thread a fit and one fit a core; results in the order of the fits."""
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(work, range(len(self._fits))))

    def _calibration(
        self, one: FoldRows, inner: Sequence[tuple[FloatArray, FloatArray, FloatArray]], prior: bool
    ) -> tuple[float, float]:
        """Temperature and strength of a fold from the out-of-fold answers inside its training rows."""
        dataset = self.sample.dataset
        if not inner:
            return 1.0, 0.0 if prior else 1.0
        bars = np.concatenate([test for _, test in one.inner])
        base, trees = (np.concatenate([answer[part] for answer in inner]) for part in (0, 1))
        y, spells = dataset.y[bars], len(np.unique(dataset.spell[bars]))
        if prior:
            return fit_strength(base, trees, y, spells)
        return fit_temperature(base + trees, y, spells), 1.0
