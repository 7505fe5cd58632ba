"""Quantiles of weighted residuals, and the law of those beyond the data's reach."""

from __future__ import annotations

import numpy as np
from scipy.stats import genpareto

from features.bars import FloatArray
from serving.excursion import Tail

__all__ = ["fit_tail", "recency_weights", "weighted_quantile"]

FEWEST = 30
"""Fewer excesses are not fitted: the tail is then that of the field's rule of thumb."""
USUAL_SHAPE = 1 / 3
"""Tails of returns fall with about the cube of the move (Gopikrishnan et al. 1998)."""
LARGEST_SHAPE = 0.5


def recency_weights(age_days: FloatArray, half_life_days: float) -> FloatArray:
    """Weight of each residual by its age (Barber, Candes, Ramdas, Tibshirani 2023, section 4).

    Examples
    --------
    >>> recency_weights(np.array([0.0, 365.0]), 365.0).tolist()
    [1.0, 0.5]
    """
    return np.asarray(0.5 ** (age_days / half_life_days))


def weighted_quantile(values: FloatArray, weights: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Smallest values that at least ``levels`` of the weight does not exceed.

    Examples
    --------
    >>> weighted_quantile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]), (0.25, 0.5, 0.9)).tolist()
    [1.0, 2.0, 3.0]
    """
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    place = np.searchsorted(total, np.asarray(levels) * total[-1] * (1 - 1e-12))
    return np.asarray(values[order][np.minimum(place, len(values) - 1)])


def fit_tail(ratios: FloatArray, threshold: float, last: float) -> Tail:
    """Peaks over threshold: a generalised Pareto law of ``ratios`` beyond ``threshold``, seen from ``last``.

    The law is stable: beyond any higher point the excesses follow the same shape, with a scale that grows
    by the shape times the distance. So it is fitted where there are excesses enough and used where there
    are none. A shape below 0, which would call larger moves impossible, counts as 0.

    Parameters
    ----------
    ratios : ndarray of shape (n_rows,)
        Outcomes over their predicted quantile.
    threshold : float
        Above 0.
    last : float
        Ratio from which on the tail is used; at least ``threshold``.

    Returns
    -------
    Tail
        Its scale in units of ``last``.
    """
    excess = ratios[ratios > threshold] - threshold
    shape = USUAL_SHAPE
    if len(excess) >= FEWEST:
        with np.errstate(all="ignore"):
            shape = float(genpareto.fit(excess, floc=0.0)[0])
        shape = min(max(shape, 0.0), LARGEST_SHAPE) if np.isfinite(shape) else USUAL_SHAPE
    # with the shape given, the scale of the mean excess: no optimiser that ends where its steps do
    mean = float(excess.mean()) if len(excess) else 0.1 * threshold
    scale = mean * (1 - shape)
    return Tail(round(shape, 6), round((scale + shape * (last - threshold)) / last, 6))
