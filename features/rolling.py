"""Rolling sums and extremes whose every value depends on its own window alone, to the last bit.

A running sum carries rounding from the start of the history, so one live bar would differ from the
training table. Here time is cut into blocks of the window's length, anchored at the epoch: a window
of ``n`` bars is the tail of one block plus the head of the next, each added up in a fixed order.
No subtraction, no drift, linear time, and a window cut out of a history gives the same bits (van
Herk's and Gil and Werman's scheme, known for extremes, used for sums).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "lag",
    "rolling_count",
    "rolling_max",
    "rolling_mean",
    "rolling_min",
    "rolling_rank",
    "rolling_sum",
]

FloatArray = npt.NDArray[np.float64]

COVERAGE = 0.95
"""A mean over a window stands if at least this share of its bars is there; otherwise it is NaN."""
RANK_COVERAGE = 0.9
"""The same for a rank: it looks at a few dozen values, of which one may lie on a missing bar."""
_RANK_CHUNK = 4096


def _windows(values: FloatArray, n: int, first: int, ufunc: np.ufunc, neutral: float) -> FloatArray:
    """``ufunc`` over the last ``n`` values of each row; NaN before there are ``n``."""
    size = len(values)
    out = np.full(size, np.nan)
    if size < n:
        return out
    if n == 1:
        return values.copy()
    pad = first % n
    blocks = -(-(pad + size) // n)
    padded = np.full(blocks * n, neutral)
    padded[pad : pad + size] = values
    shaped = padded.reshape(blocks, n)
    head = ufunc.accumulate(shaped, axis=1).ravel()
    tail = ufunc.accumulate(shaped[:, ::-1], axis=1)[:, ::-1].ravel()
    count = size - n + 1
    last = slice(pad + n - 1, pad + size)
    whole = slice(-pad % n, count, n)  # windows that are one block
    values_out = ufunc(tail[pad : pad + count], head[last])
    values_out[whole] = head[last][whole]
    out[n - 1 :] = values_out
    return out


def rolling_count(values: FloatArray, n: int, first: int) -> FloatArray:
    """How many of the last ``n`` values are there."""
    return _windows(np.isfinite(values).astype(np.float64), n, first, np.add, 0.0)


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
    return _windows(values, n, first, np.add, 0.0)


def rolling_mean(values: FloatArray, n: int, first: int) -> FloatArray:
    """Mean of the last ``n`` values that are there; NaN if fewer than :data:`COVERAGE` of them are.

    Examples
    --------
    >>> rolling_mean(np.array([1.0, 2.0, 4.0]), 2, first=0)
    array([nan, 1.5, 3. ])
    """
    there = np.isfinite(values)
    if there.all():
        return _windows(values, n, first, np.add, 0.0) / n
    total = _windows(np.where(there, values, 0.0), n, first, np.add, 0.0)
    count = _windows(there.astype(np.float64), n, first, np.add, 0.0)
    enough = count >= np.ceil(COVERAGE * n)
    mean = np.full(len(values), np.nan)
    np.divide(total, count, out=mean, where=enough)
    return mean


def _extreme(values: FloatArray, n: int, first: int, ufunc: np.ufunc) -> FloatArray:
    out = _windows(values, n, first, ufunc, np.nan) + 0.0  # of -0.0 and 0.0 either may come out
    there = np.isfinite(values)
    if not there.all():
        count = _windows(there.astype(np.float64), n, first, np.add, 0.0)
        out[~(count >= np.ceil(COVERAGE * n))] = np.nan
    return out


def rolling_max(values: FloatArray, n: int, first: int) -> FloatArray:
    """Largest of the last ``n`` values that are there; NaN below :data:`COVERAGE`."""
    return _extreme(values, n, first, np.fmax)


def rolling_min(values: FloatArray, n: int, first: int) -> FloatArray:
    """Smallest of the last ``n`` values that are there; NaN below :data:`COVERAGE`."""
    return _extreme(values, n, first, np.fmin)


def rolling_rank(values: FloatArray, lags: npt.NDArray[np.int64], *, last: int | None = None) -> FloatArray:
    """Share of earlier values that the current one exceeds, ties counted half.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
    lags : ndarray of int
        How many bars back each value to compare with lies. NaN unless :data:`RANK_COVERAGE` of
        them are there.
    last : int, optional
        Only the last so many rows are wanted; the others are NaN.
    """
    size = len(values)
    out = np.full(size, np.nan)
    begin = max(int(lags.max()), 0 if last is None else size - last)
    for start in range(begin, size, _RANK_CHUNK):
        rows = np.arange(start, min(start + _RANK_CHUNK, size))
        earlier = values[rows[:, None] - lags[None, :]]
        current = values[rows, None]
        below = ((earlier < current) + 0.5 * (earlier == current)).sum(axis=1)
        count = np.isfinite(earlier).sum(axis=1)
        enough = (count >= np.ceil(RANK_COVERAGE * len(lags))) & np.isfinite(current[:, 0])
        out[rows] = np.divide(below, count, out=np.full(len(rows), np.nan), where=enough)
    return out


def lag(values: FloatArray, n: int) -> FloatArray:
    """The value ``n`` bars earlier; NaN in the first ``n`` rows."""
    out = np.full(len(values), np.nan)
    if n < len(values):
        out[n:] = values[: len(values) - n]
    return out
