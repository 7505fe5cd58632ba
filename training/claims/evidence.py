"""The history that claims are held against, and how numbers are drawn from it.

Intervals draw blocks of four calendar weeks with all symbols in them: outcomes of seven days reach
into the next week, regimes last for weeks, and the symbols move together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.history import History
from features.raw import RawMarket
from features.regimes import Regime
from features.signals import SignalColumns, signal_table
from training.bootstrap import BlockBootstrap
from training.claims.claim import Measure, Unit
from training.survival.outcomes import Outcomes
from training.survival.prices import FloatArray, Prices, week_number

__all__ = [
    "DOWN",
    "HOLD_DAYS",
    "Evidence",
    "Flags",
    "IntArray",
    "Market",
    "difference",
    "joined",
    "mean",
    "ratio_of_roots",
    "ratio_of_sums",
]

HOLD_DAYS = 7
BLOCK_WEEKS = 4
DOWN = (int(Regime.BEAR), int(Regime.RELIEF_RALLY))
"""Regimes of a downtrend."""

Flags = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Market:
    """One symbol: what happened, and what was said.

    Attributes
    ----------
    raw : RawMarket
    history : History
    outcomes : Outcomes
    online, hindsight : ndarray of int, shape (n_bars,)
        Class index at each bar, -1 where there is none.
    """

    raw: RawMarket
    history: History
    outcomes: Outcomes
    online: IntArray
    hindsight: IntArray

    @property
    def prices(self) -> Prices:
        """Prices and funding."""
        return self.outcomes.prices

    @cached_property
    def signals(self) -> dict[str, SignalColumns]:
        """Signals at each bar."""
        return signal_table(self.history)

    def short_return(self, days: int = HOLD_DAYS) -> FloatArray:
        """Return on notional of a short held ``days`` from each close: funding and fees in, no stop.

        Hindsight. NaN where the later close is not known.
        """
        prices, bars = self.prices, days * self.prices.per_day
        later, paid = _ahead(prices.close, bars), _ahead(prices.funding, bars)
        fees = 2 * self.outcomes.rules.fee
        return np.asarray(1 - later / prices.close + (paid - prices.funding) / prices.close - fees)

    def change(self, days: int) -> FloatArray:
        """Relative change of the close over the next ``days`` (below 0: over the last). NaN at the ends."""
        bars, close = days * self.prices.per_day, self.prices.close
        if days > 0:
            return np.asarray(_ahead(close, bars) / close - 1)
        before = np.concatenate((np.full(min(-bars, len(close)), np.nan), close[: len(close) + bars]))
        return np.asarray(close / before - 1)


def joined(times: Sequence[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Times of several symbols, one after the other."""
    first, *rest = times
    return pd.DatetimeIndex(first.append(list(rest)) if rest else first)


def _ahead(values: FloatArray, bars: int) -> FloatArray:
    out = np.full(len(values), np.nan)
    out[: max(len(values) - bars, 0)] = values[bars:]
    return out


@dataclass(frozen=True)
class Evidence:
    """Some symbols over the same years.

    Attributes
    ----------
    markets : tuple of Market
    draws : int
    """

    markets: tuple[Market, ...]
    draws: int = field(default=2000)

    @cached_property
    def time(self) -> pd.DatetimeIndex:
        """Bar closes, symbol after symbol."""
        return joined([one.prices.time for one in self.markets])

    def rows(self, values: Callable[[Market], npt.NDArray[np.generic]]) -> FloatArray:
        """A number for each bar, symbol after symbol."""
        return np.concatenate([np.asarray(values(one), dtype=np.float64) for one in self.markets])

    @cached_property
    def online(self) -> IntArray:
        """Regime answered at each bar, -1 where none."""
        return np.concatenate([one.online for one in self.markets])

    @cached_property
    def hindsight(self) -> IntArray:
        """Regime in hindsight at each bar, -1 where none."""
        return np.concatenate([one.hindsight for one in self.markets])

    @cached_property
    def short_return(self) -> FloatArray:
        """See :meth:`Market.short_return`, for the usual hold."""
        return self.rows(lambda one: one.short_return())

    def allows(self, leverage: float) -> bool:
        """Whether every symbol's tier allows a leverage."""
        return all(leverage <= one.outcomes.rules.largest_leverage(one.prices.symbol) for one in self.markets)

    def allowed(self, leverages: Sequence[float]) -> list[float]:
        """Those that every symbol's tier allows."""
        return [one for one in leverages if self.allows(one)]

    def mean(self, name: str, unit: Unit, values: FloatArray, chosen: Flags) -> Measure:
        """Mean of one number for each bar, over some of them."""
        return mean(name, unit, values, chosen, self.time, self.draws)

    def difference(self, name: str, unit: Unit, values: FloatArray, first: Flags, second: Flags) -> Measure:
        """Mean over the first rows less that over the second."""
        return difference(name, unit, values, first, second, self.time, self.draws)


