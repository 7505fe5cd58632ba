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
    "block_sums",
    "enough",
    "lag",
    "rolling_count",
    "rolling_max",
    "rolling_mean",
    "rolling_min",
    "rolling_rank",
    "rolling_sum",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

COVERAGE = 0.95
"""A mean over a window stands if at least this share of its bars is there; otherwise it is NaN."""
RANK_COVERAGE = 0.9
"""The same for a rank: it looks at a few dozen values, of which one may lie on a missing bar."""
_RANK_CHUNK = 4096
_FEW_ROWS = 512
"""Up to so many rows a rank looks at a table of all pairs; beyond, one lag at a time is faster."""


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


def block_sums(values: FloatArray, n: int, first: int) -> tuple[FloatArray, FloatArray]:
    """Sums of each window's part in its earlier block and of that in its later one.

    Both of shape (n_bars - n + 1,), for the windows that end with rows ``n - 1`` on; a window that
    is one block has all in the later part. ``values`` must all be there.
    """
    size = len(values)
    pad = first % n
    blocks = -(-(pad + size) // n)
    padded = np.zeros(blocks * n)
    padded[pad : pad + size] = values
    shaped = padded.reshape(blocks, n)
    head = np.add.accumulate(shaped, axis=1).ravel()[pad + n - 1 : pad + size]
    tail = np.add.accumulate(shaped[:, ::-1], axis=1)[:, ::-1].ravel()[pad : pad + size - n + 1].copy()
    tail[-pad % n :: n] = 0.0
    return tail, head


def enough(there: Flags, n: int, first: int) -> Flags:
    """Whether at least :data:`COVERAGE` of the last ``n`` bars are there; false before there are ``n``."""
    if there.all():
        return np.arange(len(there)) >= n - 1
    count = _windows(there.astype(np.float64), n, first, np.add, 0.0)
    return np.asarray(count >= np.ceil(COVERAGE * n))


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


def rolling_rank(values: FloatArray, lags: IntArray, *, last: int | None = None) -> FloatArray:
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
    step = size if size - begin <= _FEW_ROWS else _RANK_CHUNK
    for start in range(begin, size, step):
        end = min(start + step, size)
        counted = _all_pairs if end - start <= _FEW_ROWS else _lag_by_lag
        twice_below, count = counted(values, lags, start, end)
        stands = (count >= np.ceil(RANK_COVERAGE * len(lags))) & np.isfinite(values[start:end])
        np.divide(0.5 * twice_below, count, out=out[start:end], where=stands)
    return out


def _all_pairs(values: FloatArray, lags: IntArray, start: int, end: int) -> tuple[IntArray, IntArray]:
    """Twice the earlier values below (once for ties), and how many there are, in one table."""
    rows = np.arange(start, end)
    earlier, current = values[rows[:, None] - lags[None, :]], values[rows, None]
    twice = 2 * np.count_nonzero(earlier < current, axis=1) + np.count_nonzero(earlier == current, axis=1)
    return twice, np.count_nonzero(np.isfinite(earlier), axis=1)


def _lag_by_lag(values: FloatArray, lags: IntArray, start: int, end: int) -> tuple[IntArray, IntArray]:
    """The same without a table: counts are whole numbers, so the order does not matter."""
    current, there = values[start:end], np.isfinite(values)
    twice, count = np.zeros((2, end - start), dtype=np.int64)
    for step in lags.tolist():
        earlier = values[start - step : end - step]
        twice += earlier < current
        twice += earlier <= current
        count += there[start - step : end - step]
    return twice, count


def lag(values: FloatArray, n: int) -> FloatArray:
    """The value ``n`` bars earlier; NaN in the first ``n`` rows."""
    out = np.full(len(values), np.nan)
    if n < len(values):
        out[n:] = values[: len(values) - n]
    return out
