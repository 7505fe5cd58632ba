"""Features of volatility: its estimators against each other, its changes, and the shape of returns.

No level is used: symbols and years differ in it. Each is a ratio, a rank or a share.
"""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide, log_ratio, positive_log
from features.declaration import Feature
from features.families.range_volatility import ESTIMATORS
from features.rolling.windows import lag

__all__ = ["volatility_features"]

GROUP = "volatility"
REALISED_MOMENTS = "Amaya, Christoffersen, Jacobs, Vasquez (2015), Does realized skewness predict"


def _span(days: float) -> str:
    return f"{round(days * 24)}h" if days < 1 else f"{round(days)}d"


def _volatility_ratio(fast: float, slow: float) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        ratio: FloatArray = 0.5 * np.log(divide(bars.recent_variance(fast), bars.recent_variance(slow)))
        return np.where(np.isfinite(ratio), ratio, np.nan)

    return Feature(
        f"volatility_{_span(fast)}_over_{_span(slow)}",
        "volatility",
        slow,
        "log ratio",
        ("close",),
        f"log of realised volatility over {_span(fast)} / over {_span(slow)}",
        compute,
        "trader practice: volatility of now against the usual",
        "panics and squeezes (bear, relief rally) from quiet ranges and bulls",
    )


def _down_squared(bars: Bars) -> FloatArray:
    """Squared log return of the bars that fell."""
    return bars.keep(
        "down_squared",
        lambda: np.where(bars.log_return < 0, bars.squared_return, 0.0 * bars.squared_return),
    )


