"""Ranks: how many earlier values the current one exceeds. Counts are exact in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RANK_COVERAGE", "rolling_rank"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Counts = npt.NDArray[Any]

RANK_COVERAGE = 0.9
"""A rank stands if at least this share of its values is there: it looks at a few dozen, of which one
may lie on a missing bar."""
_CHUNK = 16_384
_FEW_ROWS = 512
"""Up to so many rows a rank looks at a table of all pairs; beyond, one lag at a time is faster."""


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
    step = size if size - begin <= _FEW_ROWS else _CHUNK
    # Bytes are added many at a time; they hold twice the number of lags.
    kind: np.dtype[Any] = np.dtype(np.uint8 if 2 * len(lags) <= np.iinfo(np.uint8).max else np.uint32)
    for start in range(begin, size, step):
        end = min(start + step, size)
        counted = _all_pairs if end - start <= _FEW_ROWS else _lag_by_lag
        twice_below, count = counted(values, lags, start, end, kind)
        stands = (count >= np.ceil(RANK_COVERAGE * len(lags))) & np.isfinite(values[start:end])
        np.divide(0.5 * twice_below.astype(np.float64), count, out=out[start:end], where=stands)
    return out


def _all_pairs(
    values: FloatArray, lags: IntArray, start: int, end: int, kind: np.dtype[Any]
) -> tuple[Counts, Counts]:
    """Twice the earlier values below (once for ties), and how many there are, in one table."""
    current = values[start:end]
    earlier = values[np.arange(start, end) - lags[:, None]]
    twice = np.add.reduce((earlier < current).view(np.uint8), axis=0, dtype=kind)
    twice += np.add.reduce((earlier <= current).view(np.uint8), axis=0, dtype=kind)
    return twice, np.add.reduce(np.isfinite(earlier).view(np.uint8), axis=0, dtype=kind)


def _lag_by_lag(
    values: FloatArray, lags: IntArray, start: int, end: int, kind: np.dtype[Any]
) -> tuple[Counts, Counts]:
    """The same without a table."""
    current, oldest = values[start:end], start - int(lags.max())
    there = np.isfinite(values[oldest:end])
    whole = bool(there.all())
    twice, count = np.zeros((2, end - start), dtype=kind)
    below = np.empty(end - start, dtype=bool)
    bytes_below, bytes_there = below.view(np.uint8), there.view(np.uint8)
    for step in lags.tolist():
        earlier = values[start - step : end - step]
        np.less(earlier, current, below)
        np.add(twice, bytes_below, twice)
        np.less_equal(earlier, current, below)
        np.add(twice, bytes_below, twice)
        if not whole:
            count += bytes_there[start - step - oldest : end - step - oldest]
    if whole:
        count[:] = len(lags)
    return twice, count
