"""Scores of labelled rows, the same for every model and baseline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from features.bars import FloatArray
from features.regimes import REGIMES
from training.evaluation.calibration_error import IntArray, calibration_error, classwise_calibration_error

__all__ = ["confusion", "row_brier", "row_log_loss", "scores", "skill", "switches_per_year"]


def row_log_loss(probabilities: FloatArray, y: IntArray) -> FloatArray:
    """Log loss of each row in nats, shape (n_rows,); a stated 0 counts as 1e-15."""
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(y)), y], 1e-15, 1.0)))


def row_brier(probabilities: FloatArray, y: IntArray) -> FloatArray:
    """Brier score of each row, the sum over the four classes, shape (n_rows,)."""
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(y)), y] = 1.0
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))


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
        ``log_loss`` (nats), ``brier`` (sum over classes), ``ece`` (of the likeliest class),
        ``ece_classwise``: of the probabilities. ``macro_f1`` over the four classes,
        ``balanced_accuracy`` (mean recall of the classes that came), ``accuracy``, ``f1_<class>``,
        ``precision_<class>`` (NaN if never answered), ``recall_<class>`` (NaN if it never came): of
        the decided regime. ``rows``.
    """
    best = probabilities.argmax(axis=1)
    decided = best if regime is None else regime
    precision, recall, f1, support = precision_recall_fscore_support(
        y, decided, labels=range(len(REGIMES)), average=None, zero_division=np.nan
    )
    f1 = np.nan_to_num(f1)  # a class that neither came nor was answered is nothing to be proud of
    came = recall[support > 0]
    return {
        "log_loss": float(row_log_loss(probabilities, y).mean()),
        "brier": float(row_brier(probabilities, y).mean()),
        "macro_f1": float(np.mean(f1)),
        "balanced_accuracy": float(came.mean()),
        **{f"f1_{name}": float(value) for name, value in zip(REGIMES, f1, strict=True)},
        **{f"precision_{name}": float(value) for name, value in zip(REGIMES, precision, strict=True)},
        **{f"recall_{name}": float(value) for name, value in zip(REGIMES, recall, strict=True)},
        "accuracy": float((decided == y).mean()),
        "ece": calibration_error(probabilities.max(axis=1), np.asarray(best == y)),
        "ece_classwise": classwise_calibration_error(probabilities, y),
        "rows": float(len(y)),
    }


def skill(values: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """How much of a reference's loss is gone: 1 is perfect, 0 no better, below 0 worse.

    Parameters
    ----------
    values, reference : mapping of str to float
        Of :func:`scores`, on the same rows.

    Examples
    --------
    >>> skill({"log_loss": 0.6, "brier": 0.4}, {"log_loss": 1.2, "brier": 0.8})
    {'brier_skill': 0.5, 'log_loss_skill': 0.5}
    """
    return {
        f"{name}_skill": 1.0 - values[name] / reference[name] if reference[name] > 0 else float("nan")
        for name in ("brier", "log_loss")
    }


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


def confusion(y: IntArray, regime: IntArray) -> npt.NDArray[np.int64]:
    """Counts, shape (4, 4): rows are the truth, columns the answer."""
    return np.asarray(confusion_matrix(y, regime, labels=range(len(REGIMES))), dtype=np.int64)
