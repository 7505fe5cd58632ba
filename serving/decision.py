"""From probabilities to one regime: by what a mistake costs, held until another one is clearly cheaper.

Four things stand between the classifier and the answered regime:

1. **Costs.** ``costs[a][s]`` is what it costs to answer ``a`` while the market is in ``s``, in plain
   mistakes. The expected cost of an answer follows from the probabilities.
2. **A short average** of the probabilities over the last hours, newer bars weighing more.
3. **Hysteresis.** A regime is left only for one that is cheaper by a margin; from a bear to a relief
   rally the margin is smaller, since a short has to hear of that turn early.
4. **A start from the whole window.** The path begins K bars ago in the regime that is cheapest on the
   mean of the window, not in that of one bar, so that the answer is a function of the window alone and
   hardly ever depends on where it begins.

A bar is a map from the regime before it to the one after it. Maps of neighbouring bars are composed in
pairs, pairs of pairs and so on: one bar, or years of them, cost a few steps, with the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.bars import FloatArray
from features.regimes import REGIMES, Regime
from serving.prediction_sets import SetParameters
from serving.window_paths import Path, over_windows, steps

__all__ = [
    "COSTS",
    "Costs",
    "Decision",
    "DecisionParameters",
    "Readings",
    "decide",
    "expected_costs",
    "follow",
    "read",
]

BoolArray = npt.NDArray[np.bool_]
Cost = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Costs = tuple[tuple[Cost, Cost, Cost, Cost], ...]
COSTS: Costs = (
    (0.0, 1.0, 2.5, 1.5),
    (1.0, 0.0, 1.5, 1.0),
    (1.0, 1.0, 0.0, 1.0),
    (1.5, 1.0, 1.0, 0.0),
)
"""Rows: the answer; columns: the truth; both bear, ranging, relief rally, bull. A plain mistake is 1.

The reasons are in ``docs/decisions/0009-decision.md``.
"""
FORGOTTEN_HALF_LIVES = 10
"""The average looks so many half-lives back: what is older weighs less than a thousandth."""


class DecisionParameters(BaseModel):
    """How probabilities become a regime; part of the manifest, tuned on out-of-fold predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smoothing_bars: int = Field(ge=0, description="K: bars before the answered one that are looked at")
    half_life_bars: float = Field(
        ge=0, allow_inf_nan=False, description="age at which a bar's probabilities weigh half; 0: no average"
    )
    margin: float = Field(
        ge=0, le=100, allow_inf_nan=False, description="by how much a new regime must be cheaper"
    )
    rally_margin: float = Field(
        ge=0, le=100, allow_inf_nan=False, description="the same from a bear to a relief rally"
    )
    costs: Costs = Field(
        COSTS, min_length=len(REGIMES), max_length=len(REGIMES), description="rows: answer, columns: truth"
    )
    switches_allowed: float = Field(
        2.0, gt=0, description="the trade it was tuned for: at most so many times the switches of hindsight"
    )
    sets: SetParameters = Field(default_factory=SetParameters, description="of the prediction sets")

    @field_validator("costs")
    @classmethod
    def _mistakes_cost(cls, costs: Costs) -> Costs:
        for answer, truth in product(range(len(REGIMES)), repeat=2):
            cost = costs[answer][truth]
            if (cost == 0) != (answer == truth):
                raise ValueError(
                    f"calling {REGIMES[truth]} {REGIMES[answer]} costs {cost}, "
                    f"expected {'0' if answer == truth else 'more than 0'}"
                )
        return costs

    def margin_between(self, held: int, new: int) -> float:
        """By how much ``new`` must be cheaper to take over from ``held``."""
        rally = held == Regime.BEAR and new == Regime.RELIEF_RALLY
        return self.rally_margin if rally else self.margin

    @property
    def averaged_bars(self) -> int:
        """Bars that one average is made of, at most K + 1."""
        return min(ceil(FORGOTTEN_HALF_LIVES * self.half_life_bars), self.smoothing_bars) + 1

    @property
    def path_bars(self) -> int:
        """Bars that the path is followed over: those of the window whose average lies within it."""
        return self.smoothing_bars + 2 - self.averaged_bars


@dataclass(frozen=True)
class Decision:
    """Regimes of some bars.

    Attributes
    ----------
    regime : ndarray of int, shape (n_rows,)
        Class index.
    age : ndarray of int, shape (n_rows,)
        Bars since the regime was entered, 0 on its first.
    censored : ndarray of bool, shape (n_rows,)
        True where it was entered before the window tells.
    average : ndarray of shape (n_rows, 4)
        The averaged probabilities that the last bar was decided by; NaN where no bar was there.
    """

    regime: npt.NDArray[np.int64]
    age: npt.NDArray[np.int64]
    censored: BoolArray
    average: FloatArray


