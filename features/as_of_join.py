"""Raw tables joined to bars: at each close the last value that was known, while it is fresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bar_rules import out_of_range, range_of
from features.errors import HistoryError
from features.raw import LedgerEntry

__all__ = ["Joined", "join_as_of", "runs"]

FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_HOUR = 3_600_000


@dataclass(frozen=True)
class Joined:
    """Columns on the grid of closes, and what is missing or stale in them.

    Attributes
    ----------
    columns : dict of str to ndarray of shape (n_bars,)
    ledger : list of LedgerEntry
    """

    columns: dict[str, FloatArray]
    ledger: list[LedgerEntry]


@dataclass(frozen=True)
class _Seen:
    """Of one column at each close: whether a value was known, and whether it is fresh."""

    there: Flags
    fresh: Flags


def join_as_of(
    grid: pd.DatetimeIndex,
    subject: str,
    table: pd.DataFrame | None,
    names: Sequence[str],
    *,
    stale_after_hours: float,
    together: bool = False,
) -> Joined:
    """Take the last known value of each column at each close.

    A value counts from its ``time`` on (equal to the close included) and until it is older than its
    limit. A blank value is passed over: the one before it stands. A value outside the range of its
    column is none, and nothing stands in for it. Of two rows of one time the later row counts.

    Parameters
    ----------
    grid : pandas.DatetimeIndex of length n_bars
        Closes, UTC.
    subject : str
        Name of the table in the ledger.
    table : pandas.DataFrame or None
        ``time`` (when known) and ``names``; in any order of time.
    names : sequence of str
        Columns of the table to join.
    stale_after_hours : float
        Older than this at the close: NaN.
    together : bool
        All columns come from the row in which the first one has a value; otherwise each column
        has its own last known value.

    Raises
    ------
    HistoryError
        If the table's times are naive or empty.
    """
    if table is None or table.empty or not names:
        nothing = LedgerEntry("no_data", subject, grid[0], grid[-1], len(grid), "the source has none of it")
        return Joined({name: np.full(len(grid), np.nan) for name in names}, [nothing])
    stamps, order = _ordered(table["time"], subject)
    closes = grid.as_unit("ms").asi8
    position = np.asarray(stamps.searchsorted(closes, side="right")) - 1
    limit = stale_after_hours * _HOUR
    columns: dict[str, FloatArray] = {}
    seen: dict[str, _Seen] = {}
    refused: list[LedgerEntry] = []
    row = position
    for name in names:
        values = table[name].to_numpy(np.float64)
        values = values if order is None else values[order]
        if not together or not columns:
            row = _last_known(values, position)
            there = row >= 0
            seen[name] = _Seen(there, there & (closes - stamps[np.maximum(row, 0)] <= limit))
            fresh = seen[name].fresh
        wrong = out_of_range(name, values)
        if wrong.any():
            values = np.where(wrong, np.nan, values)
            refused.append(_refused(name, stamps[wrong]))
        columns[name] = np.where(fresh, values[np.maximum(row, 0)], np.nan)
    return Joined(columns, refused + _missing(grid, subject, seen, stale_after_hours))


def _ordered(time: pd.Series, subject: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp] | None]:
    """Times in ms, oldest first, and the order that makes them so; ``None`` where they already are."""
    index = pd.DatetimeIndex(time)
    if index.tz is None:
        raise HistoryError(f"{subject}: times have no time zone, expected UTC", code="naive_time")
    if index.hasnans:
        row = int(np.argmax(index.isna()))
        raise HistoryError(
            f"{subject}: time[{row}] is empty", code="bad_time", field=f"{subject}.time[{row}]"
        )
    # A value known within a millisecond after the close must not fall back to the close.
    stamps = (
        -(-index.asi8 // _per_millisecond(index)) if index.unit in {"us", "ns"} else index.as_unit("ms").asi8
    )
    if (stamps[1:] >= stamps[:-1]).all():
        return stamps, None
    order = stamps.argsort(kind="stable")
    return stamps[order], order


def _per_millisecond(index: pd.DatetimeIndex) -> int:
    return 1_000 if index.unit == "us" else 1_000_000


def _last_known(values: FloatArray, position: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Row of the last value that is there, at or before each position; -1 where there is none."""
    blank = np.isnan(values)
    if not blank.any():
        return position
    last = np.where(blank, -1, np.arange(len(values), dtype=np.intp))
    np.maximum.accumulate(last, out=last)
    return np.where(position >= 0, last[np.maximum(position, 0)], -1)


def _refused(name: str, stamps: npt.NDArray[np.int64]) -> LedgerEntry:
    first, last = (
        pd.Timestamp(int(stamp), unit="ms", tz="UTC").as_unit("ms") for stamp in (stamps[0], stamps[-1])
    )
    return LedgerEntry("refused_value", name, first, last, len(stamps), f"not {range_of(name).words}")


def _missing(
    grid: pd.DatetimeIndex, subject: str, seen: dict[str, _Seen], stale_after_hours: float
) -> list[LedgerEntry]:
    """What was not yet published or stale: of the table where its columns agree, else of each column."""
    first = next(iter(seen.values()))
    if all(
        np.array_equal(one.there, first.there) and np.array_equal(one.fresh, first.fresh)
        for one in seen.values()
    ):
        seen = {subject: first}
    words = f"older than {stale_after_hours:g} h at the close"
    entries: list[LedgerEntry] = []
    for name, one in seen.items():
        entries += runs(grid, ~one.there, "no_data", name, "not yet published")
        entries += runs(grid, one.there & ~one.fresh, "stale_value", name, words)
    return entries


def runs(grid: pd.DatetimeIndex, flag: Flags, kind: str, subject: str, detail: str) -> list[LedgerEntry]:
    """One ledger entry for each unbroken run of flagged bars."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flag, [False])).astype(np.int8)))
    return [
        LedgerEntry(kind, subject, grid[first], grid[after - 1], int(after - first), detail)
        for first, after in zip(edges[::2], edges[1::2], strict=True)
    ]
