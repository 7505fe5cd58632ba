"""Open interest and the ratios of accounts, every five minutes.

Source: ``metrics`` files. Open interest and the ratios of accounts are snapshots at ``create_time``
and known then. The taker ratio is of the five minutes from ``create_time`` on and known after them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from features.bar_rules import RANGES
from features.sources.archive.csv_table import CsvForm, CsvTable, parse_csv
from features.sources.archive.layout import DAY_MS, Period
from features.sources.archive.notes import EVER, Columns, Notes, Reading, Span
from features.sources.archive.rows import doubled_last, name_blank, name_file, name_no_number, with_time

__all__ = ["METRICS", "METRICS_STEP", "RATIOS", "joined_cells", "read_metrics"]

METRICS_STEP = 5 * 60_000
"""Milliseconds from row to row."""
METRICS = CsvForm(
    "metrics",
    (
        "create_time",
        "symbol",
        "sum_open_interest",
        "sum_open_interest_value",
        "count_toptrader_long_short_ratio",
        "sum_toptrader_long_short_ratio",
        "count_long_short_ratio",
        "sum_taker_long_short_vol_ratio",
    ),
    "create_time",
    (
        "sum_open_interest",
        "sum_open_interest_value",
        "count_toptrader_long_short_ratio",
        "sum_toptrader_long_short_ratio",
        "count_long_short_ratio",
        "sum_taker_long_short_vol_ratio",
    ),
    optional=(
        "count_toptrader_long_short_ratio",
        "sum_toptrader_long_short_ratio",
        "count_long_short_ratio",
        "sum_taker_long_short_vol_ratio",
    ),
    text_time=True,
    label="symbol",
)
RATIOS = {
    "lsr_global": "count_long_short_ratio",
    "lsr_top_accounts": "count_toptrader_long_short_ratio",
    "lsr_top_positions": "sum_toptrader_long_short_ratio",
    "taker_ratio": "sum_taker_long_short_vol_ratio",
}
"""Columns here to columns of the file."""
_LATER = "taker_ratio"
"""Known a step after ``create_time``."""
_INTEREST = {"open_interest_value": "sum_open_interest_value", "open_interest_coins": "sum_open_interest"}

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def read_metrics(
    content: bytes, *, symbol: str = "", period: Period | None = None, wanted: Span = EVER
) -> Reading:
    """Open interest and ratios from the CSV of a ``metrics`` file.

    Parameters
    ----------
    content : bytes
        The CSV.
    symbol : str, optional
        A file with rows of another symbol is refused.
    period : Period, optional
        The file's own span; rows outside it are refused by name (one at the very end of it is
        kept: older files run from 00:05 to 24:00), rows that lack in it are named.
    wanted : Span
        Of the times when values were known; others are passed over in silence.

    Returns
    -------
    Reading
        ``open_interest``: ``time, open_interest_value`` (USD), ``open_interest_coins``;
        ``positioning``: ``time`` and the columns of :data:`RATIOS`, NaN where a row of that time
        has none; :func:`joined_cells` makes one table of those of several files.

    Raises
    ------
    RefusedFileError
        If it is no CSV of metrics, or another symbol's.
    """
    table = parse_csv(content, METRICS, symbol=symbol)
    notes = Notes("metrics")
    name_file(table, period, notes)
    times = table.times
    reach = Span(wanted.start - METRICS_STEP, wanted.end)
    keep = with_time(table, times, period, reach, notes, last=1)
    name_no_number(table, times, keep, notes)
    names = [name for name in METRICS.values if not np.isnan(table.values[name]).all()]
    name_blank(table, times, keep, names, notes)
    for name in sorted({*METRICS.values} - {*names}):
        notes.add("blank_rows", times[keep], f"{name} is blank")
    rows = doubled_last(times, keep, notes)
    if period is not None:
        _name_missing(times[rows], period, wanted, notes)
    interest: Columns = {"time": times[rows]}
    for name, source in _INTEREST.items():
        interest[name] = _meant(table, source, "open_interest", times, rows, notes)
    ratios = {
        name: _meant(table, source, "lsr_global", times, rows, notes) for name, source in RATIOS.items()
    }
    return Reading(
        {
            "open_interest": _within(interest, wanted),
            "positioning": _positioning(times[rows], ratios, wanted),
        },
        tuple(notes.entries),
    )


def _within(columns: Columns, wanted: Span) -> Columns:
    times = columns["time"]
    keep = (times >= wanted.start) & (times < wanted.end)
    return columns if keep.all() else {name: values[keep] for name, values in columns.items()}


def _positioning(times: IntArray, ratios: dict[str, FloatArray], wanted: Span) -> Columns:
    """Rows of the times when anything was known."""
    slots = np.union1d(times, times + METRICS_STEP)
    columns: Columns = {"time": slots}
    for name, values in ratios.items():
        column = np.full(len(slots), np.nan)
        column[np.searchsorted(slots, times + METRICS_STEP if name == _LATER else times)] = values
        columns[name] = column
    something = ~np.isnan([columns[name] for name in ratios]).all(axis=0)
    if not something.all():
        columns = {name: values[something] for name, values in columns.items()}
    return _within(columns, wanted)


def joined_cells(parts: Sequence[Columns]) -> Columns:
    """One table of several: of rows of the same time the last value that is there, cell by cell."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["time"], kind="stable")
    joined = {name: values[order] for name, values in joined.items()}
    again = np.flatnonzero(np.diff(joined["time"]) == 0)
    for row in again:
        for values in joined.values():
            if values.dtype == np.float64 and np.isnan(values[row + 1]):
                values[row + 1] = values[row]
    return {name: np.delete(values, again) for name, values in joined.items()}


def _meant(
    table: CsvTable, source: str, rule: str, times: IntArray, rows: IntArray, notes: Notes
) -> FloatArray:
    """Values of one column, NaN where they cannot be meant."""
    values = table.values[source][rows]
    allowed = RANGES[rule]
    with np.errstate(invalid="ignore"):
        bad = (values < allowed.low) | (values > allowed.high)
    if bad.any():
        notes.add("refused_value", times[rows][bad], f"{source} is not {allowed.words.split(',')[0]}")
        return np.where(bad, np.nan, values)
    return values


def _name_missing(times: IntArray, period: Period, wanted: Span, notes: Notes) -> None:
    """Name rows that the file lacks: every five minutes, one of its two midnights."""
    slots = np.unique((times + METRICS_STEP // 2) // METRICS_STEP * METRICS_STEP)
    if len(slots) >= DAY_MS // METRICS_STEP and period.end - period.start == DAY_MS:
        return
    grid = np.arange(period.start, period.end, METRICS_STEP, dtype=np.int64)
    if len(slots) and slots[-1] == period.end:
        grid = grid[1:]
    grid = grid[(grid >= wanted.start) & (grid < wanted.end)]
    notes.missing(np.setdiff1d(grid, slots, assume_unique=True), METRICS_STEP, "the file has no such row")
