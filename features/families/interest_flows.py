"""Features of open interest beside price and volume: who opens, who is flushed, how much leverage stands.

Like the others of open interest they step at each UTC day's end, so that daily and 5-minute
sources agree.
"""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide, flags, log_ratio, positive_log
from features.declaration import Feature
from features.families.open_interest import (
    INTEREST,
    QUADRANTS,
    SCALE_DAYS,
    day_end_price,
    interest_day,
    interest_day_squared,
    log_interest,
    recent_daily_sd,
    recent_interest_change,
)
from features.families.volume import money_traded
from features.rolling.age import bars_since
from features.rolling.windows import lag

__all__ = ["interest_flow_features"]

GROUP = "open_interest"
FLUSH_SD = 2.5
"""A day that takes so many of its standard deviations out of open interest is a flush."""
SIDES = {
    "new_longs": (1, 1, "price up, open interest up", "rises that draw longs in (bull)"),
    "new_shorts": (-1, 1, "price down, open interest up", "falls that draw shorts in (bear, often late)"),
    "shorts_closing": (1, -1, "price up, open interest down", "rises on shorts buying back (relief rally)"),
    "longs_closing": (-1, -1, "price down, open interest down", "falls on longs giving up (bear's last leg)"),
}


def _price_day(bars: Bars) -> FloatArray:
    """Log return of the last whole UTC day."""
    price = day_end_price(bars)
    return bars.keep("price_day", lambda: price - lag(price, bars.per_day))


def _coins_day(bars: Bars) -> FloatArray:
    """Log change of open interest in coins over the last whole UTC day."""

    def compute() -> FloatArray:
        return interest_day(bars) - _price_day(bars)

    return bars.keep("coins_day", compute)


def _quadrant(side: str, days: int) -> Feature:
    price_sign, interest_sign, words, tells = SIDES[side]

    def compute(bars: Bars) -> FloatArray:
        moved, coins = _price_day(bars), _coins_day(bars)
        here = bars.keep(
            side, lambda: flags((moved * price_sign > 0) & (coins * interest_sign > 0), moved, coins)
        )
        return bars.recent_mean(side, here, days, exact=True)

    return Feature(
        f"{side}_{days}d",
        GROUP,
        days + 2,
        "share",
        ("open_interest", "close"),
        f"share of the last {days} days with {words} (in coins)",
        compute,
        QUADRANTS,
        f"{tells} from the other three quadrants",
    )


def _log_leverage(bars: Bars) -> FloatArray:
    """Log of open interest / money traded a day over 7 d, at the latest UTC day's end."""

    def compute() -> FloatArray:
        daily = bars.mean("money_traded", money_traded(bars), 7) * bars.per_day
        return log_interest(bars) - bars.day_end(positive_log(daily))

    return bars.keep("log_leverage", compute)


def _leverage_rank(over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.rank_of_day_ends("log_leverage", _log_leverage(bars), over)

    return Feature(
        f"interest_to_volume_rank_{over}d",
        GROUP,
        over + 8,
        "share",
        ("open_interest", "volume", "close"),
        f"rank of open interest / mean daily money traded of 7 d among the last {over} day ends",
        compute,
        "Bessembinder, Seguin (1993), Price volatility, trading volume, and market depth",
        "ranging with positions that wait (the next leg is loaded) from a bear or bull that turns over",
    )


def _leverage_zscore(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.zscore("log_leverage", _log_leverage(bars), days, over)

    return Feature(
        f"interest_to_volume_z_{days}d_in_{over}d",
        GROUP,
        over + 8,
        "sd",
        ("open_interest", "volume", "close"),
        f"mean log of open interest / daily money traded of 7 d, over {days} d against {over} d, "
        f"in its sd over {over} d",
        compute,
        "Bessembinder, Seguin (1993), Price volatility, trading volume, and market depth",
        "ranging that fills with leverage (before the move) from a panic or rally that has emptied it",
    )


def _flush(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return divide(bars.recent_lowest("coins_day", _coins_day(bars), days), recent_daily_sd(bars))

    return Feature(
        f"interest_flush_{days}d",
        GROUP,
        SCALE_DAYS + 2,
        "sd",
        ("open_interest", "close"),
        f"largest fall of open interest (in coins, log) within one day of the last {days} d / its daily sd",
        compute,
        QUADRANTS,
        "the days after a liquidation cascade (relief rally, range) from leverage not yet flushed",
    )


def _since_flush(cap: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        n = bars.bars(cap)
        square = bars.recent_mean("interest_day_squared", interest_day_squared(bars), SCALE_DAYS, before=n)
        fall = divide(_coins_day(bars)[-len(square) :], np.sqrt(square))
        flush = flags(fall < -FLUSH_SD, fall)
        return bars.recent("since_flush", bars_since, flush, n, before=1) / n

    return Feature(
        f"interest_since_flush_{cap}d",
        GROUP,
        SCALE_DAYS + 2 + cap,
        "share",
        ("open_interest", "close"),
        f"time since a day took more than {FLUSH_SD:g} daily sd out of open interest (in coins) / {cap} d, "
        "at most 1",
        compute,
        QUADRANTS,
        "a cleaned market (relief rally or range follows) from an old crowd (bear or bull goes on)",
    )


def _build_up(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        speed = recent_interest_change(bars, fast) / fast - recent_interest_change(bars, slow) / slow
        return divide(speed * np.sqrt(fast), recent_daily_sd(bars))

    return Feature(
        f"interest_build_up_{fast}d_over_{slow}d",
        GROUP,
        SCALE_DAYS + 2,
        "sd",
        ("open_interest",),
        f"(log change of open interest a day over {fast} d - over {slow} d) x sqrt({fast}) / its daily sd",
        compute,
        INTEREST,
        "a late leg (shorts or longs rush in: bear, bull) from the slow build-up of a range",
    )


def _trend(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.trend("log_interest", log_interest(bars), days)

    return Feature(
        f"interest_trend_{days}d",
        GROUP,
        days + 1,
        "t / sqrt(bars)",
        ("open_interest",),
        f"slope of log open interest on time over {days} d / its plain standard error / sqrt(bars)",
        compute,
        INTEREST,
        "a market that money enters for weeks (trends) from one that it leaves (ranging, late bear)",
    )


def _roughness(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        square, key = interest_day_squared(bars), "interest_day_squared"
        return 0.5 * log_ratio(bars.recent_mean(key, square, fast), bars.recent_mean(key, square, slow))

    return Feature(
        f"interest_volatility_{fast}d_over_{slow}d",
        GROUP,
        slow + 2,
        "log ratio",
        ("open_interest",),
        f"log of the root mean square of daily log changes of open interest over {fast} d / over {slow} d",
        compute,
        "trader practice: leverage in motion",
        "positions being torn down and rebuilt (panic, squeeze) from settled ones (ranging)",
    )


def interest_flow_features() -> list[Feature]:
    """Declare the features of open interest beside price and volume."""
    return [
        *(_quadrant(side, days) for days in (7, 30) for side in SIDES),
        _leverage_rank(90),
        *(_leverage_zscore(days, over) for days, over in ((1, 60),)),
        _flush(7),
        _since_flush(30),
        *(_build_up(fast, slow) for fast, slow in ((3, 30), (7, 60))),
        _trend(30),
        _roughness(10, 60),
    ]
