"""Rolling means and extremes of many symbols at once: one row per symbol, time along the last axis.

Row for row the same bits as :mod:`features.rolling`, which says why the sums are anchored; one call
for all symbols costs a request window a fraction of one call each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rolling import COVERAGE

__all__ = ["table_max", "table_mean"]

Table = npt.NDArray[np.float64]


def table_mean(values: Table, n: int, first: int) -> Table:
    """Means of ``n`` values each, of those that are there; NaN if fewer than the coverage of them are.

    Parameters
    ----------
    values : ndarray of shape (n_symbols, n_bars)
    n : int
        Window in bars.
    first : int
        Number of bars between the epoch and column 0.

    Returns
    -------
    ndarray of shape (n_symbols, n_bars - n + 1)
        The first window ends with column ``n - 1``; empty where there are fewer bars.

    Examples
    --------
    >>> table_mean(np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]]), 2, first=0)
    array([[1.5, 3. ],
           [3. , 3. ]])
    """
    there = np.isfinite(values)
    if there.all():
        mean = _windows(values, n, first, np.add, 0.0)
        mean /= n
        return mean
    total = _windows(np.where(there, values, 0.0), n, first, np.add, 0.0)
    count = _windows(there.astype(np.float64), n, first, np.add, 0.0)
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count >= np.ceil(COVERAGE * n))
    return mean


def table_max(values: Table, n: int, first: int) -> Table:
    """Largest of ``n`` values each, of those that are there; NaN below the coverage.

    Parameters and shape are those of :func:`table_mean`.
    """
    out = _windows(values, n, first, np.fmax, np.nan)
    out += 0.0  # of -0.0 and 0.0 either may come out
    there = np.isfinite(values)
    if not there.all():
        count = _windows(there.astype(np.float64), n, first, np.add, 0.0)
        out[~(count >= np.ceil(COVERAGE * n))] = np.nan
    return out


def _windows(values: Table, n: int, first: int, ufunc: np.ufunc, neutral: float) -> Table:
    """``ufunc`` over every ``n`` values of each row."""
    rows, size = values.shape
    if n == 1:
        return values.copy()
    out = np.empty((rows, max(0, size - n + 1)))
    if size < n:
        return out
    if size < 2 * n:
        _few(values, out, n, first % n, ufunc)
    else:
        _many(values, out, n, first % n, ufunc, neutral)
    return out


def _many(values: Table, out: Table, n: int, pad: int, ufunc: np.ufunc, neutral: float) -> None:
    """Windows over a whole history: every block accumulated from both of its ends."""
    rows, size = values.shape
    blocks = -(-(pad + size) // n)
    padded = np.full((rows, blocks * n), neutral)
    padded[:, pad : pad + size] = values
    shaped = padded.reshape(rows, blocks, n)
    head = ufunc.accumulate(shaped, axis=2).reshape(rows, -1)
    tail = ufunc.accumulate(shaped[:, :, ::-1], axis=2)[:, :, ::-1].reshape(rows, -1)
    count = size - n + 1
    ends = head[:, pad + n - 1 : pad + size]
    ufunc(tail[:, pad : pad + count], ends, out=out)
    whole = slice(-pad % n, count, n)  # windows that are one block
    out[:, whole] = ends[:, whole]


def _few(values: Table, out: Table, n: int, pad: int, ufunc: np.ufunc) -> None:
    """At most ``n`` windows, as a request has: each cell of theirs is added up once, seldom twice."""
    size = values.shape[1]
    begin = 0  # of the windows that are to be filled, in ``out``; also of their first cell
    block = (n - pad) % n  # where the first whole block begins
    while begin < out.shape[1]:
        if begin == block:  # a window that is one block
            out[:, begin] = ufunc.accumulate(values[:, block : block + n], axis=1)[:, -1]
            begin, block = begin + 1, block + n
            continue
        stop = min(block, out.shape[1])  # windows that begin before this block and end within it
        head = ufunc.accumulate(values[:, block : min(stop + n - 1, size)], axis=1)
        tail = ufunc.accumulate(values[:, begin:block][:, ::-1], axis=1)[:, ::-1]
        ufunc(tail[:, : stop - begin], head[:, begin + n - 1 - block :], out=out[:, begin:stop])
        begin = stop
