"""Rolling means and extremes of many symbols at once: one row per symbol, time along the last axis.

Row for row the same bits as :mod:`features.rolling.windows`, whose sums are anchored, too; one call
for all symbols costs a request window a fraction of one call each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rolling.blocks import window_sums
from features.rolling.known import COVERAGE

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
    whole = there.all()
    mean = _sums(values if whole else np.where(there, values, 0.0), n, first)
    if whole:
        mean /= n
        return mean
    count = _counts(there, n)
    few = count < np.ceil(COVERAGE * n)
    mean[few] = np.nan
    count[few] = 1
    mean /= count
    return mean


def table_max(values: Table, n: int, first: int) -> Table:
    """Largest of ``n`` values each, of those that are there; NaN below the coverage.

    Parameters and shape are those of :func:`table_mean`.
    """
    del first  # exact from anywhere
    if values.shape[1] < n:
        return np.empty((len(values), 0))
    out = values
    for power in range(n.bit_length() - 1):
        half = 1 << power
        out = np.fmax(out[:, :-half], out[:, half:])
    rest = n - (1 << (n.bit_length() - 1))
    out = np.fmax(out[:, : out.shape[1] - rest], out[:, rest:])
    out += 0.0  # of -0.0 and 0.0 either may come out
    there = np.isfinite(values)
    if not there.all():
        out[_counts(there, n) < np.ceil(COVERAGE * n)] = np.nan
    return out


def _sums(values: Table, n: int, first: int) -> Table:
    out = np.empty((len(values), max(0, values.shape[1] - n + 1)))
    if out.size:
        window_sums(values, n, first, out)
    return out


def _counts(there: npt.NDArray[np.bool_], n: int) -> npt.NDArray[np.int64]:
    """How many of each ``n`` values of a row are there; exact in any order."""
    before = np.zeros((there.shape[0], there.shape[1] + 1), dtype=np.int64)
    np.add.accumulate(there, axis=1, out=before[:, 1:], dtype=np.int64)
    counts: npt.NDArray[np.int64] = before[:, n:] - before[:, :-n]
    return counts
