"""One table of a file: Parquet, Feather or CSV, its columns mapped and typed.

Strict in meaning: a time says its zone, a number is a number, a column is there once. The first
cell that breaks a rule is named with file, column and row.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from features.bar_rules import POSITIONING_COLUMNS, PRICE_COLUMNS
from features.errors import DataError
from features.raw import LedgerEntry
from features.sources.file_cells import Stamps, numbers, times

__all__ = ["FILE_LIMIT", "TABLES", "TableFormat", "read_frame", "read_table"]

FILE_LIMIT = 4 << 30
"""Bytes; a file of hourly bars since 2019 has 5 million."""


@dataclass(frozen=True)
class TableFormat:
    """Names of one kind of file.

    Attributes
    ----------
    time : str
        The file's time column.
    required, optional : tuple of str
        Value columns.
    passed_over : tuple of str
        Columns that are known and of no use.
    """

    time: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


TABLES: dict[str, TableFormat] = {
    "bars": TableFormat("open_time", (*PRICE_COLUMNS, "volume"), (), ("market",)),
    "funding": TableFormat("time", ("funding_rate",), ("funding_interval_hours",)),
    "open_interest": TableFormat("time", ("open_interest_value",)),
    "positioning_1d": TableFormat("time", (), POSITIONING_COLUMNS),
    "fear_greed_1d": TableFormat("timestamp", ("fear_greed",), (), ("label",)),
}
"""The one place where file columns are mapped."""


def read_frame(file: Path) -> pd.DataFrame:
    """Everything in a file, as it stands.

    Raises
    ------
    DataError
        ``unreadable_file``, ``too_large`` or ``double_column``.
    """
    try:
        size = file.stat().st_size
        if size > FILE_LIMIT:
            raise DataError(
                f"{file}: {size:,} bytes, expected at most {FILE_LIMIT:,}", code="too_large", field=file.name
            )
        frame: pd.DataFrame
        # Not through pandas' own notes in the file: an index would be no column, and damage an escape.
        if file.suffix == ".parquet":
            frame = pq.ParquetFile(file).read().to_pandas(ignore_metadata=True)
        elif file.suffix == ".feather":
            frame = feather.read_table(file, memory_map=False).to_pandas(ignore_metadata=True)
        else:
            frame = _read_csv(file)
    except (
        *(OSError, ValueError, OverflowError, MemoryError, NotImplementedError),
        *(pa.ArrowException, csv.Error, RecursionError),
    ) as error:
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{file}: not readable: {words}", code="unreadable_file", field=file.name) from error
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        raise _double_column(file, str(doubled[0]))
    return frame


def _read_csv(file: Path) -> pd.DataFrame:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream), [])
    for name in header:
        # pandas would call the second one "close.1" and say nothing.
        if name and header.count(name) > 1:
            raise _double_column(file, name)
    frame = pd.read_csv(file, low_memory=False, encoding="utf-8-sig")
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas would shift every column by one.
        raise csv.Error("rows have more cells than the header has names")
    return frame


def _double_column(file: Path, name: str) -> DataError:
    return DataError(
        f"{file}: column {name[:60]!r} is there twice",
        code="double_column",
        field=name[:60],
        hint="keep the one that is meant",
    )


def read_table(
    file: Path,
    form: TableFormat,
    ledger: list[LedgerEntry],
    *,
    declared: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read one file: columns mapped and typed, times UTC, unknown columns named in the ledger.

    Parameters
    ----------
    file : Path
    form : TableFormat
    ledger : list of LedgerEntry
        ``ignored_column`` entries are added to it.
    declared : mapping of str to str, optional
        Columns here to columns of the file, where they are not the same; then whole-number times
        are seconds, milliseconds, microseconds or nanoseconds by their magnitude.

    Raises
    ------
    DataError
        With file, column and row.
    """
    frame = read_frame(file)
    source = dict(declared or {})
    taken = set(source.values())
    for name in (form.time, *form.required):
        there = source.get(name, name)
        if there not in frame or (there in taken and name not in source):
            meant = f" (declared for {name})" if name in source else ""
            meant = " (for itself: it is declared for another)" if there in taken and not meant else meant
            raise DataError(
                f"{file}: column {there!r}{meant} is missing; "
                f"there are {', '.join(map(str, frame.columns))[:300] or 'none'}",
                code="missing_column",
                field=name,
            )
    columns = {
        name: source.get(name, name)
        for name in (form.time, *form.required, *form.optional)
        if source.get(name, name) in frame and (name in source or name not in taken)
    }
    known = {*columns.values(), *form.passed_over}
    ledger.extend(
        LedgerEntry("ignored_column", f"{file.name}:{name}", count=len(frame))
        for name in frame.columns
        if name not in known
    )
    stamps: Stamps = "milliseconds" if declared is None else "by_magnitude"
    return pd.DataFrame(
        {
            name: times(frame[there], file, there, stamps=stamps)
            if name == form.time
            else numbers(frame[there], file, there)
            for name, there in columns.items()
        }
    )
