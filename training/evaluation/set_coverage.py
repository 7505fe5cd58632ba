"""How often prediction sets hold the truth, and how large they are; over all time and over each quarter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import DataError
from features.regimes import REGIMES
from training.evaluation.calibration_error import IntArray

__all__ = ["SetCoverage", "set_coverage"]

ROLLING_DAYS = 90.0


@dataclass(frozen=True)
class SetCoverage:
    """Coverage of prediction sets.

    Attributes
    ----------
    coverage : float
        Share of the rows whose set holds the truth.
    mean_size : float
        Regimes in a set.
    by_class : dict of str to float
        Coverage of the rows of each regime; NaN where there are none.
    size_shares : tuple of float
        Share of the sets with 0, 1, ... 4 regimes.
    rolling : pandas.DataFrame
        ``coverage``, ``size`` and ``rows`` of the rows of the ``rolling_days`` up to each UTC midnight,
        symbols pooled; from the first midnight with a whole window behind it.
    rolling_days : float
    rows : int
    """

    coverage: float
    mean_size: float
    by_class: dict[str, float]
    size_shares: tuple[float, ...]
    rolling: pd.DataFrame
    rolling_days: float
    rows: int

    def metrics(self) -> dict[str, float]:
        """Flat names, finite values only."""
        flat = {"coverage": self.coverage, "mean_size": self.mean_size}
        flat |= {f"coverage_{name}": value for name, value in self.by_class.items()}
        if len(self.rolling):
            days = f"rolling_{self.rolling_days:g}d"
            share = self.rolling["coverage"]
            flat |= {
                f"{days}_coverage_lowest": float(share.min()),
                f"{days}_coverage_median": float(share.median()),
                f"{days}_coverage_below_80": float((share < 0.8).mean()),
                f"{days}_size_largest": float(self.rolling["size"].max()),
            }
        return {name: value for name, value in flat.items() if np.isfinite(value)}


def set_coverage(
    sets: npt.NDArray[np.bool_], y: IntArray, time: pd.DatetimeIndex, *, days: float = ROLLING_DAYS
) -> SetCoverage:
    """Measure prediction sets against labels.

    Parameters
    ----------
    sets : ndarray of bool, shape (n_rows, 4)
    y : ndarray of int, shape (n_rows,)
        Hindsight labels, all confirmed.
    time : pandas.DatetimeIndex of length n_rows
        In any order, symbols pooled.
    days : float, default=90
        Of the rolling window.

    Raises
    ------
    DataError
        Without rows, or if lengths or labels do not fit.
    """
    if not len(y) or sets.shape != (len(y), len(REGIMES)) or len(time) != len(y):
        raise DataError(f"sets {sets.shape}, {len(y)} labels, {len(time)} times: expected as many of each")
    if y.min() < 0 or y.max() >= len(REGIMES):
        raise DataError("a row without a label: coverage is counted on labelled rows alone")
    held = sets[np.arange(len(y)), y]
    size = sets.sum(axis=1)
    by_class = {}
    for k, name in enumerate(REGIMES):
        mine = y == k
        by_class[name] = float(held[mine].mean()) if mine.any() else float("nan")
    return SetCoverage(
        coverage=float(held.mean()),
        mean_size=float(size.mean()),
        by_class=by_class,
        size_shares=tuple((np.bincount(size, minlength=len(REGIMES) + 1) / len(size)).tolist()),
        rolling=_rolling(held, size, time, days),
        rolling_days=days,
        rows=len(y),
    )


def _rolling(
    held: npt.NDArray[np.bool_], size: npt.NDArray[np.int64], time: pd.DatetimeIndex, days: float
) -> pd.DataFrame:
    order = np.argsort(time.asi8, kind="stable")
    ordered = time[order]
    first = (ordered[0] + pd.Timedelta(days=days)).ceil("D")
    midnights = pd.date_range(first, ordered[-1].ceil("D"), freq="D")
    low = ordered.searchsorted(midnights - pd.Timedelta(days=days), side="right")
    high = ordered.searchsorted(midnights, side="right")
    rows = np.asarray(high - low)
    there = rows > 0

    def mean(values: npt.NDArray[np.generic]) -> FloatArray:
        total = np.concatenate(([0.0], np.cumsum(values[order].astype(np.float64))))
        return np.asarray((total[high] - total[low])[there] / rows[there])

    return pd.DataFrame(
        {"coverage": mean(held), "size": mean(size), "rows": rows[there]}, index=midnights[there]
    )
