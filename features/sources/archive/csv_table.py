"""CSV bytes to arrays: columns by name where there is a header, by documented position where not.

The usual file is parsed whole, with types. One with cells that are not of their type is parsed
again as text, and those cells are named and become NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from features.sources.archive.refused import RefusedFileError

__all__ = ["CsvForm", "CsvTable", "parse_csv"]

NO_TIME = np.int64(-1)
"""In place of a time that is blank or is none."""
_BLOCK = 64 << 20
_BROKEN_LINES = 10_000
"""More lines with another number of cells, and it is no CSV of anything."""
_MICROSECONDS = 100_000_000_000_000
"""Stamps from here on are microseconds: as milliseconds they would be in the year 5138."""
_NANOSECONDS = 1000 * _MICROSECONDS
_ONLY_ASCII = bytes(range(128)) + b"?" * 128
"""All that a file of the archive may say is ASCII; another byte spoils its cell, no more."""
_FIRST_STAMP = 1_000_000_000_000
"""Milliseconds, 2001: smaller stamps are seconds, or none."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CsvForm:
    """Documented columns of one dataset.

    Attributes
    ----------
    name : str
        The dataset, for messages.
    columns : tuple of str
        All columns in documented order, for files without header.
    time : str
        The time column: whole numbers since 1970, or ``YYYY-MM-DD HH:MM:SS`` if ``text_time``.
    values : tuple of str
        Number columns to read; with a header the ``optional`` ones may be absent.
    optional : tuple of str
    label : str
        A column of text that must be ``symbol`` in every row, or empty.
    """

    name: str
    columns: tuple[str, ...]
    time: str
    values: tuple[str, ...]
    optional: tuple[str, ...] = ()
    text_time: bool = False
    label: str = ""


@dataclass(frozen=True)
class CsvTable:
    """What a CSV says, before any rule of the data.

    Attributes
    ----------
    times : ndarray of int64, shape (n_rows,)
        UTC milliseconds; -1 where the cell is blank or no time.
    values : dict of str to ndarray of float64, shape (n_rows,)
        NaN where blank or no number.
    no_time : ndarray of bool, shape (n_rows,)
        The time cell says something that is no time.
    no_number : dict of str to ndarray of bool, shape (n_rows,)
        Cells that say something that is no number; only columns that have some.
    header : bool
    microseconds : int
        Rows whose stamps were microseconds.
    blank_lines, broken_lines : int
        Empty lines; lines with another number of cells. Both give no row.
    """

    times: IntArray
    values: dict[str, FloatArray]
    no_time: BoolArray
    no_number: dict[str, BoolArray] = field(default_factory=dict)
    header: bool = True
    microseconds: int = 0
    blank_lines: int = 0
    broken_lines: int = 0


def parse_csv(content: bytes, form: CsvForm, *, symbol: str = "") -> CsvTable:
    """Parse the CSV of a dataset.

    Parameters
    ----------
    content : bytes
    form : CsvForm
    symbol : str, optional
        What the label column must say.

    Raises
    ------
    RefusedFileError
        If it is no CSV of that dataset.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.isascii():
        content = content.translate(_ONLY_ASCII)
    names, header = _columns(content, form)
    wanted = [form.time, *(name for name in form.values if name in names)]
    broken: list[int] = []
    try:
        table = _read(content, names, wanted, header, form, broken, typed=True)
        typed = True
    except pa.ArrowInvalid:
        broken.clear()
        try:
            table = _read(content, names, wanted, header, form, broken, typed=False)
            typed = False
        except pa.ArrowInvalid as error:
            raise RefusedFileError(f"unreadable: no CSV of {form.name} ({str(error)[:120]})") from error
    if table.num_rows == 0:
        words = f"; {len(broken)} lines have another number of cells than {len(names)}" if broken else ""
        raise RefusedFileError(f"unreadable: there is no row{words}")
    _check_label(content, form, symbol, names, header, table.num_rows)
    raw_times, no_time = _typed_times(table, form) if typed else _text_times(table, form)
    if no_time.sum() * 2 > len(no_time):
        raise RefusedFileError(f"unreadable: most cells of {form.time} are no time")
    values, no_number = _numbers(table, wanted[1:], typed)
    times, microseconds = _milliseconds(raw_times, no_time)
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    return CsvTable(
        times,
        {name: values.get(name, np.full(len(times), np.nan)) for name in form.values},
        no_time,
        no_number,
        header,
        microseconds,
        max(0, lines - header - table.num_rows - len(broken)),
        len(broken),
    )


def _columns(content: bytes, form: CsvForm) -> tuple[list[str], bool]:
    """Names of the file's columns and whether its first line says them."""
    if not content.strip():
        raise RefusedFileError("unreadable: empty")
    line = content[: content.find(b"\n")] if b"\n" in content else content
    first = [cell.strip().strip('"') for cell in line[:4096].decode("ascii").strip().split(",")]
    if first[0][:4].isdigit():
        if len(first) != len(form.columns):
            raise RefusedFileError(
                f"unreadable: {len(first)} columns and no header, "
                f"expected the {len(form.columns)} of {form.name}"
            )
        return list(form.columns), False
    missing = [name for name in (form.time, *form.values) if name not in {*first, *form.optional}]
    if missing:
        shown = ",".join(first)[:80]
        raise RefusedFileError(f"unreadable: no column {missing[0]} of {form.name}; it begins {shown!r}")
    if len({*first}) != len(first):
        raise RefusedFileError("unreadable: two columns have the same name")
    return first, True


