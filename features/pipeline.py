"""History to features: the same code for a training table and for one live bar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import Bars
from features.catalog import CATALOG
from features.declaration import Feature
from features.history import History

__all__ = ["feature_matrix", "feature_table"]


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
    bars = Bars(history, last=rows)
    matrix = np.empty((rows, len(features)), dtype=np.float32)
    with np.errstate(all="ignore"):
        for column, feature in enumerate(features):
            values = feature.compute(bars)
            matrix[:, column] = values[len(values) - rows :]
    matrix[~np.isfinite(matrix)] = np.nan
    return matrix


def feature_table(history: History, features: tuple[Feature, ...] = CATALOG) -> pd.DataFrame:
    """:func:`feature_matrix` as a frame: index ``time``, one float32 column per feature."""
    return pd.DataFrame(
        feature_matrix(history, features), index=history.time, columns=[feature.name for feature in features]
    )
