"""Outcomes of three horizons against loops; what may be read is causal."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from small_training import small_markets, small_recipe

from features.history import History
from training.dataset import Dataset
from training.excursion import Excursions
from training.squeeze.outcomes import CELLS, SqueezeTable, hindsight_squeezes


@pytest.fixture(scope="module")
def table(excursions: Excursions) -> SqueezeTable:
    assert excursions.squeeze is not None
    return excursions.squeeze


def test_outcomes_are_the_worst_moves_of_the_days_ahead(table: SqueezeTable, dataset: Dataset) -> None:
    history = dataset.histories[1]  # the one with missing bars
    begin = len(dataset.histories[0])
    high, low, close = (history.column(name).tolist() for name in ("high", "low", "close"))
    missing = [t for t in range(len(close)) if math.isnan(close[t])]
    rows = [*range(800, len(close), 131), *(missing[0] + k for k in (-43, -42, -18, -7, -1, 0, 2, 5))]
    seen = 0
    for t in rows:
        for cell, (side, days) in enumerate(CELLS):
            ahead = range(t + 1, t + 1 + 6 * days)
            found = table.scales[begin + t, cell]
            if ahead[-1] >= len(close) or any(math.isnan(close[u]) for u in (t, *ahead)):
                assert math.isnan(found), (t, side, days)
                continue
            unit = table.sigma[begin + t] * math.sqrt(days)
            if side == "short":
                move = math.log(max(high[u] for u in ahead) / close[t])
            else:
                move = math.log(close[t] / min(low[u] for u in ahead))
            assert found == pytest.approx(max(0.0, move) / unit, rel=1e-9, nan_ok=True)
            path = [close[t], *(close[u] for u in ahead)]
            squares = sum(math.log(b / a) ** 2 for a, b in pairwise(path))
            expected = 0.5 * math.log(squares / unit**2)
            assert table.variance[begin + t, cell % 3] == pytest.approx(expected, rel=1e-6, nan_ok=True)
            seen += math.isfinite(found)
    assert seen > 80


def test_seven_days_are_those_of_the_table_of_regimes(table: SqueezeTable, excursions: Excursions) -> None:
    assert np.array_equal(table.scales[:, 2], excursions.short, equal_nan=True)
    assert np.array_equal(table.scales[:, 5], excursions.long, equal_nan=True)


def test_what_is_read_at_a_bar_is_of_the_bars_up_to_it(table: SqueezeTable, dataset: Dataset) -> None:
    moment = pd.Timestamp("2022-08-03 16:00", tz="UTC")
    histories = []
    for market in small_markets():
        bars = market.bars.copy()
        later = (bars["open_time"] + pd.Timedelta(hours=4) > moment).to_numpy()
        bars.loc[later, ["open", "high", "low", "close"]] *= 1.7
        histories.append(History.from_raw(type(market)(**{**vars(market), "bars": bars})))
    other = hindsight_squeezes(
        type(dataset)(**{**vars(dataset), "histories": tuple(histories)}), small_recipe().squeeze
    )
    early = np.asarray(dataset.time <= moment)
    assert np.array_equal(table.X[early], other.X[early], equal_nan=True)
    assert np.array_equal(table.sigma[early], other.sigma[early], equal_nan=True)
    assert not np.array_equal(table.X[~early], other.X[~early], equal_nan=True)
    known = np.asarray(dataset.time + pd.Timedelta(days=7) <= moment)
    assert np.array_equal(table.scales[known], other.scales[known], equal_nan=True)
