"""Correlation and least squares over the last bars, from anchored sums: the same bits from any cut."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rolling.blocks import window_parts
from features.rolling.known import Known

__all__ = ["rolling_correlation", "rolling_trend"]

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-12
"""A variance or residual below this share of the sum of squares is rounding, not noise."""


def rolling_correlation(x: FloatArray, y: FloatArray, n: int, first: int) -> FloatArray:
    """Correlation of the last ``n`` values of two columns, of the bars that have both.

    NaN where fewer are there than :data:`~features.rolling.windows.COVERAGE` asks, or where one of the two
    does not move.

    Parameters
    ----------
    x, y : ndarray of shape (n_bars,)
    n : int
        Window in bars, the current one included.
    first : int
        Number of bars between the epoch and row 0: anchors the blocks.

    Examples
    --------
    >>> rolling_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0]), 3, first=0).round(3)
    array([ nan,  nan, -0.5])
    """
    there = np.isfinite(x) & np.isfinite(y)
    if not there.all():
        x, y = np.where(there, x, np.nan), np.where(there, y, np.nan)
    one, other = Known(x), Known(y)
    mean_x, mean_y = one.mean(n, first), other.mean(n, first)
    square_x, square_y, together = (
        one.alike(product).mean(n, first)
        for product in (one.values * one.values, other.values * other.values, one.values * other.values)
    )
    spread_x, spread_y = square_x - mean_x * mean_x, square_y - mean_y * mean_y
    moves = (spread_x > _ROUNDING * square_x) & (spread_y > _ROUNDING * square_y)
    r = np.full(len(x), np.nan)
    together -= mean_x * mean_y
    np.divide(together, np.sqrt(np.where(moves, spread_x * spread_y, np.nan)), out=r, where=moves)
    clipped: FloatArray = np.clip(r, -1.0, 1.0)
    return clipped


def rolling_trend(values: FloatArray, n: int, first: int) -> FloatArray:
    """Signal to noise of the straight line through the last ``n`` values: t of its slope / sqrt(bars).

    The slope over its plain standard error (not corrected for autocorrelation, which a price has
    in plenty: it is a measure of straightness, no test), divided by the root of the number of bars,
    so that hourly and daily bars of one stretch compare. It is ``r / sqrt(1 - r^2)`` of the
    correlation ``r`` with time, but for two degrees of freedom.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
        Bars that are missing are left out of the line; NaN where fewer are there than
        :data:`~features.rolling.windows.COVERAGE` asks, or where the values lie on a line exactly.
    n : int
        Window in bars, the current one included; at least 3.
    first : int
        Number of bars between the epoch and ``values[0]``: anchors the blocks.

    Examples
    --------
    >>> rolling_trend(np.array([0.0, 1.0, 3.0]), 3, first=0).round(3)
    array([nan, nan,  3.])
    """
    size = len(values)
    out = np.full(size, np.nan)
    if size < n:
        return out
    there = np.isfinite(values)
    column = Known(values)
    if column.nothing:
        return out
    known = column.values
    place = ((first + np.arange(size)) % n).astype(np.float64)
    end = place[n - 1 :]
    # Time counts back from each window's end: places of its earlier block lie n further back.
    sum_y, sum_ty = _moments(known, place, end, n, first)
    squares = sum(window_parts(known**2, n, first))
    count: float | FloatArray
    sum_t: float | FloatArray
    sum_tt: float | FloatArray
    if there.all():
        count, sum_t, sum_tt = float(n), -n * (n - 1) / 2, (n - 1) * n * (2 * n - 1) / 6
    else:
        count, sum_t, sum_tt = _time_moments(there.astype(np.float64), place, end, n, first)
    with np.errstate(all="ignore"):
        time_spread = sum_tt - sum_t * sum_t / count
        together = sum_ty - sum_t * sum_y / count
        residual = squares - sum_y * sum_y / count - together * together / time_spread
        residual = np.where(residual <= _ROUNDING * squares, np.nan, residual)
        out[n - 1 :] = together / np.sqrt(time_spread * residual) * np.sqrt((count - 2) / count)
    too_few = column.too_few(n, size)
    if too_few is not None:
        out[n - 1 :][too_few] = np.nan
    return out


def _moments(
    values: FloatArray, place: FloatArray, end: FloatArray, n: int, first: int
) -> tuple[FloatArray, FloatArray]:
    """Sums of ``values`` and of ``values x (bar - last bar)`` over each window."""
    tail, head = window_parts(values, n, first)
    tail_place, head_place = window_parts(values * place, n, first)
    return tail + head, (tail_place - (n + end) * tail) + (head_place - end * head)


def _time_moments(
    there: FloatArray, place: FloatArray, end: FloatArray, n: int, first: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Count, sum and sum of squares of ``bar - last bar`` over the bars that are there; exact."""
    count, sum_t = _moments(there, place, end, n, first)
    tail, head = window_parts(there, n, first)
    tail_1, head_1 = window_parts(there * place, n, first)
    tail_2, head_2 = window_parts(there * place**2, n, first)
    back = n + end
    squares = (tail_2 - 2 * back * tail_1 + back**2 * tail) + (head_2 - 2 * end * head_1 + end**2 * head)
    return count, sum_t, squares
