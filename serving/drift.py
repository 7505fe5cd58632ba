"""What the market of the training looked like, and how far a newer one has moved from it.

The manifest carries it as ``drift``: quantiles of each feature, how the training rows spread over
the bins between them, how far one symbol's windows honestly moved within the training, and the
parameters of the novelty of a single row (:mod:`serving.novelty`).

A request shows the model at most K + 1 rows, two days: novelty can be said of that, drift can not.
Drift is for a window of 30 or 90 days of rows, as ``bearmode health`` takes it from the store.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.bars import FloatArray
from serving.novelty import KNOT_LEVELS, NoveltyParameters
from serving.schemas import Answer

__all__ = [
    "BINS",
    "DriftParameters",
    "DriftWindow",
    "answer_metrics",
    "bin_counts",
    "bin_edges",
    "bin_of",
    "population_stability",
    "smoothed_shares",
]

_DECILES = [index for index, level in enumerate(KNOT_LEVELS) if 0.1 <= level <= 0.9]
BINS = len(_DECILES) + 2
"""Ten between the deciles, and one for missing values."""
_PRIOR = 0.5 * BINS
"""Rows that a window's shares are drawn towards the reference by: half a row a bin."""

Share = Annotated[float, Field(ge=0, le=1)]
MODEL_STATES = ("fresh", "stale", "expired")


class DriftWindow(BaseModel):
    """How far windows of one symbol moved from all that came before them, within the training.

    Attributes
    ----------
    days : int
        Length of a window.
    windows : int
        How many there were, symbols times spans.
    limits : list of float, shape (n_features,)
        Stability index that 95 % of them stayed within, feature by feature; empty where there were
        too few windows to tell.
    usual_share, largest_share : float
        Share of a window's features beyond those limits: what 95 % of the windows stayed within, and
        the largest.
    largest_excess : float
        Largest index of any feature in any of the windows, as a multiple of its limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(ge=1)
    windows: int = Field(ge=0)
    limits: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    usual_share: Share
    largest_share: Share
    largest_excess: float = Field(ge=0, allow_inf_nan=False)


class DriftParameters(BaseModel):
    """Part of the manifest: the training rows as a reference for what comes later.

    Attributes
    ----------
    rows : int
        Training rows that it was made from.
    novelty : NoveltyParameters
        Its knots hold the deciles that the bins lie between.
    shares : list of list of float, shape (n_features, 11)
        Of the training rows in each bin; the last bin is for missing values.
    windows : list of DriftWindow
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(ge=1)
    novelty: NoveltyParameters
    shares: list[list[Annotated[float, Field(gt=0, lt=1)]]]
    windows: list[DriftWindow]

    @model_validator(mode="after")
    def _shapes(self) -> DriftParameters:
        features = len(self.novelty.knots)
        if len(self.shares) != features or any(len(row) != BINS for row in self.shares):
            raise ValueError(f"shares must be {BINS} for each of {features} features")
        for window in self.windows:
            if len(window.limits) not in {0, features}:
                raise ValueError(f"{window.days} days: {len(window.limits)} limits for {features} features")
        return self


def bin_edges(knots: FloatArray) -> FloatArray:
    """Deciles among the knots of :class:`serving.novelty.NoveltyParameters`, shape (n_features, 9)."""
    return knots[:, _DECILES]


def bin_of(X: npt.NDArray[np.floating], edges: FloatArray) -> npt.NDArray[np.int64]:
    """Bin of each value, shape (n_rows, n_features): 0 to 9 between the edges, 10 where missing.

    A value on an edge belongs to the bin above it, so that some bins of a feature that takes few
    values stay empty.
    """
    bins = np.empty(X.shape, dtype=np.int64)
    for column, mine in enumerate(edges):
        bins[:, column] = np.searchsorted(mine, X[:, column].astype(np.float64), side="right")
    bins[np.isnan(X)] = BINS - 1
    return bins


def bin_counts(bins: npt.NDArray[np.int64]) -> FloatArray:
    """Rows in each bin, shape (n_features, 11)."""
    return np.stack([(bins == index).sum(axis=0) for index in range(BINS)], axis=1).astype(np.float64)


def smoothed_shares(counts: FloatArray, reference: FloatArray | None = None) -> FloatArray:
    """Shares of counted rows, drawn towards a reference by half a row a bin; towards equal ones without.

    So no share is 0, and a bin that is empty on both sides adds next to nothing.
    """
    prior = np.full(counts.shape, 1.0 / BINS) if reference is None else reference
    return np.asarray((counts + _PRIOR * prior) / (counts.sum(axis=1, keepdims=True) + _PRIOR))


def population_stability(counts: FloatArray, reference: FloatArray) -> FloatArray:
    """Population stability index of each feature (Siddiqi 2006, ch. 6).

    Parameters
    ----------
    counts : ndarray of shape (n_features, 11)
        Rows of the window in each bin.
    reference : ndarray of shape (n_features, 11)
        Shares of the reference, none of them 0.

    Returns
    -------
    ndarray of shape (n_features,)
        Sum over bins of ``(q - p) ln(q / p)``; 0 where both are spread alike. The usual limits of
        0.1 and 0.25 are for independent rows: a month of one market is two orders beyond them.

    Examples
    --------
    >>> even = np.full((1, 11), 1 / 11)
    >>> population_stability(np.full((1, 11), 20.0), even)
    array([0.])
    >>> bool(population_stability(np.array([[0] * 10 + [220]]), even)[0] > 1)
    True
    """
    shares = smoothed_shares(counts, reference)
    return np.asarray(((shares - reference) * np.log(shares / reference)).sum(axis=1))


def answer_metrics(answer: Answer) -> dict[str, float]:
    """What one answer knows of drift and age, as numbers to export.

    Returns
    -------
    dict of str to float
        ``bearmode_model_age_days``, ``bearmode_model_state`` (0 fresh, 1 stale, 2 expired),
        ``bearmode_degraded`` (how many names) and, where it could be said,
        ``bearmode_novelty_percentile``.
    """
    found = {
        "bearmode_model_age_days": answer.model.age_days,
        "bearmode_model_state": float(MODEL_STATES.index(answer.model.state)),
        "bearmode_degraded": float(len(answer.degraded)),
    }
    if answer.novelty is not None:
        found["bearmode_novelty_percentile"] = answer.novelty.percentile
    return found
