"""What strategies want at each bar, as tables: side, size, leverage and the plan in log distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.errors import DataError

__all__ = ["AT_ONCE", "Orders", "Strategy", "stacked"]

BoolArray = npt.NDArray[np.bool_]
AT_ONCE = (1.0, 0.0, 0.0)
"""The whole size at market, no tranches."""


@dataclass(frozen=True)
class Strategy:
    """What one strategy wants, known at each bar's close; arrays of shape (n_rows, n_symbols).

    Attributes
    ----------
    name, words : str
    side : ndarray of int8
        1 long, -1 short, 0 out of the market.
    notional : ndarray
        With every tranche filled, over equity at the entry.
    leverage : ndarray
        Notional over isolated margin.
    second, third : ndarray
        Log distance of the later tranches from the close that was decided on, against the position; a
        second one of 0 is due with the first.
    stop, target : ndarray
        Log distance from that close; infinite: none.
    shares : tuple of float
        Of the three tranches.
    resize : ndarray of bool, shape (n_rows,)
        Bring an open position to the wanted size.
    wait : int
        Bars out of the market after a stop, a target or a liquidation.
    """

    name: str
    words: str
    side: npt.NDArray[np.int8]
    notional: FloatArray
    leverage: FloatArray
    second: FloatArray
    third: FloatArray
    stop: FloatArray
    target: FloatArray
    resize: BoolArray
    shares: tuple[float, float, float] = AT_ONCE
    wait: int = 24
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Orders:
    """Strategies stacked; tables of shape (n_strategies, n_rows, n_symbols)."""

    names: tuple[str, ...]
    side: npt.NDArray[np.int8]
    notional: FloatArray
    leverage: FloatArray
    second: FloatArray
    third: FloatArray
    stop: FloatArray
    target: FloatArray
    resize: BoolArray
    shares: FloatArray
    wait: npt.NDArray[np.int64]


def stacked(strategies: Sequence[Strategy]) -> Orders:
    """Stack strategies of one market; where one wants no size, or a leverage of nothing, it wants no side.

    Raises
    ------
    DataError
        If there are none, their shapes differ, or a wanted size, leverage or stop is no number above 0.
    """
    if not strategies:
        raise DataError("no strategy is left to run")
    shape = strategies[0].side.shape
    for one in strategies:
        wanted = one.side != 0
        for name in ("notional", "leverage", "second", "third", "stop", "target"):
            values = getattr(one, name)
            if values.shape != shape:
                raise DataError(f"{one.name}: {name} has shape {values.shape}, expected {shape}")
            if not (values[wanted] >= 0).all():
                raise DataError(f"{one.name}: {name} is negative or no number where a side is wanted")
        if not (one.third[wanted] >= one.second[wanted]).all():
            raise DataError(f"{one.name}: the third tranche lies before the second")
    sides = [np.where((one.notional > 0) & (one.leverage > 0), one.side, 0) for one in strategies]

    def table(name: str) -> FloatArray:
        return np.stack([getattr(one, name) for one in strategies])

    return Orders(
        names=tuple(one.name for one in strategies),
        side=np.stack(sides).astype(np.int8),
        notional=table("notional"),
        leverage=table("leverage"),
        second=table("second"),
        third=table("third"),
        stop=table("stop"),
        target=table("target"),
        resize=np.stack([one.resize for one in strategies]),
        shares=np.array([one.shares for one in strategies]),
        wait=np.array([one.wait for one in strategies], dtype=np.int64),
    )
