"""What a position lived through: prices bar by bar, and the funding that longs paid to shorts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.history import History
from features.raw import RawMarket, bars_per_day, interval_delta

__all__ = ["Prices", "prices_of", "week_number"]

FloatArray = npt.NDArray[np.float64]
_MONDAY = pd.Timestamp("2018-01-01", tz="UTC")


@dataclass(frozen=True)
class Prices:
    """Bars of one symbol as a position meets them; arrays of shape (n_bars,).

    Attributes
    ----------
    symbol, interval : str
    time : pandas.DatetimeIndex
        Bar closes, the full grid.
    close, high, low : ndarray
        NaN where the source lacks the bar.
    funding : ndarray
        Sum of all funding a long of one coin has paid since the first bar, settlements at the bar's
        own close included; quote currency. What a short received.
    funding_known : ndarray of bool
        Bars with a known rate. Where it is not known no funding is counted.
    """

    symbol: str
    interval: str
    time: pd.DatetimeIndex
    close: FloatArray
    high: FloatArray
    low: FloatArray
    funding: FloatArray
    funding_known: npt.NDArray[np.bool_]

    @property
    def per_day(self) -> int:
        """Bars of a day."""
        return bars_per_day(self.interval)

    def __len__(self) -> int:
        return len(self.time)


def prices_of(raw: RawMarket, history: History) -> Prices:
    """Prices of a history, funding at its real settlements.

    A settlement counts for the bar within which it falls, at that bar's close (the last known one
    where the bar is missing): rate x price x one coin.

    Parameters
    ----------
    raw : RawMarket
        Its funding table.
    history : History
        Joined from it; may be cut.
    """
    close = history.column("close")
    paid = np.zeros(len(history))
    if raw.funding is not None and len(raw.funding):
        rate = raw.funding["funding_rate"].to_numpy(np.float64)
        stamp = pd.DatetimeIndex(raw.funding["time"]).as_unit("ms")
        bar = history.time.searchsorted(stamp, side="left")
        begun = history.time[0] - interval_delta(history.interval)
        inside = (bar < len(paid)) & np.asarray(stamp > begun) & np.isfinite(rate)
        mark = pd.Series(close).ffill().to_numpy()[bar[inside]]
        amount = rate[inside] * mark
        known = np.isfinite(amount)
        np.add.at(paid, bar[inside][known], amount[known])
    return Prices(
        history.symbol,
        history.interval,
        history.time,
        close,
        history.column("high"),
        history.column("low"),
        np.cumsum(paid),
        np.isfinite(history.column("funding_rate")),
    )


def week_number(time: pd.DatetimeIndex, weeks: int = 1) -> npt.NDArray[np.int64]:
    """Number of the calendar week (from Monday, UTC) of each time, or of each run of ``weeks``.

    Examples
    --------
    >>> week_number(pd.DatetimeIndex(["2018-01-07 23:00", "2018-01-08"], tz="UTC")).tolist()
    [0, 1]
    """
    return np.asarray((time - _MONDAY) // pd.Timedelta(days=7 * weeks), dtype=np.int64)
