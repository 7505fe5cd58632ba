"""Thresholds of the prediction sets: conformal on confirmed labels, adapted from one retraining to the next.

Conformal prediction promises its coverage for rows that could as well have come in another order. Hours of
a market could not: neighbours tell one story, and the market of next year is not the one of the last. So
the promise is an aim here, helped along in three ways and measured by the walk:

- a label of two years ago weighs half of today's (Barber, Candes, Ramdas and Tibshirani 2023);
- each regime has a threshold of its own, so that a relief rally, which is rare, is held as often as a bull;
  the fewer independent spells speak for it, the nearer it stays to the threshold of all (a regime that was
  seen in ten spells has no 90 % quantile worth the name);
- the level that a threshold is fitted for starts from what the sets of the last fold achieved (Gibbs and
  Candes 2021), regime by regime and in proportion to the spells that tell: half a year of nothing but bull
  says nothing of bears. The steps are whole retrainings; the service keeps no state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.regimes import REGIMES
from serving.prediction_sets import SetParameters, likelier_mass

__all__ = ["LEVEL", "Achieved", "achieved_coverage", "fit_sets"]

LEVEL = 0.9
HALF_LIFE_DAYS = 730.0
PRIOR_SPELLS = 20.0
"""A regime's own threshold, and what its last sets achieved, weigh half once so many spells speak."""
GAIN = 0.5
"""Share of the last shortfall that the next level makes up for."""
LEVELS = (0.8, 0.97)
"""Bounds of the adapted level: one odd half-year must not switch the sets off."""


@dataclass(frozen=True)
class Achieved:
    """What the sets of the former fold held, of labels confirmed by now.

    Attributes
    ----------
    sets : SetParameters
        Of the former fold.
    coverage : ndarray of shape (4,)
        Share of the rows of each regime whose set held it; NaN where there are none.
    spells : ndarray of int, shape (4,)
        Independent spells among those rows.
    """

    sets: SetParameters
    coverage: FloatArray
    spells: npt.NDArray[np.int64]


def achieved_coverage(
    parameters: SetParameters,
    sets: npt.NDArray[np.bool_],
    y: npt.NDArray[np.int8],
    spell: npt.NDArray[np.int64],
) -> Achieved:
    """Count what some sets held.

    Parameters
    ----------
    parameters : SetParameters
        What they were made by.
    sets : ndarray of bool, shape (n_rows, 4)
    y, spell : ndarray of int, shape (n_rows,)
        Confirmed labels, and the spell that each row belongs to.
    """
    held = sets[np.arange(len(y)), y]
    mine = [y == index for index in range(len(REGIMES))]
    coverage = np.array([float(held[one].mean()) if one.any() else np.nan for one in mine])
    return Achieved(parameters, coverage, np.array([len(np.unique(spell[one])) for one in mine]))


def fit_sets(
    probabilities: FloatArray,
    y: npt.NDArray[np.int8],
    spell: npt.NDArray[np.int64],
    age_days: FloatArray,
    former: Achieved | None = None,
) -> SetParameters:
    """Fit the thresholds on out-of-fold probabilities of confirmed labels.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, 4)
        Calibrated, of rows that the model was not fitted on.
    y, spell : ndarray of int, shape (n_rows,)
    age_days : ndarray of shape (n_rows,)
        Days between each row and the making of the model, at least 0.
    former : Achieved, optional
        What the sets before these held.

    Returns
    -------
    SetParameters
        Where there are no rows, the sets are those whose probabilities add up to the level.

    Examples
    --------
    >>> sure = np.tile([0.96, 0.02, 0.01, 0.01], (100, 1))
    >>> y = np.zeros(100, dtype=np.int8)
    >>> fit_sets(sure, y, np.arange(100), np.zeros(100)).thresholds
    (0.0, 0.0, 0.0, 0.0)
    """
    levels = _levels(former)
    if not len(y):
        return SetParameters(level=LEVEL, levels=_four(levels), thresholds=_four(levels))
    score = likelier_mass(probabilities)[np.arange(len(y)), y]
    weight = 0.5 ** (age_days / HALF_LIFE_DAYS)
    thresholds = np.empty(len(REGIMES))
    for index, level in enumerate(levels):
        pooled = _quantile(score, weight, level)
        mine = y == index
        spells = len(np.unique(spell[mine]))
        own = _quantile(score[mine], weight[mine], level) if spells else pooled
        thresholds[index] = (spells * own + PRIOR_SPELLS * pooled) / (spells + PRIOR_SPELLS)
    return SetParameters(
        level=LEVEL,
        levels=_four(levels),
        thresholds=_four(np.asarray(np.round(np.clip(thresholds, 0.0, 1.0), 6))),
    )


def _levels(former: Achieved | None) -> FloatArray:
    """Level of each regime: the former one, and a share of what it fell short by."""
    if former is None:
        return np.full(len(REGIMES), LEVEL)
    trust = GAIN * former.spells / (former.spells + PRIOR_SPELLS)
    shortfall = np.where(former.spells > 0, LEVEL - former.coverage, 0.0)
    low, high = LEVELS
    return np.asarray(np.round(np.clip(np.array(former.sets.levels) + trust * shortfall, low, high), 6))


def _quantile(score: FloatArray, weight: FloatArray, level: float) -> float:
    """Smallest score that holds the level's share of the weight."""
    order = np.argsort(score, kind="stable")
    total = np.cumsum(weight[order])
    return float(score[order][min(int(np.searchsorted(total, level * total[-1])), len(score) - 1)])


def _four(values: FloatArray) -> tuple[float, float, float, float]:
    bear, ranging, rally, bull = values.tolist()
    return bear, ranging, rally, bull
