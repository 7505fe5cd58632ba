"""Features of a trend's exhaustion: how old it is, where in its range, and how it was last rejected."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide
from features.declaration import Feature
from features.families.price import LONGEST_DAYS
from features.rolling.age import bars_since_other_side
from features.rolling.windows import lag

__all__ = ["exhaustion_features"]

GROUP = "exhaustion"
EXTREMES = "George, Hwang (2004), The 52-week high and momentum investing"
ROUNDING = 1e-11
"""Means of log prices that differ by less than this are equal: rounding must not make a cross."""


def _high_age(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.age("log_high", bars.log_high, days, largest=True) / bars.bars(days)

    return Feature(
        f"high_age_{days}d",
        GROUP,
        days,
        "share",
        ("high",),
        f"time since the highest high of {days} d / {days} d: how long the drawdown lasts",
        compute,
        EXTREMES,
        "bull (young high) from bear (old high), and an old bear from a young one",
    )


def _low_age(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.age("log_low", bars.log_low, days, largest=False) / bars.bars(days)

    return Feature(
        f"low_age_{days}d",
        GROUP,
        days,
        "share",
        ("low",),
        f"time since the lowest low of {days} d / {days} d: how long the bounce lasts",
        compute,
        EXTREMES,
        "bear (the low is now) from relief rally (a low days ago) and from a range (weeks ago)",
    )


def _range_position(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        low = bars.recent_lowest("log_low", bars.log_low, days)
        height = bars.recent_highest("log_high", bars.log_high, days) - low
        return divide(bars.now(bars.log_close) - low, height)

    return Feature(
        f"range_position_{days}d",
        GROUP,
        days,
        "share",
        ("high", "low", "close"),
        f"(log close - lowest low) / (highest high - lowest low) of {days} d",
        compute,
        "trader practice: Donchian channel, Lane's stochastic",
        "bear (near 0) from bull (near 1); in a range it is what mean reversion trades",
    )


def _bounce(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        low = bars.recent_lowest("log_low", bars.log_low, days)
        fall = bars.recent_highest("log_high", bars.log_high, over) - low
        return divide(bars.now(bars.log_close) - low, fall)

    return Feature(
        f"bounce_from_{days}d_low_of_{over}d_fall",
        GROUP,
        over,
        "share",
        ("high", "low", "close"),
        f"(log close - lowest low of {days} d) / (highest high of {over} d - that low)",
        compute,
        "trader practice: retracement of a fall",
        "relief rally (a third to two thirds of the fall taken back) from bear (none) and bull (all)",
    )


def _run_of_days(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        sides = np.sign(bars.log_close - lag(bars.log_close, bars.per_day))
        side = bars.now(sides)
        run, goes_on = np.zeros(bars.rows), np.ones(bars.rows, dtype=bool)
        for back in range(days):
            earlier = bars.ago(sides, back) if back else side
            run[goes_on & np.isnan(earlier)] = np.nan
            goes_on &= earlier == side
            run += goes_on
        return run * side

    return Feature(
        f"run_of_days_{days}d",
        GROUP,
        days,
        "days",
        ("close",),
        f"how many 24-hour returns in a row had the sign of the latest, with that sign, at most {days}",
        compute,
        "trader practice: runs of up and down days",
        "a leg that is stretched (bear or relief rally about to pause) from a range (short runs)",
    )


def _cross_age(fast: int, slow: int, cap: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        log_close, n = bars.log_close, bars.bars(cap)
        means = (bars.recent_mean("log_close", log_close, days, before=n) for days in (fast, slow))
        gap = next(means) - next(means)
        gap[np.abs(gap) < ROUNDING] = 0.0
        return bars.recent(("cross", fast, slow), bars_since_other_side, gap, n, before=1) / n

    return Feature(
        f"cross_age_{fast}d_{slow}d",
        GROUP,
        slow + cap,
        "share",
        ("close",),
        f"time since the means of {fast} and {slow} d last crossed / {cap} d, above 0 while the fast one "
        "is higher, at most 1",
        compute,
        "Brock, Lakonishok, LeBaron (1992), Simple technical trading rules",
        "a young bear (shorts are early) from an old one (relief rally is due)",
    )


def _day_return(bars: Bars) -> FloatArray:
    """Log return of 24 hours."""
    return bars.keep("day_return", lambda: bars.log_close - lag(bars.log_close, bars.per_day))


def _worst_day(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.in_sd(bars.recent_lowest("day_return", _day_return(bars), days), 1)

    return Feature(
        f"worst_day_{days}d",
        GROUP,
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"lowest 24-hour log return of the last {days} d / sigma",
        compute,
        "trader practice: capitulation",
        "the days after a capitulation (relief rally likely) from a slow bear",
    )


def _best_day(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.in_sd(bars.recent_highest("day_return", _day_return(bars), days), 1)

    return Feature(
        f"best_day_{days}d",
        GROUP,
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"highest 24-hour log return of the last {days} d / sigma",
        compute,
        "trader practice: short squeeze",
        "relief rally (violent rises within a fall) from ranging and bear",
    )


def _return_rank(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        change = bars.log_close - lag(bars.log_close, bars.bars(days))
        return bars.rank(f"return_{days}d", change, over)

    return Feature(
        f"return_rank_{days}d_in_{over}d",
        GROUP,
        days + over,
        "share",
        ("close",),
        f"rank of the {days}-day log return among its values at the same hour of the last {over} d",
        compute,
        "Moskowitz, Ooi, Pedersen (2012), Time series momentum",
        "a leg that is extreme for this market (relief rally, panic) from an ordinary one",
    )


def _wick(name: str, days: int) -> Feature:
    upper = name == "upper"

    def compute(bars: Bars) -> FloatArray:
        high, low = bars.log_high, bars.log_low
        body = (
            high - np.maximum(bars.log_open, bars.log_close)
            if upper
            else np.minimum(bars.log_open, bars.log_close) - low
        )
        spread = bars.recent_mean("bar_height", high - low, days)
        return divide(bars.recent_mean(f"{name}_wick", body, days), spread)

    return Feature(
        f"{name}_wick_{days}d",
        GROUP,
        days,
        "share",
        ("open", "high", "low", "close"),
        f"sum of the {name} wicks / sum of the heights of the bars (log prices), {days} d",
        compute,
        "trader practice: rejection wicks of candlesticks",
        "rises that are sold (end of a relief rally)"
        if upper
        else "falls that are bought (end of a bear's leg)",
    )


def exhaustion_features() -> list[Feature]:
    """Declare the features of exhaustion."""
    return [
        *(_high_age(days) for days in (20, 60, 120)),
        *(_low_age(days) for days in (7, 20, 60, 120)),
        *(_range_position(days) for days in (5, 20, 60, 120)),
        *(_bounce(days, over) for days, over in ((10, 60), (20, 120))),
        _run_of_days(10),
        *(_cross_age(fast, slow, cap) for fast, slow, cap in ((5, 20, 60), (10, 50, 60), (20, 80, 40))),
        *(_worst_day(days) for days in (3, 10)),
        *(_best_day(days) for days in (3, 10)),
        *(_return_rank(days, over) for days, over in ((3, 90), (14, 90))),
        *(_wick(name, days) for name in ("upper", "lower") for days in (1, 5)),
    ]
