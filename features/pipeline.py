"""History to features: the same code for a training table and for one live bar."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import Bars
from features.catalog import CATALOG, longest_lookback
from features.declaration import Feature
from features.history import History

__all__ = ["feature_matrix", "feature_table"]

_PART = 16_000
"""Rows of a long history that are computed at a time, from the bars that they look back on: what they
need stays small enough to be used again for the next ones."""
_TURNED = 1024
"""Rows that are turned from columns at a time, while they are in the processor's cache."""


def feature_matrix(
    history: History, features: tuple[Feature, ...] = CATALOG, *, last: int | None = None
) -> npt.NDArray[np.float32]:
    """Compute features of each bar, float32 at the source.

    Parameters
    ----------
    history : History
    features : tuple of Feature
    last : int, optional
        Only the last so many rows.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_features), C-contiguous
        Row ``t`` uses bars ``<= t``; NaN where a bar or input that the feature needs is missing.
        The same bits from a whole history and from a window of the declared look-back.
    """
    rows = len(history) if last is None else min(last, len(history))
    matrix = np.empty((rows, len(features)), dtype=np.float32)
    before = longest_lookback(features, history.per_day) - 1 if features else 0
    parts = max(1, round(rows / _PART))
    edges = [len(history) - rows + rows * part // parts for part in range(parts + 1)]
    columns = np.empty((len(features), -(-rows // parts)), dtype=np.float32)
    for start, stop in pairwise(edges):
        needed = history if parts == 1 else history.part(max(0, start - before), stop)
        place = start - edges[0]
        _fill(matrix[place : place + stop - start], columns[:, : stop - start], needed, features)
    return matrix


def _fill(
    matrix: npt.NDArray[np.float32],
    columns: npt.NDArray[np.float32],
    history: History,
    features: tuple[Feature, ...],
) -> None:
    """Compute the last rows of a history: each feature at a stretch in ``columns``, then in its place."""
    rows = len(matrix)
    bars = Bars(history, last=rows)
    group = ""
    with np.errstate(all="ignore"):
        for column, feature in zip(columns, features, strict=True):
            if feature.group != group and rows > _TURNED:
                bars.forget()  # what a group needs is mostly its own
            group = feature.group
            values = feature.compute(bars)
            column[:] = values[len(values) - rows :]
    for start in range(0, rows, _TURNED):
        turned = columns[:, start : start + _TURNED]
        np.copyto(turned, np.nan, where=~np.isfinite(turned))
        matrix[start : start + _TURNED] = turned.T


def feature_table(history: History, features: tuple[Feature, ...] = CATALOG) -> pd.DataFrame:
    """:func:`feature_matrix` as a frame: index ``time``, one float32 column per feature."""
    return pd.DataFrame(
        feature_matrix(history, features), index=history.time, columns=[feature.name for feature in features]
    )
