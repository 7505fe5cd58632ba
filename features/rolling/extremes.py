"""Largest and smallest of the last values, and how long ago they were, for windows of any length.

A window is covered by two of the next smaller power of two, so that windows of all lengths share
their work. Nothing is added up: the result is exact in any order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rolling.known import Known

__all__ = ["Extremes", "LatestExtremes"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Extremes:
    """Largest or smallest of the last values.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
    largest : bool, default=True
    """

    def __init__(self, values: FloatArray, *, largest: bool = True) -> None:
        self._pick = np.fmax if largest else np.fmin
        self._levels = [values]
        self._known = Known(values)
        self._size = len(values)

    def of(self, n: int, *, rows: int | None = None) -> FloatArray:
        """Extreme of the last ``n`` values that are there; NaN below :data:`COVERAGE`.

        Parameters
        ----------
        n : int
            Window in bars, the current one included.
        rows : int, optional
            Only the last so many rows; all by default.
        """
        rows = self._size if rows is None else rows
        windows = self._known.windows(n, rows)
        if windows == 0 or self._known.nothing:
            return np.full(rows, np.nan)
        out = np.empty(rows)
        out[: rows - windows] = np.nan
        found = out[rows - windows :]
        power = n.bit_length() - 1
        level, begin = self._level(power), self._size - n + 1 - windows
        second = begin + n - (1 << power)
        self._pick(level[begin : begin + windows], level[second : second + windows], out=found)
        found += 0.0  # of -0.0 and 0.0 either may come out
        too_few = self._known.too_few(n, rows)
        if too_few is not None:
            found[too_few] = np.nan
        return out

    def _level(self, power: int) -> FloatArray:
        """Extremes of the ``2 ** power`` values from each bar on."""
        while len(self._levels) <= power:
            last, half = self._levels[-1], 1 << (len(self._levels) - 1)
            self._levels.append(self._pick(last[:-half], last[half:]))
        return self._levels[power]


class LatestExtremes:
    """How many bars ago the largest or smallest of the last values was; of equal ones the latest counts.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
    largest : bool, default=True
    """

    def __init__(self, values: FloatArray, *, largest: bool = True) -> None:
        there = np.isfinite(values)
        upwards = values if largest else -values
        self._known = Known(values)
        self._levels = [(np.where(there, upwards, -np.inf), np.arange(len(values)))]
        self._size = len(values)

    def age(self, n: int, *, rows: int | None = None) -> FloatArray:
        """Bars since the extreme of the last ``n``; NaN below the coverage.

        Parameters are those of :meth:`Extremes.of`.
        """
        rows = self._size if rows is None else rows
        out = np.full(rows, np.nan)
        windows = self._known.windows(n, rows)
        if windows == 0 or self._known.nothing:
            return out
        power = n.bit_length() - 1
        value, at = self._level(power)
        begin = self._size - n + 1 - windows
        second = begin + n - (1 << power)
        one, other = slice(begin, begin + windows), slice(second, second + windows)
        latest = np.where(value[other] >= value[one], at[other], at[one])
        found = out[rows - windows :]
        np.subtract(np.arange(self._size - windows, self._size), latest, out=found)
        too_few = self._known.too_few(n, rows)
        if too_few is not None:
            found[too_few] = np.nan
        return out

    def _level(self, power: int) -> tuple[FloatArray, IntArray]:
        """Extreme of the ``2 ** power`` values from each bar on, and where it is last."""
        while len(self._levels) <= power:
            value, at = self._levels[-1]
            half = 1 << (len(self._levels) - 1)
            later = np.where(value[half:] >= value[:-half], at[half:], at[:-half])
            self._levels.append((np.maximum(value[:-half], value[half:]), later))
        return self._levels[power]
