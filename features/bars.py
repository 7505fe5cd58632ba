"""The arrays that features are computed from: one history as numpy, with shared intermediate results."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from features.history import History
from features.raw import interval_delta
from features.rolling import lag, rolling_max, rolling_mean, rolling_min, rolling_rank
from features.rolling_regression import rolling_correlation, rolling_trend

__all__ = ["Bars", "FloatArray", "divide", "flags", "log_ratio", "positive_log"]

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-12
"""A variance below this share of the mean square is rounding: the values do not move."""


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """``numerator / denominator``; NaN where the denominator is not a positive finite number."""
    good = np.isfinite(denominator) & (denominator > 0)
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=good)
    return ratio


def log_ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Natural log of the ratio; NaN where either is not a positive finite number."""
    ratio: FloatArray = np.log(divide(numerator, denominator))
    return np.where(np.isfinite(ratio), ratio, np.nan)


def positive_log(values: FloatArray) -> FloatArray:
    """Natural log; NaN where the value is not a positive finite number."""
    log: FloatArray = np.log(np.where((values > 0) & (values < np.inf), values, np.nan))
    return log


def flags(holds: npt.NDArray[np.bool_], *known: FloatArray) -> FloatArray:
    """1 where something holds, 0 where it does not, NaN where one of the values it needs is missing."""
    there = np.logical_and.reduce([np.isfinite(values) for values in known])
    return np.where(there, holds * 1.0, np.nan)


