"""The semi-Markov chain against slow oracles over explicit ages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.sources.semi_markov import SemiMarkov

CHAIN = SemiMarkov(
    mean_bars=(6.0, 4.0, 9.0),
    phases=(2, 1, 3),
    transition=((0.0, 0.7, 0.3), (0.5, 0.0, 0.5), (0.9, 0.1, 0.0)),
    initial=(0.2, 0.5, 0.3),
)


def filter_over_ages(chain: SemiMarkov, log_density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Forward recursion over (state, age) with the hazard of each age."""
    n, k = log_density.shape
    pmf = np.array([chain.duration_pmf(s, n) for s in range(k)])
    alive = 1.0 - np.cumsum(pmf, axis=1) + pmf
    hazard = pmf / alive
    belief = np.zeros((k, n))
    belief[:, 0] = chain.initial
    out = []
    for t in range(n):
        if t:
            ended = (belief * hazard).sum(axis=1)
            stay = belief * (1.0 - hazard)
            belief = np.c_[ended @ np.array(chain.transition), stay[:, :-1]]
        belief = belief * np.exp(log_density[t])[:, None]
        belief /= belief.sum()
        out.append(belief.sum(axis=1))
    return np.array(out)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n_bars=st.integers(1, 60))
def test_the_filter_over_phases_is_the_filter_over_ages(seed: int, n_bars: int) -> None:
    log_density = np.random.default_rng(seed).normal(0.0, 1.5, (n_bars, 3))
    assert CHAIN.filter_online(log_density) == pytest.approx(filter_over_ages(CHAIN, log_density), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 79))
def test_a_row_of_the_filter_uses_the_past_alone(seed: int, cut: int) -> None:
    log_density = np.random.default_rng(seed).normal(0.0, 1.5, (80, 3))
    changed = log_density.copy()
    changed[cut:] = 0.0
    assert np.array_equal(CHAIN.filter_online(log_density)[:cut], CHAIN.filter_online(changed)[:cut])


def test_drawn_spells_have_the_stated_lengths() -> None:
    states, ages = CHAIN.sample(np.random.default_rng(1), 400_000)
    ends = np.flatnonzero(np.diff(states))
    assert (ages[ends + 1] == 1).all()
    assert (np.diff(ages)[np.diff(states) == 0] == 1).all()
    for s in range(3):
        lengths = ages[ends][states[ends] == s]
        assert lengths.mean() == pytest.approx(CHAIN.mean_bars[s], rel=0.02)
        assert lengths.min() >= CHAIN.phases[s]
        counted = np.bincount(lengths, minlength=31)[1:31] / len(lengths)
        assert counted == pytest.approx(CHAIN.duration_pmf(s, 30), abs=0.006)


def test_shares_are_those_of_a_long_path() -> None:
    states, _ = CHAIN.sample(np.random.default_rng(2), 400_000)
    assert np.bincount(states) / len(states) == pytest.approx(CHAIN.shares(), abs=0.01)
