"""Defects of rows, planted in a file of a simulated archive, its truth changed with them.

Each is a function of the file that it spoils; most know the rows by their number in the file.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from benchmarks.archive_files import COLUMNS, ArchiveFile, Expected

__all__ = [
    "bad_bar",
    "blank_cell",
    "blank_interval",
    "blank_line",
    "blank_row",
    "changed_value",
    "doubled_rows",
    "foreign_row",
    "jitter",
    "microseconds",
    "missing_rows",
    "new_columns",
    "next_midnight",
    "no_header",
    "no_midnight",
    "noted_change",
    "scale_values",
    "set_values",
    "shock",
    "whole_file_doubled",
]


def no_header(file: ArchiveFile) -> None:
    """Leave the header out, as old files do."""
    file.header = b""
    file.expect("no_header", 0, -1 + len(file.lines), "no_header")


def microseconds(file: ArchiveFile) -> None:
    """Write the times in microseconds."""
    for lines in file.lines:
        for place, line in enumerate(lines):
            cells = line.split(b",")
            if not cells[0]:
                continue
            cells[0] += b"000"
            if file.dataset == "klines":
                cells[6] += b"999"
            lines[place] = b",".join(cells)
    file.expect("microsecond_times", 0, -1 + len(file.lines), "microseconds")


def jitter(file: ArchiveFile, first: int = 3) -> None:
    """Move the stamps by a few ms, the first of the file by ``first`` (perhaps into the month before)."""
    for row, lines in enumerate(file.lines):
        moved = first if row == 0 else (row * 7) % 13
        for place, line in enumerate(lines):
            stamp, _, rest = line.partition(b",")
            lines[place] = str(int(stamp) + moved).encode() + b"," + rest
    file.expect("jittered_stamps", 0, -1 + len(file.lines), "jitter")


def doubled_rows(file: ArchiveFile, rows: Sequence[int] = (40, 41, 42), *, differing: bool = False) -> None:
    """Write rows twice; where they differ, the earlier one is wrong."""
    for row in rows:
        (line,) = file.lines[row]
        first = line
        if differing:
            cells = line.split(b",")
            cells[-2 if file.dataset == "klines" else -1] = b"0.5"
            first = b",".join(cells)
        file.lines[row] = [first, line]
    file.expect("double_rows", min(rows), max(rows), "doubled_rows")


def whole_file_doubled(file: ArchiveFile) -> None:
    """Write the whole file's rows twice, one pass after the other, as early metrics files do."""
    first = [line for lines in file.lines for line in lines]
    file.lines[0] = [*first, *file.lines[0]]
    file.expect("double_rows", 0, -1 + len(file.lines), "whole_file_doubled")


def blank_row(file: ArchiveFile, row: int) -> None:
    """Keep the commas, lose the values."""
    file.lines[row] = [b"," * (len(COLUMNS[file.dataset]) - 1)]
    file.drop(row)
    file.expect("blank_rows|missing_rows", row, row, "blank_row")


def blank_line(file: ArchiveFile, row: int) -> None:
    """Put an empty line in the place of a row."""
    file.lines[row] = [b""]
    file.drop(row)
    file.expect("blank_rows|missing_rows", row, row, "blank_line")


def blank_cell(file: ArchiveFile, row: int, column: str, text: bytes = b"") -> None:
    """Lose one value (or write ``text`` there, such as 0 open interest): it must be missing, not zero."""
    _put(file, row, column, text)
    file.blank(row, column)
    file.expect("blank_rows|refused_rows|refused_value|snapped_interval", row, row, f"blank_{column}")


def blank_interval(file: ArchiveFile, row: int) -> None:
    """Lose the funding interval of a settlement: the hours since the one before stand in for it."""
    _put(file, row, "funding_interval_hours", b"")
    file.expect("blank_rows|snapped_interval", row, row, "blank_interval")


def missing_rows(file: ArchiveFile, first: int, last: int) -> None:
    """Leave rows out, both ends included."""
    for row in range(first, last + 1):
        file.lines[row] = []
    file.drop(*range(first, last + 1))
    file.expect("missing_rows", first, last, "missing_rows")