def _read(
    content: bytes,
    names: list[str],
    wanted: list[str],
    header: bool,
    form: CsvForm,
    broken: list[int],
    *,
    typed: bool,
) -> pa.Table:
    types = dict.fromkeys(wanted, pa.float64() if typed else pa.string())
    if typed:
        types[form.time] = pa.timestamp("ms") if form.text_time else pa.int64()

    def passed_over(row: pa_csv.InvalidRow) -> str:
        broken.append(row.actual_columns)
        return "skip" if len(broken) <= _BROKEN_LINES else "error"

    return pa_csv.read_csv(
        pa.BufferReader(content),
        read_options=pa_csv.ReadOptions(
            use_threads=False,
            column_names=names,
            skip_rows=int(header),
            block_size=min(len(content) + 1, _BLOCK),
        ),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=passed_over),
        convert_options=pa_csv.ConvertOptions(
            column_types=types,
            include_columns=wanted,
            null_values=[""],
            strings_can_be_null=True,
            timestamp_parsers=[pa_csv.ISO8601],
        ),
    )


def _check_label(
    content: bytes, form: CsvForm, symbol: str, names: list[str], header: bool, rows: int
) -> None:
    """Refuse rows of another symbol; the usual file is known by counting."""
    if not form.label or not symbol or form.label not in names:
        return
    if content.count(b"," + symbol.encode() + b",") == rows:
        return
    cells = _read(content, names, [form.label], header, form, [], typed=False)[form.label]
    others = {str(one) for one in cells.unique().to_pylist() if one is not None} - {symbol}
    if others:
        raise RefusedFileError(f"another file: rows of {sorted(others)[0][:40]!r}, expected {symbol}")


def _typed_times(table: pa.Table, form: CsvForm) -> tuple[IntArray, BoolArray]:
    column = table[form.time].combine_chunks()
    if form.text_time:
        column = column.cast(pa.int64())
    times = column.fill_null(int(NO_TIME)).to_numpy(zero_copy_only=False)
    return np.asarray(times, np.int64), np.zeros(len(times), np.bool_)


def _text_times(table: pa.Table, form: CsvForm) -> tuple[IntArray, BoolArray]:
    text = table[form.time].to_pandas()
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    times = np.where(np.isfinite(numbers) & (np.abs(numbers) < 2**62), numbers, -1.0).astype(np.int64)
    if form.text_time:
        stamps = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True).dt.as_unit("ms")
        parsed = stamps.to_numpy("datetime64[ms]")
        times = np.where(np.isnat(parsed), NO_TIME, parsed.astype(np.int64))
    return times, np.asarray(text.notna().to_numpy() & (times < 0))


def _numbers(
    table: pa.Table, names: list[str], typed: bool
) -> tuple[dict[str, FloatArray], dict[str, BoolArray]]:
    values: dict[str, FloatArray] = {}
    wrong: dict[str, BoolArray] = {}
    for name in names:
        if typed:
            values[name] = np.asarray(table[name].to_numpy(), np.float64)
            continue
        text = table[name].to_pandas()
        values[name] = pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = np.isnan(values[name]) & text.notna().to_numpy()
        if bad.any():
            wrong[name] = bad
    return values, wrong


def _milliseconds(stamps: IntArray, no_time: BoolArray) -> tuple[IntArray, int]:
    """Milliseconds from stamps of either unit; what is neither is marked in ``no_time``."""
    micro = (stamps >= _MICROSECONDS) & (stamps < _NANOSECONDS)
    count = int(micro.sum())
    times = np.where(micro, stamps // 1000, stamps) if count else stamps
    wrong = (times != NO_TIME) & ((times < _FIRST_STAMP) | (times >= _MICROSECONDS))
    if wrong.any():
        no_time |= wrong
        times = np.where(wrong, NO_TIME, times)
    return times, count
