"""Ages: how many bars ago an extreme or an event was, each from its own window alone.

Ages are whole numbers, so a window cut out of a history gives the same bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rolling.extremes import LatestExtremes
from features.rolling.known import Known

__all__ = ["age_of_max", "age_of_min", "bars_since", "bars_since_other_side"]

FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def age_of_max(values: FloatArray, n: int, first: int) -> FloatArray:
    """Bars since the largest of the last ``n`` values: 0 where it is the current one.

    Of equal values the latest counts. NaN where fewer values are there than
    :data:`~features.rolling.windows.COVERAGE` asks.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
    n : int
        Window in bars, the current one included.
    first : int
        Number of bars between the epoch and ``values[0]``; an age does not depend on it.

    Examples
    --------
    >>> age_of_max(np.array([1.0, 5.0, 5.0, 2.0]), 3, first=0)
    array([nan, nan,  0.,  1.])
    """
    del first  # exact from anywhere
    return LatestExtremes(values).age(n)


def age_of_min(values: FloatArray, n: int, first: int) -> FloatArray:
    """Bars since the smallest of the last ``n`` values; as :func:`age_of_max`."""
    del first  # exact from anywhere
    return LatestExtremes(values, largest=False).age(n)


def bars_since(happened: FloatArray, cap: int, first: int) -> FloatArray:
    """Bars since something happened last, at most ``cap``.

    Parameters
    ----------
    happened : ndarray of shape (n_bars,)
        Above 0 where it happened, 0 where it did not; NaN where that is not known: a row is NaN
        where too few of its last ``cap`` bars are.
    cap : int
        Look-back in bars, the current one not included; longer ago counts as ``cap``.
    first : int
        Number of bars between the epoch and row 0; an age does not depend on it.

    Examples
    --------
    >>> bars_since(np.array([0.0, 1.0, 0.0, 0.0, 0.0]), 2, first=0)
    array([nan, nan,  1.,  2.,  2.])
    """
    del first  # exact from anywhere
    return _since(happened > 0, Known(happened), cap)


def bars_since_other_side(values: FloatArray, cap: int, first: int) -> FloatArray:
    """Bars since ``values`` were last on the other side of zero, with the sign of now; 0 at zero.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
        NaN where not known; such a bar ends nothing.
    cap : int
        Look-back in bars, the current one not included; longer ago counts as ``cap``.
    first : int
        Number of bars between the epoch and row 0; an age does not depend on it.

    Examples
    --------
    >>> bars_since_other_side(np.array([-1.0, 2.0, 3.0, -1.0]), 2, first=0)
    array([nan, nan,  2., -1.])
    """
    del first  # exact from anywhere
    known = Known(values)
    side = np.sign(values)
    positive, negative = (_since(holds, known, cap) for holds in (side > 0, side < 0))
    return np.where(side > 0, negative, positive) * side


def _since(holds: Flags, known: Known, cap: int) -> FloatArray:
    """Bars since something held, at most ``cap``; NaN where too little is known."""
    size = len(holds)
    age = np.full(size, np.nan)
    windows = known.windows(cap, size - cap)
    if windows <= 0 or known.nothing:
        return age
    row = np.arange(size)
    last = np.maximum.accumulate(np.where(holds, row, -1 - cap))
    found = age[cap:]
    np.minimum(row[cap:] - last[cap:], cap, out=found)
    too_few = known.too_few(cap, windows)
    if too_few is not None:
        found[too_few] = np.nan
    return age
