"""Temperature: one number that makes the probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from features.bars import FloatArray
from training.models.boosted_logistic import softmax

__all__ = ["fit_temperature"]

BOUNDS = (0.25, 8.0)
PRIOR_SD = 0.2
"""Standard deviation of the log-temperature that is expected before any row is seen."""


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
