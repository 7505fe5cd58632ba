"""Walk-forward folds, purged by the moment a label was confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import TrainingError

__all__ = ["Block", "Fold", "WalkForward", "purged_blocks"]

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """One step of the walk.

    Attributes
    ----------
    name : str
        The half-year it is tested on, such as ``2022-01``.
    start, end : pandas.Timestamp
        Test span on bar closes, ``start`` included, ``end`` excluded.
    train : ndarray of int
        Rows that may be learned from: their label was confirmed before ``start`` less the embargo.
    test : ndarray of int
        Rows inside the span, labelled or not.
    """

    name: str
    start: pd.Timestamp
    end: pd.Timestamp
    train: IndexArray
    test: IndexArray


@dataclass(frozen=True)
class WalkForward:
    """Half-yearly walk-forward splits.

    A row is trained on only if its label was CONFIRMED before the fold's start less the embargo:
    labels use 20 and more days after their bar, so that its own time says nothing about when it
    was known.

    Attributes
    ----------
    embargo_days : float
        Distance between the last confirmation and the first test bar.
    min_train_days : float
        A fold is made once training labels span so many days.
    window_days : float or None
        Rolling: only rows of the last so many days before the start; ``None``: expanding.

    Examples
    --------
    >>> time = pd.date_range("2020-01-01", "2021-12-31", tz="UTC")
    >>> confirmed = pd.Series(time + pd.Timedelta(days=21))
    >>> [fold.name for fold in WalkForward().split(time, confirmed)]
    ['2020-07', '2021-01', '2021-07']
    """

    embargo_days: float = 5.0
    min_train_days: float = 150.0
    window_days: float | None = None

    def split(self, time: pd.DatetimeIndex, confirmed_at: pd.Series) -> list[Fold]:
        """Make the folds, oldest first.

        Parameters
        ----------
        time : pandas.DatetimeIndex of length n_rows
            Bar closes, UTC, in any order (symbols pooled).
        confirmed_at : pandas.Series of length n_rows
            When each row's label was settled; NaT where it is not.

        Raises
        ------
        TrainingError
            If not one fold can be made, with how much is missing.
        """
        confirmed = pd.DatetimeIndex(confirmed_at)
        labelled = np.asarray(confirmed.notna())
        if not labelled.any():
            raise TrainingError(
                "no label is confirmed: labels need 140 days of history and more",
                hint="use a longer history or an earlier --since",
            )
        folds = []
        first = time[labelled].min()
        starts = _half_years(first, time.max())
        for start, end in pairwise(starts):
            cut = start - pd.Timedelta(days=self.embargo_days)
            known = labelled & np.asarray(confirmed < cut)
            if self.window_days is not None:
                known &= np.asarray(time >= start - pd.Timedelta(days=self.window_days))
            inside = np.asarray((time >= start) & (time < end))
            if not known.any() or not (inside & labelled).any():
                continue
            span = (time[known].max() - time[known].min()) / pd.Timedelta(days=1)
            if span < self.min_train_days:
                continue
            folds.append(
                Fold(start.strftime("%Y-%m"), start, end, np.flatnonzero(known), np.flatnonzero(inside))
            )
        if not folds:
            days = (time.max() - first) / pd.Timedelta(days=1)
            raise TrainingError(
                f"labelled history spans {days:.0f} days; a first fold needs {self.min_train_days:.0f} days "
                f"of labels before a January or July, and labelled bars after it",
                hint="use a longer history or an earlier --since",
            )
        return folds


@dataclass(frozen=True)
class Block:
    """One block of purged cross-validation inside the training rows of a fold.

    Attributes
    ----------
    train : ndarray of int
        Rows before the block whose labels were confirmed before it, and rows after the moment the
        block's own last label was confirmed, each with the embargo between.
    test : ndarray of int
        Rows inside the block.
    """

    train: IndexArray
    test: IndexArray


def purged_blocks(
    time: pd.DatetimeIndex, confirmed_at: pd.Series, rows: IndexArray, *, blocks: int, embargo_days: float
) -> list[Block]:
    """Cut known rows into blocks of time for cross-validation (Lopez de Prado 2018, ch. 7).

    Everything in ``rows`` was known before the fold began, so answering an early block with a
    model that saw later ones tells no secret to the fold; the purge keeps labels that overlap a
    block out of its training rows.

    Parameters
    ----------
    time : pandas.DatetimeIndex of length n_rows
    confirmed_at : pandas.Series of length n_rows
    rows : ndarray of int
        Rows whose labels were known.
    blocks : int
        How many, with equal numbers of rows.
    embargo_days : float

    Returns
    -------
    list of Block
        Blocks without training rows are left out.
    """
    embargo = pd.Timedelta(days=embargo_days)
    stamps = time[rows]
    known = pd.DatetimeIndex(confirmed_at)[rows]
    ordered = stamps.sort_values()
    edges = [ordered[round(index * (len(rows) - 1) / blocks)] for index in range(blocks)]
    result = []
    for start, end in zip(edges, [*edges[1:], ordered[-1] + pd.Timedelta(milliseconds=1)], strict=True):
        inside = np.asarray((stamps >= start) & (stamps < end))
        if not inside.any():
            continue
        settled = known[inside].max()
        outside = np.asarray(known < start - embargo) | np.asarray(stamps > settled + embargo)
        if outside.any():
            result.append(Block(rows[outside], rows[inside]))
    return result


def _half_years(first: pd.Timestamp, last: pd.Timestamp) -> list[pd.Timestamp]:
    """January and July starts from ``first`` on, and the one after ``last``."""
    stamps = [
        pd.Timestamp(year=year, month=month, day=1, tz="UTC")
        for year in range(first.year, last.year + 2)
        for month in (1, 7)
    ]
    after = next(stamp for stamp in stamps if stamp > last)
    return [stamp for stamp in stamps if first < stamp <= after]
