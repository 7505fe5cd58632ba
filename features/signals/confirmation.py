"""How many signals say the same: available, agreeing, and whether they confirm a bear."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from features.regimes import Regime
from features.signals.declaration import SignalColumns, SignalState, StateArray

__all__ = ["CONFIRMING", "agreeing", "available", "confirmed_bear"]

CountArray = npt.NDArray[np.int64]

CONFIRMING = 3
"""A bear is confirmed when at least so many signals are bearish."""


def _count(table: Mapping[str, SignalColumns], state: int | StateArray, *, other: bool = False) -> CountArray:
    """How many signals are in ``state`` (``other``: are not) at each row."""
    states = np.stack([columns.state for columns in table.values()])
    hits = (states != state) if other else (states == state)
    count: CountArray = hits.sum(axis=0, dtype=np.int64)
    return count


def available(table: Mapping[str, SignalColumns]) -> CountArray:
    """How many signals are not missing at each row, shape (n_rows,)."""
    return _count(table, SignalState.MISSING, other=True)


def confirmed_bear(table: Mapping[str, SignalColumns]) -> npt.NDArray[np.bool_]:
    """Whether at least :data:`CONFIRMING` signals are bearish at each row, shape (n_rows,).

    Extras that are there count like the others. With fewer than :data:`CONFIRMING` available a bear
    is never confirmed.
    """
    confirmed: npt.NDArray[np.bool_] = _count(table, SignalState.BEARISH) >= CONFIRMING
    return confirmed


def agreeing(table: Mapping[str, SignalColumns], regimes: npt.ArrayLike) -> CountArray:
    """How many signals say what the regime says at each row, shape (n_rows,).

    Parameters
    ----------
    table : mapping of str to SignalColumns
    regimes : array-like of int, shape (n_rows,) or scalar
        Class indices. Bear and relief rally (a rise within a fall, entered short) agree with
        bearish signals, bull with bullish ones, ranging with neutral ones.
    """
    says = np.empty(len(Regime), dtype=np.int8)
    says[Regime.BEAR] = says[Regime.RELIEF_RALLY] = SignalState.BEARISH
    says[Regime.RANGING], says[Regime.BULL] = SignalState.NEUTRAL, SignalState.BULLISH
    return _count(table, says[np.asarray(regimes)])
