"""The training rows as a reference: for the novelty of one row, and for the drift of many.

All of it comes from the rows that the model was fitted on. What a distance means is measured on
blocks of them that its parameters had not seen, and how far a window may move, on windows against
their own past: the usual limits of the stability index suppose independent rows, and bars are not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from serving.drift import (
    DriftParameters,
    DriftWindow,
    bin_counts,
    bin_edges,
    bin_of,
    population_stability,
    smoothed_shares,
)
from serving.novelty import (
    DISTANCE_LEVELS,
    KNOT_LEVELS,
    NoveltyParameters,
    NoveltyScorer,
    normal_scores,
)
from training.dataset import Dataset
from training.splits import purged_blocks

__all__ = ["fit_drift", "fit_novelty", "fit_windows"]

Rows = npt.NDArray[np.intp]
SHRINKAGE = 0.05
"""Share of the covariance that is replaced by equal, uncorrelated variances."""
WINDOW_DAYS = (30, 90)
PAST_DAYS = 180
"""A window is compared with no shorter past."""
FEWEST_WINDOWS = 10
"""Fewer windows do not tell what is usual."""
FULL_WINDOW = 0.8
"""Share of its rows that a window needs."""
USUAL = 0.95
SMALLEST_LIMIT = 0.01
"""A feature that never moved may move by so much."""
DIGITS = 8
MOST_ROWS = 6000
"""Evenly spaced rows are enough for a covariance and for distances: neighbouring ones say the same."""
_SMALLEST_UNIT = 1e-6
_EDGE_SD = 3.0902  # distance of the 0.1 % and 99.9 % quantiles from the middle, in standard deviations


def fit_drift(dataset: Dataset, train: Rows, *, blocks: int, embargo_days: float) -> DriftParameters:
    """Describe the training rows.

    Parameters
    ----------
    dataset : Dataset
    train : ndarray of int
        Rows that the model is fitted on.
    blocks : int
        Blocks of time that are left out in turn, purged, to learn what a distance means.
    embargo_days : float
    """
    novelty = fit_novelty(dataset, train, blocks=blocks, embargo_days=embargo_days)
    edges = bin_edges(novelty.knot_table())
    bins = bin_of(dataset.X[train], edges)
    reference = smoothed_shares(bin_counts(bins))
    return DriftParameters(
        rows=len(train),
        novelty=novelty,
        shares=[[_short(value) for value in row] for row in reference.tolist()],
        windows=[fit_windows(dataset, train, bins, days) for days in WINDOW_DAYS],
    )


def fit_novelty(dataset: Dataset, train: Rows, *, blocks: int, embargo_days: float) -> NoveltyParameters:
    """Fit the novelty of a row on the training rows, and its scale on blocks of them left out.

    Where the rows are too few for a block, the scale comes from the rows themselves.
    """
    parameters = _parameters(dataset.X[train])
    left_out: list[FloatArray] = []
    for block in purged_blocks(
        dataset.time, dataset.confirmed_at, train, blocks=blocks, embargo_days=embargo_days
    ):
        scorer = NoveltyScorer(_parameters(dataset.X[block.train]))
        left_out.append(scorer.distance(dataset.X[_thinned(block.test, MOST_ROWS // blocks)]))
    if not left_out:
        left_out.append(NoveltyScorer(parameters).distance(dataset.X[_thinned(train)]))
    levels = np.quantile(np.concatenate(left_out), DISTANCE_LEVELS)
    return parameters.model_copy(update={"distances": [_short(value) for value in levels.tolist()]})


def _parameters(X: npt.NDArray[np.float32]) -> NoveltyParameters:
    """Quantiles and whitening of some rows; the distances are yet to be filled in."""
    knots = np.zeros((X.shape[1], len(KNOT_LEVELS)), dtype=np.float32)
    unit = np.ones(X.shape[1])
    seen = np.zeros(X.shape[1], dtype=bool)
    for column, values in enumerate(X.T):
        known = values[np.isfinite(values)]
        if len(known):
            seen[column] = True
            knots[column] = np.quantile(known, KNOT_LEVELS, method="inverted_cdf")
            unit[column] = _unit(known.astype(np.float64))
    exact = knots.astype(np.float64)
    scores = normal_scores(X[_thinned(np.arange(len(X)))], exact, unit)[:, seen]
    whitening = np.zeros((X.shape[1], X.shape[1]))
    if seen.any():
        whitening[np.ix_(seen, seen)] = _whitening(scores)
    return NoveltyParameters(
        knots=[[float(str(value)) for value in row] for row in knots],
        unit=[_short(value) for value in unit.tolist()],
        whitening=[[_short(value) for value in row[: index + 1]] for index, row in enumerate(whitening)],
        distances=[0.0] * len(DISTANCE_LEVELS),
    )


def _thinned(rows: Rows, most: int = MOST_ROWS) -> Rows:
    """At most so many of the rows, evenly spaced."""
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows


def _unit(known: FloatArray) -> float:
    """A robust standard deviation; from the edges where more than half of the values are one."""
    low, middle, high = np.quantile(known, (0.16, 0.5, 0.84))
    spread = (high - low) / 2
    if spread <= 0:
        bottom, top = np.quantile(known, (0.001, 0.999))
        spread = (top - bottom) / 2 / _EDGE_SD
    return max(float(spread), _SMALLEST_UNIT * max(1.0, abs(float(middle))))


def _whitening(scores: FloatArray) -> FloatArray:
    """Lower triangular factor of the inverse of the shrunk second moments around the median."""
    moments = scores.T @ scores / max(1, len(scores))
    variance = float(np.trace(moments)) / len(moments)
    if variance <= 0:  # nothing ever moved
        return np.eye(len(moments))
    shrunk = (1 - SHRINKAGE) * moments + SHRINKAGE * variance * np.eye(len(moments))
    return np.asarray(np.linalg.cholesky(np.linalg.inv(shrunk)))


def fit_windows(dataset: Dataset, train: Rows, bins: npt.NDArray[np.int64], days: int) -> DriftWindow:
    """Find how far one symbol's windows moved from everything before them.

    Parameters
    ----------
    dataset : Dataset
    train : ndarray of int
    bins : ndarray of int, shape (len(train), n_features)
        :func:`serving.drift.bin_of` of the training rows.
    days : int
        Length of a window; the next begins where it ends.
    """
    time, symbol = dataset.time[train], dataset.symbol[train]
    first, last = time.min(), time.max()
    length = pd.Timedelta(days=days)
    full = FULL_WINDOW * days * dataset.rows_per_day
    indices: list[FloatArray] = []
    start = first + pd.Timedelta(days=PAST_DAYS)
    past = bin_counts(bins[np.asarray(time < start)])
    while start + length <= last:
        inside = np.asarray((time >= start) & (time < start + length))
        reference = smoothed_shares(past)
        for index in range(len(dataset.symbols)):
            rows = inside & (symbol == index)
            if rows.sum() >= full:
                indices.append(population_stability(bin_counts(bins[rows]), reference))
        past = past + bin_counts(bins[inside])
        start += length
    if len(indices) < FEWEST_WINDOWS:
        return DriftWindow(
            days=days,
            windows=len(indices),
            limits=[],
            usual_share=1.0,
            largest_share=1.0,
            largest_excess=0.0,
        )
    table = np.stack(indices)
    limits = np.maximum(np.quantile(table, USUAL, axis=0), SMALLEST_LIMIT)
    beyond = (table > limits).mean(axis=1)
    return DriftWindow(
        days=days,
        windows=len(indices),
        limits=[_short(value) for value in limits.tolist()],
        usual_share=_short(float(np.quantile(beyond, USUAL))),
        largest_share=_short(float(beyond.max())),
        largest_excess=_short(float((table / limits).max())),
    )


def _short(value: float) -> float:
    """Eight digits: what is written is what is used."""
    return float(f"{value:.{DIGITS}g}")
