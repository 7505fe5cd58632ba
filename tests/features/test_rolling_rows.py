"""The last rows alone, for windows of many lengths over one column: the bits of all rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from histories import LONG, FloatArray
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rolling.blocks import window_parts, window_sums
from features.rolling.extremes import Extremes, LatestExtremes
from features.rolling.known import Known
from features.rolling.windows import rolling_rank

EXAMPLES = settings(max_examples=800 if LONG else 120, deadline=None)
halves = st.sampled_from([0.0, 0.5, 1.0, -1.0, math.nan])
numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, math.inf, math.nan]))


def columns(values: st.SearchStrategy[float]) -> st.SearchStrategy[FloatArray]:
    return st.lists(values, min_size=1, max_size=90).map(lambda one: np.array(one, dtype=np.float64))


def bits(values: FloatArray) -> bytes:
    """All bits, but of what is missing only that it is."""
    return np.where(np.isnan(values), np.nan, values).tobytes()


@EXAMPLES
@given(values=columns(numbers), n=st.integers(1, 40), rows=st.integers(1, 90), first=st.integers(0, 500))
def test_the_last_rows_of_means_extremes_and_ages(values: FloatArray, n: int, rows: int, first: int) -> None:
    rows = min(rows, len(values))
    known = Known(values)
    assert bits(known.mean(n, first, rows=rows)) == bits(known.mean(n, first)[-rows:])
    for largest in (True, False):
        extremes, ages = Extremes(values, largest=largest), LatestExtremes(values, largest=largest)
        assert bits(extremes.of(n, rows=rows)) == bits(extremes.of(n)[-rows:])
        assert bits(ages.age(n, rows=rows)) == bits(ages.age(n)[-rows:])


@EXAMPLES
@given(values=columns(halves), n=st.integers(1, 40), first=st.integers(0, 500))
def test_exact_sums_are_the_same_bits(values: FloatArray, n: int, first: int) -> None:
    known = Known(values)
    assert bits(known.mean(n, first, exact=True)) == bits(known.mean(n, first))


@EXAMPLES
@given(values=columns(numbers), n=st.integers(1, 40), first=st.integers(0, 500))
def test_a_column_that_is_there_where_another_is(values: FloatArray, n: int, first: int) -> None:
    known = Known(values)
    doubled = known.alike(known.values * 2)
    assert bits(doubled.mean(n, first)) == bits(Known(values * 2).mean(n, first))
    exactly = known.mean(n, first, exact=True)
    assert bits(known.alike(known.values).mean(n, first, exact=True)) == bits(exactly)


@EXAMPLES
@given(seed=st.integers(0, 9999), size=st.integers(2, 300), n=st.integers(1, 40), first=st.integers(0, 500))
def test_few_windows_have_the_bits_of_many(seed: int, size: int, n: int, first: int) -> None:
    """Less than two window lengths are added up another way than a whole history."""
    values = np.random.default_rng(seed).normal(size=(3, size)) * 1e3
    if size < n:
        return
    sums = np.empty((3, size - n + 1))
    window_sums(values, n, first, sums)
    for start in range(0, size - n + 1, 7):
        part = np.empty((3, min(n, size - n + 1 - start)))
        cut = values[:, start : start + n + part.shape[1] - 1]
        window_sums(cut, n, first + start, part)
        assert part.tobytes() == sums[:, start : start + part.shape[1]].tobytes()
        tail, head = window_parts(cut, n, first + start)
        np.testing.assert_allclose(tail + head, part, rtol=1e-15)


@pytest.mark.parametrize("size", [9, 4])
def test_a_sum_of_negative_zeros_is_one_wherever_the_window_lies(size: int) -> None:
    values = np.full(size, -0.0)
    for first in range(4):
        sums = np.empty(size - 2)
        window_sums(values, 3, first, sums)
        whole = (np.arange(size - 2) + first) % 3 == 0  # a window that is a block
        assert np.signbit(sums[whole]).all()


def test_ranks_among_more_lags_than_a_byte_can_count() -> None:
    values = np.round(np.random.default_rng(3).normal(size=2000), 1)
    lags = np.arange(1, 301)
    got = rolling_rank(values, lags)
    for t in (300, 777, 1999):
        earlier = values[t - lags]
        share = (np.sum(earlier < values[t]) + 0.5 * np.sum(earlier == values[t])) / 300
        assert got[t] == pytest.approx(share, rel=1e-15)
    np.testing.assert_array_equal(rolling_rank(values, lags, last=40)[-40:], got[-40:])
