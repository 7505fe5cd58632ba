"""Quantiles of the adverse excursion and the chances between them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.regimes import Regime
from serving.excursion import Squeeze, table_squeeze
from serving.margin import Position
from serving.parameters import AdviceParameters, MarketState

LEVELS = (0.5, 0.9, 0.99, 0.995, 0.999)
steps_up = st.lists(st.floats(1e-4, 0.3), min_size=5, max_size=5)


def squeeze(moves: list[float]) -> Squeeze:
    """A squeeze whose quantiles climb by ``moves``."""
    total, climbed = 0.0, []
    for move in moves:
        total += move
        climbed.append(total)
    return Squeeze(LEVELS, {7: tuple(climbed)}, {7: tuple(one / 10 for one in climbed)})


@given(steps_up, st.sampled_from(["short", "long"]))
def test_chances_are_exact_at_the_quantiles(moves: list[float], side: Position) -> None:
    found = squeeze(moves)
    for level in LEVELS:
        move = found.quantile(side, 7, level)
        assert found.chance(side, 7, move) == pytest.approx(1 - level)


@given(steps_up, st.floats(0, 3), st.floats(0, 1))
def test_a_larger_move_is_never_likelier(moves: list[float], move: float, more: float) -> None:
    found = squeeze(moves)
    chance, rarer = found.chance("short", 7, move), found.chance("short", 7, move + more)
    assert 0.001 - 1e-12 <= rarer <= chance <= 1


@given(steps_up, st.floats(0, 0.999))
def test_quantile_and_chance_are_inverse(moves: list[float], level: float) -> None:
    found = squeeze(moves)
    move = found.quantile("short", 7, level)
    assert found.chance("short", 7, move) == pytest.approx(1 - level, abs=1e-6)


def test_what_is_not_known_is_nan() -> None:
    found = squeeze([0.1] * 5)
    assert math.isnan(found.quantile("short", 3, 0.99))
    assert math.isnan(found.quantile("short", 7, 0.9999))
    assert math.isnan(found.chance("long", 1, 0.1))
    assert found.chance("long", 1, 0.0) == 1.0  # it has happened
    lacking = Squeeze((0.5, 0.9), {7: (0.1, math.nan)}, {})
    assert math.isnan(lacking.chance("short", 7, 0.05))


def test_the_table_is_a_squeeze_of_one_quantile() -> None:
    parameters = AdviceParameters(
        volatility_edges=[], excursion_short=[[2.0]] * 4, excursion_long=[[1.0]] * 4
    )
    market = MarketState("AUSDT", 1.0, 0.02, 0.0, 0.0, 8.0, 0.0)
    found = table_squeeze(Regime.BEAR, market, parameters)
    assert found.quantile("short", 7, 0.995) == pytest.approx(math.exp(2 * 0.02 * math.sqrt(7)) - 1)
    assert found.quantile("long", 7, 0.995) == pytest.approx(1 - math.exp(-0.02 * math.sqrt(7)))
    assert math.isnan(found.quantile("short", 7, 0.99))
    assert math.isnan(found.chance("short", 7, 0.01))
