"""Features of funding over time: what it has cost, how long it has leaned, when it was last extreme."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, flags, log_ratio
from features.declaration import Feature
from features.families.funding import CARRY, DEFAULT_RATE, FUNDING_INPUTS, PERPETUALS, TAIL_RATE, rate_per_8h
from features.families.price import LONGEST_DAYS
from features.rolling.age import bars_since, bars_since_other_side

__all__ = ["funding_cost_features"]

GROUP = "funding"
LEAST_SD = 0.2 * DEFAULT_RATE
"""A rate that sits at its default for months has no spread of its own: deviations count as this."""


def _zscore(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        z = bars.zscore("rate_per_8h", rate_per_8h(bars), days, over, floor=LEAST_SD)
        return np.arcsinh(z)

    return Feature(
        f"funding_z_{days}d_in_{over}d",
        GROUP,
        over,
        "asinh of sd",
        FUNDING_INPUTS,
        f"asinh of (mean 8-hour rate over {days} d - over {over} d) / sd over {over} d, at least 0.002 %",
        compute,
        PERPETUALS,
        "longs crowding in (bull) from shorts crowding in (bear), against the usual of this market",
    )


def _cost(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        paid = bars.recent_mean("rate_per_8h", rate_per_8h(bars), days) * 3 * days
        return np.arcsinh(10 * bars.in_sd(paid, days))

    return Feature(
        f"funding_cost_{days}d",
        GROUP,
        LONGEST_DAYS,
        "asinh of tenths of sd",
        (*FUNDING_INPUTS, "close"),
        f"asinh of 10 x funding that a long paid over {days} d (fraction of notional) / (sigma x sqrt(days))",
        compute,
        CARRY,
        "a bull in which longs pay dearly from a bear in which shorts do; it eats the profit of the side",
    )


def _turn(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        rate = rate_per_8h(bars)
        now, usual = bars.recent_mean("rate_per_8h", rate, fast), bars.recent_mean("rate_per_8h", rate, slow)
        return np.arcsinh(now / DEFAULT_RATE) - np.arcsinh(usual / DEFAULT_RATE)

    return Feature(
        f"funding_turn_{fast}d_over_{slow}d",
        GROUP,
        slow,
        "asinh of multiples of the default rate",
        FUNDING_INPUTS,
        f"asinh of the mean 8-hour rate over {fast} d / 0.01 % - the same over {slow} d",
        compute,
        CARRY,
        "a crowd that changes sides (bear to relief rally and back) from one that stays",
    )


def _sign_age(cap: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        n = bars.bars(cap)
        return bars.recent("rate_sign_age", bars_since_other_side, rate_per_8h(bars), n, before=1) / n

    return Feature(
        f"funding_sign_age_{cap}d",
        GROUP,
        cap,
        "share",
        FUNDING_INPUTS,
        f"time since the rate last had the other sign / {cap} d, with the sign of now, at most 1",
        compute,
        CARRY,
        "bull (positive for weeks) from bear (short streaks, or negative ones)",
    )


def _since_tail(side: str, cap: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        rate, n = rate_per_8h(bars), bars.bars(cap)
        tail = flags(rate > TAIL_RATE if side == "high" else rate < -TAIL_RATE, rate)
        return bars.recent(("since_tail", side), bars_since, tail, n, before=1) / n

    return Feature(
        f"funding_since_{side}_tail_{cap}d",
        GROUP,
        cap,
        "share",
        FUNDING_INPUTS,
        f"time since the 8-hour rate was last {'above 0.05 %' if side == 'high' else 'below -0.05 %'} "
        f"/ {cap} d, at most 1",
        compute,
        PERPETUALS,
        "the time after overheated longs (bull tops)"
        if side == "high"
        else "the time after shorts crowded in a panic (relief rally) from a calm bear",
    )


def _extreme(side: str, days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        rate = rate_per_8h(bars)
        extreme = bars.recent_highest if side == "highest" else bars.recent_lowest
        found = extreme("rate_per_8h", rate, days)
        return np.arcsinh(found / DEFAULT_RATE)

    return Feature(
        f"funding_{side}_{days}d",
        GROUP,
        days,
        "asinh of multiples of the default rate",
        FUNDING_INPUTS,
        f"asinh of the {side} 8-hour rate of {days} d / 0.01 %",
        compute,
        PERPETUALS,
        "greedy longs (bull)" if side == "highest" else "panicked shorts (end of a bear's leg, relief rally)",
    )


def _spread(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        rate = rate_per_8h(bars)
        now, usual = bars.sd("rate_per_8h", rate, fast), bars.sd("rate_per_8h", rate, slow)
        return log_ratio(np.maximum(now, LEAST_SD), np.maximum(usual, LEAST_SD))

    return Feature(
        f"funding_spread_{fast}d_over_{slow}d",
        GROUP,
        slow,
        "log ratio",
        FUNDING_INPUTS,
        f"log of the sd of the 8-hour rate over {fast} d / over {slow} d, each at least 0.002 %",
        compute,
        "trader practice: nervous funding",
        "turns and relief rallies (the crowd changes sides) from a settled bear, range or bull",
    )


def _agreement(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        z = bars.zscore("rate_per_8h", rate_per_8h(bars), days, over, floor=LEAST_SD)
        return np.tanh(bars.in_sd(bars.move(days), days)) * np.tanh(z)

    return Feature(
        f"price_funding_agreement_{days}d",
        GROUP,
        LONGEST_DAYS,
        "product of tanh",
        (*FUNDING_INPUTS, "close"),
        f"return over {days} d and funding over {days} d against {over} d: above 0 both rise or both fall; "
        "below 0 they part (price down, longs paying more: dip buyers)",
        compute,
        CARRY,
        "a fall that shorts believe in (bear) from one that dip buyers fight, and a rise on shorts' cost "
        "(relief rally)",
    )


def funding_cost_features() -> list[Feature]:
    """Declare the features of funding over time."""
    return [
        *(_zscore(days, over) for days, over in ((1, 30), (7, 90))),
        *(_cost(days) for days in (7, 30, 90)),
        _turn(1, 7),
        _turn(7, 30),
        _sign_age(30),
        *(_since_tail(side, 30) for side in ("high", "low")),
        *(_extreme(side, 7) for side in ("highest", "lowest")),
        _spread(7, 60),
        _agreement(7, 60),
    ]
