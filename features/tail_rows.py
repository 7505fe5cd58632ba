"""Tables of a few columns of the market at the rows that will be read: all, or the last of a request.

A table has shape (n_rows_of_its_own, n_bars) and ends with the last bar.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.bars import Bars, FloatArray

__all__ = ["at_rows", "over", "placed", "rows_read", "tail_of"]


def rows_read(bars: Bars) -> int:
    """Rows that will be read: all, or the last ones of a request."""
    return bars.size if bars.last is None else min(bars.last, bars.size)


def placed(bars: Bars, tail: FloatArray) -> FloatArray:
    """A column of the history from its last rows; NaN before them."""
    column = np.full(bars.size, np.nan)
    column[bars.size - len(tail) :] = tail
    return column


def tail_of(
    bars: Bars, key: str, values: FloatArray, days: int, rolling: Callable[..., FloatArray]
) -> FloatArray:
    """``rolling`` over the last ``days`` of each row of a table, at the rows that will be read.

    The table's last column is the last bar; how far back it goes is its own affair.
    """
    n, rows = bars.bars(days), rows_read(bars)
    start = max(0, values.shape[1] - rows - n + 1)
    first = bars.first + bars.size - values.shape[1] + start
    return bars.keep(("tail", key, n), lambda: rolling(values[:, start:], n, first)[:, -rows:])


def at_rows(bars: Bars, values: FloatArray, days: int = 0) -> FloatArray:
    """The rows that will be read, or what stood ``days`` before them; NaN where a table begins later."""
    rows, size = rows_read(bars), values.shape[1]
    if not days:
        return values[:, size - rows :]
    back = bars.bars(days)
    earlier = values[:, max(0, size - rows - back) : max(0, size - back)]
    out = np.full((len(values), rows), np.nan)
    out[:, rows - earlier.shape[1] :] = earlier
    return out


def over(values: FloatArray, spread: FloatArray) -> FloatArray:
    """``values / spread``; NaN where a symbol does not move."""
    out = np.full(values.shape, np.nan)
    np.divide(values, spread, out=out, where=np.isfinite(spread) & (spread > 0))
    return out
