"""Intervals of scores: whole blocks of rows drawn again, because rows of one block tell one story.

The bars of a spell are one event told many times: an interval that draws bars one by one would claim
evidence that is not there. Here blocks are drawn with replacement, all their rows with them
(Davison & Hinkley 1997, ch. 2.4 and 8.2). The same object draws the same blocks for every score, so
that differences between models are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.errors import DataError

__all__ = ["BlockBootstrap", "Interval"]

_CHUNK = 250
"""Draws weighed at a time: bounds the memory with thousands of blocks."""


@dataclass(frozen=True)
class Interval:
    """A score and where it would have been with other blocks.

    Attributes
    ----------
    estimate : float
        On all rows.
    low, high : float
        Percentiles of the draws; NaN with fewer than two blocks, which say nothing of the spread.
    blocks, rows : int
    """

    estimate: float
    low: float
    high: float
    blocks: int
    rows: int

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < 0

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0


class BlockBootstrap:
    """Draws of whole blocks, the same for every score that is asked for.

    Parameters
    ----------
    block : ndarray of int, shape (n_rows,)
        Number of the block that each row belongs to, such as its spell.
    draws : int, default=2000
    level : float, default=0.95
        Share of the draws inside an interval.
    seed : int, default=7

    Raises
    ------
    DataError
        Without rows, or for draws or a level that make no sense.

    Examples
    --------
    >>> bootstrap = BlockBootstrap(np.array([1, 1, 2, 2]), draws=200)
    >>> bootstrap.mean(np.array([0.0, 0.0, 1.0, 1.0]))
    Interval(estimate=0.5, low=0.0, high=1.0, blocks=2, rows=4)
    """

    def __init__(
        self, block: npt.NDArray[np.integer[Any]], *, draws: int = 2000, level: float = 0.95, seed: int = 7
    ) -> None:
        if block.ndim != 1 or not len(block):
            raise DataError(f"blocks have shape {block.shape}, expected one number for each of some rows")
        if draws < 1 or not 0 < level < 1:
            raise DataError(f"{draws} draws at level {level}: expected some, and a level between 0 and 1")
        self.draws, self.level, self.seed = draws, level, seed
        self.rows = len(block)
        kinds, inverse = np.unique(block, return_inverse=True)
        self._block: npt.NDArray[np.intp] = inverse
        self.blocks = len(kinds)
        chances = np.full(self.blocks, 1.0 / self.blocks)
        rng = np.random.default_rng(seed)
        self._times_drawn = np.concatenate(
            [
                rng.multinomial(self.blocks, chances, size=min(_CHUNK, draws - start)).astype(np.int32)
                for start in range(0, draws, _CHUNK)
            ]
        )

    def mean(self, values: FloatArray) -> Interval:
        """Interval of the mean over rows, shape (n_rows,)."""
        return self.interval(np.column_stack((values, np.ones(len(values)))), _ratio)

    def mean_difference(self, first: FloatArray, second: FloatArray) -> Interval:
        """Interval of ``mean(first - second)`` over the same rows: below zero, ``first`` is smaller."""
        return self.mean(np.asarray(first - second))

    def interval(self, values: FloatArray, statistic: Callable[[FloatArray], FloatArray]) -> Interval:
        """Interval of any score that is made of sums over rows.

        Parameters
        ----------
        values : ndarray of shape (n_rows, n_sums)
            What each row adds to each sum, such as one-hot cells of a confusion matrix.
        statistic : callable
            From sums, shape (n, n_sums), to scores, shape (n,).

        Raises
        ------
        DataError
            If there is not one finite row of values for each row of the blocks.
        """
        return self.intervals(values, {"score": statistic})["score"]

    def intervals(
        self, values: FloatArray, statistics: Mapping[str, Callable[[FloatArray], FloatArray]]
    ) -> dict[str, Interval]:
        """Intervals of several scores of the same sums, drawn once; see :meth:`interval`.

        A draw in which a score is not defined (a class that is in none of the blocks drawn) does not
        count for that score.
        """
        if values.ndim != 2 or len(values) != self.rows:
            raise DataError(f"values have shape {values.shape}, expected ({self.rows}, n)")
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise DataError(f"row {bad} of the values is not finite: a score of it would not be one")
        sums = np.column_stack(
            [np.bincount(self._block, weights=column, minlength=self.blocks) for column in values.T]
        )
        whole = sums.sum(axis=0, keepdims=True)
        drawn: dict[str, list[FloatArray]] = {name: [] for name in statistics}
        for start in range(0, len(self._times_drawn) if self.blocks > 1 else 0, _CHUNK):
            weighed = self._times_drawn[start : start + _CHUNK].astype(np.float64) @ sums
            for name, statistic in statistics.items():
                drawn[name].append(statistic(weighed))
        return {
            name: self._of_draws(float(statistic(whole)[0]), drawn[name])
            for name, statistic in statistics.items()
        }

    def _of_draws(self, estimate: float, drawn: list[FloatArray]) -> Interval:
        found = np.concatenate([*drawn, np.empty(0)])
        found = found[np.isfinite(found)]
        if not len(found):
            return Interval(estimate, float("nan"), float("nan"), self.blocks, self.rows)
        tail = (1 - self.level) / 2
        low, high = np.quantile(found, (tail, 1 - tail))
        return Interval(estimate, float(low), float(high), self.blocks, self.rows)


def _ratio(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[:, 0] / sums[:, 1])
