"""Funding, its calendar and open interest in plain pandas, by the words of the catalogue."""

from __future__ import annotations

import numpy as np

from benchmarks.pandas_oracle_market import Market, Series

__all__ = ["calendar", "eight_hour_rate", "funding", "funding_cost", "interest_flows", "open_interest"]

Columns = dict[str, Series]

DEFAULT_RATE, TAIL_RATE, LEAST_SD = 0.0001, 0.0005, 0.00002


def eight_hour_rate(market: Market) -> Series:
    return market.column("funding_rate") * 8 / market.column("funding_interval_hours")


def funding(market: Market) -> Columns:
    """Level, rank, sign and tails of the 8-hour rate."""
    rate, made = eight_hour_rate(market), Columns()
    for days in (1, 7, 30):
        made[f"funding_level_{days}d"] = np.arcsinh(market.mean(rate, days) / DEFAULT_RATE)
    for days, over in ((3, 90), (7, 60)):
        made[f"funding_rank_{days}d_in_{over}d"] = market.rank(market.mean(rate, days), over)
    known = rate.notna()
    made["funding_negative_7d"] = market.mean(((rate < 0) * 1.0).where(known), 7)
    tail = (rate > TAIL_RATE) * 1.0 - (rate < -TAIL_RATE) * 1.0
    made["funding_tails_30d"] = market.mean(tail.where(known), 30)
    return made


def funding_cost(market: Market) -> Columns:
    """Cost, turns, streaks and extremes of funding."""
    rate, made = eight_hour_rate(market), Columns()
    for days, over in ((1, 30), (7, 90)):
        made[f"funding_z_{days}d_in_{over}d"] = np.arcsinh(market.zscore(rate, days, over, LEAST_SD))
    for days in (7, 30, 90):
        paid = market.mean(rate, days) * 3 * days
        made[f"funding_cost_{days}d"] = np.arcsinh(10 * market.in_sd(paid, days))
    for fast, slow in ((1, 7), (7, 30)):
        now, usual = market.mean(rate, fast) / DEFAULT_RATE, market.mean(rate, slow) / DEFAULT_RATE
        made[f"funding_turn_{fast}d_over_{slow}d"] = np.arcsinh(now) - np.arcsinh(usual)
    made["funding_sign_age_30d"] = market.since_other_side(rate, 30) / market.bars(30)
    known = rate.notna()
    for side, tail in (("high", rate > TAIL_RATE), ("low", rate < -TAIL_RATE)):
        happened = (tail * 1.0).where(known)
        made[f"funding_since_{side}_tail_30d"] = market.since(happened, 30) / market.bars(30)
    made["funding_highest_7d"] = np.arcsinh(market.highest(rate, 7) / DEFAULT_RATE)
    made["funding_lowest_7d"] = np.arcsinh(market.lowest(rate, 7) / DEFAULT_RATE)
    spread = market.sd(rate, 7).clip(lower=LEAST_SD) / market.sd(rate, 60).clip(lower=LEAST_SD)
    made["funding_spread_7d_over_60d"] = np.log(spread)
    moved = market.in_sd(market.change(market.log_close, 7), 7)
    made["price_funding_agreement_7d"] = np.tanh(moved) * np.tanh(market.zscore(rate, 7, 60, LEAST_SD))
    return made


def calendar(market: Market) -> Columns:
    """When funding is next settled, and how often."""
    interval, made = market.column("funding_interval_hours"), Columns()
    hour = market.time.hour + market.time.minute / 60
    made["time_to_settlement"] = 1 - (hour % interval) / interval
    steps = np.log2(8 / interval)
    made["settlement_interval"] = steps
    made["settlement_interval_change_30d"] = steps - market.mean(steps, 30)
    return made


def _level(market: Market) -> Series:
    value = market.column("open_interest")
    return market.day_end(np.log(value.where(value > 0)))


def _daily_sd(market: Market, level: Series) -> Series:
    return np.sqrt(market.mean(market.change(level, 1) ** 2, 60))


def open_interest(market: Market) -> Columns:
    """Changes, agreement with price, flushes, rank."""
    level, price, made = _level(market), market.day_end(market.log_close), Columns()
    spread = _daily_sd(market, level)
    for days in (1, 3, 7, 30):
        made[f"interest_change_{days}d"] = market.change(level, days) / (spread * np.sqrt(days))
    for days in (3, 14):
        coins = market.change(level, days) - market.change(price, days)
        made[f"interest_in_coins_change_{days}d"] = coins / (spread * np.sqrt(days))
    for days in (3, 7):
        moved = market.in_sd(market.change(price, days), days)
        opened = market.change(level, days) / (spread * np.sqrt(days))
        made[f"price_interest_agreement_{days}d"] = np.tanh(moved) * np.tanh(opened)
    made["interest_below_peak_30d"] = (level - market.highest(level, 30)) / (spread * np.sqrt(30))
    made["interest_rank_90d"] = market.rank(level, 90)
    return made


def interest_flows(market: Market) -> Columns:
    """Quadrants, leverage, flushes and build-up."""
    level, price, made = _level(market), market.day_end(market.log_close), Columns()
    spread, moved = _daily_sd(market, level), market.change(price, 1)
    coins = market.change(level, 1) - moved
    known = coins.notna() & moved.notna()
    for days in (7, 30):
        for side, held in (
            ("new_longs", (moved > 0) & (coins > 0)),
            ("new_shorts", (moved < 0) & (coins > 0)),
            ("shorts_closing", (moved > 0) & (coins < 0)),
            ("longs_closing", (moved < 0) & (coins < 0)),
        ):
            made[f"{side}_{days}d"] = market.mean((held * 1.0).where(known), days)
    daily = market.mean(market.volume * market.column("close"), 7) * market.per_day
    leverage = level - market.day_end(np.log(daily.where(daily > 0)))
    made["interest_to_volume_rank_90d"] = market.rank(leverage, 90)
    made["interest_to_volume_z_1d_in_60d"] = market.zscore(leverage, 1, 60)
    made["interest_flush_7d"] = market.lowest(coins, 7) / spread
    fall = coins / spread
    flushed = ((fall < -2.5) * 1.0).where(fall.notna())
    made["interest_since_flush_30d"] = market.since(flushed, 30) / market.bars(30)
    for fast, slow in ((3, 30), (7, 60)):
        speed = market.change(level, fast) / fast - market.change(level, slow) / slow
        made[f"interest_build_up_{fast}d_over_{slow}d"] = speed * np.sqrt(fast) / spread
    made["interest_trend_30d"] = market.trend(level, 30)
    square = market.change(level, 1) ** 2
    ratio = market.mean(square, 10) / market.mean(square, 60)
    made["interest_volatility_10d_over_60d"] = 0.5 * np.log(ratio.where(ratio > 0))
    return made
