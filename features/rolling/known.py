"""A column made ready for windows of any length: its means, and how much of it is there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.rolling.blocks import window_sums

__all__ = ["COVERAGE", "Known"]

FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

COVERAGE = 0.95
"""A mean over a window stands if at least this share of its bars is there; otherwise it is NaN."""


class Known:
    """A column made ready for windows of any length: what is there, and how much of it.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
        NaN where missing; infinite counts as missing.

    Attributes
    ----------
    values : ndarray of shape (n_bars,)
        Zero where missing.
    """

    def __init__(self, values: FloatArray) -> None:
        there = np.isfinite(values)
        self._there: Flags | None = None if there.all() else there
        self.values = values if self._there is None else np.where(there, values, 0.0)
        self._size = len(values)

    def alike(self, values: FloatArray) -> Known:
        """Another column that is there and missing where this one is; ``values`` are zero where missing."""
        other = copy.copy(self)
        other.values = values
        other.__dict__.pop("_sums_before", None)
        return other

    @cached_property
    def nothing(self) -> bool:
        """Whether no value is there at all."""
        return self._there is not None and not self._there.any()

    @cached_property
    def _gaps(self) -> tuple[tuple[int, int], ...]:
        """Spans of bars outside which nothing is missing: before the source begins, and later outages."""
        if self._there is None:
            return ()
        begin = int(self._there.argmax())
        later = begin + np.flatnonzero(~self._there[begin:])
        spans = [(0, begin)] if begin else []
        return (*spans, (int(later[0]), int(later[-1]) + 1)) if len(later) else tuple(spans)

    @cached_property
    def _before(self) -> FloatArray:
        """How many of the bars before each are there, shape (n_bars + 1,)."""
        before = np.zeros(self._size + 1)
        there = np.ones(self._size) if self._there is None else self._there
        np.add.accumulate(there, out=before[1:], dtype=np.float64)
        return before

    @cached_property
    def _sums_before(self) -> FloatArray:
        """Sum of the values before each bar, shape (n_bars + 1,)."""
        sums = np.zeros(self._size + 1)
        np.add.accumulate(self.values, out=sums[1:])
        return sums

    def windows(self, n: int, rows: int) -> int:
        """How many of the last ``rows`` rows have a whole window of ``n`` bars."""
        return max(0, min(rows, self._size - n + 1))

    def count(self, n: int) -> FloatArray:
        """How many of the last ``n`` bars are there, in each whole window."""
        count: FloatArray = self._before[n:] - self._before[:-n]
        return count

    def too_few(self, n: int, rows: int) -> Flags | None:
        """Where fewer than :data:`COVERAGE` of the last ``n`` bars are there; ``None``: nowhere.

        Of the whole windows among the last ``rows``, shape (:meth:`windows` (n, rows),).
        """
        few = np.zeros(self.windows(n, rows), dtype=bool)
        for part, count in self._touched(n, len(few)):
            few[part] = count < np.ceil(COVERAGE * n)
        return few if few.any() else None

    def _touched(self, n: int, windows: int) -> Iterator[tuple[slice, FloatArray]]:
        """The windows that may lack something, in spans, and how many values each holds."""
        start = self._size - n + 1 - windows  # first bar of the first window
        stop = 0
        for begin, end in self._gaps:
            one, stop = max(stop, begin - n + 1 - start, 0), max(stop, min(end - start, windows))
            if one < stop:
                held = self._before[start + one + n : start + stop + n]
                yield slice(one, stop), held - self._before[start + one : start + stop]

    def mean(self, n: int, first: int, *, rows: int | None = None, exact: bool = False) -> FloatArray:
        """Mean of the last ``n`` values that are there; NaN if fewer than :data:`COVERAGE` of them are.

        Parameters
        ----------
        n : int
            Window in bars, the current one included.
        first : int
            Number of bars between the epoch and row 0: anchors the blocks.
        rows : int, optional
            Only the last so many rows; all by default.
        exact : bool
            The values are whole numbers or halves: their sums are the same in any order.

        Returns
        -------
        ndarray of shape (rows,)
        """
        rows = self._size if rows is None else rows
        windows = self.windows(n, rows)
        if windows == 0 or self.nothing:
            return np.full(rows, np.nan)
        out = np.empty(rows)
        out[: rows - windows] = np.nan
        means, end = out[rows - windows :], self._size + 1 - windows
        if exact:
            np.subtract(self._sums_before[end:], self._sums_before[end - n : -n], out=means)
        else:
            window_sums(self.values[end - n :], n, first + end - n, means)
        whole = 0  # windows up to here are divided
        for part, count in self._touched(n, windows):
            means[whole : part.start] /= n
            touched, whole = means[part], part.stop
            few = count < np.ceil(COVERAGE * n)
            if few.any():
                touched[few] = np.nan
                count[few] = 1.0
            touched /= count
        means[whole:] /= n
        return out