class Bars:
    """One history as float64 arrays of shape (n_bars,), row ``t`` known at the close of bar ``t``.

    Parameters
    ----------
    history : History
        Its grid is whole, so a lag in bars is a lag in time.
    last : int, optional
        Only the last so many rows will be read: a hint that costly features may use.

    Attributes
    ----------
    per_day : int
        Bars in a day.
    first : int
        Number of bars between the epoch and row 0; anchors blocks and days, so that a window cut
        out of a history is summed in the same order.
    symbol : str
    universe : tuple of str
        Symbols whose closes the history carries, sorted; empty without context.
    """

    def __init__(self, history: History, *, last: int | None = None) -> None:
        self._history = history
        self._read = history.column
        self.symbol = history.symbol
        self.universe = tuple(history.context)
        self.last = last
        self._kept: dict[object, FloatArray] = {}
        self._others: dict[str, Bars] = {}
        self.per_day = history.per_day
        step = int(interval_delta(history.interval).total_seconds() * 1000)
        self.first = int(history.time[0].value // 1_000_000) // step
        self.size = len(history)
        self._midnight: npt.NDArray[np.int64] | None = None

    def column(self, name: str) -> FloatArray:
        """A column of the history; all NaN where it is not there."""
        return self.keep(("column", name), lambda: self._read(name))

    def context(self, symbol: str) -> FloatArray:
        """Closes of a symbol of the universe; this history's own are read from its own bars."""
        return self.column("close") if symbol == self.symbol else self._history.context[symbol]

    def of(self, symbol: str) -> Bars:
        """A symbol of the universe as bars that have a close and nothing else; the own one: these bars."""
        if symbol == self.symbol:
            return self
        if symbol not in self._others:
            closes, missing = self.context(symbol), np.full(self.size, np.nan)
            other = copy.copy(self)
            other.symbol, other.universe, other._kept, other._others = symbol, (), {}, {}
            other._read = lambda name: closes if name == "close" else missing
            self._others[symbol] = other
        return self._others[symbol]

    def bars(self, days: float) -> int:
        """Bars in ``days``, at least one."""
        return max(1, round(days * self.per_day))

    def keep(self, key: object, compute: Callable[[], FloatArray]) -> FloatArray:
        """Compute an intermediate result once; ``key`` names it."""
        found = self._kept.get(key)
        if found is None:
            with np.errstate(all="ignore"):
                found = compute()
            self._kept[key] = found
        return found

    @property
    def log_close(self) -> FloatArray:
        """Natural log of the close."""
        return self.keep("log_close", lambda: np.log(self.column("close")))

    @property
    def log_open(self) -> FloatArray:
        """Natural log of the open."""
        return self.keep("log_open", lambda: np.log(self.column("open")))

    @property
    def log_high(self) -> FloatArray:
        """Natural log of the high."""
        return self.keep("log_high", lambda: np.log(self.column("high")))

    @property
    def log_low(self) -> FloatArray:
        """Natural log of the low."""
        return self.keep("log_low", lambda: np.log(self.column("low")))

    @property
    def log_return(self) -> FloatArray:
        """One-bar log return. Look-back 1 bar."""
        return self.keep("log_return", lambda: self.log_close - lag(self.log_close, 1))

    @property
    def squared_return(self) -> FloatArray:
        """Squared one-bar log return, not demeaned."""
        return self.keep("squared_return", lambda: self.log_return**2)

    def mean(self, key: str, values: FloatArray, days: float) -> FloatArray:
        """Mean over the last ``days``; ``key`` names ``values`` for reuse."""
        n = self.bars(days)
        return self.keep(("mean", key, n), lambda: rolling_mean(values, n, self.first))

    def recent(
        self,
        key: object,
        rolling: Callable[[FloatArray, int, int], FloatArray],
        values: FloatArray,
        n: int,
        *,
        before: int = 0,
    ) -> FloatArray:
        """``rolling(values, n, first)`` of the rows that will be read, NaN in the others.

        For the last step of a feature: take no lag and no rank of it. ``before``: bars that
        ``rolling`` reads ahead of its window.
        """
        start = self._start(n + before)

        def compute() -> FloatArray:
            if start == 0:
                return rolling(values, n, self.first)
            out = np.full(self.size, np.nan)
            out[start:] = rolling(values[start:], n, self.first + start)
            return out

        return self.keep((key, n), compute)

    def recent_mean(self, key: str, values: FloatArray, days: float) -> FloatArray:
        """:meth:`mean` of the rows that will be read: take no lag and no rank of it."""
        n = self.bars(days)
        whole = self._kept.get(("mean", key, n))
        return self.recent(("recent mean", key), rolling_mean, values, n) if whole is None else whole

    def sd(self, key: str, values: FloatArray, days: float) -> FloatArray:
        """Standard deviation over the last ``days``, of the rows that will be read.

        0 where all values are the same.
        """
        mean = self.recent_mean(key, values, days)
        square = self.recent_mean(f"{key} squared", values**2, days)
        variance = square - mean**2
        return np.sqrt(np.where(variance <= _ROUNDING * square, 0.0, variance))

    def zscore(
        self, key: str, values: FloatArray, days: float, over: float, *, floor: float = 0.0
    ) -> FloatArray:
        """Mean over ``days`` less the mean over ``over`` days, in standard deviations of ``over`` days.

        The deviation counts as at least ``floor``; without one, NaN where the values never move.
        Of the rows that will be read.
        """
        gap = self.recent_mean(key, values, days) - self.recent_mean(key, values, over)
        return divide(gap, np.maximum(self.sd(key, values, over), floor))

    def correlation(self, x: FloatArray, y: FloatArray, days: float) -> FloatArray:
        """Correlation of ``x`` and ``y`` over the last ``days``, of the rows that will be read."""
        n = self.bars(days)
        start = self._start(n)
        out = np.full(self.size, np.nan)
        out[start:] = rolling_correlation(x[start:], y[start:], n, self.first + start)
        return out

    def _start(self, n: int) -> int:
        """Row from which on bars matter, if only windows of ``n`` bars of the last rows are read."""
        return 0 if self.last is None else max(0, self.size - self.last - n + 1)

    def rank(self, key: str, values: FloatArray, over: int) -> FloatArray:
        """Share of its values at the same hour of the last ``over`` days that the current one exceeds.

        Of the rows that will be read.
        """
        lags = np.arange(1, over + 1) * self.per_day
        return self.keep(("rank", key, over), lambda: rolling_rank(values, lags, last=self.last))

    def trend(self, key: str, values: FloatArray, days: float) -> FloatArray:
        """Signal to noise of the straight line through the last ``days``, at least 3 bars.

        Of the rows that will be read.
        """
        return self.recent(("trend", key), rolling_trend, values, max(3, self.bars(days)))

    def highest(self, key: str, values: FloatArray, days: float) -> FloatArray:
        """Largest over the last ``days``."""
        n = self.bars(days)
        return self.keep(("max", key, n), lambda: rolling_max(values, n, self.first))

    def lowest(self, key: str, values: FloatArray, days: float) -> FloatArray:
        """Smallest over the last ``days``."""
        n = self.bars(days)
        return self.keep(("min", key, n), lambda: rolling_min(values, n, self.first))

    def variance(self, days: float) -> FloatArray:
        """Mean squared one-bar log return over the last ``days``, times bars per day: per day."""
        return self.keep(
            ("variance", days),
            lambda: self.mean("squared_return", self.squared_return, days) * self.per_day,
        )

    @property
    def sigma(self) -> FloatArray:
        """Volatility of one day: root of the mean of the 15-, 30-, 60- and 119-day variances.

        The average of four windows falls off with age much as the exponential mean of the labels
        does, and yet forgets all in 119 days.
        """
        return self.keep(
            "sigma", lambda: np.sqrt((sum(self.variance(days) for days in (15, 30, 60, 119))) / 4)
        )

    def in_sd(self, move: FloatArray, days: float) -> FloatArray:
        """A move of log price in standard deviations of a drift over ``days``."""
        return divide(move, self.sigma * np.sqrt(days))

    def day_end(self, values: FloatArray) -> FloatArray:
        """The value at the latest UTC day's end at or before each bar; NaN where that bar lacks it."""
        if self._midnight is None:
            row = np.arange(self.size)
            self._midnight = row - (self.first + row) % self.per_day
        at_end = values[np.maximum(self._midnight, 0)]
        at_end[self._midnight < 0] = np.nan
        return at_end
