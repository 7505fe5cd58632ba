"""Walk-forward folds, purged by the moment a label was confirmed; and folds that leave a symbol out.

Three axes say three things. ``time``: later half-years of the symbols that were learned from.
``symbols``: a symbol that was not learned from, at hours that were: what carries over between symbols
and nothing else, no forecast. ``both``: later half-years of a symbol that was not learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import TrainingError

__all__ = ["AXES", "Axis", "Block", "Fold", "WalkForward", "along_axis", "purged_blocks"]

Axis = Literal["time", "symbols", "both"]
AXES: tuple[Axis, ...] = ("time", "symbols", "both")
IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """One step of the walk.

    Attributes
    ----------
    name : str
        The half-year it is tested on, such as ``2022-01``, and the symbol that is left out, if any.
    start, end : pandas.Timestamp
        Test span on bar closes, ``start`` included, ``end`` excluded.
    cut : pandas.Timestamp
        Everything that is learned was confirmed before it: ``start`` less the embargo, except along the
        axis ``symbols``.
    train : ndarray of int
        Rows that may be learned from.
    test : ndarray of int
        Rows inside the span, labelled or not.
    unseen : int or None
        Index of the symbol that is left out of ``train`` and alone in ``test``.
    """

    name: str
    start: pd.Timestamp
    end: pd.Timestamp
    cut: pd.Timestamp
    train: IndexArray
    test: IndexArray
    unseen: int | None = None


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

    Raises
    ------
    TrainingError
        For an embargo below zero, which would let labels of the test span be learned from, or a window
        that cannot hold the training days asked for.

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

    def __post_init__(self) -> None:
        if not 0 <= self.embargo_days < float("inf"):
            raise TrainingError(f"embargo of {self.embargo_days} days: expected 0 or more", code="bad_splits")
        if not 0 < self.min_train_days < float("inf"):
            raise TrainingError(
                f"{self.min_train_days} days of training labels: expected more than 0", code="bad_splits"
            )
        if self.window_days is not None and not self.window_days > self.min_train_days:
            raise TrainingError(
                f"a rolling window of {self.window_days:g} days cannot hold the {self.min_train_days:g} days "
                f"of labels that a fold needs",
                code="bad_splits",
                hint="use a longer window: confirmation and embargo take 25 to 50 days of it",
            )

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
                Fold(start.strftime("%Y-%m"), start, end, cut, np.flatnonzero(known), np.flatnonzero(inside))
            )
        if not folds:
            days = (time.max() - first) / pd.Timedelta(days=1)
            raise TrainingError(
                f"labelled history spans {days:.0f} days; a first fold needs {self.min_train_days:.0f} days "
                f"of labels before a January or July, and labelled bars after it",
                hint="use a longer history or an earlier --since",
            )
        return folds


def along_axis(
    folds: Sequence[Fold],
    axis: Axis,
    *,
    symbol: npt.NDArray[np.integer[Any]],
    names: Sequence[str],
    confirmed_at: pd.Series,
) -> list[Fold]:
    """Turn walk-forward folds into those of another axis, which test the very same rows.

    Parameters
    ----------
    folds : sequence of Fold
        Of :meth:`WalkForward.split`, oldest first.
    axis : {"time", "symbols", "both"}
        ``time`` gives the folds as they are. ``both`` gives a fold for each half-year and symbol: the
        half-year's training rows without the symbol, its test rows of it alone. ``symbols`` gives a fold
        for each symbol: all rows of the other symbols, whenever they were confirmed, and the tested rows
        of this one.
    symbol : ndarray of int, shape (n_rows,)
        Index into ``names``.
    names : sequence of str
    confirmed_at : pandas.Series of length n_rows
        As given to the split: NaT where a row may not be learned from.

    Raises
    ------
    TrainingError
        If the axis is not known, or a symbol is to be left out and no other is there to learn from.
    """
    if axis not in AXES:
        raise TrainingError(f"axis {axis!r}, expected one of {', '.join(AXES)}", code="bad_splits")
    if axis == "time":
        return list(folds)
    if len(names) < 2:
        raise TrainingError(
            f"axis {axis} leaves a symbol out, and there is only {', '.join(names) or 'none'}",
            code="bad_splits",
            hint="give two symbols or more",
        )
    if axis == "both":
        found = [_without(fold, index, symbol, names) for fold in folds for index in range(len(names))]
    else:
        found = [_alone(folds, index, symbol, names, confirmed_at) for index in range(len(names))]
    return [fold for fold in found if len(fold.test) and len(fold.train)]


def _without(fold: Fold, index: int, symbol: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> Fold:
    """Leave one symbol out of what is learned and test it alone."""
    return Fold(
        name=f"{fold.name} {names[index]}",
        start=fold.start,
        end=fold.end,
        cut=fold.cut,
        train=fold.train[symbol[fold.train] != index],
        test=fold.test[symbol[fold.test] == index],
        unseen=index,
    )


def _alone(
    folds: Sequence[Fold],
    index: int,
    symbol: npt.NDArray[np.integer[Any]],
    names: Sequence[str],
    confirmed_at: pd.Series,
) -> Fold:
    """Learn from all rows of the other symbols, test the rows that the walk tests of this one."""
    known = pd.DatetimeIndex(confirmed_at)
    train = np.flatnonzero(np.asarray(known.notna()) & (symbol != index))
    tested = np.concatenate([fold.test for fold in folds])
    last = known[train].max() if len(train) else folds[-1].end
    return Fold(
        name=names[index],
        start=folds[0].start,
        end=folds[-1].end,
        cut=last + pd.Timedelta(milliseconds=1),
        train=train,
        test=np.sort(tested[symbol[tested] == index]),
        unseen=index,
    )


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
