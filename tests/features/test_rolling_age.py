"""Ages of extremes and events against plain loops, and the same from any cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from histories import LONG, FloatArray
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rolling.age import age_of_max, age_of_min, bars_since, bars_since_other_side

EXAMPLES = settings(max_examples=400 if LONG else 60, deadline=None)
few = st.sampled_from([0.0, 1.0, 2.0, -1.0, -3.0, math.nan])
columns = st.lists(few, min_size=1, max_size=60).map(lambda values: np.array(values, dtype=np.float64))
anchors = st.integers(0, 500_000)


def slow_age(values: FloatArray, n: int) -> list[float]:
    out = []
    for t in range(len(values)):
        window = values[max(0, t + 1 - n) : t + 1]
        there = [value for value in window if math.isfinite(value)]
        if t + 1 < n or 100 * len(there) < 95 * n:
            out.append(math.nan)
            continue
        out.append(float(min(age for age in range(n) if values[t - age] == max(there))))
    return out


def slow_other_side(values: FloatArray, cap: int) -> list[float]:
    out = []
    for t, value in enumerate(values):
        there = sum(math.isfinite(one) for one in values[max(0, t + 1 - cap) : t + 1])
        if t < cap or 100 * there < 95 * cap or not math.isfinite(value):
            out.append(math.nan)
            continue
        ages = [age for age in range(cap + 1) if values[t - age] * value < 0]
        out.append(math.copysign(min([*ages, cap]), value) if value else 0.0)
    return out


@EXAMPLES
@given(values=columns, n=st.integers(1, 25), first=anchors)
def test_ages_of_extremes_agree_with_plain_loops(values: FloatArray, n: int, first: int) -> None:
    np.testing.assert_array_equal(age_of_max(values, n, first), slow_age(values, n))
    np.testing.assert_array_equal(age_of_min(values, n, first), slow_age(-values, n))


@EXAMPLES
@given(values=columns, cap=st.integers(1, 25), first=anchors)
def test_time_since_the_other_side_agrees_with_a_plain_loop(values: FloatArray, cap: int, first: int) -> None:
    np.testing.assert_array_equal(bars_since_other_side(values, cap, first), slow_other_side(values, cap))


def test_an_age_stands_with_a_twentieth_missing() -> None:
    values = np.arange(100.0)
    values[:5] = np.nan
    assert age_of_max(values, 100, 7)[-1] == 0
    values[5] = np.nan
    assert np.isnan(age_of_max(values, 100, 7)[-1])


def test_the_latest_of_equal_extremes_counts_across_blocks() -> None:
    values = np.array([3.0, 1.0, 3.0, 1.0, 1.0, 1.0, 0.0])
    for first in range(4):
        np.testing.assert_array_equal(age_of_max(values, 4, first)[3:], [1.0, 2.0, 3.0, 1.0])


@pytest.mark.parametrize("first", [0, 3, 11])
@pytest.mark.parametrize("cut", [0, 1, 40, 77])
def test_any_window_cut_out_gives_the_same_ages(first: int, cut: int) -> None:
    rng = np.random.default_rng(5)
    values = np.round(rng.normal(0, 1, 200), 1)
    values[[90, 91]] = np.nan
    n = 60
    for rolling, needs in ((age_of_max, n), (bars_since_other_side, n + 1), (bars_since, n + 1)):
        whole, part = rolling(values, n, first), rolling(values[cut:], n, first + cut)
        assert part[needs - 1 :].tobytes() == whole[cut + needs - 1 :].tobytes()


def test_what_happened_longer_ago_than_the_cap_counts_as_the_cap() -> None:
    happened = np.zeros(50)
    happened[3] = 1.0
    assert bars_since(happened, 10, 0)[[10, 13, 14, 49]].tolist() == [7.0, 10.0, 10.0, 10.0]
    assert np.isnan(bars_since(happened, 10, 0)[:10]).all()
    assert np.isnan(bars_since(happened, 60, 0)).all()
