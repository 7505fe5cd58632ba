"""Funding settlements of the archive.

Source: ``fundingRate`` files. ``calc_time`` lies within milliseconds of the settlement's full hour
and is rounded to it. The rate is a fraction per interval, positive when longs pay shorts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.bar_rules import RANGES
from features.sources.archive.csv_table import CsvForm, CsvTable, parse_csv
from features.sources.archive.layout import HOUR_MS, Period
from features.sources.archive.notes import EVER, Columns, Notes, Reading, Span
from features.sources.archive.rows import doubled_last, name_file, name_no_number, with_time

__all__ = ["FUNDING", "Settlement", "read_funding"]

FUNDING = CsvForm(
    "fundingRate",
    ("calc_time", "funding_interval_hours", "last_funding_rate"),
    "calc_time",
    ("funding_interval_hours", "last_funding_rate"),
    optional=("funding_interval_hours",),
)
_JITTER_MS = 10 * 60_000
"""A stamp farther from its hour is no settlement."""
_SNAP_HOURS = np.array([1.0, 2.0, 4.0, 8.0])

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class Settlement(NamedTuple):
    """The last settlement before a file: its time (UTC milliseconds) and interval in hours."""

    time: int
    hours: float


def read_funding(
    content: bytes,
    *,
    period: Period | None = None,
    wanted: Span = EVER,
    previous: Settlement | None = None,
) -> Reading:
    """Settlements from the CSV of a ``fundingRate`` file.

    Parameters
    ----------
    content : bytes
        The CSV.
    period : Period, optional
        The file's own span; rows outside it are refused by name, settlements that lack in it are
        named.
    wanted : Span
        Of settlement times; other rows are passed over in silence.
    previous : Settlement, optional
        The last one before this file. An interval that the file does not say is the hours since
        the previous settlement, snapped to 1, 2, 4 or 8 (8 for the first of all).

    Returns
    -------
    Reading
        ``funding``: ``time, funding_rate, funding_interval_hours``.

    Raises
    ------
    RefusedFileError
        If it is no CSV of funding.
    """
    table = parse_csv(content, FUNDING)
    notes = Notes("fundingRate")
    name_file(table, period, notes)
    hours = (table.times + HOUR_MS // 2) // HOUR_MS * HOUR_MS
    times = np.where(table.times < 0, table.times, hours)
    keep = with_time(table, times, period, wanted, notes)
    off = np.abs(table.times - times)
    notes.add("refused_rows", times[keep & (off > _JITTER_MS)], "the stamp is far from a full hour")
    keep &= off <= _JITTER_MS
    jittered = keep & (off > 0)
    if jittered.any():
        notes.add("jittered_stamps", times[jittered], "rounded to the full hour")
    there = np.unique(times[keep])
    name_no_number(table, times, keep, notes)
    keep &= _has_rate(table, times, keep, notes)
    rows = doubled_last(times, keep, notes)
    intervals = _intervals(table, times, rows, previous, notes)
    _name_changes(times[rows], intervals, previous, notes)
    if period is not None and len(rows):
        _name_missing(there, times[rows], intervals, wanted.meet(Span(period.start, period.end)), notes)
    funding: Columns = {
        "time": times[rows],
        "funding_rate": table.values["last_funding_rate"][rows],
        "funding_interval_hours": intervals,
    }
    return Reading({"funding": funding}, tuple(notes.entries))


def _has_rate(
    table: CsvTable, times: IntArray, keep: npt.NDArray[np.bool_], notes: Notes
) -> npt.NDArray[np.bool_]:
    rate = table.values["last_funding_rate"]
    said = table.no_number.get("last_funding_rate", np.zeros(len(rate), np.bool_))
    notes.add("blank_rows", times[keep & np.isnan(rate) & ~said], "last_funding_rate is blank")
    allowed = RANGES["funding_rate"]
    with np.errstate(invalid="ignore"):
        meant = (rate >= allowed.low) & (rate <= allowed.high)
    notes.add("refused_rows", times[keep & ~np.isnan(rate) & ~meant], f"the rate is not {allowed.words}")
    return np.asarray(meant)


def _intervals(
    table: CsvTable, times: IntArray, rows: IntArray, previous: Settlement | None, notes: Notes
) -> FloatArray:
    """The file's own interval where it says one that can be meant, else the snapped spacing."""
    given = table.values["funding_interval_hours"][rows]
    found = times[rows]
    allowed = RANGES["funding_interval_hours"]
    with np.errstate(invalid="ignore"):
        good = (given >= allowed.low) & (given <= allowed.high)
    bad = ~good & ~np.isnan(given)
    notes.add("refused_value", found[bad], f"funding_interval_hours is not {allowed.words}")
    if good.all():
        return given
    before = found[:1] - 8 * HOUR_MS if previous is None else np.array([previous.time])
    spacing = np.diff(found, prepend=before) / HOUR_MS
    snapped = _SNAP_HOURS[np.abs(spacing[:, None] - _SNAP_HOURS).argmin(axis=1)]
    notes.add("blank_rows", found[~good & ~bad], "no interval: the hours since the settlement before")
    notes.add("snapped_interval", found[~good & (spacing != snapped)], "the hours are not 1, 2, 4 or 8")
    return np.where(good, given, snapped)


def _name_changes(times: IntArray, hours: FloatArray, previous: Settlement | None, notes: Notes) -> None:
    before = hours[:1] if previous is None else np.array([previous.hours])
    for row in np.flatnonzero(np.diff(hours, prepend=before)):
        old = hours[row - 1] if row else before[0]
        notes.add("changed_interval", times[row : row + 1], f"from {old:g} h to {hours[row]:g} h")


def _name_missing(there: IntArray, times: IntArray, hours: FloatArray, span: Span, notes: Notes) -> None:
    """Name full intervals without a settlement; a rate that was refused was there."""
    steps = (hours * HOUR_MS).astype(np.int64)
    missing: list[int] = []
    later = np.append(times[1:], span.end)
    missing += range(int(times[0] - steps[0]), span.start - 1, -int(steps[0]))
    next_step = np.append(steps[1:], steps[-1])
    for row in np.flatnonzero(later - times > np.maximum(steps, next_step)):
        missing += range(int(times[row] + steps[row]), int(later[row]), int(steps[row]))
    gone = np.setdiff1d(np.array(sorted(missing), np.int64), there)
    gone = gone[(gone >= span.start) & (gone < span.end)]
    notes.missing(gone, int(steps.max()), "the file has no such settlement")
