"""Features of volume: how much is traded against the usual, on which side, and what it moves."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide, flags, log_ratio, positive_log
from features.declaration import Feature
from features.families.price import LONGEST_DAYS

__all__ = ["money_traded", "volume_features"]

GROUP = "volume"
PRICE_AND_VOLUME = "Karpoff (1987), The relation between price changes and trading volume"


def money_traded(bars: Bars) -> FloatArray:
    """Volume of each bar in quote currency, at its close."""
    return bars.keep("money_traded", lambda: bars.column("volume") * bars.column("close"))


def _log_volume(bars: Bars) -> FloatArray:
    """Log of the volume of each bar; NaN where nothing was traded."""
    return bars.keep("log_volume", lambda: positive_log(bars.column("volume")))


def _volume_ratio(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        volume = bars.column("volume")
        ratio: FloatArray = np.log(
            divide(bars.recent_mean("volume", volume, fast), bars.recent_mean("volume", volume, slow))
        )
        return np.where(np.isfinite(ratio), ratio, np.nan)

    return Feature(
        f"volume_{fast}d_over_{slow}d",
        "volume",
        slow,
        "log ratio",
        ("volume",),
        f"log of mean volume over {fast} d / over {slow} d",
        compute,
        "Gervais, Kaniel, Mingelgrin (2001), The high-volume return premium",
        "capitulation and squeezes (much volume) from ranges (little)",
    )


def _rank(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.rank(f"volume_{days}d", bars.mean("volume", bars.column("volume"), days), over)

    return Feature(
        f"volume_rank_{days}d_in_{over}d",
        GROUP,
        days + over,
        "share",
        ("volume",),
        f"rank of mean volume over {days} d among its values at the same hour of the last {over} d",
        compute,
        "Gervais, Kaniel, Mingelgrin (2001), The high-volume return premium",
        "capitulation and squeezes (top ranks) from a range that dries up (low ranks)",
    )


def _trend(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        daily = positive_log(bars.mean("volume", bars.column("volume"), 1))
        return bars.trend("log_day_volume", daily, days)

    return Feature(
        f"volume_trend_{days}d",
        GROUP,
        days + 1,
        "t / sqrt(bars)",
        ("volume",),
        f"slope of the log of 24-hour volume on time over {days} d / its plain standard error / sqrt(bars)",
        compute,
        "trader practice: volume should go with the trend",
        "a move that draws traders in (bear, bull) from one that runs dry (end of a relief rally, ranging)",
    )


def _mean_volume(bars: Bars, side: str, days: int) -> FloatArray:
    """Mean volume of the bars that rose, or fell."""
    volume, change = bars.column("volume"), bars.log_return
    here = bars.keep(f"{side}_bar", lambda: flags(change > 0 if side == "up" else change < 0, change, volume))
    traded = bars.keep(f"{side}_volume", lambda: here * volume)
    return divide(
        bars.recent_mean(f"{side}_volume", traded, days),
        bars.recent_mean(f"{side}_bar", here, days, exact=True),
    )


def _up_over_down(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return log_ratio(_mean_volume(bars, "up", days), _mean_volume(bars, "down", days))

    return Feature(
        f"volume_up_over_down_{days}d",
        GROUP,
        days,
        "log ratio",
        ("volume", "close"),
        f"log of the mean volume of rising bars / of falling bars, {days} d",
        compute,
        PRICE_AND_VOLUME,
        "falls that are sold hard (bear: below 0) from rises that are bought hard (relief rally, bull)",
    )


def _on_balance(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        volume = bars.column("volume")
        signed = bars.keep("signed_volume", lambda: np.sign(bars.log_return) * volume)
        there = bars.keep("volume_with_sign", lambda: np.where(np.isfinite(signed), volume, np.nan))
        return divide(
            bars.recent_mean("signed_volume", signed, days), bars.recent_mean("volume_with_sign", there, days)
        )

    return Feature(
        f"on_balance_volume_{days}d",
        GROUP,
        days,
        "share",
        ("volume", "close"),
        f"slope of on-balance volume: (volume of rising - of falling bars) / volume, {days} d",
        compute,
        "Granville (1963), New key to stock market profits",
        "accumulation (bull, relief rally) from distribution (bear)",
    )


def _money_flow(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        high, low, volume = bars.log_high, bars.log_low, bars.column("volume")
        place = divide(2 * bars.log_close - high - low, high - low)
        flow = place * volume
        there = np.where(np.isfinite(flow), volume, np.nan)
        return divide(
            bars.recent_mean("money_flow", flow, days), bars.recent_mean("volume_with_height", there, days)
        )

    return Feature(
        f"money_flow_{days}d",
        GROUP,
        days,
        "share",
        ("volume", "high", "low", "close"),
        f"mean of where the close lies between low (-1) and high (1), weighted by volume, {days} d",
        compute,
        "trader practice: Chaikin's money flow",
        "closes at the highs on volume (bull, relief rally) from closes at the lows (bear)",
    )


def _price_correlation(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.correlation(bars.log_return, _log_volume(bars), days)

    return Feature(
        f"price_volume_correlation_{days}d",
        GROUP,
        days,
        "correlation",
        ("volume", "close"),
        f"correlation of the one-bar log return with log volume, {days} d",
        compute,
        PRICE_AND_VOLUME,
        "bear (volume comes with falls: below 0) from squeezes and bulls (with rises)",
    )


def _illiquidity(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        moved = bars.keep("illiquidity", lambda: divide(bars.absolute_return, money_traded(bars)))
        return log_ratio(
            bars.recent_mean("illiquidity", moved, fast), bars.recent_mean("illiquidity", moved, slow)
        )

    return Feature(
        f"illiquidity_{fast}d_over_{slow}d",
        GROUP,
        slow,
        "log ratio",
        ("volume", "close"),
        f"log of mean (absolute one-bar return / money traded) over {fast} d / over {slow} d",
        compute,
        "Amihud (2002), Illiquidity and stock returns",
        "a thin market that little money moves (late bear, relief rally) from a deep one",
    )


def _above_traded_mean(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        money = bars.recent_mean("money_traded", money_traded(bars), days)
        there = bars.keep(
            "volume_with_price",
            lambda: np.where(np.isfinite(money_traded(bars)), bars.column("volume"), np.nan),
        )
        price = divide(money, bars.recent_mean("volume_with_price", there, days))
        return bars.in_sd(bars.now(bars.log_close) - np.log(price), days)

    return Feature(
        f"above_traded_mean_{days}d",
        GROUP,
        LONGEST_DAYS,
        "sd",
        ("volume", "close"),
        f"log close - log of the volume-weighted mean price of {days} d, / (sigma x sqrt(days))",
        compute,
        "trader practice: anchored volume-weighted average price",
        "buyers of the span in loss (bear) from buyers in profit (bull); near 0: on the way back",
    )


def _peak(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        volume = bars.column("volume")
        day = bars.recent_highest("day_volume", bars.mean("volume", volume, 1), days)
        return log_ratio(day, bars.recent_mean("volume", volume, 60))

    return Feature(
        f"volume_peak_{days}d_over_60d",
        GROUP,
        max(days + 1, 60),
        "log ratio",
        ("volume",),
        f"log of the largest 24-hour mean volume of {days} d / mean volume over 60 d",
        compute,
        "trader practice: volume climax",
        "the days after a climax (relief rally, range) from a move still without one",
    )


def volume_features() -> list[Feature]:
    """Declare the features of volume."""
    return [
        *(_volume_ratio(f, s) for f, s in ((1, 30), (7, 60))),
        _rank(1, 60),
        _trend(30),
        *(_up_over_down(days) for days in (3, 14)),
        *(_on_balance(days) for days in (3, 14)),
        _money_flow(7),
        *(_price_correlation(days) for days in (7, 30)),
        *(_illiquidity(fast, slow) for fast, slow in ((1, 30), (7, 90))),
        *(_above_traded_mean(days) for days in (7, 30, 90)),
        _peak(10),
    ]
