"""What would flip the answer: done to the probabilities, it does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_training import LONG

from features.regimes import REGIMES, Regime
from serving.decision import DecisionParameters, decide
from serving.flips import flips

EXAMPLES = 400 if LONG else 80
K = 20


def parameters(half_life: float = 0.0, margin: float = 0.3) -> DecisionParameters:
    return DecisionParameters(
        smoothing_bars=K, half_life_bars=half_life, margin=margin, rally_margin=margin / 3
    )


def held_with(p: list[float], regime: int, rule: DecisionParameters) -> int:
    """Regime after many bars that say ``regime`` and one that says ``p``."""
    sure = np.tile(np.eye(4)[regime], (K, 1))
    return int(decide(np.vstack((sure, p)), np.ones(K + 1, dtype=bool), rule).regime[0])


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 9999), margin=st.sampled_from([0.15, 0.3, 0.5]))
def test_what_it_needs_is_just_what_flips_it(seed: int, margin: float) -> None:
    rule = parameters(margin=margin)
    p = np.random.default_rng(seed).dirichlet((1.0,) * 4)
    regime = Regime(int(np.argmax(p)))
    assume(held_with(p.tolist(), regime, rule) == regime)
    found = flips(regime, p.tolist(), p.tolist(), rule)
    assert sorted([regime.label, *(one.to for one in found)]) == sorted(REGIMES)
    assert [one.needs for one in found] == sorted(one.needs for one in found)
    nearest = found[0]
    assume(nearest.needs + 1e-6 < p[regime])
    for extra, expected in ((-1e-6, regime.label), (1e-6, nearest.to)):
        moved = p.copy()
        moved[regime] -= nearest.needs + extra
        moved[REGIMES.index(nearest.to)] += nearest.needs + extra
        if extra > 0 or nearest.needs > 1e-6:
            assert REGIMES[held_with(moved.tolist(), regime, rule)] == expected


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 9999), half_life=st.sampled_from([1.0, 2.4, 4.8]))
def test_the_bars_it_counts_are_the_bars_it_takes(seed: int, half_life: float) -> None:
    """Counted for an average without an end; the real one forgets what weighs less than a thousandth."""
    rng = np.random.default_rng(seed)
    rule = DecisionParameters(smoothing_bars=200, half_life_bars=half_life, margin=0.3, rally_margin=0.3)
    p = np.tile(np.eye(4)[rng.integers(4)] * 0.9 + 0.025, (201, 1))
    p[-1] = rng.dirichlet((0.3,) * 4)
    everywhere = np.ones(260, dtype=bool)
    now = decide(p, everywhere[:201], rule)
    regime = Regime(int(now.regime[0]))
    found = flips(regime, now.average[0].tolist(), p[-1].tolist(), rule)
    coming = [one for one in found if one.bars is not None]
    ahead = decide(np.vstack((p, np.tile(p[-1], (59, 1)))), everywhere, rule).regime[1:]
    changes = np.flatnonzero(ahead != regime)
    if not coming:
        assert not len(changes)
    else:
        (one,) = coming
        assert one.bars is not None
        taken = int(changes[0]) + 1
        if one.bars <= 5 * half_life:  # what is forgotten by then still weighs a thirtieth
            assert abs(taken - one.bars) <= 1
            assert REGIMES[ahead[changes[0]]] == one.to
        assert taken <= one.bars + 1 <= rule.averaged_bars + 1


def test_words_are_made_of_the_numbers() -> None:
    rule = DecisionParameters(smoothing_bars=K, half_life_bars=2.0, margin=0.35, rally_margin=0.1)
    found = flips(Regime.BEAR, [0.7, 0.1, 0.15, 0.05], [0.2, 0.1, 0.65, 0.05], rule)
    rally = found[0]
    lead = (2.5 - 0.0) * 0.15 + (0 - 1) * 0.7 + (1 - 1) * 0.1 + (1.5 - 1) * 0.05
    assert (rally.to, rally.bars) == ("relief_rally", 1)
    assert rally.lacking_cost == pytest.approx(0.1 - lead)
    assert rally.needs == pytest.approx((0.1 - lead) / 3.5)
    assert rally.words == (
        f"relief rally takes over once {rally.needs:.0%} of probability moves to it from bear; "
        "if all stays as at the last bar, in about 1 bar"
    )
    assert all(one.bars is None for one in found[1:])
    assert found[1].words.endswith("if all stays as at the last bar, it does not")


def test_a_regime_that_has_hardly_anything_left_says_so() -> None:
    found = flips(Regime.RANGING, [0.5, 0.02, 0.4, 0.08], [0.5, 0.02, 0.4, 0.08], parameters(margin=1.5))
    assert "once all of the 2% that ranging still has, and more, moves to it" in found[0].words
