"""Prediction sets: what is in them, and that one row is as many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.prediction_sets import SetParameters, likelier_mass, prediction_sets

SHARES = st.tuples(*[st.floats(0, 1)] * 4)


@given(seed=st.integers(0, 9999), thresholds=SHARES)
def test_a_regime_is_in_unless_likelier_ones_say_enough(
    seed: int, thresholds: tuple[float, float, float, float]
) -> None:
    p = np.random.default_rng(seed).dirichlet((0.5,) * 4, size=20)
    found = prediction_sets(p, SetParameters(thresholds=thresholds))
    for row, members in zip(p, found, strict=True):
        assert members[row.argmax()]
        for index in range(4):
            mass = sum(sorted((other for other in row if other > row[index]), reverse=True))
            if abs(mass - thresholds[index]) > 1e-9:
                assert members[index] == (mass <= thresholds[index])


@given(seed=st.integers(0, 9999))
def test_one_row_has_the_bits_of_many(seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet((0.5,) * 4, size=30)
    whole = likelier_mass(p)
    for row in range(30):
        assert likelier_mass(p[row : row + 1]).tobytes() == whole[row].tobytes()


def test_equal_probabilities_are_told_apart_by_their_order_alone() -> None:
    even = np.full((1, 4), 0.25)
    assert likelier_mass(even).tolist() == [[0.0, 0.25, 0.5, 0.75]]
    assert prediction_sets(even, SetParameters(thresholds=(0.5,) * 4)).tolist() == [[True, True, True, False]]


def test_by_default_the_probabilities_add_up_to_the_level() -> None:
    p = np.random.default_rng(2).dirichlet((0.5,) * 4, size=200)
    found = prediction_sets(p, SetParameters())
    held = np.where(found, p, 0.0).sum(axis=1)
    smallest = np.where(found, p, 2.0).min(axis=1)
    assert (held >= 0.9 - 1e-12).all()
    assert (held - smallest < 0.9 + 1e-12).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"thresholds": (0.9, 0.9, 0.9)},
        {"thresholds": (0.9, 0.9, 0.9, 1.1)},
        {"thresholds": (0.9, 0.9, 0.9, float("nan"))},
        {"level": 1.0},
        {"levels": (0.9, -0.1, 0.9, 0.9)},
        {"surprise": 1},
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SetParameters.model_validate(wrong)
