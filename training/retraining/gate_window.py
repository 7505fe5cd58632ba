"""Which rows the gate scores, and which it may learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.dataset import Dataset
from training.recipe import Recipe
from training.retraining.gate_settings import GateSettings
from training.retraining.verdict import Window

__all__ = ["GateRows", "gate_rows", "latest_start", "training_rows"]

IndexArray = npt.NDArray[np.intp]
STEP_DAYS = 30


@dataclass(frozen=True)
class GateRows:
    """The scored window of a dataset.

    Attributes
    ----------
    start : pandas.Timestamp
    bars : ndarray of int
        Every bar from ``start`` to the last confirmed label, symbol after symbol.
    rows : ndarray of int
        Those that are scored: sampled, labelled, with a bar.
    spells : int
        Independent spells among ``rows``.
    """

    start: pd.Timestamp
    bars: IndexArray
    rows: IndexArray
    spells: int

    def window(self, dataset: Dataset) -> Window:
        """As it is shown and journaled."""
        end = dataset.time[self.bars].max()
        days = (end - self.start) / pd.Timedelta(days=1)
        return Window(
            self.start.isoformat(), end.isoformat(), round(days, 2), rows=len(self.rows), spells=self.spells
        )


def gate_rows(dataset: Dataset, start: pd.Timestamp) -> GateRows:
    """Rows from ``start`` on, up to the last confirmed label."""
    end = dataset.time[dataset.usable].max()
    bars = np.flatnonzero(np.asarray((dataset.time >= start) & (dataset.time <= end)))
    rows = bars[dataset.usable[bars]]
    return GateRows(start, bars, rows, len(np.unique(dataset.spell[rows])))


def latest_start(dataset: Dataset, settings: GateSettings) -> pd.Timestamp | None:
    """Latest start of a window that is long enough and holds enough spells.

    Returns
    -------
    pandas.Timestamp or None
        ``None`` where all the labelled history does not hold them.
    """
    times = dataset.time[dataset.usable]
    if not len(times):
        return None
    first = times.min()
    start = times.max() - pd.Timedelta(days=settings.window_days)
    while start > first:
        if gate_rows(dataset, start).spells >= settings.min_spells:
            return start
        start -= pd.Timedelta(days=STEP_DAYS)
    return None


def training_rows(dataset: Dataset, recipe: Recipe, start: pd.Timestamp) -> IndexArray:
    """Rows that a refit may learn from: labels confirmed before ``start`` less the embargo, as in a fold."""
    cut = start - pd.Timedelta(days=recipe.splits.embargo_days)
    known = dataset.usable & np.asarray(dataset.confirmed_at < cut)
    if recipe.splits.window_days is not None:
        known &= np.asarray(dataset.time >= start - pd.Timedelta(days=recipe.splits.window_days))
    return np.flatnonzero(known)
