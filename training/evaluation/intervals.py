"""The headline scores as functions of sums over rows, so that drawing spells again is cheap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.bars import FloatArray
from features.regimes import REGIMES
from training.evaluation.calibration_error import BINS, IntArray, bins_of
from training.evaluation.metrics import row_brier, row_log_loss

__all__ = ["HEADLINES", "headline_sums"]

CLASSES = len(REGIMES)
CELLS = slice(3, 3 + CLASSES**2)
TOP = slice(CELLS.stop, CELLS.stop + BINS)
BY_CLASS = slice(TOP.stop, TOP.stop + CLASSES * BINS)


def headline_sums(probabilities: FloatArray, y: IntArray, regime: IntArray) -> FloatArray:
    """What each row adds to the sums that the headline scores are made of, shape (n_rows, n_sums).

    Columns: log loss, Brier score, 1, the cell of the confusion matrix, and, in the row's bin of the
    reliability tables, what was stated less what came true.
    """
    rows = np.arange(len(y))
    sums = np.zeros((len(y), BY_CLASS.stop))
    sums[:, 0] = row_log_loss(probabilities, y)
    sums[:, 1] = row_brier(probabilities, y)
    sums[:, 2] = 1.0
    sums[rows, CELLS.start + CLASSES * y.astype(np.int64) + regime] = 1.0
    top, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    sums[rows, TOP.start + bins_of(top)] = top - (best == y)
    for k in range(CLASSES):
        stated = probabilities[:, k]
        sums[rows, BY_CLASS.start + BINS * k + bins_of(stated)] = stated - (y == k)
    return sums


def _cells(sums: FloatArray) -> FloatArray:
    return sums[:, CELLS].reshape(-1, CLASSES, CLASSES)


def _recalls(sums: FloatArray) -> FloatArray:
    """Recall of each class, NaN where it never came; shape (n, 4)."""
    cells = _cells(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diagonal(cells, axis1=1, axis2=2) / cells.sum(axis=2))


def _precisions(sums: FloatArray) -> FloatArray:
    cells = _cells(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diagonal(cells, axis1=1, axis2=2) / cells.sum(axis=1))


def _f1(sums: FloatArray) -> FloatArray:
    """F1 of each class, 0 where it neither came nor was answered; shape (n, 4)."""
    cells = _cells(sums)
    hits = np.diagonal(cells, axis1=1, axis2=2)
    total = cells.sum(axis=1) + cells.sum(axis=2)
    return np.asarray(np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0))


def _of_class(each: Callable[[FloatArray], FloatArray], k: int) -> Callable[[FloatArray], FloatArray]:
    return lambda sums: np.asarray(each(sums)[:, k])


HEADLINES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "log_loss": lambda sums: sums[:, 0] / sums[:, 2],
    "brier": lambda sums: sums[:, 1] / sums[:, 2],
    "macro_f1": lambda sums: np.asarray(_f1(sums).mean(axis=1)),
    "balanced_accuracy": lambda sums: np.asarray(np.nanmean(_recalls(sums), axis=1)),
    **{f"f1_{name}": _of_class(_f1, k) for k, name in enumerate(REGIMES)},
    **{f"precision_{name}": _of_class(_precisions, k) for k, name in enumerate(REGIMES)},
    **{f"recall_{name}": _of_class(_recalls, k) for k, name in enumerate(REGIMES)},
    "ece": lambda sums: np.abs(sums[:, TOP]).sum(axis=1) / sums[:, 2],
    "ece_classwise": lambda sums: np.abs(sums[:, BY_CLASS]).sum(axis=1) / sums[:, 2] / CLASSES,
}
"""Scores with an interval, each from sums of shape (n, n_sums) to shape (n,)."""
