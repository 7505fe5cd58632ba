"""Coverage and drift, against plain loops and planted changes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from feature_samples import planted, row_of, small_sample

from features.catalog import CATALOG
from features.context import needs_context
from features.history import History
from features.pipeline import feature_matrix
from training.feature_study.feature_drift import FEW_ROWS, coverage, drift, population_stability
from training.feature_study.feature_sample import sample_features

RNG = np.random.default_rng(6)


def test_the_sample_holds_the_sampled_bars_and_nothing_else() -> None:
    sample = small_sample()
    dataset = sample.dataset
    assert (np.asarray(dataset.time[sample.rows].hour) % 4 == 0).all()
    assert np.array_equal(sample.rows, np.flatnonzero(dataset.sampled & dataset.present))
    first = 0
    for index, history in enumerate(dataset.histories):
        whole = feature_matrix(history, sample.features)
        mine = sample.symbol == index
        assert np.array_equal(sample.X[mine], whole[sample.rows[mine] - first], equal_nan=True)
        first += len(history)
    some = sample.rows[[5, 17, 400]]
    assert np.array_equal(sample.at(some), [5, 17, 400])


def test_hourly_bars_are_sampled_every_six_hours(hourly: History) -> None:
    sample = sample_features([hourly], small_sample().features[:2])
    assert set(sample.dataset.time[sample.rows].hour) == {0, 6, 12, 18}
    assert len(sample.rows) == pytest.approx(len(hourly) / 6, abs=1)


@pytest.fixture(scope="module")
def hourly() -> History:
    from features.sources import load_simulated

    (market,) = load_simulated(["SIMBTC"], interval="1h", until=pd.Timestamp("2021-03-01", tz="UTC"))
    return History.from_raw(market)


def test_a_bar_that_closes_at_new_year_is_of_the_old_year() -> None:
    sample = small_sample()
    closes = sample.dataset.time[sample.rows]
    midnight = np.flatnonzero(closes == pd.Timestamp("2022-01-01", tz="UTC"))
    assert len(midnight) == 2
    assert set(sample.years[midnight]) == {2021}
    assert set(sample.years[midnight + 1]) == {2022}


def test_coverage_counts_values_of_each_symbol() -> None:
    sample = small_sample()
    values = np.ones(len(sample.rows), dtype=np.float32)
    values[np.flatnonzero(sample.symbol == 0)[:100]] = np.nan
    table = coverage(planted({"part": values, "never": np.full(len(values), np.nan)}, alone=True))
    count = (sample.symbol == 0).sum()
    assert table.loc["part", "SIMBTC"] == pytest.approx(1 - 100 / count)
    assert table.loc["part", "SIMETH"] == 1.0
    assert table.loc["part", "all"] == pytest.approx(1 - 100 / len(values))
    assert (table.loc["never"] == 0).all()
    assert list(table.columns) == ["all", "SIMBTC", "SIMETH"]


def test_drift_is_in_units_of_the_whole_sample() -> None:
    sample = small_sample()
    years = sample.years
    values = RNG.normal(size=len(years)) * np.where(years == 2022, 3.0, 1.0) + 5.0 * (years == 2023)
    stepped = planted({"stepped": values, "same": np.ones(len(years))}, alone=True)
    values = stepped.X[:, 0].astype(np.float64)
    table = drift(stepped)
    for year in (2021, 2022, 2023):
        row, part = row_of(table, feature="stepped", year=year), values[years == year]
        assert row["rows"] == len(part)
        assert row["mean"] == pytest.approx((part.mean() - values.mean()) / values.std())
        assert row["sd"] == pytest.approx(part.std() / values.std())
    psi = {year: row_of(table, feature="stepped", year=year)["psi"] for year in (2021, 2022, 2023)}
    assert math.isnan(psi[2021])  # no year before it
    assert psi[2022] == pytest.approx(population_stability(values[years == 2021], values[years == 2022]))
    assert psi[2023] == pytest.approx(population_stability(values[years < 2023], values[years == 2023]))
    assert psi[2023] > 1 > psi[2022] > 0.25
    constant = table[table["feature"] == "same"]
    assert np.isnan(constant[["mean", "sd"]].to_numpy()).all()
    assert constant["psi"].iloc[1:].max() < 0.01


def test_psi_against_plain_counting() -> None:
    reference, values = RNG.normal(size=2000), RNG.normal(0.5, 1.3, size=700)
    edges = [-math.inf, *np.quantile(reference, np.arange(1, 10) / 10), math.inf]
    total = 0.0
    for low, high in pairwise(edges):
        p = (sum(low <= x < high for x in reference) + 0.5) / (2000 + 5)
        q = (sum(low <= x < high for x in values) + 0.5) / (700 + 5)
        total += (q - p) * math.log(q / p)
    assert population_stability(reference, values) == pytest.approx(total)
    assert 0.2 < total < 1.5


def test_psi_of_few_values_repeats_and_nothing() -> None:
    coin = RNG.integers(0, 2, 500).astype(np.float64)
    assert population_stability(coin, coin[::-1]) == 0.0
    assert population_stability(coin, np.ones(100)) > 0.5
    assert math.isnan(population_stability(coin, coin[: FEW_ROWS - 1]))
    assert math.isnan(population_stability(np.empty(0), coin))


def test_symbols_are_each_others_context() -> None:
    across = tuple(feature for feature in CATALOG if needs_context([feature]))
    histories = small_sample().dataset.histories
    assert not any(history.context for history in histories)
    together = sample_features(list(histories), across)
    assert together.valued[[name.startswith("leader_return") for name in together.names]].all()
    alone = sample_features(list(histories[:1]), across)
    assert not alone.valued.any()
