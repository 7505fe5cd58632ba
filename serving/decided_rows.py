"""What the model says of the last bars of a history, before any advice is given on it.

One request, a replay over years and a look at the model's health all begin here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import Bars, FloatArray
from features.context import in_universe
from features.declaration import Feature
from features.history import History
from features.pipeline import feature_matrix
from features.regimes import REGIMES
from features.rolling.windows import rolling_sum
from serving.bundle import Manifest
from serving.decision import Decision, decide
from serving.novelty import NoveltyScorer
from serving.prediction_sets import prediction_sets
from serving.refusals import refusal

__all__ = ["DecidedRows", "decided_rows"]


@dataclass(frozen=True)
class DecidedRows:
    """The model's word on ``n`` consecutive bars.

    Attributes
    ----------
    time : pandas.DatetimeIndex
        Bar closes.
    features : ndarray of float32, shape (n, n_features)
    beside : ndarray of float32, shape (n, n_beside)
        The features that another model reads.
    probabilities : ndarray of shape (n, 4)
    decision : Decision
    sets : ndarray of bool, shape (n, 4)
        Prediction sets.
    distance, novelty : ndarray of shape (n,)
        See :class:`serving.novelty.NoveltyScorer`.
    missing_bars : ndarray of shape (n,)
        In the window that ends with the bar.
    answered : ndarray of bool, shape (n,)
        Whether a request for the bar gets an answer.
    """

    time: pd.DatetimeIndex
    features: npt.NDArray[np.float32]
    beside: npt.NDArray[np.float32]
    probabilities: FloatArray
    decision: Decision
    sets: npt.NDArray[np.bool_]
    distance: FloatArray
    novelty: FloatArray
    missing_bars: FloatArray
    answered: npt.NDArray[np.bool_]


def decided_rows(
    history: History,
    count: int,
    manifest: Manifest,
    features: tuple[Feature, ...],
    scorer: NoveltyScorer,
    probabilities_of: Callable[[npt.NDArray[np.float32]], FloatArray],
    beside: tuple[Feature, ...] = (),
) -> DecidedRows:
    """Let the model read the last ``count`` bars.

    Parameters
    ----------
    history : History
        With a window's length before the first of the bars, as far as it goes. Its context is cut to
        the manifest's universe.
    count : int
    manifest : Manifest
    features : tuple of Feature
        What the model reads, in column order.
    scorer : NoveltyScorer
    probabilities_of : callable
        The graph.
    beside : tuple of Feature
        To be computed on the way, for another model; what both read is computed once.
    """
    k = manifest.decision.smoothing_bars
    needed = min(len(history), count + k)
    history = in_universe(history, manifest.context_symbols)
    more = tuple(one for one in beside if one not in features)
    everything = feature_matrix(history, (*features, *more), last=needed)
    matrix = np.ascontiguousarray(everything[:, : len(features)])
    places = [(*features, *more).index(one) for one in beside]
    close = history.column("close")
    present = np.isfinite(close)
    probabilities = np.full((count + k, len(REGIMES)), 1.0 / len(REGIMES))
    here = np.zeros(count + k, dtype=bool)
    probabilities[count + k - needed :] = probabilities_of(matrix)
    here[count + k - needed :] = present[len(history) - needed :]
    window = manifest.window_bars
    absent = rolling_sum((~present).astype(np.float64), window, Bars(history).first)[-count:]
    last = matrix[-count:]
    distance = scorer.distance(last)
    return DecidedRows(
        time=history.time[-count:],
        features=last,
        beside=everything[-count:][:, places],
        probabilities=probabilities[k:],
        decision=decide(probabilities, here, manifest.decision),
        sets=prediction_sets(probabilities[k:], manifest.decision.sets),
        distance=distance,
        novelty=scorer.percentile(last, distance),
        missing_bars=absent,
        answered=np.array(
            [
                refusal(float(missing), float(price), window) is None
                for missing, price in zip(absent, close[-count:], strict=True)
            ],
            dtype=bool,
        ),
    )
