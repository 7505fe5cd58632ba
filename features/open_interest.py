"""Features of open interest, taken at each UTC day's end so that daily and 5-minute sources agree."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide
from features.declaration import Feature
from features.rolling import lag, rolling_rank

__all__ = ["log_interest", "open_interest_features"]

SCALE_DAYS = 60


def log_interest(bars: Bars) -> FloatArray:
    """Log of open interest (USD) at the latest UTC day's end."""

    def compute() -> FloatArray:
        value = bars.column("open_interest")
        return bars.day_end(np.log(np.where(value > 0, value, np.nan)))

    return bars.keep("log_interest", compute)


def _day_end_price(bars: Bars) -> FloatArray:
    """Log close at the latest UTC day's end."""
    return bars.keep("day_end_log_close", lambda: bars.day_end(bars.log_close))


def _change(bars: Bars, days: int) -> FloatArray:
    level = log_interest(bars)
    return level - lag(level, bars.bars(days))


def _daily_sd(bars: Bars) -> FloatArray:
    """Root mean square of daily log changes over the last 60 days."""

    def compute() -> FloatArray:
        return np.sqrt(bars.mean("interest_change_squared", _change(bars, 1) ** 2, SCALE_DAYS))

    return bars.keep("interest_daily_sd", compute)


def _scaled_change(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return divide(_change(bars, days), _daily_sd(bars) * np.sqrt(days))

    return Feature(
        f"interest_change_{days}d",
        "open_interest",
        SCALE_DAYS + 2 if days <= SCALE_DAYS else days + 1,
        "sd",
        ("open_interest",),
        f"log change of open interest over {days} d / (its daily sd over 60 d x sqrt(days))",
        compute,
    )


def _coins_change(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        price = _day_end_price(bars)
        coins = _change(bars, days) - (price - lag(price, bars.bars(days)))
        return divide(coins, _daily_sd(bars) * np.sqrt(days))

    return Feature(
        f"interest_in_coins_change_{days}d",
        "open_interest",
        SCALE_DAYS + 2,
        "sd",
        ("open_interest", "close"),
        f"the same, counted in coins: new positions rather than price, {days} d",
        compute,
    )


def _agreement(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        price = _day_end_price(bars)
        moved = divide(price - lag(price, bars.bars(days)), bars.sigma * np.sqrt(days))
        return np.tanh(moved) * np.tanh(divide(_change(bars, days), _daily_sd(bars) * np.sqrt(days)))

    return Feature(
        f"price_interest_agreement_{days}d",
        "open_interest",
        120,
        "product of tanh",
        ("open_interest", "close"),
        f"price and open interest over {days} d: above 0 both rise or both fall; below 0 they part "
        "(price down, interest up: new shorts)",
        compute,
    )


def _below_peak(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        level = log_interest(bars)
        return divide(level - bars.highest("interest", level, days), _daily_sd(bars) * np.sqrt(days))

    return Feature(
        f"interest_below_peak_{days}d",
        "open_interest",
        SCALE_DAYS + 2,
        "sd",
        ("open_interest",),
        f"log open interest - its highest of {days} d, / (daily sd x sqrt(days)): flushes",
        compute,
    )


def _rank(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return rolling_rank(log_interest(bars), np.arange(1, days + 1) * bars.per_day, last=bars.last)

    return Feature(
        f"interest_rank_{days}d",
        "open_interest",
        days + 1,
        "share",
        ("open_interest",),
        f"rank of open interest among the last {days} day ends",
        compute,
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
