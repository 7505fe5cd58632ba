"""The temperature: found where there is evidence, near 1 where there is little."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from training.calibration import BOUNDS, PRIOR_SD, fit_temperature
from training.models.boosted_logistic import softmax


def drawn(temperature: float, n: int = 20_000) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """Log-odds that are too sure by a known factor."""
    rng = np.random.default_rng(3)
    log_odds = rng.normal(scale=2.0, size=(n, 4))
    cumulated = np.cumsum(softmax(log_odds / temperature), axis=1)
    y = (rng.random(n)[:, None] > cumulated).sum(axis=1)
    return log_odds, np.minimum(y, 3).astype(np.int8)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7, 3.0])
def test_a_known_temperature_is_recovered_from_many_spells(temperature: float) -> None:
    log_odds, y = drawn(temperature)
    assert fit_temperature(log_odds, y, len(y)) == pytest.approx(temperature, rel=0.05)


def test_the_fewer_spells_the_closer_to_one() -> None:
    log_odds, y = drawn(2.5)
    found = [fit_temperature(log_odds, y, spells) for spells in (1, 10, 100, 1000, 20_000)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(1.0, abs=0.1)
    assert found[-1] == pytest.approx(2.5, rel=0.05)


def test_it_minimises_the_stated_loss() -> None:
    log_odds, y = drawn(1.8, n=500)
    spells = 25

    def loss(temperature: float) -> float:
        p = softmax(log_odds / temperature)
        likelihood = -sum(np.log(p[row, y[row]]) for row in range(len(y))) / len(y)
        return float(spells * likelihood + (np.log(temperature) / PRIOR_SD) ** 2 / 2)

    grid = np.geomspace(*BOUNDS, 2000)
    assert fit_temperature(log_odds, y, spells) == pytest.approx(
        grid[np.argmin([loss(one) for one in grid])], rel=3e-3
    )


def test_nothing_to_learn_from_leaves_the_model_as_it_is() -> None:
    assert fit_temperature(np.zeros((0, 4)), np.zeros(0, dtype=np.int8), 0) == 1.0
