"""The walk: fit each fold on what was known, calibrate it on what was known, answer its test span.

Everything that is fitted - scaling, base, trees, temperature, decision, excursion table - sees only
rows whose outcome was known before the fold's start less the embargo. Temperature, decision and
excursions come from out-of-fold answers inside those rows (purged cross-validation).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import TrainingError
from features.regimes import REGIMES
from serving.advice import AdviceParameters
from serving.decision import DecisionParameters, decide
from training.calibration import fit_temperature
from training.dataset import Dataset, spell_weights
from training.decision_tuning import tune_decision
from training.excursion import HORIZON_DAYS, Excursions, fit_advice, hindsight_excursions
from training.models.boosted_logistic import BoostedLogistic, BoostingSettings, softmax
from training.splits import Fold, WalkForward, purged_blocks

__all__ = ["FittedModel", "Recipe", "Walk", "concatenated_excursions", "walk_forward"]


@dataclass(frozen=True)
class Recipe:
    """What a training run does; logged as parameters.

    Attributes
    ----------
    boosting : BoostingSettings
    splits : WalkForward
    spell_power : float
        See :func:`training.dataset.spell_weights`.
    smoothing_days : float
        K of the decision, in days.
    inner_blocks : int
        Blocks of the cross-validation that temperature, decision and excursions come from.
    min_symbol_days : float
        A fold is walked once every symbol has so many days of training rows.
    """

    boosting: BoostingSettings
    splits: WalkForward = field(default_factory=WalkForward)
    spell_power: float = 0.25
    smoothing_days: float = 2.0
    inner_blocks: int = 4
    min_symbol_days: float = 60.0


@dataclass(frozen=True)
class FittedModel:
    """A model with all that its answers depend on.

    Attributes
    ----------
    model : BoostedLogistic
    temperature : float
    decision : DecisionParameters
    advice : AdviceParameters
    trained_until : pandas.Timestamp
        Everything that was learned from was known before it.
    train : ndarray of int
        Rows of the dataset that it was fitted on.
    """

    model: BoostedLogistic
    temperature: float
    decision: DecisionParameters
    advice: AdviceParameters
    trained_until: pd.Timestamp
    train: npt.NDArray[np.intp]

    def probabilities(self, X: npt.NDArray[np.float32]) -> FloatArray:
        """Calibrated probabilities, shape (n_rows, 4)."""
        return softmax(self.model.log_odds(X) / self.temperature)


@dataclass
class Walk:
    """Out-of-fold answers, filled fold by fold; arrays of shape (n_bars, ...).

    Attributes
    ----------
    log_odds, base_log_odds : ndarray of shape (n_bars, 4)
        Before the temperature; NaN where no fold answered.
    probabilities, base_probabilities : ndarray of shape (n_bars, 4)
        Calibrated, and those of the logistic base.
    regime : ndarray of int, shape (n_bars,)
        Decided as served; -1 where no fold answered.
    fold : ndarray of int, shape (n_bars,)
        Which of ``folds`` answered, -1 where none.
    folds : list of Fold
    models : list of FittedModel
    """

    log_odds: FloatArray
    base_log_odds: FloatArray
    probabilities: FloatArray
    base_probabilities: FloatArray
    regime: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    folds: list[Fold] = field(default_factory=list)
    models: list[FittedModel] = field(default_factory=list)

    @classmethod
    def empty(cls, n_bars: int) -> Walk:
        """A walk without a step."""
        shape = (n_bars, len(REGIMES))
        return cls(
            log_odds=np.full(shape, np.nan),
            base_log_odds=np.full(shape, np.nan),
            probabilities=np.full(shape, np.nan),
            base_probabilities=np.full(shape, np.nan),
            regime=np.full(n_bars, -1, dtype=np.int64),
            fold=np.full(n_bars, -1, dtype=np.int64),
        )

    def scored_rows(self, dataset: Dataset) -> npt.NDArray[np.intp]:
        """Rows that scores are pooled over: sampled, labelled and answered."""
        return np.flatnonzero(dataset.usable & (self.fold >= 0))


def concatenated_excursions(dataset: Dataset) -> Excursions:
    """Hindsight excursions of all bars of all symbols, in the dataset's order."""
    parts = [hindsight_excursions(history) for history in dataset.histories]
    return Excursions(
        np.concatenate([part.short for part in parts]),
        np.concatenate([part.long for part in parts]),
        np.concatenate([part.volatility_ratio for part in parts]),
        np.concatenate([part.sigma_day for part in parts]),
    )


def walk_forward(
    dataset: Dataset, recipe: Recipe, excursions: Excursions, progress: Callable[[str], None]
) -> Iterator[tuple[Fold, FittedModel, Walk]]:
    """Fit and answer fold after fold.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    excursions : Excursions
    progress : callable
        Told the name of each step.

    Yields
    ------
    fold, fitted, walk
        After each fold; ``walk`` is the same object, one fold longer.

    Raises
    ------
    TrainingError
        If the history is too short for a fold.
    """
    walk = Walk.empty(len(dataset.y))
    for fold in walkable(dataset, recipe):
        progress(f"fold {fold.name}")
        cut = fold.start - pd.Timedelta(days=recipe.splits.embargo_days)
        fitted = fit(dataset, recipe, excursions, fold.train, cut)
        walk.folds.append(fold)
        walk.models.append(fitted)
        _answer(dataset, walk, fold, fitted)
        yield fold, fitted, walk


