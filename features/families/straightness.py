"""Features of how straight a move is: a line with little noise, or a path that goes nowhere."""

from __future__ import annotations

import math

import numpy as np

from features.bars import Bars, FloatArray, flags, log_ratio
from features.declaration import Feature
from features.rolling.windows import lag

__all__ = ["straightness_features"]

SWINGS = "trader practice: Dow's higher highs and lower lows"


def _trend_line(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.trend("log_close", bars.log_close, days)

    return Feature(
        f"trend_line_{days}d",
        "trend",
        days,
        "t / sqrt(bars)",
        ("close",),
        f"slope of log close on time over {days} d / its standard error (plain, not corrected for "
        "autocorrelation) / sqrt(bars)",
        compute,
        "López de Prado (2020), Machine learning for asset managers: trend scanning",
        "bear (well below 0) and bull (well above) from ranging (near 0), whatever the size of the move",
    )


def _true_range(bars: Bars) -> FloatArray:
    """Height of each bar, the close before it included, in log price."""

    def compute() -> FloatArray:
        before = lag(bars.log_close, 1)
        return np.maximum(bars.log_high, before) - np.minimum(bars.log_low, before)

    return bars.keep("true_range", compute)


def _choppiness(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        path = bars.recent_mean("true_range", _true_range(bars), days) * bars.bars(days)
        highest = bars.recent_highest("log_high", bars.log_high, days)
        height = highest - bars.recent_lowest("log_low", bars.log_low, days)
        return log_ratio(path, height) / math.log(max(bars.bars(days), 2))

    return Feature(
        f"choppiness_{days}d",
        "trend",
        days,
        "share",
        ("high", "low", "close"),
        f"log(sum of true ranges / (highest high - lowest low)) / log(bars), {days} d, in log prices",
        compute,
        "trader practice: Dreiss's choppiness index",
        "ranging (high: much way, little height) from straight falls and rises (low)",
    )


def _variance_ratio(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        change = bars.log_close - lag(bars.log_close, bars.bars(days))
        long: FloatArray = bars.recent_mean(f"return_{days}d_squared", change**2, over)
        return log_ratio(long, bars.recent_variance(over) * days)

    return Feature(
        f"variance_ratio_{days}d_in_{over}d",
        "trend",
        days + over,
        "log ratio",
        ("close",),
        f"log of the mean squared {days}-day return / ({days} x the daily variance of one-bar returns), "
        f"{over} d",
        compute,
        "Lo, MacKinlay (1988), Stock market prices do not follow random walks",
        "trending markets (above 0) from ranging ones, where moves are taken back (below 0)",
    )


def _autocorrelation(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        today = bars.log_close - lag(bars.log_close, bars.per_day)
        return bars.correlation(today, lag(today, bars.per_day), days)

    return Feature(
        f"autocorrelation_{days}d",
        "trend",
        days + 2,
        "correlation",
        ("close",),
        f"correlation of the return of 24 h with that of the 24 h before, {days} d",
        compute,
        "Lo, MacKinlay (1988), Stock market prices do not follow random walks",
        "days that follow on (bear, bull) from days that answer each other (ranging)",
    )


def _higher_high(bars: Bars) -> FloatArray:
    """1 where the high of 24 hours is above that of the 24 hours before."""

    def compute() -> FloatArray:
        high = bars.highest("log_high", bars.log_high, 1)
        before = lag(high, bars.per_day)
        return flags(high > before, high, before)

    return bars.keep("higher_high", compute)


def _lower_low(bars: Bars) -> FloatArray:
    """1 where the low of 24 hours is below that of the 24 hours before."""

    def compute() -> FloatArray:
        low = bars.lowest("log_low", bars.log_low, 1)
        before = lag(low, bars.per_day)
        return flags(low < before, low, before)

    return bars.keep("lower_low", compute)


def _higher_highs(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.recent_mean("higher_high", _higher_high(bars), days, exact=True)

    return Feature(
        f"higher_highs_{days}d",
        "trend",
        days + 2,
        "share",
        ("high",),
        f"share of {days} d in which the high of 24 h was above that of the 24 h before",
        compute,
        SWINGS,
        "bull and relief rally (many) from bear (few)",
    )


def _lower_lows(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.recent_mean("lower_low", _lower_low(bars), days, exact=True)

    return Feature(
        f"lower_lows_{days}d",
        "trend",
        days + 2,
        "share",
        ("low",),
        f"share of {days} d in which the low of 24 h was below that of the 24 h before",
        compute,
        SWINGS,
        "bear (many) from relief rally and bull (few); with few higher highs as well: ranging",
    )


def _acceleration(days: int, before: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        early = bars.ago(bars.log_close, days) - bars.ago(bars.log_close, days + before)
        return bars.in_sd(bars.move(days), days) - bars.in_sd(early, before)

    return Feature(
        f"acceleration_{days}d_after_{before}d",
        "trend",
        120,
        "sd",
        ("close",),
        f"log return over {days} d / (sigma x sqrt({days})) - that over the {before} d before, in its own",
        compute,
        "trader practice: rate of change of momentum",
        "the turn itself: bear to relief rally (up) and relief rally to bear (down)",
    )


def straightness_features() -> list[Feature]:
    """Declare the features of how straight the trend is."""
    return [
        *(_trend_line(days) for days in (10, 30, 60, 120)),
        *(_choppiness(days) for days in (5, 14, 30)),
        *(_variance_ratio(days, over) for days, over in ((3, 60), (10, 100))),
        _autocorrelation(60),
        *(_higher_highs(days) for days in (10, 30)),
        *(_lower_lows(days) for days in (10, 30)),
        *(_acceleration(days, before) for days, before in ((3, 12), (10, 30))),
    ]
