"""Features of price, volatility and volume, scaled by the volatility of the time."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide
from features.declaration import Feature
from features.rolling import lag

__all__ = ["price_features"]

LONGEST_DAYS = 120


def _scaled_return(days: float) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        change = bars.log_close - lag(bars.log_close, bars.bars(days))
        return divide(change, bars.sigma * np.sqrt(days))

    return Feature(
        f"return_{_span(days)}",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"log return over {_span(days)} / (sigma x sqrt(days))",
        compute,
    )


def _span(days: float) -> str:
    return f"{round(days * 24)}h" if days < 1 else f"{round(days)}d"


def _distance_from_mean(days: float) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        gap = bars.log_close - bars.mean("log_close", bars.log_close, days)
        return divide(gap, bars.sigma * np.sqrt(days))

    return Feature(
        f"above_mean_{_span(days)}",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"log close - its mean over {_span(days)}, / (sigma x sqrt(days))",
        compute,
    )


def _crossing(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        gap = bars.mean("log_close", bars.log_close, fast) - bars.mean("log_close", bars.log_close, slow)
        return divide(gap, bars.sigma * np.sqrt(slow))

    return Feature(
        f"mean_{fast}d_over_{slow}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"mean log close over {fast} d - over {slow} d, / (sigma x sqrt({slow}))",
        compute,
    )


def _mean_slope(days: int, back: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        mean = bars.mean("log_close", bars.log_close, days)
        return divide(mean - lag(mean, bars.bars(back)), bars.sigma * np.sqrt(back))

    return Feature(
        f"mean_{days}d_slope_{back}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("close",),
        f"change of the {days}-day mean log close over {back} d, / (sigma x sqrt({back}))",
        compute,
    )


def _below_high(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        highest = bars.highest("log_high", bars.keep("log_high", lambda: np.log(bars.column("high"))), days)
        return divide(bars.log_close - highest, bars.sigma * np.sqrt(days))

    return Feature(
        f"below_high_{days}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("high", "close"),
        f"log close - log of the highest high of {days} d, / (sigma x sqrt(days))",
        compute,
    )


def _above_low(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        lowest = bars.lowest("log_low", bars.keep("log_low", lambda: np.log(bars.column("low"))), days)
        return divide(bars.log_close - lowest, bars.sigma * np.sqrt(days))

    return Feature(
        f"above_low_{days}d",
        "trend",
        LONGEST_DAYS,
        "sd",
        ("low", "close"),
        f"log close - log of the lowest low of {days} d, / (sigma x sqrt(days))",
        compute,
    )


def _efficiency(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        n = bars.bars(days)
        path = bars.mean("absolute_return", np.abs(bars.log_return), days) * n
        return divide(bars.log_close - lag(bars.log_close, n), path)

    return Feature(
        f"efficiency_{days}d",
        "trend",
        days,
        "share",
        ("close",),
        f"log return over {days} d / sum of absolute one-bar log returns (Kaufman, signed)",
        compute,
    )


def _up_share(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        above = np.where(
            np.isfinite(bars.log_return), (bars.log_return > 0) + 0.5 * (bars.log_return == 0), np.nan
        )
        return bars.mean("rising", above, days)

    return Feature(
        f"rising_bars_{days}d",
        "trend",
        days,
        "share",
        ("close",),
        f"share of bars that rose, {days} d",
        compute,
    )


def _volatility_ratio(fast: float, slow: float) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        ratio: FloatArray = 0.5 * np.log(divide(bars.variance(fast), bars.variance(slow)))
        return np.where(np.isfinite(ratio), ratio, np.nan)

    return Feature(
        f"volatility_{_span(fast)}_over_{_span(slow)}",
        "volatility",
        slow,
        "log ratio",
        ("close",),
        f"log of realised volatility over {_span(fast)} / over {_span(slow)}",
        compute,
    )


def _downside_share(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        down = np.where(bars.log_return < 0, bars.squared_return, 0.0 * bars.squared_return)
        return divide(
            bars.mean("down_squared", down, days), bars.mean("squared_return", bars.squared_return, days)
        )

    return Feature(
        f"downside_share_{days}d",
        "volatility",
        days,
        "share",
        ("close",),
        f"share of squared one-bar returns that came from falls, {days} d",
        compute,
    )


def _range_ratio(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        spread = np.log(bars.column("high") / bars.column("low")) ** 2 / (4 * np.log(2))
        ratio: FloatArray = 0.5 * np.log(
            divide(
                bars.mean("parkinson", spread, days), bars.mean("squared_return", bars.squared_return, days)
            )
        )
        return np.where(np.isfinite(ratio), ratio, np.nan)

    return Feature(
        f"range_over_close_volatility_{days}d",
        "volatility",
        days,
        "log ratio",
        ("high", "low", "close"),
        f"log of Parkinson (high-low) over close-to-close volatility, {days} d: wicks",
        compute,
    )


def _volume_ratio(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        volume = bars.column("volume")
        ratio: FloatArray = np.log(
            divide(bars.mean("volume", volume, fast), bars.mean("volume", volume, slow))
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
    )


def price_features() -> list[Feature]:
    """Declare the features of price, volatility and volume."""
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
        *(_volatility_ratio(f, s) for f, s in ((0.5, 10), (1, 30), (3, 30), (7, 60), (30, 119))),
        *(_downside_share(days) for days in (3, 14)),
        *(_range_ratio(days) for days in (3, 30)),
        *(_volume_ratio(f, s) for f, s in ((1, 30), (7, 60))),
    ]
