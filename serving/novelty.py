"""How unlike everything the model has learned from a row of features is.

Each feature becomes a normal score by the quantiles of the training rows (beyond the outermost ones
it goes on linearly and is cut off); the score of the row is its squared Mahalanobis distance under a
shrunk covariance (Ledoit and Wolf 2004 for why it has to be shrunk). What that means is said by the
distances of training rows that the parameters had not seen: the percentile among them.

Everything is done column by column in float64, so that a row gets the same bits alone and in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import NormalDist
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.bars import FloatArray

__all__ = [
    "DISTANCE_LEVELS",
    "KNOT_LEVELS",
    "NORMAL_SCORES",
    "NoveltyParameters",
    "NoveltyScorer",
    "normal_scores",
    "whitened_distance",
]

KNOT_LEVELS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
"""Quantiles of each feature that are kept."""
NORMAL_SCORES: FloatArray = np.array([NormalDist().inv_cdf(level) for level in KNOT_LEVELS])
LARGEST_SCORE = 6.0
"""A normal score is cut off here: one wild value alone is not to decide over the row."""
DISTANCE_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 1.0)
"""Quantiles of the training rows' distances that are kept."""
FEWEST_KNOWN = 0.5
"""A row of which fewer features are known has no percentile."""
_CHUNK = 1024

Finite = Annotated[float, Field(allow_inf_nan=False)]


