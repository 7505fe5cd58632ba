"""Tune how probabilities become a regime, for a stated trade: switches against macro F1.

The trade: of all settings that switch at most twice as often as hindsight on the same hours, the one with
the best macro F1. It is made on out-of-fold answers, with the very function that serves, so that what is
counted is what a user would have seen. The costs of mistakes are not tuned: they are written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.regimes import REGIMES
from serving.decision import COSTS, Costs, DecisionParameters, Readings, follow, read
from training.dataset import Dataset

__all__ = ["Tried", "tried_settings", "tune_decision"]

HALF_LIVES_DAYS = (0.0, 0.1, 0.2)
MARGINS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
RALLY_MARGINS = (0.05, 0.1, 0.2, 0.3)
"""Only those up to the margin are tried: a short hears of a rally no later than of anything else."""
SWITCHES_ALLOWED = 2.0
"""Times as often as hindsight."""
DEFAULT = (0.1, 0.3, 0.1)
"""Half-life in days, margin and rally margin where there is too little to tune on."""
MIN_TURNS = 50
"""Hindsight turns below which every difference of macro F1 is luck."""


@dataclass(frozen=True)
class Tried:
    """What one setting gave.

    Attributes
    ----------
    parameters : DecisionParameters
    macro_f1 : float
    switches, turns : int
        Of the answers and of hindsight, within unbroken runs of labelled bars.
    """

    parameters: DecisionParameters
    macro_f1: float
    switches: int
    turns: int


def tune_decision(
    probabilities: FloatArray,
    dataset: Dataset,
    rows: npt.NDArray[np.intp],
    *,
    smoothing_bars: int,
    costs: Costs = COSTS,
) -> DecisionParameters:
    """Choose half-life and margins on out-of-fold probabilities.

    Where no setting switches as seldom as allowed, the one that switches least; among equals the smaller
    half-life and margins.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, 4)
        Calibrated, of ``rows``.
    dataset : Dataset
    rows : ndarray of int
        Labelled rows with an out-of-fold answer, ascending.
    smoothing_bars : int
        K.
    costs : tuple of tuple of float
        Of mistakes, rows: the answer, columns: the truth.
    """
    settings = tried_settings(probabilities, dataset, rows, smoothing_bars=smoothing_bars, costs=costs)
    first = next(settings, None)
    if first is None or first.turns < MIN_TURNS:
        return _parameters(dataset, smoothing_bars, *DEFAULT, costs=costs)
    tried = [first, *settings]
    calm = [one for one in tried if one.switches <= SWITCHES_ALLOWED * one.turns]
    if not calm:
        return min(tried, key=lambda one: one.switches).parameters
    return max(calm, key=lambda one: one.macro_f1).parameters


def tried_settings(
    probabilities: FloatArray,
    dataset: Dataset,
    rows: npt.NDArray[np.intp],
    *,
    smoothing_bars: int,
    costs: Costs = COSTS,
) -> Iterator[Tried]:
    """Try each setting of the grid; nothing where no run of bars is longer than K.

    Parameters are those of :func:`tune_decision`.
    """
    runs = _runs(dataset, rows, smoothing_bars)
    if not runs:
        return
    truth = [dataset.y[rows[run]][smoothing_bars:] for run in runs]
    turns = sum(int((np.diff(one) != 0).sum()) for one in truth)
    for half_life in HALF_LIVES_DAYS:
        averaged = _parameters(dataset, smoothing_bars, half_life, *DEFAULT[1:], costs=costs)
        readings = [read(probabilities[run], dataset.present[rows[run]], averaged) for run in runs]
        for margin, rally_margin in product(MARGINS, RALLY_MARGINS):
            if rally_margin <= margin:
                one = _parameters(dataset, smoothing_bars, half_life, margin, rally_margin, costs=costs)
                yield Tried(one, *_judged(readings, truth, one), turns)


def _parameters(
    dataset: Dataset,
    smoothing_bars: int,
    half_life_days: float,
    margin: float,
    rally_margin: float,
    *,
    costs: Costs,
) -> DecisionParameters:
    return DecisionParameters(
        smoothing_bars=smoothing_bars,
        half_life_bars=round(half_life_days * dataset.histories[0].per_day, 6),
        margin=margin,
        rally_margin=rally_margin,
        costs=costs,
        switches_allowed=SWITCHES_ALLOWED,
    )


def _judged(
    readings: list[Readings], truth: list[npt.NDArray[np.int8]], parameters: DecisionParameters
) -> tuple[float, int]:
    """Macro F1 over all runs, and the switches within them."""
    n = len(REGIMES)
    confusion = np.zeros(n * n, dtype=np.int64)
    switches = 0
    for reading, y in zip(readings, truth, strict=True):
        regime, _ = follow(reading, parameters)
        confusion += np.bincount(y.astype(np.int64) * n + regime, minlength=n * n)
        switches += int((np.diff(regime) != 0).sum())
    table = confusion.reshape(n, n)
    answered_or_true = np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)
    return float((2 * np.diag(table) / answered_or_true).mean()), switches


def _runs(dataset: Dataset, rows: npt.NDArray[np.intp], smoothing_bars: int) -> list[npt.NDArray[np.intp]]:
    """Positions in ``rows`` of unbroken runs of bars of one symbol, longer than K."""
    if not len(rows):
        return []
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(dataset.symbol[rows]) != 0)) + 1
    return [run for run in np.split(np.arange(len(rows)), breaks) if len(run) > smoothing_bars]
