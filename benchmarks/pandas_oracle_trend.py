"""Trend, straightness and exhaustion in plain pandas, by the words of the catalogue."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from benchmarks.pandas_oracle_market import Market, Series

__all__ = ["exhaustion", "straightness", "trend"]

Columns = dict[str, Series]

RETURNS = (4 / 24, 12 / 24, 1, 2, 3, 5, 8, 14, 20, 30, 45, 60, 80, 100, 120)


def trend(market: Market) -> Columns:
    """Returns, means, extremes, efficiency."""
    close, made = market.log_close, Columns()
    for days in RETURNS:
        name = f"{round(days * 24)}h" if days < 1 else f"{days}d"
        made[f"return_{name}"] = market.in_sd(market.change(close, days), days)
    for days in (2, 5, 10, 20, 50, 100, 120):
        made[f"above_mean_{days}d"] = market.in_sd(close - market.mean(close, days), days)
    for fast, slow in ((3, 10), (5, 20), (20, 50), (20, 100), (50, 120)):
        gap = market.mean(close, fast) - market.mean(close, slow)
        made[f"mean_{fast}d_over_{slow}d"] = market.in_sd(gap, slow)
    for days, back in ((5, 3), (20, 10), (60, 20)):
        made[f"mean_{days}d_slope_{back}d"] = market.in_sd(
            market.change(market.mean(close, days), back), back
        )
    for days in (3, 7, 20, 60, 120):
        made[f"below_high_{days}d"] = market.in_sd(close - market.highest(market.log_high, days), days)
        made[f"above_low_{days}d"] = market.in_sd(close - market.lowest(market.log_low, days), days)
    for days in (3, 10, 30, 90):
        path = market.mean(market.log_return.abs(), days) * market.bars(days)
        made[f"efficiency_{days}d"] = market.change(close, days) / path.where(path > 0)
    rising = (market.log_return > 0) + 0.5 * (market.log_return == 0)
    for days in (5, 30):
        made[f"rising_bars_{days}d"] = market.mean(rising.where(market.log_return.notna()), days)
    return made


def straightness(market: Market) -> Columns:
    """Lines, choppiness, variance ratios, swings."""
    close, made = market.log_close, Columns()
    for days in (10, 30, 60, 120):
        made[f"trend_line_{days}d"] = market.trend(close, days)
    spread = np.maximum(market.log_high, close.shift()) - np.minimum(market.log_low, close.shift())
    for days in (5, 14, 30):
        path = market.mean(spread, days) * market.bars(days)
        height = market.highest(market.log_high, days) - market.lowest(market.log_low, days)
        made[f"choppiness_{days}d"] = np.log(path / height) / math.log(market.bars(days))
    for days, over in ((3, 60), (10, 100)):
        long = market.mean(market.change(close, days) ** 2, over)
        made[f"variance_ratio_{days}d_in_{over}d"] = np.log(long / (market.variance(over) * days))
    today = market.change(close, 1)
    made["autocorrelation_60d"] = market.correlation(today, market.ago(today, 1), 60)
    high, low = market.highest(market.log_high, 1), market.lowest(market.log_low, 1)
    up = (high > market.ago(high, 1)).where(high.notna() & market.ago(high, 1).notna())
    down = (low < market.ago(low, 1)).where(low.notna() & market.ago(low, 1).notna())
    for days in (10, 30):
        made[f"higher_highs_{days}d"] = market.mean(up.astype(np.float64), days)
        made[f"lower_lows_{days}d"] = market.mean(down.astype(np.float64), days)
    for days, before in ((3, 12), (10, 30)):
        late = market.in_sd(market.change(close, days), days)
        early = market.ago(close, days) - market.ago(close, days + before)
        made[f"acceleration_{days}d_after_{before}d"] = late - market.in_sd(early, before)
    return made


def exhaustion(market: Market) -> Columns:
    """Ages, places in the range, runs, wicks."""
    close, high, low, made = market.log_close, market.log_high, market.log_low, Columns()
    for days in (20, 60, 120):
        made[f"high_age_{days}d"] = market.age_of_max(high, days) / market.bars(days)
    for days in (7, 20, 60, 120):
        made[f"low_age_{days}d"] = market.age_of_min(low, days) / market.bars(days)
    for days in (5, 20, 60, 120):
        height = market.highest(high, days) - market.lowest(low, days)
        made[f"range_position_{days}d"] = (close - market.lowest(low, days)) / height.where(height > 0)
    for days, over in ((10, 60), (20, 120)):
        floor = market.lowest(low, days)
        fall = market.highest(high, over) - floor
        made[f"bounce_from_{days}d_low_of_{over}d_fall"] = (close - floor) / fall.where(fall > 0)
    made["run_of_days_10d"] = _run_of_days(market, 10)
    for fast, slow, cap in ((5, 20, 60), (10, 50, 60), (20, 80, 40)):
        gap = market.mean(close, fast) - market.mean(close, slow)
        gap = gap.mask(gap.abs() < 1e-11, 0.0)
        made[f"cross_age_{fast}d_{slow}d"] = market.since_other_side(gap, cap) / market.bars(cap)
    day = market.change(close, 1)
    for days in (3, 10):
        made[f"worst_day_{days}d"] = market.in_sd(market.lowest(day, days), 1)
        made[f"best_day_{days}d"] = market.in_sd(market.highest(day, days), 1)
    for days, over in ((3, 90), (14, 90)):
        made[f"return_rank_{days}d_in_{over}d"] = market.rank(market.change(close, days), over)
    upper = high - np.maximum(market.log_open, close)
    lower = np.minimum(market.log_open, close) - low
    for name, wick in (("upper", upper), ("lower", lower)):
        for days in (1, 5):
            height = market.mean(high - low, days)
            made[f"{name}_wick_{days}d"] = market.mean(wick, days) / height.where(height > 0)
    return made


def _run_of_days(market: Market, days: int) -> Series:
    side = np.sign(market.change(market.log_close, 1))
    run, goes_on = pd.Series(0.0, side.index), pd.Series(data=True, index=side.index)
    for back in range(days):
        earlier = market.ago(side, back) if back else side
        run = run.mask(goes_on & earlier.isna())
        goes_on &= earlier == side
        run += goes_on
    return run * side