def bad_bar(file: ArchiveFile, row: int, **values: str) -> None:
    """Write a bar that can be none: high below low, a price of 0, words."""
    for column, text in values.items():
        _put(file, row, column, text.encode())
    file.drop(row)
    file.expect("refused_rows|refused_value", row, row, "bad_bar_" + "_".join(values))


def foreign_row(file: ArchiveFile, days: int = 400) -> None:
    """Add a row that lies outside the file's own span."""
    (line,) = file.lines[0]
    stamp, _, rest = line.partition(b",")
    moved = str(int(stamp) - days * 86_400_000).encode()
    file.lines[0] = [moved + b"," + rest, line]
    # It may be named by the moment that it claims or by the file that it is in.
    claimed = file.start - pd.Timedelta(days=days)
    kinds = frozenset({"refused_rows"})
    file.expected.append(Expected(kinds, file.dataset, claimed, file.end, "foreign_row"))


def next_midnight(file: ArchiveFile) -> None:
    """End a day of metrics with 00:00 of the next day, as some files do; the next file may have it too."""
    cells = [str(value) for value in file.table.rows.iloc[file.first_row + len(file.lines)]]
    cells[0] = f"{file.end:%Y-%m-%d %H:%M:%S}"
    file.lines[-1].append(",".join(cells).encode())


def no_midnight(file: ArchiveFile) -> None:
    """Begin a day of metrics with 00:05: the file before has the row of 00:00."""
    file.lines[0] = []


def new_columns(file: ArchiveFile) -> None:
    """Give a file with a header two columns in another order and one that nobody knows."""
    order = [0, 1, 2, 3, 5, 4, *range(6, len(COLUMNS[file.dataset]))]
    for row, lines in enumerate(file.lines):
        for place, line in enumerate(lines):
            cells = line.split(b",")
            file.lines[row][place] = b",".join([*(cells[i] for i in order), b"7"])
    names = file.header.split(b",")
    file.header = b",".join([*(names[i] for i in order), b"session"])


def set_values(file: ArchiveFile, rows: Sequence[int], **values: float) -> None:
    """Change values in file and truth alike: odd, but what the exchange says."""
    for row in rows:
        for column, value in values.items():
            _put(file, row, column, repr(value).encode())
            file.table.truth.loc[file.first_row + row, column] = value


def scale_values(file: ArchiveFile, first: int, last: int, column: str, factor: float) -> None:
    """Multiply a column in file and truth alike, both ends included."""
    for row in range(first, last + 1):
        value = float(file.table.rows[column].iloc[file.first_row + row]) * factor
        set_values(file, [row], **{column: value})


def changed_value(file: ArchiveFile, row: int = 5, factor: float = 1.0078125) -> None:
    """Change one value of the row, in file and truth: what a revision does."""
    column = {"klines": "volume", "fundingRate": "last_funding_rate", "metrics": "sum_open_interest_value"}
    scale_values(file, row, row, column[file.dataset], factor)


def shock(file: ArchiveFile, row: int, size: float) -> None:
    """Move a bar's close by a factor and let it come back with the next bar: 20 sigma and more."""
    rows = file.table.truth
    here, after = file.first_row + row, file.first_row + row + 1
    close = round(float(rows["close"].iloc[here]) * size, 2)
    high = max(close, float(rows["high"].iloc[here]))
    set_values(file, [row], high=high, close=close)
    values = {"open": close, "high": max(close, float(rows["high"].iloc[after]))}
    set_values(file, [row + 1], **values)


def noted_change(file: ArchiveFile) -> None:
    """Expect the ledger to name a change of the funding interval in this file."""
    file.expect("changed_interval", 0, len(file.lines) - 1, "changed_interval")


def _put(file: ArchiveFile, row: int, column: str, text: bytes) -> None:
    place = COLUMNS[file.dataset].index(column)
    (line,) = file.lines[row]
    cells = line.split(b",")
    cells[place] = text
    file.lines[row] = [b",".join(cells)]
