"""From probabilities to one regime: tempered smoothing over the last bars, then a margin to switch.

The classifier's best guess changes several times as often as the market does. The answer averages
the probabilities over the last K bars, newer ones weighing more, and leaves the regime that it is
in only for one that leads by a margin. It starts afresh at ``t - K``, so that the answer is a
function of the window alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from features.bars import FloatArray
from features.regimes import REGIMES

__all__ = ["Decision", "DecisionParameters", "decide", "prediction_set"]


class DecisionParameters(BaseModel):
    """How probabilities become a regime; part of the manifest, tuned on out-of-fold predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smoothing_bars: int = Field(ge=0, description="K: bars before the answered one that are looked at")
    half_life_bars: float = Field(
        ge=0, description="age at which a bar's probabilities weigh half; 0: no average"
    )
    margin: float = Field(ge=0, lt=1, description="lead that a new regime needs, probability")
    set_level: float = Field(0.9, gt=0, le=1, description="probability that the prediction set holds")


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
    """

    regime: npt.NDArray[np.int64]
    age: npt.NDArray[np.int64]
    censored: npt.NDArray[np.bool_]


def decide(
    probabilities: FloatArray, present: npt.NDArray[np.bool_], parameters: DecisionParameters
) -> Decision:
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
    >>> p = np.array([[0.9, 0.1, 0, 0], [0.45, 0.55, 0, 0], [0.1, 0.9, 0, 0]])
    >>> parameters = DecisionParameters(smoothing_bars=2, half_life_bars=0, margin=0.2)
    >>> decide(p, np.ones(3, bool), parameters).regime
    array([1])
    """
    k = parameters.smoothing_bars
    rows = len(probabilities) - k
    if rows <= 0:
        empty = np.zeros(0, dtype=np.int64)
        return Decision(empty, empty, empty.astype(bool))
    keep = 0.0 if parameters.half_life_bars == 0 else 0.5 ** (1.0 / parameters.half_life_bars)
    each = np.arange(rows)
    average = np.zeros((rows, len(REGIMES)))
    regime = np.zeros(rows, dtype=np.int64)
    entered = np.zeros(rows, dtype=np.int64)
    started = np.zeros(rows, dtype=bool)
    switched = np.zeros(rows, dtype=bool)
    for step in range(k + 1):
        here = present[step : step + rows]
        now = probabilities[step : step + rows]
        first = here & ~started
        blend = np.where(first[:, None], now, keep * average + (1.0 - keep) * now)
        average = np.where(here[:, None], blend, average)
        best = average.argmax(axis=1)
        leads = average[each, best] > average[each, regime] + parameters.margin
        change = here & started & leads & (best != regime)
        regime = np.where(first | change, best, regime)
        entered = np.where(first | change, step, entered)
        switched |= change
        started |= here
    return Decision(regime, k - entered, ~switched)


def prediction_set(probabilities: FloatArray, level: float) -> list[int]:
    """Fewest regimes, likeliest first, whose probabilities add up to ``level``.

    Examples
    --------
    >>> prediction_set(np.array([0.70, 0.05, 0.22, 0.03]), 0.9)
    [0, 2]
    """
    order = np.argsort(-probabilities, kind="stable")
    count = int(np.searchsorted(np.cumsum(probabilities[order]), level - 1e-12)) + 1
    return [int(index) for index in order[:count]]
