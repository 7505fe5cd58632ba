"""Features of the contract's clock: when funding is next settled, and how often.

Settlements lie on the UTC grid of their interval from midnight on, as the exchanges publish them.
"""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray
from features.declaration import Feature

__all__ = ["calendar_features"]

GROUP = "calendar"
USUAL_HOURS = 8.0
_SCHEDULE = "exchange page: Binance, Introduction to Binance Futures funding rates"


def _steps(bars: Bars) -> FloatArray:
    """How often the usual 8-hour interval is halved: 0 for 8 hours, 3 for hourly settlements."""
    return bars.keep("settlement_steps", lambda: np.log2(USUAL_HOURS / bars.column("funding_interval_hours")))


def _to_settlement(bars: Bars) -> FloatArray:
    interval = bars.column("funding_interval_hours")
    bar_of_day = ((bars.first + np.arange(bars.size)) % bars.per_day).astype(np.float64)
    hour = bar_of_day * (24 / bars.per_day)
    return 1 - np.mod(hour, interval) / interval


def _interval_change(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.now(_steps(bars)) - bars.recent_mean("settlement_steps", _steps(bars), days)

    return Feature(
        f"settlement_interval_change_{days}d",
        GROUP,
        days,
        "log2 ratio",
        ("funding_interval_hours",),
        f"log2 of 8 h / the present interval - its mean over {days} d: above 0 once settlements became "
        "more frequent",
        compute,
        "exchange page: Binance, funding interval of contracts at their cap",
        "panic and squeeze (a contract at its cap goes hourly: bear, relief rally) from any calm regime",
    )


def calendar_features() -> list[Feature]:
    """Declare the features of the funding calendar."""
    return [
        Feature(
            "time_to_settlement",
            GROUP,
            0,
            "share",
            ("funding_interval_hours",),
            "hours from the bar's close to the next settlement / the interval; 1 right at a settlement",
            _to_settlement,
            _SCHEDULE,
            "none by itself: it tells moves before a settlement, made to earn or avoid it, from real ones",
        ),
        Feature(
            "settlement_interval",
            GROUP,
            0,
            "log2 ratio",
            ("funding_interval_hours",),
            "log2 of 8 h / the hours between settlements: 0 for 8, 1 for 4, 3 for 1",
            _steps,
            _SCHEDULE,
            "none by itself: contracts that settle often are those whose funding runs to extremes",
        ),
        _interval_change(30),
    ]
