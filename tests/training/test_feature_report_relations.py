"""Correlations, clusters and signs, against scipy, pandas and planted twins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from feature_samples import planted, row_of, small_sample
from scipy.stats import spearmanr

from features.regimes import REGIMES
from training.feature_study.feature_relations import clusters_of, correlation, relations, stability

RNG = np.random.default_rng(9)


def test_correlations_over_common_rows_are_those_of_pandas() -> None:
    table = RNG.normal(size=(300, 4)) @ RNG.normal(size=(4, 4)) + 1e6
    table[RNG.random(table.shape) < 0.3] = np.nan
    expected = pd.DataFrame(table).corr().to_numpy()
    assert correlation(table, table) == pytest.approx(expected, abs=1e-9)
    assert correlation(table[:, :2], table[:, 1:]) == pytest.approx(expected[:2, 1:], abs=1e-9)


def test_what_cannot_correlate_is_unknown() -> None:
    table = RNG.normal(size=(100, 4))
    table[:, 1] = 3.0
    table[:60, 2], table[60:, 3] = np.nan, np.nan
    rho = correlation(table, table)
    assert np.isnan(rho[1]).all()  # never changes
    assert np.isnan(rho[2, 3])  # never there together
    assert np.isnan(rho[2, 0])  # too few rows
    assert rho[0, 3] == pytest.approx(np.corrcoef(table[:60, 0], table[:60, 3])[0, 1])


def test_twins_are_named_whatever_their_sign_and_scale() -> None:
    n = len(small_sample().rows)
    one, other = RNG.normal(size=(2, n))
    sample = planted(
        {"one": one, "other": other, "turned": -np.exp(one), "near": one + 0.05 * other}, alone=True
    )
    found = relations(sample)
    X = sample.X
    assert found.rho.to_numpy() == pytest.approx(spearmanr(X).statistic, abs=1e-3)
    (cluster,) = found.clusters
    assert cluster.features == ("one", "turned", "near")
    assert cluster.smallest == pytest.approx(found.rho.abs().loc["turned", "near"])
    for name, twin in (("one", "turned"), ("turned", "one")):
        nearest, rho = found.nearest(name)
        assert nearest == twin
        assert rho == pytest.approx(-1.0)


def test_a_chain_of_neighbours_is_no_cluster() -> None:
    rho = np.array([[1.0, 0.96, 0.90, 0.0], [0.96, 1.0, 0.97, 0.0], [0.90, 0.97, 1.0, 0.0], [0, 0, 0, 1.0]])
    (cluster,) = clusters_of(rho, ("a", "b", "c", "d"))
    assert cluster.features == ("b", "c")
    assert cluster.smallest == 0.97
    assert clusters_of(rho, ("a", "b", "c", "d"), same=0.98) == ()
    assert clusters_of(np.ones((1, 1)), ("a",)) == ()


def test_a_feature_without_values_relates_to_none() -> None:
    n = len(small_sample().rows)
    found = relations(planted({"one": RNG.normal(size=n), "never": np.full(n, np.nan)}, alone=True))
    assert found.clusters == ()
    name, rho = found.nearest("never")
    assert name == ""
    assert np.isnan(rho)
    assert found.rho.loc["never", "never"] == 1.0


def test_a_sign_that_flips_is_counted_in_its_year() -> None:
    sample = small_sample()
    bull = (sample.y == REGIMES.index("bull")).astype(np.float64)
    turned = np.where(sample.years == 2022, -bull, bull)
    noise = RNG.normal(size=len(bull))
    steady = stability(planted({"steady": bull + noise, "turned": turned + 0.3 * noise}, alone=True))
    assert list(steady.columns) == ["feature", "regime", "whole", "2021", "2022", "2023", "flips"]
    kept = row_of(steady, feature="steady", regime="bull")
    assert kept["flips"] == 0
    row = row_of(steady, feature="turned", regime="bull")
    assert row["flips"] == 1
    assert row["2021"] > 0.5 > -0.5 > row["2022"]
    labelled = sample.y >= 0
    expected = spearmanr((bull + noise).astype(np.float32)[labelled], bull[labelled]).statistic
    # A class indicator takes two values: ranking it too changes nothing.
    assert kept["whole"] == pytest.approx(expected, abs=1e-6)


def test_a_regime_that_a_year_has_never_or_always_has_no_correlation_there() -> None:
    sample = small_sample()
    table = stability(planted({"noise": RNG.normal(size=len(sample.rows))}, alone=True))
    for year in np.unique(sample.years[sample.y >= 0]):
        seen = set(sample.y[(sample.years == year) & (sample.y >= 0)])
        for index, name in enumerate(REGIMES):
            assert np.isfinite(row_of(table, regime=name)[str(year)]) == (index in seen and len(seen) > 1)
