"""Which features say the same, and whether what one says of a regime holds from year to year.

All correlations are of ranks (Spearman): no outlier of one bar makes one. Where values are missing,
ranks are taken once over the values there and correlated over the rows that both have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from features.bars import FloatArray
from features.regimes import REGIMES
from training.feature_study.feature_drift import FEW_ROWS
from training.feature_study.feature_sample import FeatureSample

__all__ = ["SAME", "Cluster", "Relations", "clusters_of", "correlation", "relations", "stability"]

SAME = 0.95
"""Features of a larger rank correlation, of either sign, are named as saying the same."""
NOISE = 0.05
"""A correlation with a regime that is smaller than this has no sign to speak of."""
_ROWS = 40_000


@dataclass(frozen=True)
class Cluster:
    """Features of which every two correlate by more than :data:`SAME`.

    Attributes
    ----------
    features : tuple of str
        In the order of the catalogue.
    smallest : float
        The smallest of their absolute correlations.
    """

    features: tuple[str, ...]
    smallest: float


@dataclass(frozen=True)
class Relations:
    """How features relate to each other.

    Attributes
    ----------
    rho : pandas.DataFrame of shape (n_features, n_features)
        Rank correlation; NaN where two are never there together or one never changes.
    clusters : tuple of Cluster
        Largest first.
    """

    rho: pd.DataFrame
    clusters: tuple[Cluster, ...]

    def nearest(self, name: str) -> tuple[str, float]:
        """The feature that correlates most with another, and their correlation."""
        row = self.rho.to_numpy()[self.rho.index.get_loc(name)]
        strength = np.where(self.rho.index == name, np.nan, np.abs(row))
        if np.isnan(strength).all():
            return "", float("nan")
        found = int(np.nanargmax(strength))
        return str(self.rho.index[found]), float(row[found])


def relations(sample: FeatureSample) -> Relations:
    """Correlate all features over at most 40,000 rows, evenly thinned."""
    step = -(-len(sample.X) // _ROWS) or 1
    ranks = _ranks(sample.X[::step])
    rho = correlation(ranks, ranks)
    np.fill_diagonal(rho, 1.0)
    names = sample.names
    return Relations(pd.DataFrame(rho, index=names, columns=names), clusters_of(rho, names))


def clusters_of(rho: FloatArray, names: tuple[str, ...], same: float = SAME) -> tuple[Cluster, ...]:
    """Groups by complete linkage: within one, EVERY two features correlate by more than ``same``."""
    if len(names) < 2:
        return ()
    number = fcluster(linkage(_distances(rho), method="complete"), 1.0 - same, criterion="distance")
    found = []
    for one in np.unique(number):
        members = np.flatnonzero(number == one)
        if len(members) > 1:
            smallest = float(np.abs(rho[np.ix_(members, members)]).min())
            found.append(Cluster(tuple(names[member] for member in members), smallest))
    return tuple(sorted(found, key=lambda cluster: (-len(cluster.features), cluster.features)))


def stability(sample: FeatureSample) -> pd.DataFrame:
    """Rank correlation of each feature with being in each hindsight regime, whole and by year.

    Returns
    -------
    pandas.DataFrame
        A row for each feature and regime: ``feature, regime, whole``, a column for each year with
        labels (text, such as ``2022``), ``flips``: years in which the sign is the other one, both
        correlations being at least 0.05. NaN with fewer than 50 rows or where the year has the
        regime never or always.
    """
    labelled = sample.y >= 0
    X, y, years = sample.X[labelled], sample.y[labelled], sample.years[labelled]
    classes = (y[:, None] == np.arange(len(REGIMES))).astype(np.float64)
    columns = {"whole": _with_classes(X, classes)}
    for year in np.unique(years):
        columns[str(year)] = _with_classes(X[years == year], classes[years == year])
    whole = columns["whole"]
    with np.errstate(invalid="ignore"):
        flips = sum(
            (
                (np.sign(one) != np.sign(whole)) & (np.abs(one) >= NOISE) & (np.abs(whole) >= NOISE)
                for name, one in columns.items()
                if name != "whole"
            ),
            start=np.zeros(whole.shape, dtype=np.int64),
        )
    index = pd.MultiIndex.from_product((sample.names, REGIMES), names=["feature", "regime"])
    table = pd.DataFrame({name: one.ravel() for name, one in columns.items()}, index=index)
    return table.assign(flips=flips.ravel()).reset_index()


def correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Correlate each column of one table with each of another over the rows that both have.

    Parameters
    ----------
    first : ndarray of shape (n_rows, n_first)
    second : ndarray of shape (n_rows, n_second)
        NaN where missing.

    Returns
    -------
    ndarray of shape (n_first, n_second)
        NaN with fewer than 50 common rows, or where a column does not change over them.
    """
    (a, there_a), (b, there_b) = _filled(first), _filled(second)
    count = there_a.T @ there_b
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_a, mean_b = (a.T @ there_b) / count, (there_a.T @ b) / count
        covariance = (a.T @ b) / count - mean_a * mean_b
        variance_a = (a**2).T @ there_b / count - mean_a**2
        variance_b = there_a.T @ b**2 / count - mean_b**2
        rho = covariance / np.sqrt(variance_a * variance_b)
    known = (count >= FEW_ROWS) & (variance_a > 1e-12) & (variance_b > 1e-12)
    return np.where(known, np.clip(rho, -1.0, 1.0), np.nan)


def _with_classes(X: npt.NDArray[np.float32], classes: FloatArray) -> FloatArray:
    return correlation(_ranks(X), classes)


def _filled(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Columns less their mean, zero where missing, and where they are there."""
    there = np.isfinite(table).astype(np.float64)
    known = np.where(there > 0, table, 0.0)
    mean = known.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return (known - mean) * there, there


def _ranks(X: npt.NDArray[np.float32]) -> FloatArray:
    """Ranks within each column between 0 and 1, ties at their mean, NaN where there is no value."""
    return pd.DataFrame(X).rank(pct=True).to_numpy(np.float64)


def _distances(rho: FloatArray) -> FloatArray:
    """``1 - |rho|`` as the upper triangle; unknown correlations are far."""
    distance = 1.0 - np.abs(np.nan_to_num(rho, nan=0.0))
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0.0)
    return np.asarray(squareform(distance, checks=False))
