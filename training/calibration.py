"""Temperature, which makes probabilities mean what they say, and the strength of what was learned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar

from features.bars import FloatArray
from training.models.boosted_logistic import softmax

__all__ = ["fit_strength", "fit_temperature"]

BOUNDS = (0.25, 8.0)
PRIOR_SD = 0.2
"""Standard deviation of the log-temperature that is expected before any row is seen."""
STRENGTH_SD = 0.3
"""Standard deviation, around 0, of the strength that is expected before any row is seen."""


def fit_temperature(log_odds: FloatArray, y: npt.NDArray[np.int8], spells: int) -> float:
    """Temperature that minimises the log loss of out-of-fold log-odds (Guo et al. 2017).

    With few independent spells the best temperature of the past says little of the next: the log
    of the temperature has a normal prior around 0, against which the mean log loss counts once a
    spell.

    Parameters
    ----------
    log_odds : ndarray of shape (n_rows, 4)
        Of rows that the model was not fitted on.
    y : ndarray of int, shape (n_rows,)
    spells : int
        Independent spells among the rows.

    Returns
    -------
    float
        To divide log-odds by; 1.0 where there are no rows.

    Examples
    --------
    >>> sure = np.array([[4.0, 0, 0, 0], [4.0, 0, 0, 0]])
    >>> few, many = (fit_temperature(sure, np.array([0, 1]), spells) for spells in (2, 2000))
    >>> 1 < few < many
    True
    """
    if not len(y):
        return 1.0
    rows = np.arange(len(y))

    def loss(log_temperature: float) -> float:
        p = softmax(log_odds / np.exp(log_temperature))
        likelihood = float(-np.log(np.clip(p[rows, y], 1e-15, 1.0)).mean())
        return spells * likelihood + 0.5 * (log_temperature / PRIOR_SD) ** 2

    found = minimize_scalar(loss, bounds=(np.log(BOUNDS[0]), np.log(BOUNDS[1])), method="bounded")
    return float(np.exp(found.x))


def fit_strength(
    base: FloatArray, trees: FloatArray, y: npt.NDArray[np.int8], spells: int
) -> tuple[float, float]:
    """Temperature and strength of ``(base + strength x trees) / temperature``, out of fold.

    What was learned has to earn its weight on rows that it had not seen: both numbers have a prior - no
    temperature, no trees - against which the mean log loss counts once a spell.

    Parameters
    ----------
    base, trees : ndarray of shape (n_rows, 4)
        Log-odds of rows that the model was not fitted on, and what its trees add to them.
    y : ndarray of int, shape (n_rows,)
    spells : int
        Independent spells among the rows.

    Returns
    -------
    temperature, strength : float
        Strength from 0 to 1, on a grid of 1/1024; 1.0 and 0.0 where there are no rows.
    """
    if not len(y):
        return 1.0, 0.0
    rows = np.arange(len(y))

    def loss(found: FloatArray) -> float:
        log_temperature, strength = found
        p = softmax((base + strength * trees) / np.exp(log_temperature))
        likelihood = float(-np.log(np.clip(p[rows, y], 1e-15, 1.0)).mean())
        prior = (log_temperature / PRIOR_SD) ** 2 + (strength / STRENGTH_SD) ** 2
        return float(spells * likelihood + 0.5 * prior)

    bounds = [(float(np.log(BOUNDS[0])), float(np.log(BOUNDS[1]))), (0.0, 1.0)]
    found = minimize(loss, x0=np.array([0.0, 0.1]), bounds=bounds, method="L-BFGS-B")
    strength = round(float(found.x[1]) * 1024) / 1024
    return fit_temperature(base + strength * trees, y, spells), strength
