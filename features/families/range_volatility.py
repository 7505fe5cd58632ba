"""Variance from the open, high, low and close of each bar: the classical estimators, per day."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from features.bars import Bars, FloatArray
from features.rolling.windows import lag

__all__ = ["ESTIMATORS", "Estimator"]


class Estimator(NamedTuple):
    """One estimator: its variance over some days, the columns it reads and where it is from."""

    variance: Callable[[Bars, float], FloatArray]
    inputs: tuple[str, ...]
    source: str
    words: str


def _height_squared(bars: Bars) -> FloatArray:
    return bars.keep("height_squared", lambda: (bars.log_high - bars.log_low) ** 2)


def parkinson(bars: Bars, days: float) -> FloatArray:
    """Mean of ``log(high / low)^2 / (4 log 2)``, per day."""
    scale = bars.per_day / (4 * math.log(2))
    return bars.recent_mean("height_squared", _height_squared(bars), days) * scale


def garman_klass(bars: Bars, days: float) -> FloatArray:
    """Mean of ``log(high / low)^2 / 2 - (2 log 2 - 1) log(close / open)^2``, per day."""

    def one_bar() -> FloatArray:
        return 0.5 * _height_squared(bars) - (2 * math.log(2) - 1) * _body(bars) ** 2

    return bars.recent_mean("garman_klass", bars.keep("garman_klass", one_bar), days) * bars.per_day


def rogers_satchell(bars: Bars, days: float) -> FloatArray:
    """Mean of ``log(h/c) log(h/o) + log(l/c) log(l/o)``, per day: a drift does not bias it."""
    return bars.recent_mean("rogers_satchell", _without_drift(bars), days) * bars.per_day


def yang_zhang(bars: Bars, days: float) -> FloatArray:
    """Variance of the opening jumps + k x that of open to close + (1 - k) x Rogers-Satchell, per day."""
    n = max(2, bars.bars(days))
    unbiased = n / (n - 1)
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    jump = bars.keep("opening_jump", lambda: bars.log_open - lag(bars.log_close, 1))

    def one_bar() -> FloatArray:
        return unbiased * (jump**2 + k * _body(bars) ** 2) + (1 - k) * _without_drift(bars)

    mean_jump = bars.recent_mean("opening_jump", jump, days)
    mean_body = bars.recent_mean("open_to_close", _body(bars), days)
    squares = bars.recent_mean(f"yang_zhang {n}", bars.keep(("yang_zhang", n), one_bar), days)
    return (squares - unbiased * (mean_jump**2 + k * mean_body**2)) * bars.per_day


def _body(bars: Bars) -> FloatArray:
    return bars.keep("open_to_close", lambda: bars.log_close - bars.log_open)


def _without_drift(bars: Bars) -> FloatArray:
    def compute() -> FloatArray:
        high, low, opened, close = bars.log_high, bars.log_low, bars.log_open, bars.log_close
        return (high - close) * (high - opened) + (low - close) * (low - opened)

    return bars.keep("rogers_satchell", compute)


ESTIMATORS: Mapping[str, Estimator] = {
    "parkinson": Estimator(
        parkinson,
        ("high", "low"),
        "Parkinson (1980), The extreme value method for estimating the variance",
        "Parkinson (high-low)",
    ),
    "garman_klass": Estimator(
        garman_klass,
        ("open", "high", "low", "close"),
        "Garman, Klass (1980), On the estimation of security price volatilities",
        "Garman-Klass (open, high, low, close)",
    ),
    "rogers_satchell": Estimator(
        rogers_satchell,
        ("open", "high", "low", "close"),
        "Rogers, Satchell (1991), Estimating variance from high, low and closing prices",
        "Rogers-Satchell (free of drift)",
    ),
    "yang_zhang": Estimator(
        yang_zhang,
        ("open", "high", "low", "close"),
        "Yang, Zhang (2000), Drift-independent volatility estimation",
        "Yang-Zhang (jumps at the open, free of drift)",
    ),
}
"""Estimators by name; ``variance(bars, days)`` is per day, of shape (n_bars,)."""
