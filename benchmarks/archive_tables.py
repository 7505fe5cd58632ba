"""The tables of a simulated archive: what its files say, and what a correct store makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.raw import INTERVALS, RawMarket

__all__ = [
    "DAY",
    "HOUR",
    "MONEY",
    "daily_taker_volume",
    "funding_rows",
    "kline_rows",
    "metrics_rows",
    "milliseconds",
    "positioning",
]

HOUR, DAY = 3_600_000, 86_400_000
_DYADIC = 1024.0
"""Money is a multiple of 1/1024 USD: sums of it are exact, in whatever order they are taken."""
MONEY = frozenset({"quote_volume", "taker_buy_quote_volume", "sum_open_interest_value"})

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def milliseconds(moment: pd.Timestamp) -> int:
    return int(moment.timestamp() * 1000)


def _span(market_time: pd.Series, start: pd.Timestamp, end: pd.Timestamp) -> npt.NDArray[np.bool_]:
    return np.asarray((market_time >= start) & (market_time < end))


def _wave(n: int, period: float, height: float) -> FloatArray:
    """A wave with no seed: what no simulated table has still has to move."""
    return np.asarray(height * np.sin(np.arange(n) * (2 * np.pi / period)))


def kline_rows(market: RawMarket, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    bars = market.bars.loc[_span(market.bars["open_time"], start, end)].reset_index(drop=True)
    opened = pd.DatetimeIndex(bars["open_time"]).as_unit("ms").asi8
    share = 0.5 + _wave(len(bars), 31.0, 0.08)
    volume = bars["volume"].to_numpy(np.float64)
    quote = np.round(volume * bars["close"].to_numpy(np.float64) * _DYADIC) / _DYADIC
    return pd.DataFrame(
        {
            "open_time": opened,
            **{name: bars[name].to_numpy(np.float64) for name in ("open", "high", "low", "close")},
            "volume": volume,
            "close_time": opened + INTERVALS[market.interval] * HOUR - 1,
            "quote_volume": quote,
            "count": (quote / 5_000).astype(np.int64) + 1,
            "taker_buy_volume": np.round(volume * share, 3),
            "taker_buy_quote_volume": np.round(quote * share * _DYADIC) / _DYADIC,
            "ignore": 0,
        }
    )


def funding_rows(
    market: RawMarket, start: pd.Timestamp, end: pd.Timestamp, changes: Sequence[tuple[str, int]]
) -> pd.DataFrame:
    """Settlements; where they are denser than 8-hourly, the rates between are interpolated."""
    assert market.funding is not None
    known = pd.DatetimeIndex(market.funding["time"]).as_unit("ms").asi8
    hourly = np.arange(milliseconds(start), milliseconds(end), HOUR)
    every = np.full(len(hourly), 8)
    for moment, hours in changes:
        # The first settlement after the change is the new interval away from the one at it.
        every[hourly > milliseconds(pd.Timestamp(moment, tz="UTC"))] = hours
    settled = hourly // HOUR % every == 0
    time, every = hourly[settled], every[settled]
    rate = np.interp(time, known, market.funding["funding_rate"].to_numpy(np.float64))
    return pd.DataFrame(
        {"calc_time": time, "funding_interval_hours": every, "last_funding_rate": np.round(rate, 8)}
    ).assign(funding_interval_hours=lambda rows: rows["funding_interval_hours"].astype(np.float64))


def metrics_rows(market: RawMarket, symbol: str, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Every 5 minutes between the values of the days' ends, with waves that no seed moves."""
    assert market.open_interest is not None
    assert market.positioning is not None
    time = np.arange(milliseconds(start), milliseconds(end), 300_000)
    n = len(time)
    days = pd.DatetimeIndex(market.open_interest["time"]).as_unit("ms").asi8
    interest = np.log(market.open_interest["open_interest_value"].to_numpy(np.float64))
    value = np.round(np.exp(np.interp(time, days, interest) + _wave(n, 97.0, 0.002)) * _DYADIC) / _DYADIC
    closes = pd.DatetimeIndex(market.bars["open_time"]).as_unit("ms").asi8 + INTERVALS[market.interval] * HOUR
    price = np.interp(time, closes, market.bars["close"].to_numpy(np.float64))
    ratio_days = pd.DatetimeIndex(market.positioning["time"]).as_unit("ms").asi8
    ratio = np.interp(time, ratio_days, market.positioning["lsr_global"].to_numpy(np.float64))
    return pd.DataFrame(
        {
            "create_time": time,
            "symbol": symbol,
            "sum_open_interest": np.round(value / price, 3),
            "sum_open_interest_value": value,
            "count_toptrader_long_short_ratio": np.round(ratio * (1.05 + _wave(n, 131.0, 0.03)), 8),
            "sum_toptrader_long_short_ratio": np.round(ratio * (0.95 + _wave(n, 173.0, 0.02)), 8),
            "count_long_short_ratio": np.round(ratio * (1.0 + _wave(n, 211.0, 0.01)), 8),
            "sum_taker_long_short_vol_ratio": np.round(np.exp(_wave(n, 23.0, 0.3)), 8),
        }
    )


def positioning(metrics: pd.DataFrame) -> pd.DataFrame:
    """Ratios: snapshots known when taken; taker volume of 5 minutes, known at their end."""
    names = {
        "create_time": "time",
        "count_toptrader_long_short_ratio": "lsr_top_accounts",
        "sum_toptrader_long_short_ratio": "lsr_top_positions",
        "count_long_short_ratio": "lsr_global",
    }
    taker = {
        "time": metrics["create_time"] + 300_000,
        "taker_ratio": metrics["sum_taker_long_short_vol_ratio"],
    }
    ratios = metrics.rename(columns=names)[list(names.values())]
    return ratios.merge(pd.DataFrame(taker), on="time", how="outer")


def daily_taker_volume(bars: pd.DataFrame, delta: int) -> pd.DataFrame:
    """Sums of whole UTC days, known at the day's end."""
    day_end = (bars["open_time"] // DAY + 1) * DAY
    there = bars.assign(
        time=day_end, taker_sell=bars["quote_volume"] - bars["taker_buy_quote_volume"]
    ).groupby("time")
    sums = there[["taker_buy_quote_volume", "taker_sell"]].sum(min_count=DAY // delta)
    whole = sums[(there.size() == DAY // delta)].dropna()
    whole.columns = pd.Index(["taker_buy_usd", "taker_sell_usd"])
    return whole.reset_index()
