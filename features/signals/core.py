"""The four signals that every market has: trend, funding, open interest, mood."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, positive_log
from features.families.funding import rate_per_8h
from features.families.open_interest import log_interest
from features.rolling.windows import lag
from features.signals.declaration import Computed, Signal
from features.signals.edges import EQUAL, PERCENTILE_DAYS, between, percentiles, state_of

__all__ = ["CORE"]

FAST_MEAN_DAYS, SLOW_MEAN_DAYS = 20, 100
FUNDING_MEAN_DAYS = 7
INTEREST_DAYS = 3
FEAR, GREED = 25.0, 75.0
_EQUAL_RATE = 1e-12
"""8-hour rates closer than this are equal; their 7-day means are at least 6e-11 apart where they differ."""


def _fast_mean(bars: Bars) -> FloatArray:
    return bars.mean("close", bars.column("close"), FAST_MEAN_DAYS)


def _log_fast_mean(bars: Bars) -> FloatArray:
    """Over 90 days the slow mean hardly moves: the fast one alone tells how the gap between them did."""
    return positive_log(_fast_mean(bars))


def _moving_average_cross(bars: Bars) -> Computed:
    close = bars.column("close")
    fast = _fast_mean(bars)
    slow: FloatArray = bars.mean("close", close, SLOW_MEAN_DAYS)
    known = np.isfinite(fast) & np.isfinite(slow) & np.isfinite(close)
    gap = fast - slow
    return state_of(known, gap < -EQUAL * slow, gap > EQUAL * slow), fast, slow


def _mean_funding(bars: Bars) -> FloatArray:
    return bars.mean("rate_per_8h", rate_per_8h(bars), FUNDING_MEAN_DAYS)


def _funding(bars: Bars) -> Computed:
    mean = _mean_funding(bars)
    low, high = percentiles(bars, mean)
    return between(mean, low, high, _EQUAL_RATE)


def _price_move(bars: Bars) -> FloatArray:
    """Log change of price between day ends."""

    def compute() -> FloatArray:
        price = bars.day_end(bars.log_close)
        return price - lag(price, bars.bars(INTEREST_DAYS))

    return bars.keep("signal price move", compute)


def _opened(bars: Bars) -> FloatArray:
    """Change of open interest between day ends: the smaller of those in USD and in coins."""

    def compute() -> FloatArray:
        level = log_interest(bars)
        usd = level - lag(level, bars.bars(INTEREST_DAYS))
        return np.expm1(np.minimum(usd, usd - _price_move(bars)))

    return bars.keep("signal opened", compute)


def _price_and_open_interest(bars: Bars) -> Computed:
    moved, opened = _price_move(bars), _opened(bars)
    known = np.isfinite(opened) & np.isfinite(moved)
    risen = opened > EQUAL
    return (
        state_of(known, risen & (moved < -EQUAL), risen & (moved > EQUAL)),
        opened,
        np.zeros(bars.size),
    )


def _opened_with_the_move(bars: Bars) -> FloatArray:
    """Open interest that came in, with the sign of the move it came in on; 0 where it did not rise."""
    return np.maximum(_opened(bars), 0.0) * np.sign(_price_move(bars))


def _index(bars: Bars) -> FloatArray:
    value = bars.column("fear_greed")
    return np.where((value >= 0) & (value <= 100), value, np.nan)


def _fear_greed(bars: Bars) -> Computed:
    return between(_index(bars), np.full(bars.size, FEAR), np.full(bars.size, GREED), 0.0)


CORE: tuple[Signal, ...] = (
    Signal(
        "moving_average_cross",
        SLOW_MEAN_DAYS,
        ("close",),
        "20-day mean of the close below its 100-day mean: bearish; above: bullish",
        _moving_average_cross,
        _log_fast_mean,
        FAST_MEAN_DAYS,
        "Brock, Lakonishok, LeBaron (1992), Simple technical trading rules",
    ),
    Signal(
        "funding",
        FUNDING_MEAN_DAYS + PERCENTILE_DAYS,
        ("funding_rate", "funding_interval_hours"),
        "7-day mean of the 8-hour funding rate below the 20th percentile of its values at the same "
        "hour of the last 90 days: bearish; above the 80th: bullish",
        _funding,
        _mean_funding,
        FUNDING_MEAN_DAYS,
        "trader practice: funding says which side pays to hold on",
    ),
    Signal(
        "price_and_open_interest",
        INTEREST_DAYS + 1,
        ("open_interest", "close"),
        "day ends 3 days apart: open interest up (in USD and in coins) while price fell: bearish, "
        "often late; while price rose: bullish; open interest not up: neutral",
        _price_and_open_interest,
        _opened_with_the_move,
        INTEREST_DAYS + 1,
        "trader practice: price and open interest read together",
        late_when_bearish=True,
    ),
    Signal(
        "fear_greed",
        0,
        ("fear_greed",),
        "fear & greed index below 25: bearish; above 75: bullish",
        _fear_greed,
        _index,
        0,
        "index page: alternative.me, Crypto fear & greed index",
    ),
)
