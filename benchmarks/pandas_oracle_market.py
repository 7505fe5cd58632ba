"""One history as pandas series, and the rolling words that the oracle is written in.

Plain pandas, as a careful user writes it: what several features need - log prices, returns, the
volatility that everything is divided by - is computed once; each feature is then one expression.
A window stands with 95 % of its bars, a rank with 90 % of its days, as the catalogue declares.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.history import History

__all__ = ["Market", "Series"]

Series = Any
"""A pandas series: what numpy's functions make of one is not told to a type checker."""

COVERAGE = 0.95
RANK_COVERAGE = 0.9


class Market:
    """Series of one history, index ``time``.

    Parameters
    ----------
    history : History
    ranks_by_apply : bool, default=False
        Spell ranks as ``rolling(...).apply(...)``, which says what is meant and is what one writes
        first, instead of grouping by the time of day, which is ten times faster.
    """

    def __init__(self, history: History, *, ranks_by_apply: bool = False) -> None:
        self.ranks_by_apply = ranks_by_apply
        self.symbol = history.symbol
        self.per_day = history.per_day
        self.frame = history.frame
        self.time: pd.DatetimeIndex = history.time
        self.log_open, self.log_high, self.log_low, self.log_close = (
            np.log(self.column(name)) for name in ("open", "high", "low", "close")
        )
        self.volume = self.column("volume")
        self.log_return = self.log_close.diff()
        self.squared_return = self.log_return**2
        self.sigma = self.sigma_of(self.squared_return)
        self.closes: Any = np.log(
            pd.DataFrame(
                {
                    name: self.column("close") if name == self.symbol else closes
                    for name, closes in history.context.items()
                },
                index=self.time,
            )
        )

    def column(self, name: str) -> Series:
        """One column; NaN where the history lacks it."""
        return self.frame[name] if name in self.frame else pd.Series(np.nan, self.time)

    def bars(self, days: float) -> int:
        """Bars in ``days``."""
        return max(1, round(days * self.per_day))

    def ago(self, values: Series, days: float) -> Series:
        """What stood ``days`` earlier."""
        return values.shift(self.bars(days))

    def change(self, values: Series, days: float) -> Series:
        """Difference to ``days`` earlier."""
        return values.diff(self.bars(days))

    def mean(self, values: Series, days: float) -> Series:
        """Rolling mean."""
        return self._rolling(values, days).mean()

    def highest(self, values: Series, days: float) -> Series:
        """Rolling maximum."""
        return self._rolling(values, days).max()

    def lowest(self, values: Series, days: float) -> Series:
        """Rolling minimum."""
        return self._rolling(values, days).min()

    def sd(self, values: Series, days: float) -> Series:
        """Rolling population standard deviation."""
        return self._rolling(values, days).std(ddof=0)

    def correlation(self, one: Series, other: Series, days: float) -> Series:
        """Rolling correlation of the bars that have both."""
        return self._rolling(one, days).corr(other).clip(-1, 1)

    def zscore(self, values: Series, days: float, over: float, floor: float = 0.0) -> Series:
        """Mean over ``days`` against that over ``over`` days, in its standard deviations."""
        spread = self.sd(values, over).clip(lower=floor)
        return (self.mean(values, days) - self.mean(values, over)) / spread.where(spread > 0)

    def rank(self, values: Series, over: int) -> Series:
        """Share of the values at the same hour of the ``over`` days before that are lower, ties half."""
        if self.ranks_by_apply:
            return self._rank_by_apply(values, over)
        place, count = self._place_and_count(values, over, "average")
        return (place - 1) / (count - 1)

    def rank_bounds(self, values: Series, over: int) -> tuple[Series, Series]:
        """Lowest and highest :meth:`rank` that a rounding of tied values could give."""
        lowest, count = self._place_and_count(values, over, "min")
        highest, _ = self._place_and_count(values, over, "max")
        return (lowest - 1) / (count - 1), (highest - 1) / (count - 1)

    def _place_and_count(
        self, values: Series, over: int, ties: Literal["average", "min", "max"]
    ) -> tuple[Series, Series]:
        days = values.groupby(self.time.time).rolling(
            over + 1, min_periods=math.ceil(RANK_COVERAGE * over) + 1
        )
        place, count = (found.droplevel(0).sort_index() for found in (days.rank(ties), days.count()))
        return place, count

    def _rank_by_apply(self, values: Series, over: int) -> Series:
        needed = math.ceil(RANK_COVERAGE * over)

        def share(window: FloatArray) -> float:
            days = window[:: self.per_day]
            earlier = days[:-1][~np.isnan(days[:-1])]
            if len(earlier) < needed or np.isnan(days[-1]):
                return math.nan
            return float(((earlier < days[-1]).sum() + 0.5 * (earlier == days[-1]).sum()) / len(earlier))

        return values.rolling(over * self.per_day + 1, min_periods=0).apply(share, raw=True)

    def trend(self, values: Series, days: float) -> Series:
        """Signal to noise of a straight line through the last ``days``."""
        rolling = self._rolling(values, days)
        r = rolling.corr(pd.Series(np.arange(len(values), dtype=np.float64), values.index))
        count = rolling.count()
        return r / np.sqrt((1 - r**2).where(r.abs() < 1)) * np.sqrt((count - 2) / count)

    def age_of_max(self, values: Series, days: float) -> Series:
        """Bars since the largest value of the last ``days``, the latest of equal ones."""
        n = self.bars(days)
        filled = values.fillna(values.min() - 1)
        age = filled.rolling(n).apply(lambda window: window[::-1].argmax(), raw=True)
        return age.where(self._known(values, days))

    def age_of_min(self, values: Series, days: float) -> Series:
        """Bars since the smallest value of the last ``days``."""
        return self.age_of_max(-values, days)

    def since(self, happened: Series, days: float) -> Series:
        """Bars since something was last 1, at most ``days``; it is NaN where not known."""
        cap = self.bars(days)
        row = pd.Series(np.arange(len(happened), dtype=np.float64), happened.index)
        last = row.where(happened > 0).ffill()
        return (row - last).fillna(cap).clip(upper=cap).where(self._known(happened, days))

    def since_other_side(self, values: Series, days: float) -> Series:
        """Bars since the sign was last another, with the sign of now."""
        positive = self.since((values > 0).where(values.notna()), days)
        negative = self.since((values < 0).where(values.notna()), days)
        return negative.where(values > 0, positive) * np.sign(values)

    def day_end(self, values: Series) -> Series:
        """The value at the latest UTC midnight."""
        return pd.Series(values.reindex(self.time.floor("D")).to_numpy(), self.time)

    def sigma_of(self, squares: Series) -> Series:
        """Volatility of one day: root of the mean of four windows' variances."""
        return np.sqrt(sum(self.mean(squares, days) * self.per_day for days in (15, 30, 60, 119)) / 4)

    def in_sd(self, move: Series, days: float) -> Series:
        """A move of log price in standard deviations of a drift over ``days``."""
        return move / (self.sigma * np.sqrt(days))

    def variance(self, days: float) -> Series:
        """Mean squared one-bar return, per day."""
        return self.mean(self.squared_return, days) * self.per_day

    def _rolling(self, values: Series, days: float) -> Any:
        n = self.bars(days)
        return values.rolling(n, min_periods=math.ceil(COVERAGE * n))

    def _known(self, values: Series, days: float) -> Series:
        n = self.bars(days)
        return values.rolling(n).count() >= math.ceil(COVERAGE * n)
