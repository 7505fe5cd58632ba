"""Whether a feature is there, and whether it means the same from year to year."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.bars import FloatArray
from training.feature_study.feature_sample import FeatureSample

__all__ = ["FEW_ROWS", "coverage", "drift", "population_stability"]

FEW_ROWS = 50
"""Fewer values than this say nothing of how a feature is spread."""
BINS = 10


def coverage(sample: FeatureSample) -> pd.DataFrame:
    """Share of sampled bars at which a feature has a value.

    Returns
    -------
    pandas.DataFrame of shape (n_features, 1 + n_symbols)
        Index ``feature``; columns ``all`` and each symbol. A value is missing where an input is, and
        while the look-back at the start of a history is not full.
    """
    there = np.isfinite(sample.X)
    shares = {"all": there.mean(axis=0) if len(there) else np.full(there.shape[1], np.nan)}
    for index, name in enumerate(sample.dataset.symbols):
        mine = there[sample.symbol == index]
        shares[name] = mine.mean(axis=0) if len(mine) else np.full(there.shape[1], np.nan)
    return pd.DataFrame(shares, index=pd.Index(sample.names, name="feature"))


def drift(sample: FeatureSample) -> pd.DataFrame:
    """How each feature is spread in each calendar year, symbols pooled.

    Returns
    -------
    pandas.DataFrame
        A row for each feature and year: ``feature, year, rows`` (values), ``coverage``, ``mean`` and
        ``sd`` (both in standard deviations of the whole sample, the mean as a distance from its mean;
        a feature that never changes has NaN), ``psi`` (against all years before: what a walk-forward
        model has learned from by then; NaN with fewer than 50 values on either side).
    """
    years = sample.years
    rows: list[tuple[str, int, int, float, float, float, float]] = []
    for column, name in enumerate(sample.names):
        values = sample.X[:, column].astype(np.float64)
        there = np.isfinite(values)
        whole = values[there]
        mean, spread = (float(whole.mean()), float(whole.std())) if len(whole) else (np.nan, np.nan)
        unit = spread if spread > 0 else np.nan
        for year in np.unique(years):
            inside = years == year
            part = values[inside & there]
            known = len(part) > 0
            rows.append(
                (
                    name,
                    int(year),
                    len(part),
                    len(part) / int(inside.sum()),
                    float((part.mean() - mean) / unit) if known else np.nan,
                    float(part.std() / unit) if known else np.nan,
                    population_stability(values[(years < year) & there], part),
                )
            )
    return pd.DataFrame(rows, columns=["feature", "year", "rows", "coverage", "mean", "sd", "psi"])


def population_stability(reference: FloatArray, values: FloatArray) -> float:
    """Population stability index of ``values`` against ``reference`` (Siddiqi 2006, ch. 6).

    Sum over ten bins, the deciles of the reference, of ``(q - p) ln(q / p)`` with half a count added
    to each bin. The usual limits of 0.1 and 0.25 are for independent rows; bars are not, so that a
    market feature passes them in a year that is like no other.

    Examples
    --------
    >>> year = np.arange(1000.0)
    >>> population_stability(year, year)
    0.0
    >>> population_stability(year, year + 500) > 1
    True
    >>> population_stability(year, year[:10])
    nan
    """
    if min(len(reference), len(values)) < FEW_ROWS:
        return float("nan")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    before, after = (
        (np.bincount(np.searchsorted(edges, one, side="right"), minlength=len(edges) + 1) + 0.5)
        / (len(one) + 0.5 * (len(edges) + 1))
        for one in (reference, values)
    )
    return float(((after - before) * np.log(after / before)).sum())
