"""The rolling straight line and correlation against numpy, and the same bits from any cut."""

from __future__ import annotations

import numpy as np
import pytest
from histories import LONG, FloatArray
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rolling.regression import rolling_correlation, rolling_trend


def walk(size: int, seed: int, missing: list[int] | None = None) -> FloatArray:
    values = 10 + np.cumsum(np.random.default_rng(seed).normal(0, 0.01, size))
    values[missing or []] = np.nan
    return values


def slow(values: FloatArray, n: int) -> FloatArray:
    out = np.full(len(values), np.nan)
    for t in range(n - 1, len(values)):
        window = values[t + 1 - n : t + 1]
        there = np.isfinite(window)
        if 100 * there.sum() < 95 * n:
            continue
        x, y = np.arange(n)[there], window[there]
        x, y = x - x.mean(), y - y.mean()
        slope = (x * y).sum() / (x * x).sum()
        noise = ((y - slope * x) ** 2).sum() / (len(x) - 2)
        out[t] = slope / np.sqrt(noise / (x * x).sum()) / np.sqrt(len(x))
    return out


@settings(max_examples=200 if LONG else 40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(8, 90),  # three points may lie on a line by chance
    first=st.integers(0, 500_000),
    missing=st.lists(st.integers(0, 129), max_size=4),
)
def test_it_agrees_with_least_squares(seed: int, n: int, first: int, missing: list[int]) -> None:
    values = walk(130, seed, missing)
    np.testing.assert_allclose(rolling_trend(values, n, first), slow(values, n), rtol=1e-6, atol=1e-9)


def test_a_long_window_far_from_zero_keeps_its_digits() -> None:
    values = walk(3000, 2) + 100
    got = rolling_trend(values, 2880, 123_457)
    np.testing.assert_allclose(got[2879:], slow(values, 2880)[2879:], rtol=1e-6)


@settings(max_examples=200 if LONG else 40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(3, 120),
    first=st.integers(0, 500_000),
    cut=st.integers(0, 200),
    missing=st.lists(st.integers(0, 259), max_size=3),
)
def test_any_window_cut_out_gives_the_same_bits(
    seed: int, n: int, first: int, cut: int, missing: list[int]
) -> None:
    values = walk(260, seed, missing)
    other = np.sin(values * 40)
    whole, part = rolling_trend(values, n, first), rolling_trend(values[cut:], n, first + cut)
    assert part[n - 1 :].tobytes() == whole[cut + n - 1 :].tobytes()
    whole = rolling_correlation(values, other, n, first)
    part = rolling_correlation(values[cut:], other[cut:], n, first + cut)
    assert part[n - 1 :].tobytes() == whole[cut + n - 1 :].tobytes()


@settings(max_examples=100 if LONG else 30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(5, 60),
    first=st.integers(0, 500_000),
    missing=st.lists(st.integers(0, 99), max_size=4),
)
def test_correlations_agree_with_numpy(seed: int, n: int, first: int, missing: list[int]) -> None:
    rng = np.random.default_rng(seed)
    x, y = walk(100, seed, missing[:2]), rng.normal(0, 1, 100)
    y[missing[2:]] = np.nan
    got = rolling_correlation(x, y, n, first)
    for t in range(n - 1, 100):
        a, b = x[t + 1 - n : t + 1], y[t + 1 - n : t + 1]
        there = np.isfinite(a) & np.isfinite(b)
        if 100 * there.sum() < 95 * n:
            assert np.isnan(got[t])
        else:
            assert got[t] == pytest.approx(np.corrcoef(a[there], b[there])[0, 1], abs=1e-6)
    assert np.isnan(rolling_correlation(np.full(100, 7.3), y, n, first)).all()


@pytest.mark.parametrize("values", [np.full(50, 7.3), np.arange(50.0)])
def test_without_noise_there_is_no_ratio_and_no_infinity(values: FloatArray) -> None:
    assert np.isnan(rolling_trend(values, 20, 3)).all()


def test_its_sign_is_the_direction_and_daily_bars_agree_with_hourly_ones() -> None:
    hourly = np.linspace(0, 3, 30 * 24) + np.repeat(np.random.default_rng(1).normal(0, 0.3, 30), 24)
    up, daily = rolling_trend(hourly, 720, 0)[-1], rolling_trend(hourly[11::24], 30, 0)[-1]
    assert up > 1
    assert rolling_trend(-hourly, 720, 0)[-1] == pytest.approx(-up)
    assert daily == pytest.approx(up, rel=0.1)
