"""Tables of a few columns of the market at the rows that will be read: all, or the last of a request.

A table has shape (n_rows_of_its_own, n_bars) and ends with the last bar.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.bars import Bars, FloatArray

__all__ = ["at_rows", "missing", "over", "rows_read", "tail_of"]


def rows_read(bars: Bars) -> int:
    """Rows that will be read: all, or the last ones of a request."""
    return bars.rows


def missing(bars: Bars) -> FloatArray:
    """Nothing, at the rows that will be read."""
    return np.full(bars.rows, np.nan)


def tail_of(
    bars: Bars, key: str, values: FloatArray, days: int, rolling: Callable[[FloatArray, int, int], FloatArray]
) -> FloatArray:
    """``rolling`` over the last ``days`` of each row of a table, at the rows that will be read.

    The table's last column is the last bar; how far back it goes is its own affair.
    """
    n, rows = bars.bars(days), bars.rows
    start = max(0, values.shape[1] - rows - n + 1)
    first = bars.first + bars.size - values.shape[1] + start

    def compute() -> FloatArray:
        found = rolling(values[:, start:], n, first)
        if found.shape[1] == rows:
            return found
        padded = np.full((len(values), rows), np.nan)
        padded[:, rows - found.shape[1] :] = found
        return padded

    return bars.keep(("tail", key, n), compute)


def at_rows(bars: Bars, values: FloatArray, days: int = 0) -> FloatArray:
    """The rows that will be read, or what stood ``days`` before them; NaN where a table begins later."""
    rows, size = bars.rows, values.shape[1]
    if not days:
        return values[:, size - rows :]
    back = bars.bars(days)
    if size >= rows + back:
        return values[:, size - rows - back : size - back]
    earlier = values[:, : max(0, size - back)]
    out = np.full((len(values), rows), np.nan)
    out[:, rows - earlier.shape[1] :] = earlier
    return out


def over(values: FloatArray, spread: FloatArray) -> FloatArray:
    """``values / spread``; NaN where a symbol does not move."""
    out = np.full(values.shape, np.nan)
    np.divide(values, spread, out=out, where=np.isfinite(spread) & (spread > 0))
    return out
