"""The market of the last weeks as the champion sees it: drift of its features, novelty of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.history import History
from serving.drift import bin_counts, bin_edges, bin_of, population_stability
from serving.predictor import Predictor
from training.dataset import ROW_HOURS
from training.health.recent_answers import sampled_bars

__all__ = ["MovedFeature", "SymbolDrift", "SymbolNow", "look", "window_drift"]

FULL_WINDOW = 0.8
"""Share of its rows that a window needs to be compared."""
MOST_FEATURES = 5
NOVELTY_DAYS = (7, 30)


@dataclass(frozen=True)
class MovedFeature:
    """A feature's stability index, and the limit that 95 % of the training's windows stayed within."""

    name: str
    index: float
    limit: float

    @property
    def excess(self) -> float:
        """The index as a multiple of the limit."""
        return self.index / self.limit


@dataclass(frozen=True)
class SymbolDrift:
    """One symbol's last days against the training.

    Attributes
    ----------
    days : int
    rows : int
    share : float
        Of features beyond their limit; NaN where it cannot be said.
    usual, largest : float
        Share that 95 % of the training's windows stayed within, and the largest of them.
    largest_excess : float
        Largest index of a feature in any of those windows, as a multiple of its limit.
    worst : tuple of MovedFeature
        Furthest beyond their limits, worst first, also where they are within.
    """

    days: int
    rows: int
    share: float
    usual: float
    largest: float
    largest_excess: float
    worst: tuple[MovedFeature, ...]


@dataclass(frozen=True)
class SymbolNow:
    """One symbol's recent rows.

    Attributes
    ----------
    symbol : str
    last_bar : pandas.Timestamp
        Close of the newest bar that is there.
    funding_known, open_interest_known : bool
        At the newest bar.
    drift : tuple of SymbolDrift
        By length of the window.
    unusual : dict of int to (int, int)
        Days to rows that are unusual, and rows that could be judged.
    """

    symbol: str
    last_bar: pd.Timestamp
    funding_known: bool
    open_interest_known: bool
    drift: tuple[SymbolDrift, ...]
    unusual: dict[int, tuple[int, int]]


def look(predictor: Predictor, histories: Sequence[History]) -> list[SymbolNow]:
    """Look at the end of each history, which holds at least one bar."""
    return [_symbol(predictor, history) for history in histories]


def _symbol(predictor: Predictor, history: History) -> SymbolNow:
    drift = predictor.manifest.drift
    days = max([*NOVELTY_DAYS, *(window.days for window in drift.windows)])
    wanted = int(np.asarray(history.time > history.time[-1] - pd.Timedelta(days=days)).sum())
    begin = max(0, len(history) - wanted + 1 - predictor.manifest.window_bars)
    decided = predictor.decided(history.part(begin, len(history)), wanted)
    keep = decided.answered & sampled_bars(decided.time, history.per_day)
    time, X, novelty = decided.time[keep], decided.features[keep], decided.novelty[keep]
    end = history.time[-1]
    there = np.flatnonzero(np.isfinite(history.column("close")))
    last = int(there[-1]) if len(there) else len(history) - 1
    unusual = {}
    for span in NOVELTY_DAYS:
        inside = novelty[np.asarray(time > end - pd.Timedelta(days=span))]
        judged = inside[np.isfinite(inside)]
        unusual[span] = (int((judged > drift.novelty.limit).sum()), len(judged))
    rows_per_day = min(history.per_day, 24 / ROW_HOURS) if history.per_day >= 24 else history.per_day
    return SymbolNow(
        symbol=history.symbol,
        last_bar=history.time[last],
        funding_known=bool(np.isfinite(history.column("funding_rate")[last])),
        open_interest_known=bool(np.isfinite(history.column("open_interest")[last])),
        drift=tuple(
            window_drift(
                predictor, number, X[np.asarray(time > end - pd.Timedelta(days=one.days))], rows_per_day
            )
            for number, one in enumerate(drift.windows)
        ),
        unusual=unusual,
    )


def window_drift(
    predictor: Predictor, number: int, X: npt.NDArray[np.float32], rows_per_day: float
) -> SymbolDrift:
    """Compare the rows of one symbol's last days with the training.

    Parameters
    ----------
    predictor : Predictor
    number : int
        Which of the manifest's windows.
    X : ndarray of float32, shape (n_rows, n_features)
        Sampled rows of that window.
    rows_per_day : float
    """
    drift = predictor.manifest.drift
    window = drift.windows[number]
    if not window.limits or len(X) < FULL_WINDOW * window.days * rows_per_day:
        usual, largest = window.usual_share, window.largest_share
        return SymbolDrift(window.days, len(X), float("nan"), usual, largest, window.largest_excess, ())
    edges = bin_edges(drift.novelty.knot_table())
    index: FloatArray = population_stability(bin_counts(bin_of(X, edges)), np.array(drift.shares))
    limits = np.array(window.limits)
    names = [feature.name for feature in predictor.manifest.features]
    return SymbolDrift(
        days=window.days,
        rows=len(X),
        share=float((index > limits).mean()),
        usual=window.usual_share,
        largest=window.largest_share,
        largest_excess=window.largest_excess,
        worst=tuple(
            MovedFeature(names[one], float(index[one]), float(limits[one]))
            for one in np.argsort(-index / limits, kind="stable")[:MOST_FEATURES]
        ),
    )
