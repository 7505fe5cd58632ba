"""Measured figures of the simulated market, for ``docs/simulated-market.md``.

Run as ``python -m features.sources.simulated_figures``.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from features.raw import RawMarket
from features.sources.semi_markov import STATES
from features.sources.simulated import SIMULATED_SYMBOLS, Simulation, simulate
from features.sources.simulated_density import bayes_filter
from features.sources.simulated_parameters import LEADER

__all__ = ["figures_by_state", "figures_by_symbol"]

_HOURS_A_YEAR = 8760.0


def figures_by_symbol(simulation: Simulation) -> pd.DataFrame:
    """One row per symbol of an hourly simulation that holds the leader.

    Annual volatility, excess kurtosis of hourly returns, autocorrelation of their absolute value
    after 1 and 24 hours, correlation with the leader, 99 % quantile of the largest rise within 7
    days, share of settlements at the default rate and below 0, and the Bayes filter's log loss on
    the true states (nats per bar).
    """
    leader = simulation.markets[LEADER]
    factor = _returns(leader)
    rows = {}
    for symbol, market in simulation.markets.items():
        returns = _returns(market)
        size = returns.abs()
        highest = market.bars["high"][::-1].rolling(168).max()[::-1].shift(-1)
        rate = _rates(market.funding)
        beliefs = bayes_filter(simulation.parameters, market, leader)
        state = simulation.states[symbol]["state"].to_numpy()
        rows[symbol] = {
            "volatility": float(returns.std()) * _HOURS_A_YEAR**0.5,
            "kurtosis": float(pd.to_numeric(returns.kurt())),
            "autocorrelation 1h": size.autocorr(1),
            "autocorrelation 24h": size.autocorr(24),
            "correlation": returns.corr(factor),
            "7-day rise 99%": float((highest / market.bars["close"] - 1.0).quantile(0.99)),
            "funding default": float((rate == 1e-4).mean()),
            "funding negative": float((rate < 0.0).mean()),
            "filter log loss": float(-np.log(beliefs[np.arange(len(state)), state]).mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def figures_by_state(simulation: Simulation, symbol: str = LEADER) -> pd.DataFrame:
    """One row per state of one symbol.

    Share of hours, spells, median spell in days, drift per day, annual volatility, violent rises
    (hourly return above 4 standard deviations) per 1,000 hours, share of negative funding, and mean
    daily change of open interest in coins.
    """
    market, truth = simulation.markets[symbol], simulation.states[symbol]
    state, age = truth["state"].to_numpy(), truth["age"].to_numpy()
    returns = _returns(market).to_numpy()
    close = pd.Series(market.bars["close"].to_numpy(), index=truth["time"])
    rate = _rates(market.funding)
    rate_state = truth.set_index("time")["state"].reindex(rate.index).to_numpy()
    interest = market.open_interest
    if interest is None:
        raise ValueError(f"{symbol} has no open interest")
    coins = interest.set_index("time")["open_interest_value"]
    change = np.log(coins / close.reindex(coins.index)).diff()
    day_state = truth.set_index("time")["state"].reindex(coins.index).to_numpy()
    last = np.r_[np.flatnonzero(np.diff(state)), len(state) - 1]
    rows = {}
    for index, name in enumerate(STATES):
        here = returns[state == index]
        spells = age[last][state[last] == index]
        rows[name] = {
            "share": len(here) / len(state),
            "spells": float(len(spells)),
            "median days": float(np.median(spells)) / 24.0,
            "drift a day": float(here.mean()) * 24.0,
            "volatility": float(here.std()) * _HOURS_A_YEAR**0.5,
            "violent rises": 1000.0 * float((here > 4.0 * returns.std()).mean()),
            "funding negative": float((rate[rate_state == index] < 0.0).mean()),
            "coins a day": float(change[day_state == index].mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _returns(market: RawMarket) -> pd.Series[float]:
    ratio = market.bars["close"].to_numpy(dtype=np.float64) / market.bars["open"].to_numpy(dtype=np.float64)
    return pd.Series(np.log(ratio))


def _rates(funding: pd.DataFrame | None) -> pd.Series[float]:
    if funding is None:
        raise ValueError("a simulated market has funding, got none")
    return funding.set_index("time")["funding_rate"]


def main() -> None:
    """Write both tables of the default simulation to standard output."""
    simulation = simulate(SIMULATED_SYMBOLS)
    for table in (figures_by_symbol(simulation), figures_by_state(simulation)):
        sys.stdout.write(table.round(4).to_string() + "\n\n")


if __name__ == "__main__":
    main()
