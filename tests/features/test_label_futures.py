"""Shares of the labels' own futures against the definition written out, future by future."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from histories import MARKET, FloatArray, history, needs_market
from test_label_path import DAY, volatility

from features.families import label_futures
from features.families.label_futures import FLOOR, FUTURES, PATH_AHEAD_DAYS, SOFTNESS, VOLATILITY
from features.families.label_futures import label_future_features as declared
from features.families.label_path import BACK_DAYS, LONGEST_DAYS
from features.pipeline import feature_matrix
from features.regimes import REGIMES, SWITCH_COST, hindsight_regimes
from features.sources import load_histories


def path_costs(price: FloatArray, sigma: FloatArray, walk: FloatArray) -> list[float]:
    """Cost of the cheapest path through each regime at the last bar, if price goes that way after it."""
    last = len(price) - 1

    def at(day: int) -> float:
        if day <= 0:
            return float(price[last + day * DAY])
        return float(price[last] + VOLATILITY * sigma[last] * walk[day])

    def costs(day: int) -> list[float]:
        unit = float(sigma[last + min(day, 0) * DAY])
        slow = (at(day + 20) - at(day - 120)) / unit / math.sqrt(140)
        fast = (at(day + 3) - at(day - 5)) / unit / math.sqrt(8)
        down = max(0.0, slow + 0.3)
        inside = (down + max(0.0, fast - 0.4), abs(slow) - 0.3, down + max(0.0, 0.4 - fast), 0.3 - slow)
        return [max(0.0, cost) for cost in inside]

    forward = costs(-BACK_DAYS)
    for day in range(1 - BACK_DAYS, 1):
        entry = min(forward) + SWITCH_COST
        forward = [min(one, entry) + cost for one, cost in zip(forward, costs(day), strict=True)]
    after = [0.0] * 4
    for day in range(PATH_AHEAD_DAYS, 0, -1):
        there = [one + cost for one, cost in zip(after, costs(day), strict=True)]
        after = [min(one, min(there) + SWITCH_COST) for one in there]
    return [a + b for a, b in zip(forward, after, strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_those_of_every_future_written_out(seed: int) -> None:
    made = history(LONGEST_DAYS * DAY, seed=seed)
    p = np.log(made.column("close"))
    sigma = np.full(len(p), np.nan)
    for bar in range(len(p) - 1, len(p) - 2 - BACK_DAYS * DAY, -DAY):
        sigma[bar] = volatility(p, bar)
    shares = np.zeros(4)
    for number in range(FUTURES):
        costs = np.array(path_costs(p, sigma, label_futures._walks()[:, number].astype(np.float64)))
        weight = np.exp((costs.min() - costs) / SOFTNESS)
        shares += weight / weight.sum() / FUTURES
    expected = np.log((shares + FLOOR) / (1 + 4 * FLOOR))
    found = feature_matrix(made, declared(), last=1)[0]
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-5)
    assert found.min() > -5


def test_futures_are_the_same_numbers_everywhere() -> None:
    walks = label_futures._walks()
    assert walks.shape == (PATH_AHEAD_DAYS + 21, FUTURES)
    assert hashlib.sha256(walks.tobytes()).hexdigest()[:16] == WALKS_HASH
    assert not walks.flags.writeable
    days = np.arange(len(walks))
    assert np.abs(walks.mean(axis=1)).max() < 1e-6
    assert (walks.astype(np.float64) ** 2).mean(axis=1) == pytest.approx(days, rel=0.6)
    steps = np.diff(walks.astype(np.float64), axis=0)
    assert (steps**2).mean(axis=1) == pytest.approx(np.ones(len(steps)), rel=1e-3)


def test_rows_are_the_same_however_many_are_asked_for() -> None:
    made = history(LONGEST_DAYS * DAY + 300, seed=9)
    whole = feature_matrix(made, declared())
    for last in (1, 2, 49, 256, 257):
        assert feature_matrix(made, declared(), last=last).tobytes() == whole[-last:].tobytes()


@needs_market
def test_shares_are_probabilities_that_nearly_came_true() -> None:
    (made,) = load_histories("files", ["BTCUSDT"], path=MARKET)
    labels = hindsight_regimes(made)["regime"]
    log_shares = feature_matrix(made, declared()).astype(np.float64)
    rows = np.flatnonzero(labels.notna().to_numpy() & np.isfinite(log_shares[:, 0]))[::6]
    truth = labels.iloc[rows].to_numpy(np.int64)
    loss = -log_shares[rows, truth].mean()
    assert 0.3 < loss < 0.65  # less would have seen the future
    for index in range(len(REGIMES)):
        assert np.exp(log_shares[rows, index]).mean() == pytest.approx((truth == index).mean(), abs=0.06)


WALKS_HASH = "37b0bf7e527e458d"
