"""Scores, measured the same way for every model and baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score

from features.bars import FloatArray
from features.regimes import REGIMES

__all__ = ["calibration_error", "classwise_calibration_error", "scores", "switches_per_year"]

BINS = 15
IntArray = npt.NDArray[np.integer[Any]]


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
    bin_ = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(bin_, minlength=BINS)
    stated = np.bincount(bin_, weights=confidence, minlength=BINS)
    true = np.bincount(bin_, weights=hit.astype(np.float64), minlength=BINS)
    return float(np.abs(stated - true).sum() / count.sum())


def classwise_calibration_error(probabilities: FloatArray, y: IntArray) -> float:
    """Mean over classes of the calibration error of that class's probability."""
    return float(
        np.mean([calibration_error(probabilities[:, k], np.asarray(y == k)) for k in range(len(REGIMES))])
    )


def switches_per_year(regime: IntArray, symbol: IntArray, time: pd.DatetimeIndex) -> float:
    """Changes of regime a year and symbol, over consecutive bars of one symbol.

    A step of more than one day (another fold, a gap) is not a switch and its time does not count.
    """
    hours = np.diff(time.as_unit("ms").asi8) / 3_600_000
    step = (np.diff(symbol) == 0) & (hours > 0) & (hours <= 24)
    years = hours[step].sum() / (365.25 * 24)
    if years == 0:
        return float("nan")
    return float((np.diff(regime.astype(np.int64))[step] != 0).sum() / years)


def scores(probabilities: FloatArray, y: IntArray, regime: IntArray | None = None) -> dict[str, float]:
    """Scores of some labelled rows.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, 4)
    y : ndarray of int, shape (n_rows,)
        Hindsight labels.
    regime : ndarray of int, shape (n_rows,), optional
        Decided regime; the likeliest by default.

    Returns
    -------
    dict of str to float
        ``log_loss`` (nats), ``brier`` (sum over classes), ``macro_f1`` over the four classes,
        ``f1_<class>``, ``accuracy``, ``ece``, ``ece_classwise``, ``rows``.
    """
    best = probabilities.argmax(axis=1)
    decided = best if regime is None else regime
    rows = np.arange(len(y))
    truth = np.zeros_like(probabilities)
    truth[rows, y] = 1.0
    f1 = f1_score(y, decided, labels=range(len(REGIMES)), average=None, zero_division=0.0)
    return {
        "log_loss": float(-np.log(np.clip(probabilities[rows, y], 1e-15, 1.0)).mean()),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "macro_f1": float(np.mean(f1)),
        **{f"f1_{name}": float(value) for name, value in zip(REGIMES, f1, strict=True)},
        "accuracy": float((decided == y).mean()),
        "ece": calibration_error(probabilities.max(axis=1), np.asarray(best == y)),
        "ece_classwise": classwise_calibration_error(probabilities, y),
        "rows": float(len(y)),
    }


def confusion(y: IntArray, regime: IntArray) -> npt.NDArray[np.int64]:
    """Counts, shape (4, 4): rows are the truth, columns the answer."""
    return np.asarray(confusion_matrix(y, regime, labels=range(len(REGIMES))), dtype=np.int64)
