"""Closed-form densities of what a simulated bar shows, given the state and the observed past.

With them a Bayes filter that knows the parameters can be run on the simulated history: no model can
do better on average. Conditioning set of bar ``t``: everything observed before it and, for a symbol
that is not the leader, the leader's bar ``t``. The parts follow the chain rule: the return; then, at
a settlement, the funding rate; then, at a UTC day's end, the change of open interest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError
from features.raw import RawMarket
from features.sources.simulated_laws import (
    funding_log_density,
    open_interest_log_density,
    return_log_density,
)
from features.sources.simulated_parameters import LEADER, SimulationParameters, SymbolParameters
from features.sources.simulated_past import ObservedPast

__all__ = ["Observations", "bayes_filter", "log_density", "observe"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """A simulated history as the densities see it. Arrays of bars have ``n_bars`` entries.

    Attributes
    ----------
    own_return : ndarray
        Log-return less ``beta`` times the leader's.
    scale : ndarray
        Scale that the past gives the bar's own return.
    crowded : ndarray of bool
        The last settled rate before the bar was negative.
    settlement : ndarray of int
        Bars at whose close funding settled; ``rate, score, last_rate`` belong to them.
    day_end : ndarray of int
        Bars at whose close open interest became known; ``change`` (log, coins), ``day_return,
        violent, gap`` belong to them.
    """

    own_return: FloatArray
    scale: FloatArray
    crowded: NDArray[np.bool_]
    settlement: NDArray[np.int64]
    rate: FloatArray
    score: FloatArray
    last_rate: FloatArray
    day_end: NDArray[np.int64]
    change: FloatArray
    day_return: FloatArray
    violent: FloatArray
    gap: FloatArray


def observe(parameters: SymbolParameters, market: RawMarket, leader: RawMarket | None = None) -> Observations:
    """Replay a simulated hourly history from its first bar and collect what the densities need.

    Parameters
    ----------
    market : RawMarket
        An hourly simulated market from the start of the simulation (not one cut by ``since``).
    leader : RawMarket, optional
        The leader over the same bars; needed unless ``market`` is the leader.

    Raises
    ------
    DataError
        If the market is not hourly, is cut at its start, lacks funding or open interest, or does
        not match the leader.
    """
    if market.interval != "1h" or market.funding is None or market.open_interest is None:
        raise DataError(f"{market.symbol} at {market.interval}: densities need the hourly simulation")
    if float(market.bars["open"].iloc[0]) != parameters.start_price:
        raise DataError(f"{market.symbol} opens at another price than the simulation starts with: it was cut")
    lead = _returns(parameters.start_price, market) * 0.0
    if parameters.returns.beta != 0.0:
        if leader is None or not leader.bars["open_time"].equals(market.bars["open_time"]):
            raise DataError(f"{market.symbol} needs the leader's history over the same bars")
        lead = _returns(float(leader.bars["open"].iloc[0]), leader)
    close = market.bars["close"].to_numpy(dtype=np.float64)
    returns = _returns(parameters.start_price, market)
    closes_at = pd.DatetimeIndex(market.bars["open_time"]) + pd.Timedelta(hours=1)
    rates = dict(
        zip(
            closes_at.get_indexer(pd.DatetimeIndex(market.funding["time"])),
            market.funding["funding_rate"].tolist(),
            strict=True,
        )
    )
    usd = dict(
        zip(
            closes_at.get_indexer(pd.DatetimeIndex(market.open_interest["time"])),
            market.open_interest["open_interest_value"].tolist(),
            strict=True,
        )
    )
    past = ObservedPast(parameters)
    n = len(returns)
    own, scale, crowded = np.empty(n), np.empty(n), np.zeros(n, dtype=np.bool_)
    funding: list[tuple[float, ...]] = []
    interest: list[tuple[float, ...]] = []
    for t in range(n):
        scale[t], crowded[t] = past.scale(), past.last_rate < 0.0
        own[t] = past.see_bar(float(returns[t]), float(lead[t]))
        if t in rates:
            funding.append((t, rates[t], past.score(), past.last_rate))
            past.last_rate = rates[t]
        if t in usd:
            gap = past.gap
            coins = past.coins_gap(usd[t], float(close[t]))
            interest.append((t, coins - gap, past.day_return, past.violent, gap))
            past.see_day_end(coins)
    f = np.array(funding, dtype=np.float64).reshape(-1, 4)
    o = np.array(interest, dtype=np.float64).reshape(-1, 5)
    return Observations(
        own,
        scale,
        crowded,
        f[:, 0].astype(np.int64),
        f[:, 1],
        f[:, 2],
        f[:, 3],
        o[:, 0].astype(np.int64),
        o[:, 1],
        o[:, 2],
        o[:, 3],
        o[:, 4],
    )


def log_density(
    parameters: SimulationParameters, market: RawMarket, leader: RawMarket | None = None
) -> FloatArray:
    """Log density of what each bar showed, by state.

    Returns
    -------
    ndarray of shape (n_bars, 4)
        Row ``t``: return, funding rate (where one settled) and change of open interest (at a day's
        end) of bar ``t``, given the state of bar ``t`` and the observed past. At the default rate
        and at the caps the funding part is a probability, not a density: the same for all states.
    """
    symbol = parameters.of(market.symbol)
    seen = observe(symbol, market, leader)
    out = return_log_density(symbol.returns, seen.own_return, seen.scale, seen.crowded)
    out[seen.settlement] += funding_log_density(symbol.funding, seen.rate, seen.score, seen.last_rate)
    out[seen.day_end] += open_interest_log_density(
        symbol.open_interest, seen.change, seen.day_return, seen.violent, seen.gap
    )
    return out


def bayes_filter(
    parameters: SimulationParameters, market: RawMarket, leader: RawMarket | None = None
) -> FloatArray:
    """State probabilities of the Bayes filter that knows the simulator; row t uses bars <= t.

    For a symbol that is not the leader the filter also reads the leader, as both share the state.

    Returns
    -------
    ndarray of shape (n_bars, 4)
    """
    total = log_density(parameters, market, leader)
    if leader is not None and market.symbol != LEADER:
        total = total + log_density(parameters, leader)
    return parameters.regimes.filter_online(total)


def _returns(start: float, market: RawMarket) -> FloatArray:
    close = market.bars["close"].to_numpy(dtype=np.float64)
    return np.asarray(np.log(close / np.r_[start, close[:-1]]), dtype=np.float64)
