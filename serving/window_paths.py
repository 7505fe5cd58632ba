"""Paths through regimes over sliding windows: maps of single bars, composed in pairs of pairs.

Every window is put together by the same tree of pairs, counted from its own bars: the result for one
window is the same to the last bit whether it is computed alone or among years of others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.regimes import REGIMES

__all__ = ["Path", "over_windows", "steps"]

States = npt.NDArray[np.uint8]
Ages = npt.NDArray[np.int32]
_N = len(REGIMES)
_CODES = np.arange(_N**_N)
_AFTER: npt.NDArray[np.int64] = np.stack([(_CODES >> (2 * state)) & 3 for state in range(_N)], axis=1)
"""Where the map of each code sends each regime, shape (256, 4)."""


def _codes(after: npt.NDArray[np.int64]) -> States:
    """Code of maps, shape (..., 4) to (...): two bits for each regime."""
    return np.asarray(sum(after[..., state] << (2 * state) for state in range(_N)), dtype=np.uint8)


_COMPOSED = np.stack([_codes(_AFTER[later][_AFTER]) for later in _CODES])
"""Code of "first ``earlier``, then ``later``", shape (later, earlier)."""

Block = TypeVar("Block", FloatArray, "Path")


@dataclass(frozen=True)
class Path:
    """What some bars in a row make of each regime that they are entered with.

    Attributes
    ----------
    code : ndarray of uint8, shape (n,)
        Code of the map from the regime before the bars to the one after them.
    ago : ndarray of int, shape (n, 4), or None
        Bars between the last change and the last bar, by the regime before them; -1 where nothing changed.
    bars : int
        How many bars.
    """

    code: States
    ago: Ages | None
    bars: int

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, rows: slice) -> Path:
        return Path(self.code[rows], None if self.ago is None else self.ago[rows], self.bars)

    def then(self, later: Path) -> Path:
        """These bars and then those."""
        code = _COMPOSED[later.code, self.code]
        if self.ago is None or later.ago is None:
            return Path(code, None, self.bars + later.bars)
        late = np.take_along_axis(later.ago, _AFTER[self.code], axis=1)
        early = np.where(self.ago >= 0, self.ago + later.bars, -1)
        return Path(code, np.where(late >= 0, late, early).astype(np.int32), self.bars + later.bars)

    def over(self, bars: int) -> Path:
        """Paths of all windows of ``bars`` bars, from those of single bars."""
        return over_windows(self, bars, Path.then)

    def after(self, before: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Regime after the bars, shape (n,)."""
        return _AFTER[self.code, before]

    def bars_ago(self, before: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Bars since the last change, shape (n,); -1 where there was none."""
        if self.ago is None:
            raise ValueError("this path was followed without ages")
        return np.asarray(self.ago[np.arange(len(self)), before], dtype=np.int64)


def over_windows(block: Block, bars: int, join: Callable[[Block, Block], Block]) -> Block:
    """Join the values of ``bars`` neighbouring rows, for every window of them.

    Parameters
    ----------
    block : ndarray or Path, of length n
        One value a row.
    bars : int
        At least 1, at most n.
    join : callable
        Of the earlier and the later part; associative but for rounding.

    Returns
    -------
    ndarray or Path, of length ``n - bars + 1``

    Examples
    --------
    >>> over_windows(np.array([1.0, 2.0, 3.0, 4.0]), 3, np.add)
    array([6., 9.])
    """
    joined: Block | None = None
    taken, size = 0, 1
    while True:
        if bars & size:
            if joined is None:
                joined = block
            else:
                rows = len(joined) - size
                joined = join(joined[:rows], block[taken : taken + rows])
            taken += size
        if taken == bars:
            return joined if joined is not None else block
        block = join(block[: len(block) - size], block[size:])
        size *= 2


def steps(cost: FloatArray, known: npt.NDArray[np.bool_], margins: FloatArray, *, ages: bool) -> Path:
    """Maps of single bars: a regime is left for the one that is cheaper by most beyond its margin.

    Parameters
    ----------
    cost : ndarray of shape (n, 4)
        Expected cost of each answer.
    known : ndarray of bool, shape (n,)
        False where the bar is missing: every regime stays.
    margins : ndarray of shape (4, 4)
        From the regime that is held, to the new one.
    ages : bool
        Whether to keep when the last change was.
    """
    rows = np.arange(len(cost))
    after = np.empty((len(cost), _N), dtype=np.int64)
    for held in range(_N):
        lead = cost[:, [held]] - cost - margins[held]
        lead[:, held] = 0.0
        best = lead.argmax(axis=1)
        after[:, held] = np.where(known & (lead[rows, best] > 0), best, held)
    ago = np.where(after == np.arange(_N), -1, 0).astype(np.int32) if ages else None
    return Path(_codes(after), ago, 1)
