"""A user's own series: put/call ratios, exchange inflows, liquidations, anything with a time.

The file says what a value is about; only the user knows when it could be known. So the delay between
a row's time and the moment that it was public is asked for and never guessed.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import DataError, NothingUsableError, UsageError
from features.history import STALE_AFTER_HOURS, check_series_name
from features.raw import LedgerEntry, Series
from features.sources.file_cells import numbers, times
from features.sources.file_tables import read_frame

__all__ = ["load_series", "parse_delay", "parse_signal"]

TIME_COLUMNS = ("time", "timestamp", "date")
SUFFIXES = (".parquet", ".feather", ".csv")
_UNITS = {
    "d": pd.Timedelta(days=1),
    "h": pd.Timedelta(hours=1),
    "min": pd.Timedelta(minutes=1),
    "s": pd.Timedelta(seconds=1),
}
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(d|h|min|s)")
_LONGEST = pd.Timedelta(days=3660)


def parse_delay(text: str, option: str = "available-after") -> pd.Timedelta:
    """A span of time from an option.

    Raises
    ------
    UsageError
        For what is none, or is longer than ten years.

    Examples
    --------
    >>> parse_delay("8h"), parse_delay("15min")
    (Timedelta('0 days 08:00:00'), Timedelta('0 days 00:15:00'))
    """
    found = _DELAY.fullmatch(text.strip())
    delay = None if found is None else float(found[1]) * _UNITS[found[2]]
    if delay is None or delay > _LONGEST:
        raise UsageError(
            f"--{option} is {text[:40]!r}, expected a number of d, h, min or s, zero or more",
            field=option,
            hint="1d, 8h, 15min",
        )
    return delay


def parse_signal(text: str) -> tuple[str, Path]:
    """Name and file of ``--signal name=FILE``.

    Raises
    ------
    UsageError
        For another form, or a name that a signal may not bear.
    """
    name, sign, file = (part.strip() for part in text.partition("="))
    if not (name and sign and file):
        raise UsageError(
            f"--signal is {text[:80]!r}, expected name=FILE", field="signal", hint="put_call=ratio.csv"
        )
    check_series_name(name)
    return name, Path(file)


def load_series(
    file: Path,
    name: str,
    available_after: pd.Timedelta | str,
    *,
    stale_after: pd.Timedelta | str | None = None,
) -> tuple[Series, tuple[LedgerEntry, ...]]:
    """Read one series from Parquet, Feather or CSV.

    Parameters
    ----------
    file : Path
        With one time column (``time``, ``timestamp`` or ``date``: UTC times, whole numbers since
        1970, or days, which begin at 00:00 UTC) and the values in a column of the signal's name,
        ``value``, or the only other one.
    name : str
        Column of the history: ``put_call``, ``exchange_inflow``, one of the positioning columns,
        ``fear_greed``, or a name of your own.
    available_after : pandas.Timedelta or str
        A value is known this long after the time of its row; ``1d`` for a daily value with the
        date of its day.
    stale_after : pandas.Timedelta or str, optional
        Counted from when it was known; two days by default.

    Returns
    -------
    Series
        Oldest first, one value of each time; a blank value is left out, so the one before it stands.
    tuple of LedgerEntry
        What was left out, by name.

    Raises
    ------
    UsageError
        For a name that is taken, a negative delay, a file that is not there.
    DataError
        With file, column and row.
    NothingUsableError
        If no row has a value.
    """
    check_series_name(name)
    delay = _delay(available_after, "available-after")
    default = pd.Timedelta(hours=STALE_AFTER_HOURS.get(name, Series.stale_after_hours))
    limit = default if stale_after is None else _delay(stale_after, "stale-after")
    if limit <= pd.Timedelta(0):
        raise UsageError(
            f"--stale-after is {stale_after}, expected more than zero", field="stale-after", hint="2d"
        )
    if not file.is_file() or file.suffix not in SUFFIXES:
        raise UsageError(f"{file} is no file of {', '.join(SUFFIXES)}", field="signal", hint="name=FILE.csv")
    frame = read_frame(file)
    time_name = _time_column(frame, file)
    value_name = _value_column(frame, time_name, name, file)
    entries = [
        LedgerEntry("ignored_column", f"{file.name}:{column}", count=len(frame))
        for column in frame.columns
        if column not in {time_name, value_name}
    ]
    rows = times(frame[time_name], file, time_name, stamps="by_magnitude", bare_days=True)
    table = pd.DataFrame(
        {
            "time": (rows + delay).dt.as_unit("ms"),
            "value": numbers(frame[value_name], file, value_name),
        }
    )
    table, left_out = _usable(table, name)
    if table.empty:
        raise NothingUsableError(f"{file}: column {value_name!r} holds no value", field="signal")
    return Series(table, limit / pd.Timedelta(hours=1)), (*entries, *left_out)


def _delay(given: pd.Timedelta | str, option: str) -> pd.Timedelta:
    if isinstance(given, str):
        return parse_delay(given, option)
    if pd.isna(given) or not pd.Timedelta(0) <= given <= _LONGEST:
        raise UsageError(f"--{option} is {given}, expected zero or more", field=option, hint="1d, 8h, 15min")
    return given


def _time_column(frame: pd.DataFrame, file: Path) -> str:
    there = [name for name in TIME_COLUMNS if name in frame]
    if len(there) != 1:
        words = f"columns {' and '.join(there)} are both there" if there else "there is no time column"
        raise DataError(
            f"{file}: {words}; expected one of {', '.join(TIME_COLUMNS)}, got "
            f"{', '.join(map(str, frame.columns))[:300] or 'no column'}",
            code="missing_column",
            field="time",
        )
    return there[0]


def _value_column(frame: pd.DataFrame, time_name: str, name: str, file: Path) -> str:
    others = [str(column) for column in frame.columns if column != time_name]
    for candidate in (name, "value"):
        if candidate in others:
            return candidate
    if len(others) != 1:
        raise DataError(
            f"{file}: which column holds the values? there are {', '.join(others)[:300] or 'none'}",
            code="missing_column",
            field=name,
            hint=f"call it {name} or value",
        )
    return others[0]


def _usable(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[LedgerEntry]]:
    """Rows with a finite value, one of each time, oldest first; what is left out, by name."""
    table = table.sort_values("time", kind="stable")
    values = table["value"].to_numpy(np.float64)
    blank, infinite = np.isnan(values), np.isinf(values)
    doubled = table["time"].where(np.isfinite(values)).duplicated(keep="last").to_numpy() & np.isfinite(
        values
    )
    left_out = []
    for kind, flag, words in (
        ("blank_rows", blank, "no value"),
        ("refused_value", infinite, "not a finite number"),
        ("double_rows", doubled, "the last one is kept"),
    ):
        if flag.any():
            touched = table["time"][flag]
            left_out.append(
                LedgerEntry(kind, name, touched.iloc[0], touched.iloc[-1], int(flag.sum()), words)
            )
    return table.loc[~(blank | infinite | doubled)].reset_index(drop=True), left_out
