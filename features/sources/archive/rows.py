"""Rules that the rows of every dataset keep: one span, one row for each time, oldest first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.sources.archive.csv_table import CsvTable
from features.sources.archive.layout import Period
from features.sources.archive.notes import Notes, Span

__all__ = ["doubled_last", "name_blank", "name_file", "name_no_number", "with_time"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def name_file(table: CsvTable, period: Period | None, notes: Notes) -> None:
    """Name what is true of the file as a whole, from the first to the last row of its own span."""
    times = table.times
    if period is not None:
        times = times[(times >= period.start) & (times < period.end)]
    if not table.header:
        notes.add("no_header", times, "columns taken by their documented position", len(table.times))
    if table.microseconds:
        notes.add("microsecond_times", times, "stamps in microseconds", table.microseconds)
    if table.blank_lines:
        notes.add("blank_rows", times, "empty lines", table.blank_lines)
    if table.broken_lines:
        notes.add("refused_rows", times, "another number of cells", table.broken_lines)


def with_time(
    table: CsvTable, times: IntArray, period: Period | None, wanted: Span, notes: Notes, *, last: int = 0
) -> BoolArray:
    """Rows that have a time, of the file's own span, that is wanted; the others are named.

    Parameters
    ----------
    times : ndarray of int64
        The rows' stamps, rounded where the dataset rounds; -1 where there is none.
    period : Period or None
        The file's own span, by its name.
    last : int
        Milliseconds by which a stamp may pass the end of the file's span.
    """
    nothing = table.times < 0
    notes.add("blank_rows", table.times[nothing & ~table.no_time], "no time in the row")
    notes.add("refused_rows", table.times[nothing & table.no_time], "the time is none")
    keep = ~nothing
    if period is not None:
        inside = (times >= period.start) & (times < period.end + last)
        notes.add("refused_rows", times[keep & ~inside], f"outside the file's {period.name}")
        keep &= inside
    keep &= (times >= wanted.start) & (times < wanted.end)
    return keep


def doubled_last(times: IntArray, keep: BoolArray, notes: Notes) -> IntArray:
    """Positions of the kept rows, oldest first, the last one of each time; the others are named."""
    rows = np.flatnonzero(keep)
    found = times[rows]
    if len(rows) > 1 and (np.diff(found) <= 0).any():
        order = np.argsort(found, kind="stable")
        rows, found = rows[order], found[order]
        again = np.append(np.diff(found) == 0, False)
        notes.add("double_rows", found[again], "the last one is kept")
        rows = rows[~again]
    return rows


def name_no_number(table: CsvTable, times: IntArray, keep: BoolArray, notes: Notes) -> None:
    """Name cells that say something that is no number; they are NaN."""
    for name, wrong in table.no_number.items():
        notes.add("refused_value", times[wrong & keep], f"{name} is no number")


def name_blank(table: CsvTable, times: IntArray, keep: BoolArray, names: list[str], notes: Notes) -> None:
    """Name blank cells of columns that are there; they are NaN."""
    for name in names:
        blank = np.isnan(table.values[name]) & keep
        if name in table.no_number:
            blank &= ~table.no_number[name]
        if blank.any():
            notes.add("blank_rows", times[blank], f"{name} is blank")
