"""Three signals for users who have the data: liquidations, put/call, whale flows.

None has a free history, so each is missing unless the user brings its column. All are held against
their own last 90 days, because their level depends on who counts, and all are read as momentum:
what the crowd is forced, pays or prepares to do goes on for a while. Traders also read each of them
the other way round, as exhaustion; that reading is not taken here, since a signal that confirms a
bear must speak of selling.
"""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide, positive_log
from features.rolling.windows import lag
from features.signals.declaration import Computed, Signal
from features.signals.edges import EQUAL, PERCENTILE_DAYS, between, percentiles

__all__ = ["EXTRAS"]

BURST_DAYS = 3
FLOW_DAYS = 3


def _liquidated(bars: Bars, column: str) -> FloatArray:
    """Mean USD a day over the last three whole UTC days."""

    def compute() -> FloatArray:
        day = bars.day_end(bars.column(column))
        return np.asarray((day + lag(day, bars.per_day) + lag(day, 2 * bars.per_day)) / BURST_DAYS)

    return bars.keep(("liquidated", column), compute)


def _both_sides(bars: Bars) -> tuple[FloatArray, FloatArray]:
    return _liquidated(bars, "liq_long_usd"), _liquidated(bars, "liq_short_usd")


def _burst(
    bars: Bars, value: FloatArray, equal: float | FloatArray, *, bearish_above: bool = False
) -> Computed:
    """Beyond its own percentiles AND on that side of zero: unusual, and of that sign."""
    low, high = percentiles(bars, value)
    return between(value, np.minimum(low, 0.0), np.maximum(high, 0.0), equal, bearish_above=bearish_above)


def _liquidations(bars: Bars) -> Computed:
    longs, shorts = _both_sides(bars)
    return _burst(bars, shorts - longs, EQUAL * (shorts + longs))


def _imbalance(bars: Bars) -> FloatArray:
    """Share of the liquidated that were shorts, less that of longs: no single cascade outweighs all days."""
    longs, shorts = _both_sides(bars)
    return divide(shorts - longs, shorts + longs)


def _put_call(bars: Bars) -> Computed:
    ratio = bars.column("put_call")
    low, high = percentiles(bars, ratio)
    return between(ratio, low, high, EQUAL * ratio, bearish_above=True)


def _log_call_put(bars: Bars) -> FloatArray:
    return -positive_log(bars.column("put_call"))


def _mean_flow(bars: Bars) -> FloatArray:
    return bars.mean("joined exchange_inflow", bars.column("exchange_inflow"), FLOW_DAYS)


def _whale_flows(bars: Bars) -> Computed:
    flow = _mean_flow(bars)
    return _burst(bars, flow, EQUAL * np.abs(flow), bearish_above=True)


def _mean_outflow(bars: Bars) -> FloatArray:
    return -_mean_flow(bars)


EXTRAS: tuple[Signal, ...] = (
    Signal(
        "liquidations",
        BURST_DAYS + PERCENTILE_DAYS,
        ("liq_long_usd", "liq_short_usd"),
        "shorts less longs liquidated, mean USD a day over 3 whole days: below 0 and below the 20th "
        "percentile of the last 90 days (longs are forced to sell): bearish; above 0 and above the 80th "
        "(a short squeeze): bullish",
        _liquidations,
        _imbalance,
        BURST_DAYS,
        "trader practice: forced closings push price on; Brunnermeier, Pedersen (2009), Market liquidity "
        "and funding liquidity",
        extra=True,
    ),
    Signal(
        "put_call",
        PERCENTILE_DAYS,
        ("put_call",),
        "put/call ratio above the 80th percentile of its values at the same hour of the last 90 days "
        "(protection is bought): bearish; below the 20th: bullish",
        _put_call,
        _log_call_put,
        0,
        "Pan, Poteshman (2006), The information in option volume for future stock prices",
        extra=True,
    ),
    Signal(
        "whale_flows",
        FLOW_DAYS + PERCENTILE_DAYS,
        ("exchange_inflow",),
        "3-day mean of net flows into exchanges above 0 and above the 80th percentile of its values at "
        "the same hour of the last 90 days (coins brought to be sold): bearish; below 0 and below the "
        "20th: bullish",
        _whale_flows,
        _mean_outflow,
        FLOW_DAYS,
        "trader practice: coins move to exchanges to be sold",
        extra=True,
    ),
)
