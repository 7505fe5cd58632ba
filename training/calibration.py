"""Temperature: one number that makes the probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from features.bars import FloatArray
from training.models.boosted_logistic import softmax

__all__ = ["fit_temperature"]

BOUNDS = (0.25, 8.0)


def fit_temperature(log_odds: FloatArray, y: npt.NDArray[np.int8]) -> float:
    """Temperature that minimises the log loss of out-of-fold log-odds (Guo et al. 2017).

    Parameters
    ----------
    log_odds : ndarray of shape (n_rows, 4)
        Of rows that the model was not fitted on.
    y : ndarray of int, shape (n_rows,)

    Returns
    -------
    float
        To divide log-odds by; 1.0 where there are no rows.

    Examples
    --------
    >>> sure = np.array([[4.0, 0, 0, 0], [4.0, 0, 0, 0]])
    >>> fit_temperature(sure, np.array([0, 1])) > 1
    True
    """
    if not len(y):
        return 1.0
    rows = np.arange(len(y))

    def loss(log_temperature: float) -> float:
        p = softmax(log_odds / np.exp(log_temperature))
        return float(-np.log(np.clip(p[rows, y], 1e-15, 1.0)).mean())

    found = minimize_scalar(loss, bounds=(np.log(BOUNDS[0]), np.log(BOUNDS[1])), method="bounded")
    return float(np.exp(found.x))
