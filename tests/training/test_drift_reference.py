"""The training rows as a reference: what it says of them, of rows left out, and of markets that moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from serving.drift import (
    DriftParameters,
    bin_counts,
    bin_edges,
    bin_of,
    population_stability,
    smoothed_shares,
)
from serving.novelty import KNOT_LEVELS, NORMAL_SCORES, NoveltyScorer
from training.dataset import Dataset
from training.drift_reference import PAST_DAYS, fit_drift, fit_windows

Rows = npt.NDArray[np.intp]


@pytest.fixture(scope="module")
def train(dataset: Dataset) -> Rows:
    return np.flatnonzero(dataset.usable)


@pytest.fixture(scope="module")
def drift(dataset: Dataset, train: Rows) -> DriftParameters:
    return fit_drift(dataset, train, blocks=4, embargo_days=5.0)


def test_the_same_rows_make_the_same_reference_whatever_stands_outside_them(
    dataset: Dataset, train: Rows, drift: DriftParameters
) -> None:
    early = train[np.asarray(dataset.time[train] < pd.Timestamp("2022-07-01", tz="UTC"))]
    X = dataset.X.copy()
    X[np.setdiff1d(np.arange(len(X)), early)] = 1e6
    other = fit_drift(replace(dataset, X=X), early, blocks=4, embargo_days=5.0)
    assert other == fit_drift(dataset, early, blocks=4, embargo_days=5.0)
    assert other != drift


def test_shares_are_those_of_the_training_rows(dataset: Dataset, train: Rows, drift: DriftParameters) -> None:
    edges = bin_edges(drift.novelty.knot_table())
    shares = smoothed_shares(bin_counts(bin_of(dataset.X[train], edges)))
    assert np.array(drift.shares) == pytest.approx(shares, rel=1e-7)
    own = population_stability(bin_counts(bin_of(dataset.X[train], edges)), np.array(drift.shares))
    assert own.max() < 5e-3
    assert drift.rows == len(train)


def test_knots_are_values_that_the_features_had(
    dataset: Dataset, train: Rows, drift: DriftParameters
) -> None:
    table = drift.novelty.knot_table()
    for column, knots in enumerate(table):
        assert np.isin(knots.astype(np.float32), dataset.X[train, column]).all()
    again = DriftParameters.model_validate_json(drift.model_dump_json())
    assert np.array_equal(again.novelty.knot_table(), table)


def test_distances_are_those_of_rows_that_their_parameters_had_not_seen(
    dataset: Dataset, train: Rows, drift: DriftParameters
) -> None:
    """Rows that were left out are further away than rows that were learned from."""
    percentile = NoveltyScorer(drift.novelty).percentile(dataset.X[train])
    assert 0.05 < np.nanmean(percentile) < 0.5
    assert (percentile > drift.novelty.limit).mean() < 0.005


def test_a_feature_without_a_value_in_training_says_nothing(dataset: Dataset, train: Rows) -> None:
    X = dataset.X.copy()
    X[:, 5] = np.nan
    drift = fit_drift(replace(dataset, X=X), train, blocks=4, embargo_days=5.0)
    assert set(drift.novelty.whitening[5]) == {0.0}
    rows = X[train[:50]]
    other = rows.copy()
    other[:, 5] = 9.0
    scorer = NoveltyScorer(drift.novelty)
    assert np.array_equal(scorer.distance(rows), scorer.distance(other))
    assert drift.shares[5][-1] > 0.99


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_a_feature_that_never_moved_is_missed_when_it_does(
    dataset: Dataset, train: Rows, value: float
) -> None:
    X = dataset.X.copy()
    X[:, 5] = value
    drift = fit_drift(replace(dataset, X=X), train, blocks=4, embargo_days=5.0)
    rows = X[train[:50]]
    moved = rows.copy()
    moved[:, 5] = value + 1
    scorer = NoveltyScorer(drift.novelty)
    assert (scorer.distance(moved) > scorer.distance(rows)).all()


def test_few_rows_still_make_a_reference(dataset: Dataset, train: Rows) -> None:
    drift = fit_drift(dataset, train[:40], blocks=4, embargo_days=5.0)
    assert [window.limits for window in drift.windows] == [[], []]
    assert np.isfinite(NoveltyScorer(drift.novelty).distance(dataset.X[train[-20:]])).all()


def test_a_window_is_compared_with_its_past_alone(dataset: Dataset, train: Rows) -> None:
    """Slow oracle, a loop over symbols and spans with its own counting."""
    bins = bin_of(dataset.X[train], np.quantile(np.nan_to_num(dataset.X[train]), np.arange(0.1, 1, 0.1), 0).T)
    found = fit_windows(dataset, train, bins, 30)
    time, symbol = dataset.time[train], dataset.symbol[train]
    table, start = [], time.min() + pd.Timedelta(days=PAST_DAYS)
    while start + pd.Timedelta(days=30) <= time.max():
        past = np.asarray(time < start)
        inside = np.asarray((time >= start) & (time < start + pd.Timedelta(days=30)))
        for index in range(len(dataset.symbols)):
            rows = inside & (symbol == index)
            if rows.sum() < 0.8 * 30 * dataset.rows_per_day:
                continue
            index_of = []
            for column in range(bins.shape[1]):
                before = np.array([(bins[past, column] == b).sum() + 0.5 for b in range(11)])
                before /= before.sum()
                after = np.array([(bins[rows, column] == b).sum() for b in range(11)]) + 5.5 * before
                after /= after.sum()
                index_of.append(((after - before) * np.log(after / before)).sum())
            table.append(index_of)
        start += pd.Timedelta(days=30)
    assert found.windows == len(table) >= 10
    limits = np.maximum(np.quantile(table, 0.95, axis=0), 0.01)
    assert found.limits == pytest.approx(limits, rel=1e-6)
    share = (np.array(table) > limits).mean(axis=1)
    assert found.usual_share == pytest.approx(np.quantile(share, 0.95), rel=1e-6)
    assert found.largest_share == pytest.approx(share.max(), rel=1e-6)
    assert found.largest_excess == pytest.approx((np.array(table) / limits).max(), rel=1e-6)


def test_levels_are_the_normal_scores_of_the_knots() -> None:
    assert NORMAL_SCORES[len(KNOT_LEVELS) // 2] == 0.0
    assert np.abs(NORMAL_SCORES + NORMAL_SCORES[::-1]).max() < 1e-12
