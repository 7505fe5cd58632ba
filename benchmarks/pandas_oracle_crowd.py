"""Positioning, sentiment and the features across markets in plain pandas, by the words of the catalogue."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.pandas_oracle_market import Market, Series
from features.context import MIN_SYMBOLS, leader_of

__all__ = ["cross_market", "positioning", "sentiment"]

Columns = dict[str, Series]


def _log(values: Series) -> Series:
    return np.log(values.where((values > 0) & (values < np.inf)))


def positioning(market: Market) -> Columns:
    """Liquidations, longs against shorts, takers."""
    made = Columns()
    day = {
        name: market.day_end(market.column(name))
        for name in ("liq_long_usd", "liq_short_usd", "taker_buy_usd", "taker_sell_usd", "taker_ratio")
    }
    longs, shorts = day["liq_long_usd"], day["liq_short_usd"]
    for days in (1, 7):
        both = market.mean(longs + shorts, days)
        made[f"liquidation_imbalance_{days}d"] = market.mean(shorts - longs, days) / both.where(both > 0)
    made["long_liquidation_rank_60d"] = market.rank(longs, 60)
    made["short_liquidation_rank_60d"] = market.rank(shorts, 60)
    burst = market.mean(longs + shorts, 3) / market.mean(longs + shorts, 60)
    made["liquidation_burst_3d_over_60d"] = _log(burst)
    share = _log(longs + shorts) - market.day_end(_log(market.column("open_interest")))
    made["liquidation_to_interest_rank_90d"] = market.rank(share, 90)
    ratios = {
        name: market.day_end(market.column(name))
        for name in ("lsr_global", "lsr_top_accounts", "lsr_top_positions")
    }
    for column, label, days in (
        ("lsr_global", "long_short", 1),
        ("lsr_global", "long_short", 7),
        ("lsr_top_accounts", "top_accounts", 7),
        ("lsr_top_positions", "top_positions", 7),
    ):
        level = _log(ratios[column])
        spread = np.sqrt(market.mean(market.change(level, 1) ** 2, 60) * days)
        made[f"{label}_change_{days}d"] = market.change(level, days) / spread.where(spread > 0)
    made["long_short_rank_90d"] = market.rank(ratios["lsr_global"], 90)
    made["top_accounts_rank_60d"] = market.rank(ratios["lsr_top_accounts"], 60)
    made["top_positions_rank_60d"] = market.rank(ratios["lsr_top_positions"], 60)
    gap = _log(ratios["lsr_top_positions"]) - _log(ratios["lsr_global"])
    made["top_against_crowd_z_3d_in_60d"] = market.zscore(gap, 3, 60)
    bought, sold = day["taker_buy_usd"], day["taker_sell_usd"]
    imbalance = (bought - sold) / (bought + sold)
    for days in (1, 7):
        made[f"taker_imbalance_z_{days}d_in_60d"] = market.zscore(imbalance, days, 60)
    made["taker_ratio_z_3d_in_60d"] = market.zscore(_log(day["taker_ratio"]), 3, 60)
    inflow = market.day_end(market.column("exchange_inflow"))
    made["exchange_inflow_z_3d_in_60d"] = market.zscore(inflow, 3, 60)
    return made


def sentiment(market: Market) -> Columns:
    """Fear & greed, puts and calls."""
    index, made = market.column("fear_greed"), Columns()
    index = index.where(index.between(0, 100))
    for days in (1, 30):
        made[f"fear_greed_level_{days}d"] = (market.mean(index, days) - 50) / 50
    made["fear_greed_rank_90d"] = market.rank(index, 90)
    for days in (3, 14):
        made[f"fear_greed_change_{days}d"] = market.change(index, days) / 50
    extreme = (index > 75) * 1.0 - (index < 25) * 1.0
    made["fear_greed_extremes_30d"] = market.mean(extreme.where(index.notna()), 30)
    ratio = _log(market.column("put_call"))
    made["put_call_rank_90d"] = market.rank(ratio, 90)
    spread = market.sd(ratio, 60)
    made["put_call_change_7d"] = market.change(ratio, 7) / spread.where(spread > 0)
    return made


def cross_market(market: Market) -> Columns:
    """The leader, this symbol beside it, and the whole universe."""
    name = leader_of(market.closes.columns)
    if name is None:
        raise ValueError(f"the universe has no leader, it is {list(market.closes.columns)}")
    leader, made = market.closes[name], Columns()
    moved = leader.diff()
    sigma = market.sigma_of(moved**2)
    for days in (1, 3, 7, 30):
        made[f"leader_return_{days}d"] = market.change(leader, days) / (sigma * np.sqrt(days))
    for days in (20, 100):
        gap = leader - market.mean(leader, days)
        made[f"leader_above_mean_{days}d"] = gap / (sigma * np.sqrt(days))
    made["leader_below_high_60d"] = (leader - market.highest(leader, 60)) / (sigma * np.sqrt(60))
    for days in (7, 30):
        gap = market.change(market.log_close, days) - market.change(leader, days)
        made[f"relative_return_{days}d"] = market.in_sd(gap, days)
    both = market.log_return.notna() & moved.notna()
    own, other = market.log_return.where(both), moved.where(both)
    product, of_own, of_leader = (market.mean(one, 30) for one in (own * other, own**2, other**2))
    made["leader_beta_30d"] = product / of_leader
    made["leader_correlation_30d"] = product / np.sqrt(of_own * of_leader)
    return made | _universe(market)


def _universe(market: Market) -> Columns:
    logs, made = market.closes, Columns()
    needed = max(MIN_SYMBOLS, math.ceil(0.6 * logs.shape[1]))

    def over_symbols(table: Any) -> Series:
        return table.mean(axis=1).where(table.count(axis=1) >= needed)

    for days in (20, 60):
        gap = logs - logs.apply(market.mean, days=days)
        made[f"breadth_{days}d"] = over_symbols((np.sign(gap) + 1) / 2)
    returns = logs.diff()
    everyone = over_symbols(returns)
    squares = (returns**2).apply(market.mean, days=30)
    week = market.bars(7)
    scaled = logs.diff(week) / np.sqrt(squares * week)
    centred = scaled.sub(over_symbols(scaled), axis=0)
    made["dispersion_7d"] = np.sqrt(over_symbols(centred**2))
    together = returns.mul(everyone, axis=0).apply(market.mean, days=30)
    alike = together / np.sqrt(squares.mul(market.mean(everyone**2, 30), axis=0))
    made["market_correlation_30d"] = over_symbols(alike.clip(-1, 1))
    below = (logs - logs.apply(market.highest, days=60)) / np.sqrt(squares * market.bars(20))
    made["fallen_share_60d"] = over_symbols((below < -2).astype(np.float64).where(below.notna()))
    return made
