"""Features of trend: where price has been going, in standard deviations of its own drift."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide
from features.declaration import Feature

__all__ = ["LONGEST_DAYS", "price_features"]

LONGEST_DAYS = 120
"""Look-back of all that is divided by sigma, and the longest that a feature may have."""
MOMENTUM = "Moskowitz, Ooi, Pedersen (2012), Time series momentum"
AVERAGES = "Brock, Lakonishok, LeBaron (1992), Simple technical trading rules"
EXTREMES = "George, Hwang (2004), The 52-week high and momentum investing"


def _scaled_return(days: float) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.in_sd(bars.move(days), days)

    return Feature(
        f"return_{_span(days)}",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"log return over {_span(days)} / (sigma x sqrt(days))",
        compute,
        MOMENTUM,
        "bear (falling) from relief rally (rising) over short spans, bear from bull over long ones",
    )


def _span(days: float) -> str:
    return f"{round(days * 24)}h" if days < 1 else f"{round(days)}d"


def _distance_from_mean(days: float) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        gap = bars.now(bars.log_close) - bars.recent_mean("log_close", bars.log_close, days)
        return bars.in_sd(gap, days)

    return Feature(
        f"above_mean_{_span(days)}",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"log close - its mean over {_span(days)}, / (sigma x sqrt(days))",
        compute,
        AVERAGES,
        "bear (below a long mean) from bull; relief rally (below the long mean, above the short) from bear",
    )


def _crossing(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        log_close = bars.log_close
        gap = bars.recent_mean("log_close", log_close, fast) - bars.recent_mean("log_close", log_close, slow)
        return bars.in_sd(gap, slow)

    return Feature(
        f"mean_{fast}d_over_{slow}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"mean log close over {fast} d - over {slow} d, / (sigma x sqrt({slow}))",
        compute,
        AVERAGES,
        "bear from bull; near 0: ranging, or a regime that is turning",
    )


def _mean_slope(days: int, back: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        mean = bars.recent_mean("log_close", bars.log_close, days, before=bars.bars(back))
        return bars.in_sd(bars.change(mean, back), back)

    return Feature(
        f"mean_{days}d_slope_{back}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"change of the {days}-day mean log close over {back} d, / (sigma x sqrt({back}))",
        compute,
        AVERAGES,
        "a fall that goes on from one that flattens into a range",
    )


def _below_high(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        highest = bars.recent_highest("log_high", bars.log_high, days)
        return bars.in_sd(bars.now(bars.log_close) - highest, days)

    return Feature(
        f"below_high_{days}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("high", "close"),
        f"log close - log of the highest high of {days} d, / (sigma x sqrt(days))",
        compute,
        EXTREMES,
        "bull (near its high) from bear; a short span tells the leg, a long one the market",
    )


def _above_low(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        lowest = bars.recent_lowest("log_low", bars.log_low, days)
        return bars.in_sd(bars.now(bars.log_close) - lowest, days)

    return Feature(
        f"above_low_{days}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("low", "close"),
        f"log close - log of the lowest low of {days} d, / (sigma x sqrt(days))",
        compute,
        EXTREMES,
        "bear (at its low) from relief rally (well above it, still below the high)",
    )


def _efficiency(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        path = bars.recent_mean("absolute_return", bars.absolute_return, days) * bars.bars(days)
        return divide(bars.move(days), path)

    return Feature(
        f"efficiency_{days}d",
        "trend",
        days,
        "share",
        ("close",),
        f"log return over {days} d / sum of absolute one-bar log returns (Kaufman, signed)",
        compute,
        "Kaufman (1995), Smarter Trading: efficiency ratio",
        "ranging (near 0) from straight falls and rises",
    )


def _rising(bars: Bars) -> FloatArray:
    """1 where a bar rose, a half where it stood."""

    def compute() -> FloatArray:
        change = bars.log_return
        return np.where(np.isfinite(change), (change > 0) + 0.5 * (change == 0), np.nan)

    return bars.keep("rising", compute)


def _up_share(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.recent_mean("rising", _rising(bars), days, exact=True)

    return Feature(
        f"rising_bars_{days}d",
        "trend",
        days,
        "share",
        ("close",),
        f"share of bars that rose, {days} d",
        compute,
        "trader practice: share of rising bars",
        "bear and bull that grind on bar by bar from ranging with a few large moves",
    )


def price_features() -> list[Feature]:
    """Declare the features of trend."""
    return [
        *(
            _scaled_return(days)
            for days in (4 / 24, 12 / 24, 1, 2, 3, 5, 8, 14, 20, 30, 45, 60, 80, 100, 120)
        ),
        *(_distance_from_mean(days) for days in (2, 5, 10, 20, 50, 100, 120)),
        *(_crossing(fast, slow) for fast, slow in ((3, 10), (5, 20), (20, 50), (20, 100), (50, 120))),
        *(_mean_slope(days, back) for days, back in ((5, 3), (20, 10), (60, 20))),
        *(_below_high(days) for days in (3, 7, 20, 60, 120)),
        *(_above_low(days) for days in (3, 7, 20, 60, 120)),
        *(_efficiency(days) for days in (3, 10, 30, 90)),
        *(_up_share(days) for days in (5, 30)),
    ]
