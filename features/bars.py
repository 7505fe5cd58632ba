"""The arrays that features are computed from: one history as numpy, with shared intermediate results."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from features.elementwise import divide, flags, log_ratio, positive_log
from features.history import History
from features.raw import interval_delta
from features.rolling.extremes import Extremes, LatestExtremes
from features.rolling.known import Known
from features.rolling.ranks import rolling_rank
from features.rolling.regression import rolling_correlation, rolling_trend
from features.rolling.windows import lag

__all__ = ["Bars", "FloatArray", "divide", "flags", "log_ratio", "positive_log"]

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-12
"""A variance below this share of the mean square is rounding: the values do not move."""


class Bars:
    """One history as float64 arrays of shape (n_bars,), row ``t`` known at the close of bar ``t``.

    Parameters
    ----------
    history : History
        Its grid is whole, so a lag in bars is a lag in time.
    last : int, optional
        Only the last so many rows will be read. Methods that say so return those rows alone, of
        shape (rows,): a request then costs what its few rows cost.

    Attributes
    ----------
    rows : int
        How many rows will be read, all of them by default.
    per_day : int
        Bars in a day.
    first : int
        Number of bars between the epoch and row 0; anchors blocks and days, so that a window cut
        out of a history is summed in the same order.
    symbol : str
    universe : tuple of str
        Symbols whose closes the history carries, sorted; empty without context.
    closes : mapping of str to ndarray of shape (n_bars,)
        Closes of the universe as the history carries them; read them through :meth:`context`.
    """

    def __init__(self, history: History, *, last: int | None = None) -> None:
        self._read = history.column
        self.symbol = history.symbol
        self.universe = tuple(history.context)
        self.closes = history.context
        self.last = last
        self._kept: dict[object, FloatArray] = {}
        self._tools: dict[object, Any] = {}
        self._others: dict[str, Bars] = {}
        self.per_day = history.per_day
        step = int(interval_delta(history.interval).total_seconds() * 1000)
        self.first = int(history.time[0].value // 1_000_000) // step
        self.size = len(history)
        self.rows = self.size if last is None else min(last, self.size)
        self._midnight: npt.NDArray[np.int64] | None = None

    def column(self, name: str) -> FloatArray:
        """A column of the history; all NaN where it is not there."""
        return self.keep(("column", name), lambda: self._read(name))

    def context(self, symbol: str) -> FloatArray:
        """Closes of a symbol of the universe; this history's own are read from its own bars."""
        return self.column("close") if symbol == self.symbol else self.closes[symbol]

    def of(self, symbol: str) -> Bars:
        """A symbol of the universe as bars that have a close and nothing else; the own one: these bars."""
        if symbol == self.symbol:
            return self
        if symbol not in self._others:
            self._others[symbol] = self._beside(symbol, self.context(symbol))
        return self._others[symbol]

    def of_no_symbol(self) -> Bars:
        """The universe as bars that have no column of their own."""
        market = self._beside("", np.full(self.size, np.nan))
        market.universe = self.universe
        market.closes = self.closes
        return market

    def _beside(self, symbol: str, closes: FloatArray) -> Bars:
        missing = np.full(self.size, np.nan)
        other = copy.copy(self)
        other.symbol, other.universe, other.closes = symbol, (), {}
        other._kept, other._tools, other._others = {}, {}, {}
        other._read = lambda name: closes if name == "close" else missing
        return other

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

    def forget(self) -> None:
        """Let go of what windows over columns gave, but not of the columns: memory for the next features."""
        self._tools.clear()
        for key in list(self._kept):
            if isinstance(key, tuple) and key[0] != "column":
                del self._kept[key]

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

    @property
    def absolute_return(self) -> FloatArray:
        """Size of the one-bar log return."""
        return self.keep("absolute_return", lambda: np.abs(self.log_return))

    def now(self, values: FloatArray) -> FloatArray:
        """The rows that will be read."""
        return values[len(values) - self.rows :]

    def ago(self, values: FloatArray, days: float) -> FloatArray:
        """What stood ``days`` before the rows that will be read; NaN where the values begin later."""
        stop = len(values) - self.bars(days)
        if stop >= self.rows:
            return values[stop - self.rows : stop]
        out = np.full(self.rows, np.nan)
        if stop > 0:
            out[self.rows - stop :] = values[:stop]
        return out

    def change(self, values: FloatArray, days: float) -> FloatArray:
        """Difference to what stood ``days`` before, of the rows that will be read."""
        return self.now(values) - self.ago(values, days)

    def move(self, days: float) -> FloatArray:
        """Log return over ``days``, of the rows that will be read."""
        return self.change(self.log_close, days)

    def mean(self, key: object, values: FloatArray, days: float, *, exact: bool = False) -> FloatArray:
        """Mean over the last ``days``; ``key`` names ``values`` for reuse.

        ``exact``: the values are whole numbers or halves, which add up the same in any order.
        """
        n = self.bars(days)
        return self.keep(("mean", key, n), lambda: self._known(key, values).mean(n, self.first, exact=exact))

    def recent_mean(
        self, key: object, values: FloatArray, days: float, *, before: int = 0, exact: bool = False
    ) -> FloatArray:
        """:meth:`mean` of the rows that will be read, and of so many bars ``before`` them."""
        n, rows = self.bars(days), min(self.size, self.rows + before)
        whole = self._kept.get(("mean", key, n))
        if whole is None and rows == self.size:
            whole = self.mean(key, values, days, exact=exact)
        if whole is not None:
            return whole[self.size - rows :]
        return self.keep(
            ("recent mean", key, n, rows),
            lambda: self._known(key, values).mean(n, self.first, rows=rows, exact=exact),
        )

    def recent(
        self,
        key: object,
        rolling: Callable[[FloatArray, int, int], FloatArray],
        values: FloatArray,
        n: int,
        *,
        before: int = 0,
    ) -> FloatArray:
        """``rolling(values, n, first)`` of the rows that will be read.

        ``before``: bars that ``rolling`` reads ahead of its window.
        """
        start = max(0, len(values) - self.rows - n - before + 1)
        first = self.first + self.size - len(values) + start
        return self.keep((key, n), lambda: self.now(rolling(values[start:], n, first)))

    def sd(self, key: object, values: FloatArray, days: float) -> FloatArray:
        """Standard deviation over the last ``days``, of the rows that will be read.

        0 where all values are the same.
        """

        def compute() -> FloatArray:
            column = self._known(key, values)
            squares = self._tool(("squares", key), lambda: column.alike(column.values * column.values))
            mean = self.recent_mean(key, values, days)
            square = squares.mean(self.bars(days), self.first, rows=self.rows)
            variance = square - mean**2
            return np.sqrt(np.where(variance <= _ROUNDING * square, 0.0, variance))

        return self.keep(("sd", key, self.bars(days)), compute)

    def zscore(
        self, key: object, values: FloatArray, days: float, over: float, *, floor: float = 0.0
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
        start = max(0, self.size - self.rows - n + 1)
        return self.now(rolling_correlation(x[start:], y[start:], n, self.first + start))

    def rank(self, key: object, values: FloatArray, over: int) -> FloatArray:
        """Share of its values at the same hour of the last ``over`` days that the current one exceeds.

        Of the rows that will be read.
        """
        lags = np.arange(1, over + 1) * self.per_day
        return self.keep(("rank", key, over), lambda: self.now(rolling_rank(values, lags, last=self.rows)))

    def rank_of_day_ends(self, key: object, values: FloatArray, over: int) -> FloatArray:
        """:meth:`rank` of what changes at day ends alone: one rank a day is enough."""

        def compute() -> FloatArray:
            day = (self.first % self.per_day + np.arange(self.size - self.rows, self.size)) // self.per_day
            midnight = np.arange(day[-1] + 1) * self.per_day - self.first % self.per_day
            daily = values[np.maximum(midnight, 0)]
            ranks = rolling_rank(daily, np.arange(1, over + 1), last=int(day[-1] - day[0]) + 1)[day]
            ranks[: max(0, over * self.per_day - (self.size - self.rows))] = np.nan
            return ranks

        return self.keep(("rank of day ends", key, over), compute)

    def trend(self, key: object, values: FloatArray, days: float) -> FloatArray:
        """Signal to noise of the straight line through the last ``days``, at least 3 bars.

        Of the rows that will be read.
        """
        return self.recent(("trend", key), rolling_trend, values, max(3, self.bars(days)))

    def highest(self, key: object, values: FloatArray, days: float) -> FloatArray:
        """Largest over the last ``days``."""
        n = self.bars(days)
        return self.keep(("max", key, n), lambda: self._extremes(key, values, largest=True).of(n))

    def lowest(self, key: object, values: FloatArray, days: float) -> FloatArray:
        """Smallest over the last ``days``."""
        n = self.bars(days)
        return self.keep(("min", key, n), lambda: self._extremes(key, values, largest=False).of(n))

    def recent_highest(self, key: object, values: FloatArray, days: float) -> FloatArray:
        """:meth:`highest` of the rows that will be read."""
        n = self.bars(days)
        extremes = self._extremes(key, values, largest=True)
        return self.keep(("recent max", key, n), lambda: extremes.of(n, rows=self.rows))

    def recent_lowest(self, key: object, values: FloatArray, days: float) -> FloatArray:
        """:meth:`lowest` of the rows that will be read."""
        n = self.bars(days)
        extremes = self._extremes(key, values, largest=False)
        return self.keep(("recent min", key, n), lambda: extremes.of(n, rows=self.rows))

    def age(self, key: object, values: FloatArray, days: float, *, largest: bool) -> FloatArray:
        """Bars since the largest (or smallest) of the last ``days``, of the rows that will be read."""
        ages: LatestExtremes = self._tool(
            ("ages", key, largest), lambda: LatestExtremes(values, largest=largest)
        )
        return ages.age(self.bars(days), rows=self.rows)

    def variance(self, days: float) -> FloatArray:
        """Mean squared one-bar log return over the last ``days``, times bars per day: per day."""
        return self.keep(
            ("variance", days),
            lambda: self.mean("squared_return", self.squared_return, days) * self.per_day,
        )

    def recent_variance(self, days: float) -> FloatArray:
        """:meth:`variance` of the rows that will be read."""
        return self.keep(
            ("recent variance", days),
            lambda: self.recent_mean("squared_return", self.squared_return, days) * self.per_day,
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

    @property
    def recent_sigma(self) -> FloatArray:
        """:attr:`sigma` of the rows that will be read."""
        return self.keep(
            "recent sigma",
            lambda: np.sqrt((sum(self.recent_variance(days) for days in (15, 30, 60, 119))) / 4),
        )

    def in_sd(self, move: FloatArray, days: float) -> FloatArray:
        """A move of log price in standard deviations of a drift over ``days``.

        Of the rows that will be read, as ``move``.
        """
        scaled: FloatArray = move / (self._positive_sigma * np.sqrt(days))
        return scaled

    @property
    def _positive_sigma(self) -> FloatArray:
        """:attr:`recent_sigma`; NaN where price does not move."""
        return self.keep(
            "positive sigma",
            lambda: np.where(
                (self.recent_sigma > 0) & (self.recent_sigma < np.inf), self.recent_sigma, np.nan
            ),
        )

    def _known(self, key: object, values: FloatArray) -> Known:
        known: Known = self._tool(("known", key), lambda: Known(values))
        return known

    def _extremes(self, key: object, values: FloatArray, *, largest: bool) -> Extremes:
        found: Extremes = self._tool(("extremes", key, largest), lambda: Extremes(values, largest=largest))
        return found

    def _tool(self, key: object, make: Callable[[], Any]) -> Any:
        """What serves several windows of one column, made once."""
        found = self._tools.get(key)
        if found is None:
            found = self._tools[key] = make()
        return found

    def day_end(self, values: FloatArray) -> FloatArray:
        """The value at the latest UTC day's end at or before each bar; NaN where that bar lacks it."""
        if self._midnight is None:
            row = np.arange(self.size)
            self._midnight = row - (self.first + row) % self.per_day
        at_end = values[np.maximum(self._midnight, 0)]
        at_end[self._midnight < 0] = np.nan
        return at_end