def _empty(name: str, unit: Unit) -> Measure:
    return Measure(name, unit, float("nan"), float("nan"), float("nan"), 0, 0)


def _ratio(sums: FloatArray, top: int) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[:, top] / sums[:, top + 1])


def _measure(
    name: str,
    unit: Unit,
    columns: Sequence[FloatArray],
    time: pd.DatetimeIndex,
    statistic: Callable[[FloatArray], FloatArray],
    draws: int,
) -> Measure:
    bootstrap = BlockBootstrap(week_number(time, BLOCK_WEEKS), draws=draws)
    found = bootstrap.interval(np.column_stack(columns), statistic)
    weeks = len(np.unique(week_number(time)))
    return Measure(name, unit, found.estimate, found.low, found.high, len(time), weeks)


def mean(
    name: str, unit: Unit, values: FloatArray, chosen: Flags, time: pd.DatetimeIndex, draws: int
) -> Measure:
    """Mean of the chosen rows that have a value; see :class:`Evidence` for the interval."""
    rows = np.flatnonzero(chosen & np.isfinite(values))
    if not len(rows):
        return _empty(name, unit)
    columns = [values[rows], np.ones(len(rows))]
    return _measure(name, unit, columns, time[rows], lambda sums: _ratio(sums, 0), draws)


def ratio_of_sums(
    name: str,
    top: FloatArray,
    bottom: FloatArray,
    chosen: Flags,
    time: pd.DatetimeIndex,
    draws: int,
) -> Measure:
    """Sum of one number over that of another: a share by weight."""
    rows = np.flatnonzero(chosen & np.isfinite(top) & np.isfinite(bottom))
    if not len(rows):
        return _empty(name, "share")
    return _measure(name, "share", [top[rows], bottom[rows]], time[rows], lambda sums: _ratio(sums, 0), draws)


def difference(
    name: str,
    unit: Unit,
    values: FloatArray,
    first: Flags,
    second: Flags,
    time: pd.DatetimeIndex,
    draws: int,
) -> Measure:
    """Mean of the first rows less that of the second, drawn together."""
    rows = np.flatnonzero((first | second) & np.isfinite(values))
    one, other = first[rows].astype(np.float64), second[rows].astype(np.float64)
    if not one.any() or not other.any():
        return _empty(name, unit)
    columns = [values[rows] * one, one, values[rows] * other, other]
    return _measure(
        name, unit, columns, time[rows], lambda sums: np.asarray(_ratio(sums, 0) - _ratio(sums, 2)), draws
    )


def ratio_of_roots(
    name: str, values: FloatArray, first: Flags, second: Flags, time: pd.DatetimeIndex, draws: int
) -> Measure:
    """Root of the mean over the first rows, over that of the second: of squares, a ratio of volatilities."""
    rows = np.flatnonzero((first | second) & np.isfinite(values))
    one, other = first[rows].astype(np.float64), second[rows].astype(np.float64)
    if not one.any() or not other.any():
        return _empty(name, "ratio")
    columns = [values[rows] * one, one, values[rows] * other, other]

    def statistic(sums: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.sqrt(_ratio(sums, 0) / _ratio(sums, 2)))

    return _measure(name, "ratio", columns, time[rows], statistic, draws)