def walkable(
    dataset: Dataset, recipe: Recipe, skipped: Callable[[str], None] = lambda _fold: None
) -> list[Fold]:
    """Folds in which every symbol has enough training rows; ``skipped`` is told of the others.

    Raises
    ------
    TrainingError
        If there is none, with the symbols that start too late.
    """
    folds = recipe.splits.split(dataset.time, dataset.confirmed_at.where(dataset.usable))
    rows_per_day = dataset.rows_per_day
    needed = recipe.min_symbol_days * rows_per_day

    def late(fold: Fold) -> list[str]:
        count = np.bincount(dataset.symbol[fold.train], minlength=len(dataset.symbols))
        return [name for name, rows in zip(dataset.symbols, count, strict=True) if rows < needed]

    ready = [fold for fold in folds if not late(fold)]
    for fold in folds:
        if late(fold):
            skipped(f"{fold.name}: too little history of {', '.join(late(fold))}")
    if not ready:
        raise TrainingError(
            f"no fold has {recipe.min_symbol_days:.0f} days of labels in every symbol; too little in "
            f"{', '.join(late(folds[-1]))}",
            hint="use a longer history or leave out the symbols that start late",
        )
    return ready


def fit(
    dataset: Dataset,
    recipe: Recipe,
    excursions: Excursions,
    train: npt.NDArray[np.intp],
    cut: pd.Timestamp,
) -> FittedModel:
    """Fit one model, with all that its answers depend on, from what was known at ``cut``.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    excursions : Excursions
    train : ndarray of int
        Rows to learn from; their labels were confirmed before ``cut``.
    cut : pandas.Timestamp
    """
    bars = len(dataset.y)
    log_odds = np.full((bars, len(REGIMES)), np.nan)
    regime = np.full(bars, -1, dtype=np.int64)
    known = np.flatnonzero(np.asarray(dataset.confirmed_at < cut) & (dataset.y >= 0) & dataset.present)
    blocks = purged_blocks(
        dataset.time,
        dataset.confirmed_at,
        known,
        blocks=recipe.inner_blocks,
        embargo_days=recipe.splits.embargo_days,
    )
    inner = [np.intersect1d(block.train, train, assume_unique=True) for block in blocks]
    pairs = [
        (rows, block)
        for rows, block in zip(inner, blocks, strict=True)
        if len(np.unique(dataset.y[rows])) >= 2
    ]
    # One thread a model and one model a core: faster than many threads a model, and the same bits anywhere.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        model, *others = pool.map(
            lambda rows: _fit_model(dataset, recipe, rows), [train, *(r for r, _ in pairs)]
        )
    for one, (_, block) in zip(others, pairs, strict=True):
        log_odds[block.test] = one.log_odds(dataset.X[block.test])
    answered = known[np.isfinite(log_odds[known, 0])]
    sampled = answered[dataset.sampled[answered]]
    spells = len(np.unique(dataset.spell[sampled]))
    temperature = fit_temperature(log_odds[sampled], dataset.y[sampled], spells)
    per_day = dataset.histories[0].per_day
    probabilities = softmax(log_odds[answered] / temperature)
    decision = tune_decision(
        probabilities, dataset, answered, smoothing_bars=max(1, round(recipe.smoothing_days * per_day))
    )
    regime[answered] = probabilities.argmax(axis=1)
    ended = np.asarray(dataset.time + pd.Timedelta(days=HORIZON_DAYS) < cut)
    advice = fit_advice(excursions, regime, ended, dataset.time, 7 * per_day)
    return FittedModel(model, temperature, decision, advice, cut, train)


def _fit_model(dataset: Dataset, recipe: Recipe, rows: npt.NDArray[np.intp]) -> BoostedLogistic:
    weight = spell_weights(dataset.y[rows], dataset.spell[rows], recipe.spell_power)
    return BoostedLogistic(recipe.boosting).fit(dataset.X[rows], dataset.y[rows], weight)


def _answer(dataset: Dataset, walk: Walk, fold: Fold, fitted: FittedModel) -> None:
    """Fill in the fold's answers, decided as served: each bar looks back K bars with this model."""
    k = fitted.decision.smoothing_bars
    for index in range(len(dataset.symbols)):
        test = fold.test[dataset.symbol[fold.test] == index]
        if not len(test):
            continue
        begin = int(np.flatnonzero(dataset.symbol == index)[0])
        first = max(begin, int(test[0]) - k)
        span = np.arange(first, int(test[-1]) + 1)
        log_odds = fitted.model.log_odds(dataset.X[span])
        p = softmax(log_odds / fitted.temperature)
        lead = k - (int(test[0]) - first)
        padded = np.concatenate((np.full((lead, len(REGIMES)), 1.0 / len(REGIMES)), p))
        here = np.concatenate((np.zeros(lead, dtype=bool), dataset.present[span]))
        tail = len(test)
        walk.regime[test] = decide(padded, here, fitted.decision).regime
        walk.log_odds[test] = log_odds[-tail:]
        walk.probabilities[test] = p[-tail:]
        walk.base_log_odds[test] = fitted.model.base_log_odds(dataset.X[test])
        walk.base_probabilities[test] = softmax(walk.base_log_odds[test])
        walk.fold[test] = len(walk.folds) - 1
