"""Volatility and volume in plain pandas, by the words of the catalogue."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.pandas_oracle_market import Market, Series

__all__ = ["volatility", "volume"]

Columns = dict[str, Series]


def _log_ratio(one: Series, other: Series) -> Series:
    ratio = one / other
    return np.log(ratio.where((ratio > 0) & (ratio < np.inf)))


def _yang_zhang(market: Market, days: int) -> Series:
    n = market.bars(days)
    unbiased, k = n / (n - 1), 0.34 / (1.34 + (n + 1) / (n - 1))
    jump, body = market.log_open - market.log_close.shift(), market.log_close - market.log_open
    one_bar = unbiased * (jump**2 + k * body**2) + (1 - k) * _rogers_satchell(market)
    means = market.mean(jump, days) ** 2 + k * market.mean(body, days) ** 2
    return (market.mean(one_bar, days) - unbiased * means) * market.per_day


def _rogers_satchell(market: Market) -> Series:
    high, low, opened, close = market.log_high, market.log_low, market.log_open, market.log_close
    return (high - close) * (high - opened) + (low - close) * (low - opened)


def volatility(market: Market) -> Columns:
    """Ratios of estimators, ranks, jumps, skew and tails."""
    returns, squares, made = market.log_return, market.squared_return, Columns()
    for fast, slow in ((0.5, 10), (1, 30), (3, 30), (7, 60), (30, 119)):
        name = f"{round(fast * 24)}h" if fast < 1 else f"{fast}d"
        ratio = _log_ratio(market.variance(fast), market.variance(slow))
        made[f"volatility_{name}_over_{slow}d"] = 0.5 * ratio
    down = squares.where(returns < 0, 0.0 * squares)
    for days in (3, 14, 30):
        made[f"downside_share_{days}d"] = market.mean(down, days) / market.mean(squares, days)
    height = (market.log_high - market.log_low) ** 2
    parkinson = height / (4 * math.log(2))
    for days in (3, 30):
        made[f"range_over_close_volatility_{days}d"] = 0.5 * _log_ratio(
            market.mean(parkinson, days), market.mean(squares, days)
        )
    body = market.log_close - market.log_open
    garman_klass = 0.5 * height - (2 * math.log(2) - 1) * body**2
    rogers_satchell = _rogers_satchell(market)
    for label, one_bar, fast, slow in (
        ("parkinson", parkinson, 1, 30),
        ("garman_klass", garman_klass, 3, 30),
        ("rogers_satchell", rogers_satchell, 7, 60),
    ):
        ratio = _log_ratio(market.mean(one_bar, fast), market.mean(one_bar, slow))
        made[f"{label}_{fast}d_over_{slow}d"] = 0.5 * ratio
    made["yang_zhang_14d_over_60d"] = 0.5 * _log_ratio(_yang_zhang(market, 14), _yang_zhang(market, 60))
    for label, one_bar, days in (("garman_klass", garman_klass, 7), ("rogers_satchell", rogers_satchell, 14)):
        made[f"{label}_over_close_{days}d"] = 0.5 * _log_ratio(
            market.mean(one_bar, days) * market.per_day, market.variance(days)
        )
    made["yang_zhang_over_close_30d"] = 0.5 * _log_ratio(_yang_zhang(market, 30), market.variance(30))
    for days, over in ((1, 90), (7, 90)):
        made[f"volatility_rank_{days}d_in_{over}d"] = market.rank(market.variance(days), over)
    variance = market.variance(1)
    log_day = 0.5 * np.log(variance.where(variance > 0))
    for days in (10, 30):
        made[f"volatility_of_volatility_{days}d"] = market.sd(log_day, days)
    made["return_volatility_correlation_60d"] = market.correlation(
        market.change(market.log_close, 1), market.change(log_day, 1), 60
    )
    made |= _moments(market)
    return made


def _moments(market: Market) -> Columns:
    returns, squares, made = market.log_return, market.squared_return, Columns()
    for days in (7, 30):
        square = market.mean(squares, days)
        bipower = market.mean(returns.abs() * returns.abs().shift(), days) * np.pi / 2
        made[f"jump_share_{days}d"] = 1 - bipower / square.where(square > 0)
        made[f"skew_{days}d"] = np.arcsinh(market.mean(returns**3, days) / (square * np.sqrt(square)))
        made[f"tail_weight_{days}d"] = _log_ratio(market.mean(squares**2, days), 3 * square**2)
    total = market.mean(squares, 7) * market.bars(7)
    made["largest_bar_share_7d"] = market.highest(squares, 7) / total
    return made


def volume(market: Market) -> Columns:
    """Ratios, ranks, up against down volume, money flow, illiquidity."""
    traded, returns, made = market.volume, market.log_return, Columns()
    for fast, slow in ((1, 30), (7, 60)):
        made[f"volume_{fast}d_over_{slow}d"] = _log_ratio(
            market.mean(traded, fast), market.mean(traded, slow)
        )
    day = market.mean(traded, 1)
    made["volume_rank_1d_in_60d"] = market.rank(day, 60)
    made["volume_trend_30d"] = market.trend(np.log(day.where(day > 0)), 30)
    known = returns.notna() & traded.notna()
    rising, falling = ((returns > 0) * 1.0).where(known), ((returns < 0) * 1.0).where(known)
    for days in (3, 14):
        up = market.mean(rising * traded, days) / market.mean(rising, days)
        fall = market.mean(falling * traded, days) / market.mean(falling, days)
        made[f"volume_up_over_down_{days}d"] = _log_ratio(up, fall)
    signed = np.sign(returns) * traded
    for days in (3, 14):
        made[f"on_balance_volume_{days}d"] = market.mean(signed, days) / market.mean(
            traded.where(signed.notna()), days
        )
    height = market.log_high - market.log_low
    place = (2 * market.log_close - market.log_high - market.log_low) / height.where(height > 0)
    flow = place * traded
    made["money_flow_7d"] = market.mean(flow, 7) / market.mean(traded.where(flow.notna()), 7)
    for days in (7, 30):
        made[f"price_volume_correlation_{days}d"] = market.correlation(
            returns, np.log(traded.where(traded > 0)), days
        )
    money = traded * market.column("close")
    moved = returns.abs() / money.where(money > 0)
    for fast, slow in ((1, 30), (7, 90)):
        made[f"illiquidity_{fast}d_over_{slow}d"] = _log_ratio(
            market.mean(moved, fast), market.mean(moved, slow)
        )
    for days in (7, 30, 90):
        price = market.mean(money, days) / market.mean(traded.where(money.notna()), days)
        made[f"above_traded_mean_{days}d"] = market.in_sd(market.log_close - np.log(price), days)
    made["volume_peak_10d_over_60d"] = _log_ratio(market.highest(day, 10), market.mean(traded, 60))
    return made
