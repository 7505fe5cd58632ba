"""The arrays that features are computed from: one history as numpy, with shared intermediate results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from features.history import History
from features.raw import interval_delta
from features.rolling import lag, rolling_max, rolling_mean, rolling_min

__all__ = ["Bars", "FloatArray", "divide"]

FloatArray = npt.NDArray[np.float64]


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """``numerator / denominator``; NaN where the denominator is not a positive finite number."""
    good = np.isfinite(denominator) & (denominator > 0)
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=good)
    return ratio


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
    """

    def __init__(self, history: History, *, last: int | None = None) -> None:
        self._history = history
        self.last = last
        self._kept: dict[object, FloatArray] = {}
        self.per_day = history.per_day
        step = int(interval_delta(history.interval).total_seconds() * 1000)
        self.first = int(history.time[0].value // 1_000_000) // step
        self.size = len(history)

    def column(self, name: str) -> FloatArray:
        """A column of the history; all NaN where it is not there."""
        return self.keep(("column", name), lambda: self._history.column(name))

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

    def day_end(self, values: FloatArray) -> FloatArray:
        """The value at the latest UTC day's end at or before each bar; NaN where that bar lacks it."""
        since_midnight = (self.first + np.arange(self.size)) % self.per_day
        row = np.arange(self.size) - since_midnight
        return np.where(row >= 0, values[np.maximum(row, 0)], np.nan)
