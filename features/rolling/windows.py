"""Rolling sums, means and extremes whose every value depends on its own window alone, to the last bit.

A running sum carries rounding from the start of the history, so one live bar would differ from the
training table. Sums here run over anchored blocks (:mod:`features.rolling.blocks`); counts, largest
and smallest values are exact in any order. These are the one-call forms; what serves many windows of
one column is :class:`~features.rolling.known.Known` and
:class:`~features.rolling.extremes.Extremes`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rolling.blocks import window_sums
from features.rolling.extremes import Extremes
from features.rolling.known import COVERAGE, Known
from features.rolling.ranks import RANK_COVERAGE, rolling_rank

__all__ = [
    "COVERAGE",
    "RANK_COVERAGE",
    "lag",
    "rolling_count",
    "rolling_max",
    "rolling_mean",
    "rolling_min",
    "rolling_rank",
    "rolling_sum",
]

FloatArray = npt.NDArray[np.float64]


def rolling_count(values: FloatArray, n: int, first: int) -> FloatArray:
    """How many of the last ``n`` values are there; NaN before there are ``n``."""
    del first  # counts are exact from anywhere
    out = np.full(len(values), np.nan)
    if len(values) >= n:
        out[n - 1 :] = Known(values).count(n)
    return out


def rolling_sum(values: FloatArray, n: int, first: int) -> FloatArray:
    """Sum of the last ``n`` values, NaN unless all of them are there.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
    n : int
        Window in bars, the current one included.
    first : int
        Number of bars between the epoch and ``values[0]``: anchors the blocks.
    """
    out = np.full(len(values), np.nan)
    if len(values) >= n:
        window_sums(values, n, first, out[n - 1 :])
    return out


def rolling_mean(values: FloatArray, n: int, first: int) -> FloatArray:
    """Mean of the last ``n`` values that are there; NaN if fewer than :data:`COVERAGE` of them are.

    Examples
    --------
    >>> rolling_mean(np.array([1.0, 2.0, 4.0]), 2, first=0)
    array([nan, 1.5, 3. ])
    """
    return Known(values).mean(n, first)


def rolling_max(values: FloatArray, n: int, first: int) -> FloatArray:
    """Largest of the last ``n`` values that are there; NaN below :data:`COVERAGE`."""
    del first  # exact from anywhere
    return Extremes(values).of(n)


def rolling_min(values: FloatArray, n: int, first: int) -> FloatArray:
    """Smallest of the last ``n`` values that are there; NaN below :data:`COVERAGE`."""
    del first  # exact from anywhere
    return Extremes(values, largest=False).of(n)


def lag(values: FloatArray, n: int) -> FloatArray:
    """The value ``n`` bars earlier; NaN in the first ``n`` rows."""
    size = len(values)
    out = np.empty(size)
    out[:n] = np.nan
    if n < size:
        out[n:] = values[: size - n]
    return out
