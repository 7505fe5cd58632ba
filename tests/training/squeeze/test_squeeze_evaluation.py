"""Coverage and pinball losses against loops; intervals draw weeks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serving.squeeze import LEVELS
from training.dataset import Dataset
from training.excursion import Excursions
from training.squeeze.evaluation import SCORED_LEVELS, coverages, pinball, sharpness, squeeze_metrics
from training.squeeze.outcomes import SqueezeTable
from training.squeeze.pictures import squeeze_coverage_figure
from training.walk_forward import Walk


@pytest.fixture(scope="module")
def table(excursions: Excursions) -> SqueezeTable:
    assert excursions.squeeze is not None
    return excursions.squeeze


def test_coverage_by_loops(dataset: Dataset, walk: Walk, table: SqueezeTable) -> None:
    found = {one.part: one for one in coverages(dataset, walk, table, horizons=(3,), levels=(0.9,))}
    longs = {
        one.part: one
        for one in coverages(dataset, walk, table, horizons=(3,), levels=(0.9,))
        if one.side == "long"
    }
    held, rows, weeks = 0, 0, set()
    for row in range(len(dataset.y)):
        scale, quantile = table.scales[row, 4], walk.squeeze[row, 1, 1, 1]
        if np.isfinite(scale) and np.isfinite(quantile) and dataset.symbol[row] == 1:
            rows += 1
            held += scale <= quantile
            weeks.add((dataset.time[row] - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(days=7))
    one = longs[dataset.symbols[1]]
    assert (one.rows, one.weeks) == (rows, len(weeks))
    assert one.share == pytest.approx(held / rows)
    assert one.low <= one.share <= one.high
    assert sum(longs[name].rows for name in dataset.symbols) == longs["all"].rows
    assert longs["all"].high - longs["all"].low > 0.01
    assert set(found) >= {"all", *dataset.symbols}


def test_sharpness_by_loops(dataset: Dataset, walk: Walk, table: SqueezeTable) -> None:
    (found,) = (
        one for one in sharpness(dataset, walk, table, horizons=(7,), levels=(0.99,)) if one.side == "short"
    )
    move = np.expm1(table.scales[:, 2] * table.sigma * np.sqrt(7))
    losses: list[tuple[float, float]] = []
    for row in np.flatnonzero(walk.fold >= 0)[::7]:
        mine = (dataset.symbol == dataset.symbol[row]) & dataset.sampled
        ended = dataset.time + pd.Timedelta(days=7) < dataset.time[row]
        past = mine & np.asarray(ended & (dataset.time + pd.Timedelta(days=372) >= dataset.time[row]))
        past &= np.isfinite(move)
        model = np.expm1(walk.squeeze[row, 0, 2, LEVELS.index(0.99)] * table.sigma[row] * np.sqrt(7))
        if np.isfinite(move[row]) and np.isfinite(model) and dataset.sampled[row]:
            year = float(np.quantile(move[past], 0.99))
            losses.append(tuple(float(pinball(move[row], np.float64(q), 0.99)) for q in (model, year)))  # type: ignore[arg-type]
    model_loss, year_loss = np.mean(losses, axis=0)
    assert found.model == pytest.approx(model_loss, rel=0.15)  # every 7th row stands for all
    assert found.trailing_year == pytest.approx(year_loss, rel=0.15)
    assert found.multiple > 0


def test_metrics_and_picture(dataset: Dataset, walk: Walk, table: SqueezeTable) -> None:
    held = list(coverages(dataset, walk, table, horizons=(7,), levels=SCORED_LEVELS))
    flat = squeeze_metrics(held, sharpness(dataset, walk, table))
    assert flat["coverage_short_7d_0.99"] <= flat["coverage_short_7d_0.995"]
    assert flat["pinball_short_7d_0.995_over_trailing_year"] > 0
    figure = squeeze_coverage_figure(held)
    assert len(figure.data) == 4  # two sides, two levels
    assert "SIMBTC" in figure.data[0].x