class NoveltyParameters(BaseModel):
    """What the training rows looked like; part of the manifest.

    Attributes
    ----------
    knots : list of list of float, shape (n_features, 15)
        Quantiles of each feature at :data:`KNOT_LEVELS`: values that it had, written as short as single
        precision tells them apart; :meth:`knot_table` has them exactly.
    unit : list of float, shape (n_features,)
        Half the distance between the 16 % and the 84 % quantile: a standard deviation, robustly.
    whitening : list of list of float
        Row ``j`` of a lower triangular matrix, ``j + 1`` numbers: normal scores times it are
        uncorrelated with variance 1, as far as shrinkage lets them. A feature that training never
        saw has a row of zeros.
    distances : list of float, shape (16,)
        Quantiles at :data:`DISTANCE_LEVELS` of the squared distances of training rows under
        parameters that were fitted without them.
    limit : float
        Percentile above which a row is unusual.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    knots: list[list[Finite]]
    unit: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    whitening: list[list[Finite]]
    distances: list[Finite]
    limit: float = Field(0.995, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _shapes(self) -> NoveltyParameters:
        features = len(self.knots)
        if len(self.unit) != features or len(self.whitening) != features:
            raise ValueError(
                f"knots are of {features} features, unit of {len(self.unit)}, "
                f"whitening of {len(self.whitening)}"
            )
        for index, knots in enumerate(self.knots):
            if len(knots) != len(KNOT_LEVELS) or any(low > high for low, high in pairwise(knots)):
                raise ValueError(f"knots[{index}] must be {len(KNOT_LEVELS)} numbers that do not fall")
        if any(len(row) != index + 1 for index, row in enumerate(self.whitening)):
            raise ValueError("whitening must be lower triangular: row j has j + 1 numbers")
        levels = self.distances
        if len(levels) != len(DISTANCE_LEVELS) or any(low > high for low, high in pairwise(levels)):
            raise ValueError(f"distances must be {len(DISTANCE_LEVELS)} numbers that do not fall")
        return self

    def knot_table(self) -> FloatArray:
        """Knots as the features have them, shape (n_features, 15)."""
        single = np.array(self.knots, dtype=np.float32).reshape(len(self.knots), len(KNOT_LEVELS))
        return single.astype(np.float64)


def normal_scores(X: npt.NDArray[np.floating], knots: FloatArray, unit: FloatArray) -> FloatArray:
    """Normal scores of features by the quantiles of others.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        NaN where missing.
    knots : ndarray of shape (n_features, 15)
    unit : ndarray of shape (n_features,)

    Returns
    -------
    ndarray of float64, shape (n_rows, n_features)
        Between -6 and 6; 0 where missing, the middle of what was seen. At a value that many training
        rows share it is the mean of the scores that they span.

    Examples
    --------
    >>> knots = np.array([np.arange(15.0)])
    >>> normal_scores(np.array([[7.0], [7.5], [16.0], [np.nan], [-1e9]]), knots, np.array([1.0])).round(2)
    array([[ 0.  ],
           [ 0.13],
           [ 5.09],
           [ 0.  ],
           [-6.  ]])
    """
    values = X.astype(np.float64)
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    last = len(KNOT_LEVELS) - 2
    steps = np.diff(knots, axis=1)
    slope = np.zeros_like(steps)
    np.divide(np.diff(NORMAL_SCORES), steps, out=slope, where=steps > 0)
    each = np.arange(knots.shape[0])
    inside = np.minimum(np.maximum(known, knots[:, 0]), knots[:, -1])
    both = np.zeros_like(known)
    for below in (inside[:, :, None] >= knots, inside[:, :, None] > knots):
        index = np.clip(below.sum(axis=2) - 1, 0, last)
        start = knots[each, index]
        step = np.minimum(inside - start, steps[each, index])
        at_end = below.sum(axis=2) > last + 1
        along = NORMAL_SCORES[index] + step * slope[each, index]
        both += np.where(at_end, NORMAL_SCORES[-1], along)
    beyond = (np.maximum(known - knots[:, -1], 0.0) - np.maximum(knots[:, 0] - known, 0.0)) / unit
    scores = np.clip(both / 2.0 + beyond, -LARGEST_SCORE, LARGEST_SCORE)
    return np.where(missing, 0.0, scores)


def whitened_distance(scores: FloatArray, whitening: FloatArray) -> FloatArray:
    """Squared length of each row of ``scores`` times ``whitening``, shape (n_rows,).

    Summed column by column: a matrix product would give other last bits for one row than for many.
    """
    white = np.zeros_like(scores)
    for column, row in zip(scores.T, whitening, strict=True):
        white += column[:, None] * row
    distance = np.zeros(len(scores))
    for column in white.T:
        distance += column * column
    return distance


class NoveltyScorer:
    """Percentiles of rows of features, from a manifest's parameters.

    Parameters
    ----------
    parameters : NoveltyParameters
    """

    def __init__(self, parameters: NoveltyParameters) -> None:
        size = len(parameters.knots)
        self.limit = parameters.limit
        self._knots = parameters.knot_table()
        self._unit = np.array(parameters.unit, dtype=np.float64)
        self._whitening = np.zeros((size, size))
        for index, row in enumerate(parameters.whitening):
            self._whitening[index, : index + 1] = row
        self._distances = np.array(parameters.distances, dtype=np.float64)

    def distance(self, X: npt.NDArray[np.floating]) -> FloatArray:
        """Squared Mahalanobis distance of each row; a missing feature counts as the median."""
        parts = [
            whitened_distance(normal_scores(part, self._knots, self._unit), self._whitening)
            for part in _chunks(X)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def percentile(self, X: npt.NDArray[np.floating], distance: FloatArray | None = None) -> FloatArray:
        """Share of training rows that were less unusual, shape (n_rows,), 0 to 1.

        NaN where fewer than half of the features are known: nothing can be said of such a row.
        ``distance`` is that of the rows, where it is known already.
        """
        distance = self.distance(X) if distance is None else distance
        levels, known = self._distances, np.isfinite(X)
        index = np.clip((distance[:, None] >= levels).sum(axis=1) - 1, 0, len(levels) - 2)
        width = levels[index + 1] - levels[index]
        part = np.ones(len(distance))
        np.divide(distance - levels[index], width, out=part, where=width > 0)
        low, high = np.array(DISTANCE_LEVELS)[index], np.array(DISTANCE_LEVELS)[index + 1]
        found = low + np.clip(part, 0.0, 1.0) * (high - low)
        return np.where(known.mean(axis=1) >= FEWEST_KNOWN, found, np.nan)


def _chunks(X: npt.NDArray[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    """Rows in parts: the comparison with every knot takes 15 times the room of the rows."""
    for start in range(0, len(X), _CHUNK):
        yield X[start : start + _CHUNK]
