"""Our forward filter against the textbook in five lines."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import LONG

from features.bars import FloatArray
from training.models.forward_filter import forward_filter, stationary


def slow(likelihood: FloatArray, start: FloatArray, transition: FloatArray) -> FloatArray:
    """One chain, plain probabilities; a row of NaN is a step without an observation."""
    out, state = [], start
    for step, row in enumerate(likelihood):
        ahead = state if step == 0 else state @ transition
        state = ahead if np.isnan(row).any() else ahead * row / (ahead * row).sum()
        out.append(state)
    return np.array(out)


def laws(rng: np.random.Generator, states: int) -> tuple[FloatArray, FloatArray]:
    return rng.dirichlet(np.ones(states)), rng.dirichlet(np.full(states, 0.5), size=states)


@settings(max_examples=300 if LONG else 40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 40), st.integers(1, 4))
def test_equals_the_slow_one(seed: int, states: int, steps: int, chains: int) -> None:
    rng = np.random.default_rng(seed)
    start, transition = laws(rng, states)
    likelihood = rng.uniform(0.01, 2.0, size=(steps, chains, states))
    likelihood[rng.random((steps, chains)) < 0.2] = np.nan
    found = forward_filter(np.log(likelihood), start, transition)
    expected = np.stack([slow(likelihood[:, one], start, transition) for one in range(chains)], axis=1)
    assert np.allclose(found, expected, atol=1e-10)


def test_does_not_run_out_of_numbers() -> None:
    rng = np.random.default_rng(3)
    start, transition = laws(rng, 4)
    log_likelihood = rng.normal(-700, 3, size=(1000, 1, 4))
    found = forward_filter(log_likelihood, start, transition)
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(axis=2), 1.0)
    shifted = forward_filter(log_likelihood + 650, start, transition)
    assert np.allclose(found, shifted, atol=1e-9)


def test_a_row_does_not_depend_on_later_rows() -> None:
    rng = np.random.default_rng(5)
    start, transition = laws(rng, 3)
    log_likelihood = rng.normal(size=(60, 2, 3))
    whole = forward_filter(log_likelihood, start, transition)
    for end in (1, 17, 59):
        assert np.array_equal(forward_filter(log_likelihood[:end], start, transition), whole[:end])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_long_run_shares_stay_what_they_are(seed: int, states: int) -> None:
    _, transition = laws(np.random.default_rng(seed), states)
    shares = stationary(transition)
    assert np.isclose(shares.sum(), 1.0)
    assert np.allclose(shares @ transition, shares, atol=1e-8)
