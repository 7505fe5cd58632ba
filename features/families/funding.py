"""Features of the funding rate: its level against the usual, its rank and its tails.

Rates are compared per 8 hours, whatever the contract's interval: ``rate x 8 / interval``.
"""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, flags
from features.declaration import Feature

__all__ = [
    "CARRY",
    "DEFAULT_RATE",
    "FUNDING_INPUTS",
    "PERPETUALS",
    "TAIL_RATE",
    "funding_features",
    "rate_per_8h",
]

DEFAULT_RATE = 0.0001
"""Where the rate sits while the premium is small: 0.01 % per 8 hours."""
TAIL_RATE = 0.0005
PERPETUALS = "He, Manela, Ross, von Wachter (2022), Fundamentals of perpetual futures"
CARRY = "Schmeling, Schrimpf, Todorov (2023), Crypto carry"
FUNDING_INPUTS = ("funding_rate", "funding_interval_hours")


def rate_per_8h(bars: Bars) -> FloatArray:
    """Funding rate as a fraction per 8 hours, positive when longs pay shorts."""
    return bars.keep(
        "rate_per_8h", lambda: bars.column("funding_rate") * 8.0 / bars.column("funding_interval_hours")
    )


def _level(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        mean = bars.recent_mean("rate_per_8h", rate_per_8h(bars), days)
        return np.arcsinh(mean / DEFAULT_RATE)

    return Feature(
        f"funding_level_{days}d",
        "funding",
        days,
        "asinh of multiples of the default rate",
        FUNDING_INPUTS,
        f"asinh of the mean 8-hour funding rate over {days} d / 0.01 %",
        compute,
        PERPETUALS,
        "bull (longs pay) from bear and early relief rally (shorts pay, or nobody)",
    )


def _rank(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        mean = bars.mean("rate_per_8h", rate_per_8h(bars), days)
        # The rate rests at its default for weeks: rounding of the sums must not rank what is equal.
        return bars.rank(f"rate_mean_{days}d", np.round(mean, 12), over)

    return Feature(
        f"funding_rank_{days}d_in_{over}d",
        "funding",
        days + over,
        "share",
        FUNDING_INPUTS,
        f"rank of the {days}-day mean rate among its values at the same hour of the last {over} d",
        compute,
        PERPETUALS,
        "crowded longs (bull) from crowded shorts (bear, fuel of a relief rally), against the usual of late",
    )


def _negative_share(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        rate = rate_per_8h(bars)
        return bars.recent_mean("rate_below_zero", flags(rate < 0, rate), days, exact=True)

    return Feature(
        f"funding_negative_{days}d",
        "funding",
        days,
        "share",
        FUNDING_INPUTS,
        f"share of the last {days} d in which shorts paid longs",
        compute,
        CARRY,
        "bear (shorts crowd in and pay) from bull; fuel of a relief rally",
    )


def _tail_share(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        rate = rate_per_8h(bars)
        tail = np.where(np.isfinite(rate), (rate > TAIL_RATE) * 1.0 - (rate < -TAIL_RATE) * 1.0, np.nan)
        return bars.recent_mean("rate_in_tail", tail, days, exact=True)

    return Feature(
        f"funding_tails_{days}d",
        "funding",
        days,
        "share",
        FUNDING_INPUTS,
        f"share of {days} d with a rate above 0.05 % less the share below -0.05 % (per 8 h)",
        compute,
        CARRY,
        "an overheated bull from a bear of panics; the default rate says nothing, the tails do",
    )


def funding_features() -> list[Feature]:
    """Declare the features of funding."""
    return [
        *(_level(days) for days in (1, 7, 30)),
        _rank(3, 90),
        _rank(7, 60),
        _negative_share(7),
        _tail_share(30),
    ]
