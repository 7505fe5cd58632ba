"""Features of open interest, taken at each UTC day's end so that daily and 5-minute sources agree."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide
from features.declaration import Feature
from features.rolling.windows import lag

__all__ = [
    "INTEREST",
    "QUADRANTS",
    "SCALE_DAYS",
    "day_end_price",
    "interest_day",
    "interest_day_squared",
    "log_interest",
    "open_interest_features",
    "recent_daily_sd",
    "recent_interest_change",
]

SCALE_DAYS = 60
INTEREST = "Hong, Yogo (2012), What does futures market interest tell us"
QUADRANTS = "trader practice: price and open interest read together"


def log_interest(bars: Bars) -> FloatArray:
    """Log of open interest (USD) at the latest UTC day's end."""

    def compute() -> FloatArray:
        value = bars.column("open_interest")
        return bars.day_end(np.log(np.where(value > 0, value, np.nan)))

    return bars.keep("log_interest", compute)


def day_end_price(bars: Bars) -> FloatArray:
    """Log close at the latest UTC day's end."""
    return bars.keep("day_end_log_close", lambda: bars.day_end(bars.log_close))


def interest_day(bars: Bars) -> FloatArray:
    """Log change of open interest between the last two day ends."""
    level = log_interest(bars)
    return bars.keep("interest_day", lambda: level - lag(level, bars.per_day))


def interest_day_squared(bars: Bars) -> FloatArray:
    """Square of :func:`interest_day`."""
    return bars.keep("interest_day_squared", lambda: interest_day(bars) ** 2)


def recent_interest_change(bars: Bars, days: int) -> FloatArray:
    """Log change of open interest between day ends ``days`` apart, of the rows that will be read."""
    return bars.change(log_interest(bars), days)


def recent_daily_sd(bars: Bars) -> FloatArray:
    """Root mean square of daily log changes over the last 60 days, of the rows that will be read."""

    def compute() -> FloatArray:
        return np.sqrt(bars.recent_mean("interest_day_squared", interest_day_squared(bars), SCALE_DAYS))

    return bars.keep("interest_daily_sd", compute)


def _in_daily_sd(bars: Bars, change: FloatArray, days: int) -> FloatArray:
    return divide(change, recent_daily_sd(bars) * np.sqrt(days))


def _scaled_change(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return _in_daily_sd(bars, recent_interest_change(bars, days), days)

    return Feature(
        f"interest_change_{days}d",
        "open_interest",
        SCALE_DAYS + 2 if days <= SCALE_DAYS else days + 1,
        "sd",
        ("open_interest",),
        f"log change of open interest over {days} d / (its daily sd over 60 d x sqrt(days))",
        compute,
        INTEREST,
        "positions being built (bull, or a bear's late shorts) from positions flushed (a leg ends)",
    )


def _coins_change(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        coins = recent_interest_change(bars, days) - bars.change(day_end_price(bars), days)
        return _in_daily_sd(bars, coins, days)

    return Feature(
        f"interest_in_coins_change_{days}d",
        "open_interest",
        SCALE_DAYS + 2,
        "sd",
        ("open_interest", "close"),
        f"the same, counted in coins: new positions rather than price, {days} d",
        compute,
        INTEREST,
        "new shorts in a fall (bear, late) from longs giving up (towards a range or relief rally)",
    )


def _agreement(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        moved = bars.in_sd(bars.change(day_end_price(bars), days), days)
        return np.tanh(moved) * np.tanh(_in_daily_sd(bars, recent_interest_change(bars, days), days))

    return Feature(
        f"price_interest_agreement_{days}d",
        "open_interest",
        120,
        "product of tanh",
        ("open_interest", "close"),
        f"price and open interest over {days} d: above 0 both rise or both fall; below 0 they part "
        "(price down, interest up: new shorts)",
        compute,
        QUADRANTS,
        "relief rally (price up, interest down) and late bear (the reverse) from trends that draw money in",
    )


def _below_peak(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        level = log_interest(bars)
        gap = bars.now(level) - bars.recent_highest("log_interest", level, days)
        return _in_daily_sd(bars, gap, days)

    return Feature(
        f"interest_below_peak_{days}d",
        "open_interest",
        SCALE_DAYS + 2,
        "sd",
        ("open_interest",),
        f"log open interest - its highest of {days} d, / (daily sd x sqrt(days)): flushes",
        compute,
        QUADRANTS,
        "the time after a flush (relief rally, range) from leverage that still stands",
    )


def _rank(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.rank_of_day_ends("log_interest", log_interest(bars), days)

    return Feature(
        f"interest_rank_{days}d",
        "open_interest",
        days + 1,
        "share",
        ("open_interest",),
        f"rank of open interest among the last {days} day ends",
        compute,
        INTEREST,
        "crowded markets (bull or bear at its height) from deserted ones (ranging); levels drift",
    )


def open_interest_features() -> list[Feature]:
    """Declare the features of open interest."""
    return [
        *(_scaled_change(days) for days in (1, 3, 7, 30)),
        *(_coins_change(days) for days in (3, 14)),
        *(_agreement(days) for days in (3, 7)),
        _below_peak(30),
        _rank(90),
    ]
