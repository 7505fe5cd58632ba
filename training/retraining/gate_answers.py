"""What a model says of the gate's window, and what its answers cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.catalog import select
from features.context import with_context
from features.regimes import REGIMES
from serving.decision import DecisionParameters, decide
from serving.predictor import Predictor
from training.dataset import Dataset, build_dataset
from training.evaluation import scores
from training.excursion import Excursions
from training.models.baselines import CountedAnswers, moving_average_rule
from training.recipe import Recipe
from training.retraining.gate_window import GateRows, training_rows
from training.walk_forward import fit

__all__ = ["WindowAnswers", "baseline_losses", "dataset_of", "of_bundle", "of_refit"]

Probabilities = Callable[[npt.NDArray[np.float32]], FloatArray]


@dataclass(frozen=True)
class WindowAnswers:
    """Answers of one model on the gate's rows.

    Attributes
    ----------
    probabilities : ndarray of shape (n_rows, 4)
    regime : ndarray of int, shape (n_rows,)
        Decided as served.
    loss : ndarray of shape (n_rows,)
        Log loss of each row, nats.
    scores : dict of str to float
    """

    probabilities: FloatArray
    regime: npt.NDArray[np.int64]
    loss: FloatArray
    scores: dict[str, float]


def dataset_of(dataset: Dataset, features: tuple[str, ...], predictor: Predictor | None = None) -> Dataset:
    """The same bars with the features that a recipe or a bundle reads.

    Parameters
    ----------
    dataset : Dataset
    features : tuple of str
    predictor : Predictor, optional
        A bundle that looks across its own universe of symbols.
    """
    universe = list(dataset.universe) if predictor is None else predictor.manifest.context_symbols
    same = tuple(feature.name for feature in dataset.features) == tuple(features)
    if same and list(dataset.universe) == universe:
        return dataset
    histories = list(dataset.histories)
    if predictor is not None and universe:
        histories = with_context(histories, universe)
    return build_dataset(histories, select(list(features)))


def of_refit(dataset: Dataset, recipe: Recipe, excursions: Excursions, window: GateRows) -> WindowAnswers:
    """Answers of a recipe refitted on what was known before the window.

    Raises
    ------
    TrainingError
        If those rows do not carry a model.
    """
    mine = dataset_of(dataset, recipe.features)
    rows = training_rows(mine, recipe, window.start)
    cut = window.start - pd.Timedelta(days=recipe.splits.embargo_days)
    fitted = fit(mine, recipe, replace(excursions, squeeze=None), rows, cut)
    return _answers(mine, window, fitted.probabilities, fitted.decision)


def of_bundle(dataset: Dataset, predictor: Predictor, window: GateRows) -> WindowAnswers:
    """Answers of a bundle as it is."""
    names = tuple(feature.name for feature in predictor.manifest.features)
    mine = dataset_of(dataset, names, predictor)
    return _answers(mine, window, predictor.probabilities, predictor.manifest.decision)


def _answers(
    dataset: Dataset, window: GateRows, probabilities: Probabilities, decision: DecisionParameters
) -> WindowAnswers:
    """Answer bar by bar as served: each looks back K bars, into the time before the window too."""
    k = decision.smoothing_bars
    table = np.full((len(dataset.y), len(REGIMES)), np.nan)
    regime = np.full(len(dataset.y), -1, dtype=np.int64)
    for index in range(len(dataset.symbols)):
        bars = window.bars[dataset.symbol[window.bars] == index]
        if not len(bars):
            continue
        begin = int(np.flatnonzero(dataset.symbol == index)[0])
        span = np.arange(max(begin, int(bars[0]) - k), int(bars[-1]) + 1)
        lead = k - (int(bars[0]) - int(span[0]))
        p = probabilities(dataset.X[span])
        padded = np.concatenate((np.full((lead, len(REGIMES)), 1.0 / len(REGIMES)), p))
        here = np.concatenate((np.zeros(lead, dtype=bool), dataset.present[span]))
        regime[bars] = decide(padded, here, decision).regime
        table[bars] = p[-len(bars) :]
    rows, y = window.rows, dataset.y[window.rows]
    return WindowAnswers(
        table[rows], regime[rows], _loss(table[rows], y), scores(table[rows], y, regime[rows])
    )


def _loss(probabilities: FloatArray, y: npt.NDArray[np.int8]) -> FloatArray:
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(y)), y], 1e-15, 1.0)))


def baseline_losses(dataset: Dataset, learned: npt.NDArray[np.intp], window: GateRows) -> dict[str, float]:
    """Mean log loss of climatology and of the calibrated moving-average rule on the same rows."""
    y, truth = dataset.y[learned], dataset.y[window.rows]
    rule = np.concatenate([moving_average_rule(history) for history in dataset.histories])
    found = {}
    for name, answer, kinds in (
        ("climatology", np.zeros(len(dataset.y), dtype=np.int64), 1),
        ("moving_average_rule", rule, len(REGIMES)),
    ):
        counted = CountedAnswers(answer[learned], y, kinds)
        found[name] = float(_loss(counted.probabilities(answer[window.rows]), truth).mean())
    return found
