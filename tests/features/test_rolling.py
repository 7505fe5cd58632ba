"""Rolling sums, means, extremes and ranks against plain loops, and the same bits from any cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from histories import LONG, FloatArray
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rolling.windows import (
    COVERAGE,
    lag,
    rolling_count,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_rank,
    rolling_sum,
)

Rolling = Callable[[FloatArray, int, int], FloatArray]
ROLLING: dict[str, Rolling] = {
    "count": rolling_count,
    "sum": rolling_sum,
    "mean": rolling_mean,
    "max": rolling_max,
    "min": rolling_min,
}
EXAMPLES = settings(max_examples=500 if LONG else 100, deadline=None)
numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, 1.0, math.nan]))
columns = st.lists(numbers, min_size=1, max_size=60).map(lambda values: np.array(values, dtype=np.float64))
anchors = st.integers(0, 500_000)


def sparse(size: int, missing: list[int], seed: int = 3) -> FloatArray:
    values = np.random.default_rng(seed).normal(0, 1, size)
    values[missing] = np.nan
    return values


def windows(values: FloatArray, n: int) -> Iterator[list[float] | None]:
    for t in range(len(values)):
        yield None if t + 1 < n else [float(values[i]) for i in range(t + 1 - n, t + 1)]


def slow(kind: str, values: FloatArray, n: int) -> list[float]:
    out = []
    for window in windows(values, n):
        if window is None:
            out.append(math.nan)
            continue
        there = [value for value in window if math.isfinite(value)]
        enough = 100 * len(there) >= 95 * n
        if kind == "count":
            out.append(float(len(there)))
        elif kind == "sum":
            out.append(math.fsum(there) if len(there) == n else math.nan)
        elif not enough:
            out.append(math.nan)
        else:
            out.append({"mean": math.fsum(there) / len(there), "max": max(there), "min": min(there)}[kind])
    return out


@pytest.mark.parametrize("kind", ROLLING)
@EXAMPLES
@given(values=columns, n=st.integers(1, 70), first=anchors)
def test_short_windows_agree_with_plain_loops(kind: str, values: FloatArray, n: int, first: int) -> None:
    got = ROLLING[kind](values, n, first)
    np.testing.assert_allclose(got, slow(kind, values, n), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("kind", ROLLING)
@pytest.mark.parametrize("missing", [0, 1, 10, 11, 12])
def test_a_window_of_200_stands_with_190_values_and_not_with_189(kind: str, missing: int) -> None:
    values = sparse(450, list(range(210, 210 + missing)))
    got = ROLLING[kind](values, 200, 77)
    np.testing.assert_allclose(got, slow(kind, values, 200), rtol=1e-12, atol=1e-12)
    if kind in {"mean", "max", "min"}:
        assert math.isfinite(got[300]) == (missing <= 10)


def test_the_coverage_bound_is_the_exact_fraction_for_every_window_in_use() -> None:
    n = np.arange(1, 24 * 121)
    assert (np.ceil(COVERAGE * n) == -(-95 * n // 100)).all()


@pytest.mark.parametrize("kind", ROLLING)
@EXAMPLES
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 120),
    first=anchors,
    cut=st.integers(0, 200),
    missing=st.lists(st.integers(0, 259), max_size=3),
)
def test_any_window_cut_out_gives_the_same_bits(
    kind: str, seed: int, n: int, first: int, cut: int, missing: list[int]
) -> None:
    values = sparse(260, missing, seed) * 1e3
    whole = ROLLING[kind](values, n, first)
    part = ROLLING[kind](values[cut:], n, first + cut)
    assert part[n - 1 :].tobytes() == whole[cut + n - 1 :].tobytes()


@pytest.mark.parametrize("kind", ROLLING)
@EXAMPLES
@given(values=columns, n=st.integers(1, 30), first=anchors, end=st.integers(1, 60))
def test_later_values_change_nothing(kind: str, values: FloatArray, n: int, first: int, end: int) -> None:
    whole = ROLLING[kind](values, n, first)
    part = ROLLING[kind](values[:end], n, first)
    assert part.tobytes() == whole[: len(part)].tobytes()


def test_a_window_of_one_is_the_value_itself() -> None:
    values = sparse(9, [4])
    for kind in ("sum", "mean", "max", "min"):
        got = ROLLING[kind](values, 1, 5)
        assert got.tobytes() == values.tobytes()
        assert got is not values


@pytest.mark.parametrize("kind", ROLLING)
def test_a_window_longer_than_the_history_is_all_nan(kind: str) -> None:
    assert np.isnan(ROLLING[kind](np.ones(7), 8, 0)).all()
    assert np.isfinite(ROLLING[kind](np.ones(7), 7, 3)).tolist() == [False] * 6 + [True]


def slow_rank(values: FloatArray, lags: list[int]) -> list[float]:
    out = []
    for t in range(len(values)):
        if t < max(lags) or not math.isfinite(values[t]):
            out.append(math.nan)
            continue
        earlier = [values[t - step] for step in lags if math.isfinite(values[t - step])]
        below = sum(1.0 if e < values[t] else 0.5 if e == values[t] else 0.0 for e in earlier)
        out.append(below / len(earlier) if 10 * len(earlier) >= 9 * len(lags) else math.nan)
    return out


@EXAMPLES
@given(
    values=st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, math.nan]), min_size=1, max_size=40),
    lags=st.lists(st.integers(1, 12), min_size=1, max_size=6, unique=True),
    last=st.none() | st.integers(1, 50),
)
def test_ranks_with_ties_agree_with_plain_loops(
    values: list[float], lags: list[int], last: int | None
) -> None:
    column = np.array(values)
    got = rolling_rank(column, np.array(lags), last=last)
    expected = np.array(slow_rank(column, lags))
    expected[: 0 if last is None else max(0, len(values) - last)] = np.nan
    np.testing.assert_array_equal(got, expected)


def test_a_rank_stands_with_a_tenth_missing_and_is_the_same_over_chunks() -> None:
    values = np.round(sparse(5000, [50, *range(3000, 3011)]), 1)
    lags = list(range(1, 101))
    got = rolling_rank(values, np.array(lags))
    np.testing.assert_allclose(got, slow_rank(values, lags), rtol=1e-15)
    assert np.isfinite(got[149])
    assert np.isnan(got[3050])


def test_ties_count_half() -> None:
    assert rolling_rank(np.array([1.0, 1.0, 1.0]), np.array([1, 2]))[2] == 0.5
    assert rolling_rank(np.array([1.0, 0.0, 1.0]), np.array([1, 2]))[2] == 0.75


def test_lag() -> None:
    np.testing.assert_array_equal(lag(np.array([1.0, 2.0, 3.0]), 2), [np.nan, np.nan, 1.0])
    assert np.isnan(lag(np.ones(3), 3)).all()
    assert np.isnan(lag(np.ones(3), 9)).all()
