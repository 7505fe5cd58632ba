"""The raw tables that are drawn around a simulated path: bars, positioning, sentiment and the rest.

Ranges, volumes, liquidations, ratios and sentiment depend on the OBSERVED path and on noise of their
own, never on the state itself. So they say nothing about the state that return, funding and open
interest do not say, and the Bayes filter on those three stays the best possible answer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.sources.simulated_parameters import SymbolParameters
from features.sources.simulated_path import Path, logistic, random_stream, significant_all

__all__ = ["bar_table", "fear_greed_table", "funding_table", "open_interest_table", "positioning_table"]

FloatArray = NDArray[np.float64]

_NORMAL = 0.5513
"""Makes a standard logistic draw have a standard deviation of 1."""


def bar_table(
    parameters: SymbolParameters, path: Path, open_times: pd.DatetimeIndex, seed: int
) -> pd.DataFrame:
    """Hourly bars; each opens at the previous close.

    High and low are the extremes of a Brownian bridge from open to close; a violent rise overshoots
    (wicks of a squeeze) and so, by half, does a violent fall.
    """
    noise = random_stream(seed, parameters.symbol, "bars").random((len(path.close), 5))
    r, spread = path.log_return, path.spread
    bridge = -2.0 * (0.98 * spread) ** 2
    up = (r + np.sqrt(r * r + bridge * np.log(1.0 - noise[:, 0]))) / 2.0
    down = (r - np.sqrt(r * r + bridge * np.log(1.0 - noise[:, 1]))) / 2.0
    up += 0.5 * noise[:, 2] * np.maximum(0.0, r - 3.0 * spread)
    down -= 0.25 * noise[:, 3] * np.maximum(0.0, -r - 3.0 * spread)
    opens = np.r_[parameters.start_price, path.close[:-1]]
    high = np.round(opens * np.exp(up), parameters.decimals)
    low = np.round(opens * np.exp(down), parameters.decimals)
    tick = 10.0**-parameters.decimals
    size = np.minimum(np.abs(r) / spread, 8.0)
    turnover = (
        parameters.daily_turnover_usd
        / 24.0
        * (spread / (1.414 * path.typical[0])) ** 0.8
        * (0.45 + 0.75 * size)
        * np.exp(0.5 * _NORMAL * logistic(noise[:, 4]))
    )
    return pd.DataFrame(
        {
            "open_time": open_times,
            "open": opens,
            "high": np.maximum(high, np.maximum(opens, path.close)),
            "low": np.maximum(np.minimum(low, np.minimum(opens, path.close)), tick),
            "close": path.close,
            "volume": significant_all(turnover / path.close),
        }
    )


def funding_table(path: Path, closes_at: pd.DatetimeIndex) -> pd.DataFrame:
    """Settlements every 8 hours."""
    settled = ~np.isnan(path.funding_rate)
    return pd.DataFrame(
        {
            "time": closes_at[settled],
            "funding_rate": path.funding_rate[settled],
            "funding_interval_hours": 8.0,
        }
    )


def open_interest_table(path: Path, closes_at: pd.DatetimeIndex) -> pd.DataFrame:
    """Open interest in USD, known at each UTC midnight."""
    known = ~np.isnan(path.open_interest)
    return pd.DataFrame({"time": closes_at[known], "open_interest_value": path.open_interest[known]})


def positioning_table(
    symbol: str, path: Path, closes_at: pd.DatetimeIndex, volume_usd: FloatArray, seed: int
) -> pd.DataFrame:
    """Liquidations, long/short account ratio and taker volume of each UTC day, known at its end."""
    ends = np.flatnonzero(~np.isnan(path.open_interest))
    noise = _NORMAL * logistic(random_stream(seed, symbol, "positioning").random((len(ends), 4)))
    interest = path.open_interest[ends]
    fall = _per_day(np.maximum(0.0, -path.log_return - 2.0 * path.typical), ends)
    rise = _per_day(np.maximum(0.0, path.log_return - 2.0 * path.typical), ends)
    score, turnover = path.score[ends], _per_day(volume_usd, ends)
    buys = np.clip(0.5 + 0.012 * score + 0.006 * noise[:, 3], 0.4, 0.6)
    values = {
        "liq_long_usd": interest * (0.0006 + 0.10 * fall) * np.exp(0.5 * noise[:, 0]),
        "liq_short_usd": interest * (0.0005 + 0.09 * rise) * np.exp(0.5 * noise[:, 1]),
        "lsr_global": 1.8 * np.exp(-0.10 * score + 0.12 * noise[:, 2]),
        "taker_buy_usd": turnover * buys,
        "taker_sell_usd": turnover * (1.0 - buys),
    }
    rounded = {name: significant_all(value) for name, value in values.items()}
    return pd.DataFrame({"time": closes_at[ends], **rounded})


def fear_greed_table(leader: Path, closes_at: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
    """Sentiment of the whole market, 0 to 100, from the leader's momentum; known at the day's end."""
    ends = np.flatnonzero(~np.isnan(leader.open_interest))
    noise = _NORMAL * logistic(random_stream(seed, "market", "fear_greed").random(len(ends)))
    mood, values = 50.0, np.empty(len(ends))
    for i, end in enumerate(ends):
        mood = round(mood + 0.12 * (50.0 + 22.0 * float(leader.score[end]) - mood), 8)
        values[i] = round(min(98.0, max(3.0, mood + 4.0 * float(noise[i]))))
    return pd.DataFrame({"time": closes_at[ends], "fear_greed": values})


def _per_day(values: FloatArray, ends: NDArray[np.int64]) -> FloatArray:
    """Sum over the bars after the previous day's end up to and including each end."""
    if len(ends) == 0:
        return np.empty(0)
    return np.add.reduceat(values, np.r_[0, ends[:-1] + 1])[: len(ends)] - _beyond(values, ends)


def _beyond(values: FloatArray, ends: NDArray[np.int64]) -> FloatArray:
    """Give what the last sum of ``reduceat`` holds beyond the last day's end."""
    out = np.zeros(len(ends))
    out[-1] = values[ends[-1] + 1 :].sum()
    return out
