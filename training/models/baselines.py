"""What a model must beat: rules anyone can follow, calibrated on the fold's training rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import Bars, FloatArray, divide
from features.history import History
from features.regimes import HALF_LIFE_DAYS, REGIMES, Regime
from features.rolling.windows import lag
from training.models.boosted_logistic import ABSENT_LOG_ODDS

__all__ = ["CountedAnswers", "last_confirmed_label", "moving_average_rule", "shares_of"]

PRIOR_WEIGHT = 5.0


def shares_of(counts: FloatArray, y: npt.NDArray[np.int8]) -> FloatArray:
    """Class shares from counts, drawn towards the prior: counts plus 5 x the prior, to 1.

    A class that ``y`` lacks gets ``exp(-8)``, as the project's model gives it: a share of zero would
    cost a rule everything on the first bar of it.

    Parameters
    ----------
    counts : ndarray of shape (n_kinds, 4)
    y : ndarray of int, shape (n_rows,)
        Classes of the training rows.
    """
    prior = np.bincount(y, minlength=len(REGIMES)) / len(y)
    table = counts + PRIOR_WEIGHT * prior
    table /= table.sum(axis=1, keepdims=True)
    table[:, prior == 0] = np.exp(ABSENT_LOG_ODDS)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


class CountedAnswers:
    """Turns a rule's answers into probabilities: class counts per answer plus 5 x the prior.

    Parameters
    ----------
    answer : ndarray of int, shape (n_rows,)
        What the rule said on the training rows.
    y : ndarray of int, shape (n_rows,)
    kinds : int
        Number of different answers.
    """

    def __init__(self, answer: npt.NDArray[np.int64], y: npt.NDArray[np.int8], kinds: int) -> None:
        counts = np.zeros((kinds, len(REGIMES)))
        np.add.at(counts, (answer, y), 1.0)
        self.table: FloatArray = shares_of(counts, y)

    def probabilities(self, answer: npt.NDArray[np.int64]) -> FloatArray:
        """Probabilities of rows, shape (n_rows, 4)."""
        return self.table[answer]


def moving_average_rule(history: History) -> npt.NDArray[np.int64]:
    """Regime by moving averages, shape (n_bars,); row ``t`` uses bars ``<= t``.

    With ``d_n = (p - mean of p over n days) / (sigma sqrt(n))``: relief rally if ``d_120 < -0.3``
    and the scaled 7-day return is above 0.5; bear if ``d_120 < -0.3``; bull if ``d_60 > 0.3``;
    else ranging (also where a value is missing).
    """
    bars = Bars(history)
    p = bars.log_close
    squared = pd.Series(bars.squared_return)
    variance = squared.ewm(halflife=HALF_LIFE_DAYS * bars.per_day, adjust=True).mean() * bars.per_day
    sigma = np.sqrt(variance.to_numpy(np.float64))

    def distance(days: int) -> FloatArray:
        return divide(p - bars.mean("log_close", p, days), sigma * np.sqrt(days))

    week = divide(p - lag(p, bars.bars(7)), sigma * np.sqrt(7))
    with np.errstate(invalid="ignore"):
        down = distance(120) < -0.3
        return np.select(
            [down & (week > 0.5), down, distance(60) > 0.3],
            [int(Regime.RELIEF_RALLY), int(Regime.BEAR), int(Regime.BULL)],
            default=int(Regime.RANGING),
        ).astype(np.int64)


def last_confirmed_label(
    time: pd.DatetimeIndex, y: npt.NDArray[np.int8], confirmed_at: pd.Series
) -> npt.NDArray[np.int64]:
    """Newest label of one symbol that was confirmed at each bar; 4 where there was none.

    Labels are confirmed in the order of their bars, so the newest confirmed one is the last.
    """
    known = pd.DatetimeIndex(confirmed_at)
    labelled = np.flatnonzero(np.asarray(known.notna()))
    newest = np.asarray(known[labelled].searchsorted(time, side="right")) - 1
    answer = np.full(len(time), len(REGIMES), dtype=np.int64)
    there = newest >= 0
    answer[there] = y[labelled[newest[there]]]
    return answer
