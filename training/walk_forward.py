"""The walk: fit each fold on what was known, answer its test span, calibrate on the folds before.

Everything that is fitted - scaling, base, trees, temperature, decision, excursion table - sees only
rows whose outcome was known before the fold's start less the embargo. The temperature, the decision
and the excursions of a fold come from the out-of-fold answers of EARLIER folds; the first folds,
before every symbol has training rows, serve to calibrate and are not scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from training.splits import Fold, WalkForward

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
    """

    boosting: BoostingSettings
    splits: WalkForward = field(default_factory=WalkForward)
    spell_power: float = 0.25
    smoothing_days: float = 2.0


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
        Calibrated by the folds before.
    regime : ndarray of int, shape (n_bars,)
        Decided as served; -1 where no fold answered.
    fold : ndarray of int, shape (n_bars,)
        Which of ``folds`` answered, -1 where none.
    folds : list of Fold
    models : list of FittedModel
    scored : list of bool
        False for the folds that only calibrate.
    """

    log_odds: FloatArray
    base_log_odds: FloatArray
    probabilities: FloatArray
    base_probabilities: FloatArray
    regime: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    folds: list[Fold] = field(default_factory=list)
    models: list[FittedModel] = field(default_factory=list)
    scored: list[bool] = field(default_factory=list)

    @classmethod
    def empty(cls, n_bars: int) -> Walk:
        """A walk without a step."""
        shape = (n_bars, len(REGIMES))
        blank = [np.full(shape, np.nan) for _ in range(4)]
        return cls(*blank, np.full(n_bars, -1, dtype=np.int64), np.full(n_bars, -1, dtype=np.int64))

    def scored_rows(self, dataset: Dataset) -> npt.NDArray[np.intp]:
        """Rows that scores are pooled over: sampled, labelled, answered by a scored fold."""
        flags = np.array([*self.scored, False])
        return np.flatnonzero(dataset.usable & flags[self.fold])


def concatenated_excursions(dataset: Dataset) -> Excursions:
    """Hindsight excursions of all bars of all symbols, in the dataset's order."""
    parts = [hindsight_excursions(history) for history in dataset.histories]
    return Excursions(
        np.concatenate([part.short for part in parts]),
        np.concatenate([part.long for part in parts]),
        np.concatenate([part.volatility_ratio for part in parts]),
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
        If the history is too short for one fold that calibrates and one that is scored.
    """
    walk = Walk.empty(len(dataset.y))
    confirmed = dataset.confirmed_at.where(dataset.usable)
    folds = recipe.splits.split(dataset.time, confirmed)
    for fold in folds:
        progress(f"fold {fold.name}")
        cut = fold.start - pd.Timedelta(days=recipe.splits.embargo_days)
        fitted = fit(dataset, recipe, excursions, walk, fold.train, cut)
        every_symbol = len(np.unique(dataset.symbol[fold.train])) == len(dataset.symbols)
        every_class = len(np.unique(dataset.y[fold.train])) == len(REGIMES)
        walk.folds.append(fold)
        walk.models.append(fitted)
        walk.scored.append(bool(walk.models[:-1]) and every_symbol and every_class)
        _answer(dataset, walk, fold, fitted)
        yield fold, fitted, walk
    if not any(walk.scored):
        raise TrainingError(
            f"the history gives {len(folds)} fold(s), none of which can be scored: one more half-year of labels, "
            "in every symbol and with all four regimes, is needed",
            hint="use a longer history, an earlier --since, or leave out the symbols that start late",
        )


def fit(
    dataset: Dataset,
    recipe: Recipe,
    excursions: Excursions,
    walk: Walk,
    train: npt.NDArray[np.intp],
    cut: pd.Timestamp,
) -> FittedModel:
    """Fit one model on ``train`` and on the out-of-fold answers of the walk that were known at ``cut``."""
    weight = spell_weights(dataset.y[train], dataset.spell[train], recipe.spell_power)
    model = BoostedLogistic(recipe.boosting).fit(dataset.X[train], dataset.y[train], weight)
    answered = walk.fold >= 0
    confirmed = np.asarray(dataset.confirmed_at < cut) & answered & (dataset.y >= 0)
    rows = np.flatnonzero(confirmed & dataset.usable)
    temperature = fit_temperature(walk.log_odds[rows], dataset.y[rows])
    per_day = dataset.histories[0].per_day
    decision = tune_decision(
        softmax(walk.log_odds[np.flatnonzero(confirmed)] / temperature),
        dataset,
        np.flatnonzero(confirmed),
        smoothing_bars=max(1, round(recipe.smoothing_days * per_day)),
    )
    ended = np.asarray(dataset.time + pd.Timedelta(days=HORIZON_DAYS) < cut)
    advice = fit_advice(excursions, walk.regime, ended, 7 * per_day)
    return FittedModel(model, temperature, decision, advice, cut, train)


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
