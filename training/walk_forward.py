"""The walk: fit each fold on what was known, calibrate it on what was known, answer its test span.

Everything that is fitted - scaling, base, trees, temperature, decision, excursion table, squeezes - sees only
rows whose outcome was known before the fold's start less the embargo. Temperature, decision and
excursions come from out-of-fold answers inside those rows (purged cross-validation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import TrainingError
from features.regimes import REGIMES
from serving.advice import AdviceParameters
from serving.decision import DecisionParameters, decide
from serving.drift import DriftParameters
from serving.prediction_sets import prediction_sets
from serving.squeeze import HORIZONS, LEVELS, SIDES
from training.calibration import fit_strength, fit_temperature
from training.conformal import Achieved, achieved_coverage, fit_sets
from training.dataset import Dataset
from training.decision_tuning import tune_decision
from training.drift_reference import fit_drift
from training.excursion import HORIZON_DAYS, Excursions, fit_advice, hindsight_excursions
from training.models.boosted_logistic import BoostedLogistic, softmax
from training.out_of_fold import fit_out_of_fold
from training.recipe import Recipe
from training.splits import Fold
from training.squeeze.fit import fit_squeeze
from training.squeeze.model import SqueezeModel
from training.squeeze.outcomes import hindsight_squeezes
from training.squeeze.settings import SqueezeSettings

__all__ = [
    "FittedModel",
    "Recipe",
    "SetlessFit",
    "Walk",
    "concatenated_excursions",
    "fit",
    "fit_without_sets",
    "last_sets",
    "walk_forward",
    "walkable",
    "with_sets",
]


@dataclass(frozen=True)
class FittedModel:
    """A model with all that its answers depend on.

    Attributes
    ----------
    model : BoostedLogistic
    temperature : float
    strength : float
        How much the trees count; 1 where the base is not a prior.
    decision : DecisionParameters
    advice : AdviceParameters
    drift : DriftParameters
    trained_until : pandas.Timestamp
        Everything that was learned from was known before it.
    train : ndarray of int
        Rows of the dataset that it was fitted on.
    squeeze : SqueezeModel or None
        Quantiles of the adverse excursion; ``None`` where only the regimes were asked for.
    """

    model: BoostedLogistic
    temperature: float
    strength: float
    decision: DecisionParameters
    advice: AdviceParameters
    drift: DriftParameters
    trained_until: pd.Timestamp
    train: npt.NDArray[np.intp]
    squeeze: SqueezeModel | None = None

    def probabilities(self, X: npt.NDArray[np.float32]) -> FloatArray:
        """Calibrated probabilities, shape (n_rows, 4)."""
        return softmax(self.model.log_odds(X) / self.temperature)


@dataclass(frozen=True)
class SetlessFit:
    """A model without its prediction sets, which depend on what the sets of the fold before held.

    Attributes
    ----------
    fitted : FittedModel
        All else is in it.
    rows : ndarray of int, shape (n_rows,)
        Bars that the sets are fitted on.
    probabilities : ndarray of shape (n_rows, 4)
        Calibrated, of models that had not seen the bars.
    """

    fitted: FittedModel
    rows: npt.NDArray[np.intp]
    probabilities: FloatArray


@dataclass
class Walk:
    """Out-of-fold answers, filled fold by fold; arrays of shape (n_bars, ...).

    Attributes
    ----------
    log_odds, base_log_odds : ndarray of shape (n_bars, 4)
        Before the temperature; NaN where no fold answered.
    probabilities, base_probabilities : ndarray of shape (n_bars, 4)
        Calibrated, and those of the logistic base.
    sets : ndarray of bool, shape (n_bars, 4)
        Prediction sets; empty where no fold answered.
    regime : ndarray of int, shape (n_bars,)
        Decided as served; -1 where no fold answered.
    fold : ndarray of int, shape (n_bars,)
        Which of ``folds`` answered, -1 where none.
    squeeze : ndarray of shape (n_bars, 2, 3, 5)
        Scales of the adverse excursion, by side, horizon and level; NaN where no fold answered or an
        input is missing.
    folds : list of Fold
    models : list of FittedModel
    """

    log_odds: FloatArray
    base_log_odds: FloatArray
    probabilities: FloatArray
    base_probabilities: FloatArray
    sets: npt.NDArray[np.bool_]
    regime: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    squeeze: FloatArray
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
            sets=np.zeros(shape, dtype=bool),
            regime=np.full(n_bars, -1, dtype=np.int64),
            fold=np.full(n_bars, -1, dtype=np.int64),
            squeeze=np.full((n_bars, len(SIDES), len(HORIZONS), len(LEVELS)), np.nan),
        )

    def scored_rows(self, dataset: Dataset) -> npt.NDArray[np.intp]:
        """Rows that scores are pooled over: sampled, labelled and answered."""
        return np.flatnonzero(dataset.usable & (self.fold >= 0))


def concatenated_excursions(dataset: Dataset, settings: SqueezeSettings | None) -> Excursions:
    """Hindsight excursions of all bars of all symbols, in the dataset's order.

    Without ``settings`` no squeeze model is fitted on them: what compares regimes alone needs none.
    """
    parts = [hindsight_excursions(history) for history in dataset.histories]
    return Excursions(
        np.concatenate([part.short for part in parts]),
        np.concatenate([part.long for part in parts]),
        np.concatenate([part.volatility_ratio for part in parts]),
        np.concatenate([part.sigma_day for part in parts]),
        None if settings is None else hindsight_squeezes(dataset, settings),
    )


def walk_forward(
    dataset: Dataset,
    recipe: Recipe,
    excursions: Excursions,
    progress: Callable[[str], None],
    kept: Callable[[Fold, Walk], FittedModel | None] = lambda _fold, _walk: None,
    fits: Callable[[str], SetlessFit] | None = None,
) -> Iterator[tuple[Fold, FittedModel, Walk]]:
    """Fit and answer fold after fold.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    excursions : Excursions
    progress : callable
        Told the name of each step.
    kept : callable
        Asked before each fold for a fit that was made before; it has then filled the fold's answers into
        the walk.
    fits : callable, optional
        Asked by name for the fits of the folds that were not kept, in their order; made here otherwise.

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
        found = kept(fold, walk)
        if found is None:
            former = last_sets(dataset, walk, fold.cut, fold.unseen)
            if fits is None:
                setless = fit_without_sets(dataset, recipe, excursions, fold.train, fold.cut)
            else:
                setless = fits(fold.name)
            fitted = with_sets(dataset, setless, former)
        else:
            fitted = found
        walk.folds.append(fold)
        walk.models.append(fitted)
        if found is None:
            _answer(dataset, walk, fold, fitted, excursions)
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
    former: Achieved | None = None,
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
    former : Achieved, optional
        What the prediction sets of the model before this one held: see :func:`last_sets`.
    """
    return with_sets(dataset, fit_without_sets(dataset, recipe, excursions, train, cut), former)


def fit_without_sets(
    dataset: Dataset,
    recipe: Recipe,
    excursions: Excursions,
    train: npt.NDArray[np.intp],
    cut: pd.Timestamp,
    *,
    threads: int | None = None,
) -> SetlessFit:
    """Fit all that does not depend on the fold before; parameters as for :func:`fit`.

    ``threads`` is how many models are fitted side by side, one for each core by default; the bits do not
    depend on it.
    """
    found = fit_out_of_fold(dataset, recipe, train, cut, threads=threads)
    inside = dataset.sampled[found.rows]
    sampled = found.rows[inside]
    y, spell = dataset.y[sampled], dataset.spell[sampled]
    spells = len(np.unique(spell))
    model, log_odds = found.model, found.log_odds
    if recipe.boosting.prior:
        base, trees = found.base_log_odds, found.log_odds - found.base_log_odds
        temperature, strength = fit_strength(base[inside], trees[inside], y, spells)
        model = model.weakened(strength, dataset.X[train])
        log_odds = base + strength * trees
    else:
        temperature, strength = fit_temperature(log_odds[inside], y, spells), 1.0
    probabilities = softmax(log_odds / temperature)
    per_day = dataset.histories[0].per_day
    decision = tune_decision(
        probabilities, dataset, found.rows, smoothing_bars=max(1, round(recipe.smoothing_days * per_day))
    )
    regime = np.full(len(dataset.y), -1, dtype=np.int64)
    regime[found.rows] = probabilities.argmax(axis=1)
    ended = np.asarray(dataset.time + pd.Timedelta(days=HORIZON_DAYS) < cut)
    level = recipe.squeeze.survival_level
    advice = fit_advice(excursions, regime, ended, dataset.time, 7 * per_day, level)
    drift = fit_drift(dataset, train, blocks=recipe.inner_blocks, embargo_days=recipe.splits.embargo_days)
    squeeze = None
    if excursions.squeeze is not None:
        squeeze = fit_squeeze(
            dataset,
            excursions.squeeze,
            recipe.squeeze,
            cut,
            symbols=np.unique(dataset.symbol[train]),
            blocks=recipe.inner_blocks,
            embargo_days=recipe.splits.embargo_days,
            threads=threads,
        )
    fitted = FittedModel(model, temperature, strength, decision, advice, drift, cut, train, squeeze)
    return SetlessFit(fitted, sampled, probabilities[inside])


def with_sets(dataset: Dataset, setless: SetlessFit, former: Achieved | None = None) -> FittedModel:
    """Complete a fit by its prediction sets.

    Parameters
    ----------
    dataset : Dataset
    setless : SetlessFit
    former : Achieved, optional
        What the prediction sets of the model before this one held: see :func:`last_sets`.
    """
    fitted, rows = setless.fitted, setless.rows
    age = np.asarray((fitted.trained_until - dataset.time[rows]) / pd.Timedelta(days=1), dtype=np.float64)
    sets = fit_sets(setless.probabilities, dataset.y[rows], dataset.spell[rows], age, former)
    return replace(fitted, decision=fitted.decision.model_copy(update={"sets": sets}))


def last_sets(dataset: Dataset, walk: Walk, cut: pd.Timestamp, unseen: int | None = None) -> Achieved | None:
    """What the prediction sets of the walk's last fold held, as far as it was known at ``cut``.

    Parameters
    ----------
    dataset : Dataset
    walk : Walk
    cut : pandas.Timestamp
        Only labels confirmed before it count.
    unseen : int, optional
        Symbol that is left out: only folds that leave it out, too, are asked.

    Returns
    -------
    Achieved or None
        ``None`` where no fold before has a known label.
    """
    for fold, fitted in zip(reversed(walk.folds), reversed(walk.models), strict=True):
        if fold.unseen != unseen or fold.start >= cut:
            continue
        known = dataset.usable[fold.test] & np.asarray(dataset.confirmed_at.iloc[fold.test] < cut)
        rows = fold.test[known]
        if not len(rows):
            return None
        parameters = fitted.decision.sets
        return achieved_coverage(parameters, walk.sets[rows], dataset.y[rows], dataset.spell[rows])
    return None


def _answer(dataset: Dataset, walk: Walk, fold: Fold, fitted: FittedModel, excursions: Excursions) -> None:
    """Fill in the fold's answers, decided as served: each bar looks back K bars with this model."""
    k = fitted.decision.smoothing_bars
    if fitted.squeeze is not None and excursions.squeeze is not None:
        known = fold.test[np.isfinite(excursions.squeeze.X[fold.test]).all(axis=1)]
        walk.squeeze[known] = fitted.squeeze.scales_of(excursions.squeeze.X[known], dataset.symbol[known])
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
        walk.sets[test] = prediction_sets(p[-tail:], fitted.decision.sets)
        walk.base_log_odds[test] = fitted.model.base_log_odds(dataset.X[test])
        walk.base_probabilities[test] = softmax(walk.base_log_odds[test])
        walk.fold[test] = len(walk.folds) - 1
