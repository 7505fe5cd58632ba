"""How far stated probabilities are from what came true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.regimes import REGIMES

__all__ = [
    "BINS",
    "IntArray",
    "Reliability",
    "bins_of",
    "calibration_error",
    "classwise_calibration_error",
    "reliability",
]

BINS = 15
IntArray = npt.NDArray[np.integer[Any]]


def bins_of(confidence: FloatArray) -> npt.NDArray[np.int64]:
    """Which of 15 equal bins a stated probability falls into; 1.0 is in the last."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def calibration_error(confidence: FloatArray, hit: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error in 15 equal bins (Naeini et al. 2015).

    Parameters
    ----------
    confidence : ndarray of shape (n_rows,)
        Stated probability.
    hit : ndarray of bool, shape (n_rows,)
        Whether it came true.
    """
    if not len(confidence):
        return float("nan")
    table = reliability(confidence, hit)
    return float(np.abs(table.stated_sum - table.hits).sum() / table.rows.sum())


def classwise_calibration_error(probabilities: FloatArray, y: IntArray) -> float:
    """Mean over classes of the calibration error of that class's probability."""
    return float(
        np.mean([calibration_error(probabilities[:, k], np.asarray(y == k)) for k in range(len(REGIMES))])
    )


@dataclass(frozen=True)
class Reliability:
    """Reliability table: stated probability against how often it came true, by bin.

    Attributes
    ----------
    rows : ndarray of int, shape (15,)
        How many rows stated a probability in the bin.
    stated_sum, hits : ndarray of shape (15,)
        Sum of what was stated, and how many came true.
    """

    rows: npt.NDArray[np.int64]
    stated_sum: FloatArray
    hits: FloatArray

    @property
    def stated(self) -> FloatArray:
        """Mean stated probability of each bin; NaN where it is empty."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.stated_sum / self.rows)

    @property
    def came_true(self) -> FloatArray:
        """Share that came true in each bin; NaN where it is empty."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.hits / self.rows)


def reliability(confidence: FloatArray, hit: npt.NDArray[np.bool_]) -> Reliability:
    """Reliability table of one probability in 15 equal bins.

    Examples
    --------
    >>> table = reliability(np.array([0.9, 0.92, 0.1]), np.array([True, False, False]))
    >>> table.rows[[1, 13]], table.came_true[13]
    (array([1, 2]), np.float64(0.5))
    """
    bin_ = bins_of(confidence)
    return Reliability(
        np.bincount(bin_, minlength=BINS),
        np.bincount(bin_, weights=confidence, minlength=BINS).astype(np.float64),
        np.bincount(bin_, weights=hit.astype(np.float64), minlength=BINS).astype(np.float64),
    )