@dataclass(frozen=True)
class Readings:
    """What the margins do not touch, of bars whose average lies within the data.

    Attributes
    ----------
    average, cost : ndarray of shape (n_readings, 4)
        Averaged probabilities, and the expected cost of each answer.
    known : ndarray of bool, shape (n_readings,)
        False where the bar is missing; it changes nothing.
    start : ndarray of int, shape (n_rows,)
        Regime that each window begins in.
    """

    average: FloatArray
    cost: FloatArray
    known: BoolArray
    start: npt.NDArray[np.int64]


def expected_costs(probabilities: FloatArray, costs: Costs) -> FloatArray:
    """Expected cost of each answer, shape (n_rows, 4).

    Added up term by term: a matrix product may give one row other bits than many.

    Examples
    --------
    >>> expected_costs(np.array([[0.6, 0.1, 0.3, 0.0]]), COSTS).round(2)
    array([[0.85, 1.05, 0.7 , 1.3 ]])
    """
    columns = probabilities.T
    return np.stack(
        [
            row[0] * columns[0] + row[1] * columns[1] + row[2] * columns[2] + row[3] * columns[3]
            for row in costs
        ],
        axis=1,
    )


def read(probabilities: FloatArray, present: BoolArray, parameters: DecisionParameters) -> Readings:
    """Average, price and find the start of each window; more than K bars are needed."""
    bars = parameters.averaged_bars
    average = _averaged(probabilities, present, parameters.half_life_bars, bars)
    known = present[bars - 1 :]
    cost = expected_costs(average, parameters.costs)
    total = over_windows(np.where(known[:, None], cost, 0.0), parameters.path_bars, np.add)
    return Readings(average, cost, known, total.argmin(axis=1))


def follow(
    readings: Readings, parameters: DecisionParameters, *, ages: bool = False
) -> tuple[npt.NDArray[np.int64], Path]:
    """Follow the path of every window to its last bar.

    Returns
    -------
    regime : ndarray of int, shape (n_rows,)
    path : Path
        With the bars since the last change where ``ages`` is set.
    """
    margins = np.array(
        [[parameters.margin_between(held, new) for new in Regime] for held in Regime], dtype=np.float64
    )
    path = steps(readings.cost, readings.known, margins, ages=ages).over(parameters.path_bars)
    return path.after(readings.start), path


def decide(probabilities: FloatArray, present: BoolArray, parameters: DecisionParameters) -> Decision:
    """Decide the regime of every row that has K rows before it.

    Parameters
    ----------
    probabilities : ndarray of shape (n_bars, 4)
        Calibrated, of consecutive bars.
    present : ndarray of bool, shape (n_bars,)
        False where the bar is missing; such a row changes nothing.
    parameters : DecisionParameters

    Returns
    -------
    Decision
        Of rows ``K`` to ``n_bars - 1``; row ``t`` uses rows ``t-K`` to ``t`` and no other.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0.45, 0.55, 0, 0], [0.2, 0.8, 0, 0]])
    >>> parameters = DecisionParameters(smoothing_bars=2, half_life_bars=0, margin=0.3, rally_margin=0.1)
    >>> decide(p, np.ones(4, bool), parameters).regime
    array([0, 1])
    """
    if len(probabilities) <= parameters.smoothing_bars:
        none = np.zeros(0, dtype=np.int64)
        return Decision(none, none, none.astype(bool), np.zeros((0, len(REGIMES))))
    readings = read(probabilities, present, parameters)
    regime, path = follow(readings, parameters, ages=True)
    longest = _bars_since_first(readings.known, parameters.path_bars)
    changed = path.bars_ago(readings.start)
    censored = (changed < 0) | (changed >= longest)
    return Decision(
        regime, np.where(censored, longest, changed), censored, readings.average[parameters.path_bars - 1 :]
    )


def _averaged(probabilities: FloatArray, present: BoolArray, half_life: float, bars: int) -> FloatArray:
    """Mean of the last ``bars`` rows that are there, each weighing half as much a half-life later."""
    clean = np.where(present[:, None], probabilities, 0.0)
    if bars == 1:
        return np.where(present[:, None], clean, np.nan)
    rows = len(probabilities) - bars + 1
    total, weights = np.zeros((rows, probabilities.shape[1])), np.zeros(rows)
    for age in range(bars):
        weight = 0.5 ** (age / half_life)
        at = slice(bars - 1 - age, bars - 1 - age + rows)
        total += weight * clean[at]
        weights += weight * present[at]
    with np.errstate(invalid="ignore"):
        return np.asarray(total / weights[:, None])  # NaN where no bar is there


def _bars_since_first(known: BoolArray, bars: int) -> npt.NDArray[np.int64]:
    """Bars from the first known one of each window to its last."""
    rows = len(known) - bars + 1
    position = np.where(known, np.arange(len(known)), len(known))
    following = np.minimum.accumulate(position[::-1])[::-1][:rows]
    return np.asarray(np.maximum(np.arange(rows) + bars - 1 - following, 0), dtype=np.int64)
