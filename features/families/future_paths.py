"""The labels' cheapest paths over many futures of one price: numpy's way and, where it was built, C's.

Both do the same operations on each number in the same order and give the same bits. In numpy each of
them is a pass over memory, some six hundred for the rows of one request; in C they are done together
while the numbers are in registers, ten times as fast. The C part is built when the package is
installed, if there is a compiler; nothing depends on it but time.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from features.regimes import (
    FAST_AHEAD_DAYS,
    FAST_BACK_DAYS,
    FAST_EDGE,
    REGIMES,
    SLOW_AHEAD_DAYS,
    SLOW_EDGE,
    SWITCH_COST,
)

try:
    from features.families import _future_paths

    COMPILED: ModuleType | None = _future_paths
except ImportError:
    COMPILED = None

__all__ = ["COMPILED", "FuturePaths"]

Float32Array = npt.NDArray[np.float32]

LARGEST = 256
"""Rows that the compiled part takes at a time."""


@dataclass(frozen=True)
class FuturePaths:
    """What the paths over the futures of some rows are made from; all float32, C-contiguous.

    Days are counted from the row's own: ``behind`` before it to ``ahead`` after it.

    Attributes
    ----------
    walks : ndarray of shape (ahead + 21, n_futures)
        Futures in standard deviations of a day, from day 0 on.
    reach : ndarray of shape (n_rows,)
        Standard deviation of a day.
    settled : ndarray of shape (4, n_rows)
        Cost of the cheapest path to each regime on the day before the first; all of that is known.
    moves : ndarray of shape (behind + 6, n_rows)
        Log price over that of the row, from day ``-behind - 5`` to the row's own.
    back : ndarray of shape (behind + 1 + ahead, n_rows)
        The same 120 days before each day.
    slow_unit, fast_unit : ndarray of shape (behind + 1 + ahead, n_rows)
        What a move of each day is multiplied by to make a score.
    """

    walks: Float32Array
    reach: Float32Array
    settled: Float32Array
    moves: Float32Array
    back: Float32Array
    slow_unit: Float32Array
    fast_unit: Float32Array

    @property
    def ahead(self) -> int:
        """Days after the row."""
        return len(self.walks) - SLOW_AHEAD_DAYS - 1

    @property
    def behind(self) -> int:
        """Days before the row."""
        return len(self.back) - self.ahead - 1

    def totals(self) -> Float32Array:
        """Cost of the cheapest path through each regime on the row's own day, by future.

        Returns
        -------
        ndarray of float32, shape (4, n_futures, n_rows)
        """
        return self.in_numpy() if COMPILED is None or len(self.reach) > LARGEST else self.compiled()

    def compiled(self) -> Float32Array:
        """:meth:`totals` by the compiled part, for at most :data:`LARGEST` rows."""
        if COMPILED is None:
            raise RuntimeError("the compiled part was not built: install with a C compiler")
        out = np.empty((len(REGIMES), self.walks.shape[1], len(self.reach)), dtype=np.float32)
        COMPILED.path_totals(
            *(self.walks, self.reach, self.settled, self.moves, self.back, self.slow_unit, self.fast_unit),
            *(out, len(self.reach), self.walks.shape[1], self.behind, self.ahead),
            *(SLOW_AHEAD_DAYS, FAST_AHEAD_DAYS, FAST_BACK_DAYS, SWITCH_COST, SLOW_EDGE, FAST_EDGE),
        )
        return out

    def in_numpy(self) -> Float32Array:
        """:meth:`totals` by numpy."""
        shape = (self.walks.shape[1], len(self.reach))
        total = np.empty((len(REGIMES), *shape), dtype=np.float32)
        total[...] = self.settled[:, None]
        entry = np.empty(shape, dtype=np.float32)
        for day in range(-self.behind, 1):
            _switch(total, entry)
            self._stay(total, day)
        after = np.zeros_like(total)
        for day in range(self.ahead, 0, -1):
            self._stay(after, day)
            _switch(after, entry)
        total += after
        return total

    def _at(self, day: int) -> Float32Array:
        """Log price of a day over that of the row: known, or by future."""
        if day <= 0:
            return np.asarray(self.moves[day + self.behind + FAST_BACK_DAYS])
        return np.asarray(self.walks[day][:, None] * self.reach)

    def _stay(self, total: Float32Array, day: int) -> None:
        """Add what a day costs in each state: :func:`features.regimes.region_costs`, regimes first."""
        edge, leg, nothing = np.float32(SLOW_EDGE), np.float32(FAST_EDGE), np.float32(0)
        row = day + self.behind
        slow = self.walks[day + SLOW_AHEAD_DAYS][:, None] * self.reach
        slow -= self.back[row]
        slow *= self.slow_unit[row]
        fast = (self._at(day + FAST_AHEAD_DAYS) - self._at(day - FAST_BACK_DAYS)) * self.fast_unit[row]
        falling = slow + edge
        np.maximum(falling, nothing, out=falling)
        total[0] += np.maximum(fast - leg, nothing) + falling
        total[2] += np.maximum(leg - fast, nothing) + falling
        total[3] += np.maximum(edge - slow, nothing)
        np.abs(slow, out=slow)
        slow -= edge
        total[1] += np.maximum(slow, nothing, out=slow)


def _switch(total: Float32Array, entry: Float32Array) -> None:
    """Take the switch into each state that is cheaper than staying."""
    total.min(axis=0, out=entry)
    np.add(entry, np.float32(SWITCH_COST), out=entry)
    np.minimum(total, entry, out=total)
