"""The exported densities are the laws that the market is drawn from, and the filter on them is online."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from features.errors import DataError
from features.sources import simulated_laws as law
from features.sources.semi_markov import STATES
from features.sources.simulated import SIMULATED_SYMBOLS, Simulation, load_simulated, simulate
from features.sources.simulated_density import bayes_filter, log_density, observe


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@cache
def full() -> Simulation:
    return simulate(SIMULATED_SYMBOLS)


@pytest.mark.parametrize("symbol", ["SIMBTC", "SIMSOL"])
def test_returns_fit_the_exported_density(symbol: str) -> None:
    """The distribution function at each realised value is uniform, state by state."""
    simulation = full()
    parameters = simulation.parameters.of(symbol)
    seen = observe(parameters, simulation.markets[symbol], simulation.markets["SIMBTC"])
    state = simulation.states[symbol]["state"].to_numpy()
    bars = np.arange(len(state))
    u = law.return_cdf(parameters.returns, seen.own_return, seen.scale, seen.crowded)[bars, state]
    for s in range(4):
        assert stats.kstest(u[state == s], "uniform").pvalue > 0.005
        wrong = law.return_cdf(parameters.returns, seen.own_return, seen.scale * 1.3, seen.crowded)[
            bars, state
        ]
        assert stats.kstest(wrong[state == s], "uniform").pvalue < 0.005
    at = np.arange(len(seen.day_end))
    interest = (seen.change, seen.day_return, seen.violent, seen.gap)
    v = law.open_interest_cdf(parameters.open_interest, *interest)[at, state[seen.day_end]]
    assert stats.kstest(v, "uniform").pvalue > 0.005
    # The rate's law has a probability at the default: spread it evenly over its share.
    at = np.arange(len(seen.settlement))
    past = (seen.score, seen.last_rate)
    top = law.funding_cdf(parameters.funding, seen.rate, *past)[at, state[seen.settlement]]
    below = law.funding_cdf(parameters.funding, seen.rate - 1.1e-8, *past)[at, state[seen.settlement]]
    w = below + np.random.default_rng(0).random(len(at)) * (top - below)
    assert stats.kstest(w, "uniform").pvalue > 0.005


def test_densities_are_distributions() -> None:
    """By quadrature each law has mass 1 and its distribution function as its integral."""
    p = full().parameters.of("SIMSOL")
    n = 40_001
    x = np.sinh(np.linspace(-12.0, 12.0, n)) * 1e-4  # dense in the middle, far in the tails
    ones = np.ones(n)
    for crowded in (False, True):
        rest = (0.006 * ones, np.full(n, crowded))
        density = np.exp(law.return_log_density(p.returns, x, *rest))
        assert np.trapezoid(density, x, axis=0) == pytest.approx(np.ones(4), abs=1e-5)
        part = np.trapezoid(density[: n // 2 + 2000], x[: n // 2 + 2000], axis=0)
        whole = law.return_cdf(p.returns, x, *rest)[n // 2 + 1999]
        assert part == pytest.approx(whole, abs=1e-5)
    interest = (0.03 * ones, 0.01 * ones, 0.2 * ones)
    density = np.exp(law.open_interest_log_density(p.open_interest, x, *interest))
    assert np.trapezoid(density, x, axis=0) == pytest.approx(np.ones(4), abs=1e-5)
    for score, last in ((-2.0, -4e-4), (0.3, 1e-4), (2.9, 9e-4), (0.0, -0.0199)):
        rates = 1e-4 + np.linspace(1e-8, 0.03, 300_001)
        mass = np.zeros(4)
        for side in (rates, 2e-4 - rates):
            inside = side[np.abs(side) < p.funding.cap - 1e-8]
            given = (np.full(len(inside), score), np.full(len(inside), last))
            density = np.exp(law.funding_log_density(p.funding, inside, *given))
            mass += np.abs(np.trapezoid(density, inside, axis=0))
        atoms = np.array([p.funding.default, p.funding.cap, -p.funding.cap])
        mass += np.exp(law.funding_log_density(p.funding, atoms, np.full(3, score), np.full(3, last))).sum(
            axis=0
        )
        assert mass == pytest.approx(np.ones(4), abs=5e-4)


@cache
def beliefs(symbol: str) -> NDArray[np.float64]:
    simulation = full()
    return bayes_filter(simulation.parameters, simulation.markets[symbol], simulation.markets["SIMBTC"])


@pytest.mark.parametrize("symbol", ["SIMBTC", "SIMETH"])
def test_the_bayes_filter_uses_the_past_alone(symbol: str) -> None:
    short = simulate([symbol, "SIMBTC"][: 1 + (symbol != "SIMBTC")], until=day("2021-06-01 05:00"))
    early = bayes_filter(short.parameters, short.markets[symbol], short.markets["SIMBTC"])
    assert np.array_equal(early, beliefs(symbol)[: len(early)])
    assert early.sum(axis=1) == pytest.approx(np.ones(len(early)))


@pytest.mark.parametrize("symbol", SIMULATED_SYMBOLS)
def test_the_bayes_filter_beats_climatology_by_far_and_is_calibrated(symbol: str) -> None:
    state = full().states[symbol]["state"].to_numpy()
    share = np.bincount(state, minlength=4) / len(state)
    loss = -np.log(beliefs(symbol)[np.arange(len(state)), state]).mean()
    assert loss < 0.5 * -np.log(share[state]).mean()
    top = beliefs(symbol).max(axis=1)
    hit = beliefs(symbol).argmax(axis=1) == state
    assert hit.mean() == pytest.approx(top.mean(), abs=0.04)


def test_wrong_parameters_predict_the_observations_worse() -> None:
    simulation = full()
    market, state = simulation.markets["SIMBTC"], simulation.states["SIMBTC"]["state"].to_numpy()
    density = log_density(simulation.parameters, market)
    own = density[np.arange(len(state)), state]
    for s in range(4):
        for other in set(range(4)) - {s}:
            assert own[state == s].sum() > density[state == s, other].sum(), (STATES[s], STATES[other])


def test_densities_need_the_hourly_history_and_the_leader() -> None:
    run = simulate(["SIMBTC", "SIMETH"], until=day("2021-01-08"))
    daily = simulate(["SIMBTC"], until=day("2021-01-08"), interval="1d")
    with pytest.raises(DataError, match="needs the leader"):
        log_density(run.parameters, run.markets["SIMETH"])
    cut = load_simulated(["SIMBTC"], since=day("2021-01-03"), until=day("2021-01-08"))[0]
    with pytest.raises(DataError, match="it was cut"):
        log_density(run.parameters, cut)
    with pytest.raises(DataError, match="hourly"):
        log_density(run.parameters, daily.markets["SIMBTC"])