def _downside_share(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return divide(
            bars.recent_mean("down_squared", _down_squared(bars), days),
            bars.recent_mean("squared_return", bars.squared_return, days),
        )

    return Feature(
        f"downside_share_{days}d",
        "volatility",
        days,
        "share",
        ("close",),
        f"share of squared one-bar returns that came from falls, {days} d",
        compute,
        "Barndorff-Nielsen, Kinnebrock, Shephard (2010), Measuring downside risk: realised semivariance",
        "bear (falls dominate) from relief rally (rises dominate)",
    )


def _parkinson(bars: Bars) -> FloatArray:
    """Variance of one bar by its high and low."""
    return bars.keep(
        "parkinson", lambda: np.log(bars.column("high") / bars.column("low")) ** 2 / (4 * np.log(2))
    )


def _range_ratio(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        ratio: FloatArray = 0.5 * np.log(
            divide(
                bars.recent_mean("parkinson", _parkinson(bars), days),
                bars.recent_mean("squared_return", bars.squared_return, days),
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
        "Parkinson (1980), The extreme value method for estimating the variance",
        "ranging and turning markets (stops hunted, long wicks) from clean bears and bulls",
    )


def _estimator_ratio(name: str, fast: int, slow: int) -> Feature:
    estimator = ESTIMATORS[name]

    def compute(bars: Bars) -> FloatArray:
        return 0.5 * log_ratio(estimator.variance(bars, fast), estimator.variance(bars, slow))

    return Feature(
        f"{name}_{fast}d_over_{slow}d",
        GROUP,
        slow + 1 if name == "yang_zhang" else slow,
        "log ratio",
        estimator.inputs,
        f"log of {estimator.words} volatility over {fast} d / over {slow} d",
        compute,
        estimator.source,
        "panics and squeezes (bear, relief rally) from quiet ranges and bulls, with less noise than closes",
    )


def _over_close(name: str, days: int, tells: str) -> Feature:
    estimator = ESTIMATORS[name]

    def compute(bars: Bars) -> FloatArray:
        return 0.5 * log_ratio(estimator.variance(bars, days), bars.recent_variance(days))

    return Feature(
        f"{name}_over_close_{days}d",
        GROUP,
        days + 1,
        "log ratio",
        estimator.inputs if "close" in estimator.inputs else (*estimator.inputs, "close"),
        f"log of {estimator.words} volatility / close-to-close volatility, {days} d",
        compute,
        estimator.source,
        tells,
    )


def _volatility_rank(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.rank(f"variance_{days}d", bars.variance(days), over)

    return Feature(
        f"volatility_rank_{days}d_in_{over}d",
        GROUP,
        days + over,
        "share",
        ("close",),
        f"rank of realised volatility over {days} d among its values at the same hour of the last {over} d",
        compute,
        "trader practice: volatility percentile",
        "bear and relief rally (high) from ranging (low), against the last months only",
    )


def _log_day_volatility(bars: Bars) -> FloatArray:
    """Log of realised volatility of 24 hours."""

    def compute() -> FloatArray:
        return 0.5 * positive_log(bars.variance(1))

    return bars.keep("log_day_volatility", compute)


def _volatility_of_volatility(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.sd("log_day_volatility", _log_day_volatility(bars), days)

    return Feature(
        f"volatility_of_volatility_{days}d",
        GROUP,
        days + 1,
        "log units",
        ("close",),
        f"standard deviation of the log of 24-hour realised volatility, {days} d",
        compute,
        "Baltussen, van Bekkum, van der Grient (2018), Unknown unknowns: uncertainty about risk",
        "markets between quiet and panic (a turn, a relief rally) from those that stay as they are",
    )


def _leverage_effect(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        change = bars.log_close - lag(bars.log_close, bars.per_day)
        volatility = _log_day_volatility(bars)
        return bars.correlation(change, volatility - lag(volatility, bars.per_day), days)

    return Feature(
        f"return_volatility_correlation_{days}d",
        GROUP,
        days + 2,
        "correlation",
        ("close",),
        f"correlation of the 24-hour return with the change of log volatility over the same 24 h, {days} d",
        compute,
        "Black (1976), Studies of stock price volatility changes: the leverage effect",
        "bear (falls are the violent moves: below 0) from squeezes and bulls (rises are: above 0)",
    )


def _jump_share(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        size = bars.absolute_return
        product = bars.keep("bipower", lambda: size * lag(size, 1))
        smooth = bars.recent_mean("bipower", product, days) * np.pi / 2
        return 1 - divide(smooth, bars.recent_mean("squared_return", bars.squared_return, days))

    return Feature(
        f"jump_share_{days}d",
        GROUP,
        days + 1,
        "share",
        ("close",),
        f"1 - bipower variation / realised variance of one-bar returns, {days} d",
        compute,
        "Barndorff-Nielsen, Shephard (2004), Power and bipower variation with jumps",
        "panics and squeezes (jumps: bear's worst days, relief rally) from bulls and bears of steady flow",
    )


def _skew(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        square = bars.recent_mean("squared_return", bars.squared_return, days)
        cubed = bars.keep("cubed_return", lambda: bars.squared_return * bars.log_return)
        return np.arcsinh(
            divide(
                bars.recent_mean("cubed_return", cubed, days),
                square * np.sqrt(square),
            )
        )

    return Feature(
        f"skew_{days}d",
        GROUP,
        days,
        "asinh of skewness",
        ("close",),
        f"asinh of mean cubed one-bar return / (mean squared one)^1.5, {days} d",
        compute,
        REALISED_MOMENTS,
        "bear (sudden falls: below 0) from relief rally (sudden rises: above 0)",
    )


def _tail_weight(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        square = bars.recent_mean("squared_return", bars.squared_return, days)
        fourth = bars.keep("fourth_power", lambda: bars.squared_return**2)
        return log_ratio(bars.recent_mean("fourth_power", fourth, days), 3 * square**2)

    return Feature(
        f"tail_weight_{days}d",
        GROUP,
        days,
        "log ratio",
        ("close",),
        f"log of the kurtosis of one-bar returns / 3, {days} d",
        compute,
        REALISED_MOMENTS,
        "ranges broken by single moves (fat tails) from trends of steady size",
    )


def _largest_bar(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        total = bars.recent_mean("squared_return", bars.squared_return, days) * bars.bars(days)
        return divide(bars.recent_highest("squared_return", bars.squared_return, days), total)

    return Feature(
        f"largest_bar_share_{days}d",
        GROUP,
        days,
        "share",
        ("close",),
        f"largest squared one-bar return / their sum, {days} d",
        compute,
        "trader practice: one candle that made the week",
        "a single shock (then a range) from a move that many bars made",
    )


def volatility_features() -> list[Feature]:
    """Declare the features of volatility."""
    ratios: list[tuple[str, int, int]] = [
        *(("parkinson", 1, 30), ("garman_klass", 3, 30)),
        *(("rogers_satchell", 7, 60), ("yang_zhang", 14, 60)),
    ]
    return [
        *(_volatility_ratio(f, s) for f, s in ((0.5, 10), (1, 30), (3, 30), (7, 60), (30, 119))),
        *(_downside_share(days) for days in (3, 14)),
        *(_range_ratio(days) for days in (3, 30)),
        *(_estimator_ratio(name, fast, slow) for name, fast, slow in ratios),
        _over_close("garman_klass", 7, "wicks on both sides (ranging, hunted stops) from clean closes"),
        _over_close(
            "rogers_satchell", 14, "bear and bull (drift within bars: low) from ranging (noise: high)"
        ),
        _over_close("yang_zhang", 30, "weeks of noise (ranging) from weeks of drift"),
        *(_volatility_rank(days, over) for days, over in ((1, 90), (7, 90))),
        *(_volatility_of_volatility(days) for days in (10, 30)),
        _leverage_effect(60),
        *(_jump_share(days) for days in (7, 30)),
        *(_skew(days) for days in (7, 30)),
        *(_tail_weight(days) for days in (7, 30)),
        _downside_share(30),
        _largest_bar(7),
    ]
