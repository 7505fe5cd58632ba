"""Tune how probabilities become a regime: fewer false switches for a stated loss of macro F1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from features.bars import FloatArray
from features.regimes import REGIMES
from serving.decision import DecisionParameters, decide
from training.dataset import Dataset

__all__ = ["tune_decision"]

HALF_LIVES_DAYS = (0.0, 0.25, 0.5, 1.0)
MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
ALLOWED_LOSS = 0.01
"""Macro F1 that fewer switches may cost."""
DEFAULT = (0.5, 0.1)
"""Half-life in days and margin where there is nothing to tune on yet."""


def tune_decision(
    probabilities: FloatArray, dataset: Dataset, rows: npt.NDArray[np.intp], *, smoothing_bars: int
) -> DecisionParameters:
    """Choose half-life and margin on out-of-fold probabilities.

    Of all settings whose macro F1 is within 0.01 of the best, the one that switches least.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, 4)
        Calibrated, of ``rows``.
    dataset : Dataset
    rows : ndarray of int
        Labelled rows with an out-of-fold answer, ascending.
    smoothing_bars : int
        K.
    """
    per_day = dataset.histories[0].per_day

    def parameters(half_life: float, margin: float) -> DecisionParameters:
        return DecisionParameters(
            smoothing_bars=smoothing_bars, half_life_bars=half_life * per_day, margin=margin
        )

    runs = _runs(dataset, rows, smoothing_bars)
    if not runs:
        return parameters(*DEFAULT)
    tried: list[tuple[float, int, DecisionParameters]] = []
    for half_life in HALF_LIVES_DAYS:
        for margin in MARGINS:
            one = parameters(half_life, margin)
            truth: list[npt.NDArray[np.int8]] = []
            answers: list[npt.NDArray[np.int64]] = []
            switches = 0
            for run in runs:
                regime = decide(probabilities[run], dataset.present[rows[run]], one).regime
                switches += int((np.diff(regime) != 0).sum())
                answers.append(regime)
                truth.append(dataset.y[rows[run]][smoothing_bars:])
            score = f1_score(
                np.concatenate(truth),
                np.concatenate(answers),
                labels=range(len(REGIMES)),
                average="macro",
                zero_division=0.0,
            )
            tried.append((float(score), switches, one))
    best = max(score for score, _, _ in tried)
    return min((one for one in tried if one[0] >= best - ALLOWED_LOSS), key=lambda one: (one[1], -one[0]))[2]


def _runs(dataset: Dataset, rows: npt.NDArray[np.intp], smoothing_bars: int) -> list[npt.NDArray[np.intp]]:
    """Positions in ``rows`` of unbroken runs of bars of one symbol, longer than K."""
    if not len(rows):
        return []
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(dataset.symbol[rows]) != 0)) + 1
    return [run for run in np.split(np.arange(len(rows)), breaks) if len(run) > smoothing_bars]
