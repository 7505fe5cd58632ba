"""The whole catalogue at the rows that training and scores use, beside the labels of all bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.context import needs_context, with_context
from features.declaration import Feature
from features.history import History
from features.pipeline import feature_matrix
from training.dataset import Dataset, build_dataset

__all__ = ["FeatureSample", "sample_features"]

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class FeatureSample:
    """Features of the sampled bars of all symbols, symbol after symbol.

    Attributes
    ----------
    dataset : Dataset
        Labels, times and symbols of ALL bars, with no feature in it: the hourly table of a whole
        catalogue would take six times the memory for rows that nobody reads.
    features : tuple of Feature
        Columns of ``X``.
    rows : ndarray of int, shape (n_rows,)
        The bars that ``X`` holds: sampled and present, in order.
    X : ndarray of float32, shape (n_rows, n_features)
    """

    dataset: Dataset
    features: tuple[Feature, ...]
    rows: IndexArray
    X: npt.NDArray[np.float32]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(feature.name for feature in self.features)

    @property
    def years(self) -> npt.NDArray[np.int64]:
        """Calendar year that each row's bar lies in: one that closes at New Year's midnight is of the old."""
        inside = self.dataset.time[self.rows] - pd.Timedelta(milliseconds=1)
        return np.asarray(inside.year, dtype=np.int64)

    @property
    def symbol(self) -> npt.NDArray[np.int64]:
        """Index of each row's symbol."""
        return self.dataset.symbol[self.rows]

    @property
    def y(self) -> npt.NDArray[np.int8]:
        """Hindsight class of each row, -1 where not confirmed."""
        return self.dataset.y[self.rows]

    @property
    def valued(self) -> npt.NDArray[np.bool_]:
        """Which features have a value anywhere, shape (n_features,)."""
        return np.asarray(np.isfinite(self.X).any(axis=0))

    def at(self, bars: IndexArray) -> IndexArray:
        """Rows of ``X`` that hold these bars, all of which are sampled and present."""
        return np.searchsorted(self.rows, bars)


def sample_features(
    histories: list[History],
    features: Sequence[Feature],
    progress: Callable[[str], None] = lambda _symbol: None,
) -> FeatureSample:
    """Compute features once, symbol by symbol, and keep the rows that are used.

    Parameters
    ----------
    histories : list of History
        Of one interval. Each is the others' context where a feature needs one and none is there.
    features : sequence of Feature
    progress : callable
        Told each symbol as its work begins.

    Raises
    ------
    NothingUsableError
        If there is no history.
    """
    columns = tuple(features)
    if needs_context(columns) and not any(history.context for history in histories):
        histories = with_context(histories)
    dataset = build_dataset(histories, ())
    kept = dataset.sampled & dataset.present
    rows = np.flatnonzero(kept)
    X = np.empty((len(rows), len(columns)), dtype=np.float32)
    filled = first = 0
    for history in histories:
        progress(history.symbol)
        inside = kept[first : first + len(history)]
        count = int(inside.sum())
        X[filled : filled + count] = feature_matrix(history, columns)[inside]
        filled, first = filled + count, first + len(history)
    return FeatureSample(dataset, columns, rows, X)
