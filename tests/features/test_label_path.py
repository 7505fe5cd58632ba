"""Costs of the labels' own path against the definition written out, and against the labels themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from histories import MARKET, FloatArray, history, needs_market

from features.families.label_path import BACK_DAYS, LONGEST_DAYS, STEPS_A_DAY, label_path_features
from features.history import History
from features.pipeline import feature_matrix
from features.regimes import SWITCH_COST, hindsight_regimes
from features.sources import load_histories

DAY = 24


def cheapest_paths(price: FloatArray, sigma: FloatArray) -> list[float]:
    """Cost of the cheapest path through each regime at the last bar, by brute recursion; hourly bars."""
    last = len(price) - 1
    hours = DAY // STEPS_A_DAY

    def at(bar: int, values: FloatArray) -> float:
        return float(values[min(bar, last)])

    def costs(step: int) -> list[float]:
        bar = last + step * hours
        slow = (at(bar + 20 * DAY, price) - at(bar - 120 * DAY, price)) / at(bar, sigma) / math.sqrt(140)
        fast = (at(bar + 3 * DAY, price) - at(bar - 5 * DAY, price)) / at(bar, sigma) / math.sqrt(8)
        down = max(0.0, slow + 0.3)
        inside = (down + max(0.0, fast - 0.4), abs(slow) - 0.3, down + max(0.0, 0.4 - fast), 0.3 - slow)
        return [max(0.0, cost) / STEPS_A_DAY for cost in inside]

    forward = [0.0] * 4
    for step in range(-BACK_DAYS * STEPS_A_DAY, 1):
        entry = min(forward) + SWITCH_COST
        forward = [min(one, entry) + cost for one, cost in zip(forward, costs(step), strict=True)]
        if step == -BACK_DAYS * STEPS_A_DAY:
            forward = costs(step)
    backward = [0.0] * 4
    for step in range(20 * STEPS_A_DAY, 0, -1):
        after = [one + cost for one, cost in zip(backward, costs(step), strict=True)]
        backward = [min(one, min(after) + SWITCH_COST) for one in after]
    return [a + b for a, b in zip(forward, backward, strict=True)]


def volatility(p: FloatArray, bar: int) -> float:
    squared = np.diff(p[: bar + 1]) ** 2
    return float(np.sqrt(np.mean([squared[-days * DAY :].mean() * DAY for days in (15, 30, 60, 119)])))


@pytest.mark.parametrize("seed", range(4))
def test_costs_are_those_of_the_definition_played_forward(seed: int) -> None:
    made = history(LONGEST_DAYS * DAY, seed=seed)
    p = np.log(made.column("close"))
    sigma = np.full(len(p), np.nan)
    for bar in range(len(p) - 1, len(p) - 2 - BACK_DAYS * DAY, -DAY // STEPS_A_DAY):
        sigma[bar] = volatility(p, bar)
    expected = np.array(cheapest_paths(p, sigma))
    found = feature_matrix(made, label_path_features(), last=1)[0]
    np.testing.assert_allclose(found, (expected - expected.min()) / SWITCH_COST, rtol=1e-5, atol=1e-6)
    assert found.min() == 0


def test_a_missing_bar_is_carried_and_a_long_hole_is_not() -> None:
    whole = history(LONGEST_DAYS * DAY + 60, seed=3)

    def without(bars: slice) -> FloatArray:
        columns = {str(name): whole.frame[name].to_numpy(copy=True) for name in whole.frame}
        for values in columns.values():
            values[bars] = np.nan
        made = History.from_columns(whole.symbol, "1h", whole.time, columns)
        return np.asarray(feature_matrix(made, label_path_features(), last=1)[0], dtype=np.float64)

    before = without(slice(0, 0))
    near = without(slice(-200, -198))
    assert np.isfinite(near).all()
    assert np.abs(near - before).max() < 1
    assert np.isnan(without(slice(-200, -170))).all()
    assert np.isnan(without(slice(-1, None))).all()


@needs_market
def test_the_cheapest_regime_is_mostly_the_label_s() -> None:
    (made,) = load_histories("files", ["BTCUSDT"], path=MARKET)
    labels = hindsight_regimes(made)["regime"]
    costs = feature_matrix(made, label_path_features())
    rows = np.flatnonzero(labels.notna().to_numpy() & np.isfinite(costs[:, 0]))[::6]
    hit = costs[rows].argmin(axis=1) == labels.iloc[rows].to_numpy(np.int64)
    assert 0.70 < hit.mean() < 0.95  # more would have seen the future
