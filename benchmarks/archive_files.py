"""One file of a simulated archive, before and after it is written."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from benchmarks.archive_tables import MONEY

__all__ = [
    "COLUMNS",
    "ArchiveFile",
    "Defect",
    "Expected",
    "Table",
    "archive_path",
    "csv_lines",
    "period_span",
    "zipped",
]

COLUMNS: dict[str, tuple[str, ...]] = {
    "klines": (
        *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count"),
        *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
    ),
    "fundingRate": ("calc_time", "funding_interval_hours", "last_funding_rate"),
    "metrics": (
        *("create_time", "symbol", "sum_open_interest", "sum_open_interest_value"),
        *("count_toptrader_long_short_ratio", "sum_toptrader_long_short_ratio"),
        *("count_long_short_ratio", "sum_taker_long_short_vol_ratio"),
    ),
}
"""The header of each dataset's files."""


@dataclass(frozen=True)
class Expected:
    """A ledger entry that a correct store must give.

    Attributes
    ----------
    kinds : frozenset of str
        Any of these names will do.
    dataset : str
        ``klines``, ``fundingRate`` or ``metrics``.
    start, end : pandas.Timestamp
        The moments that it is about; the entry must touch them.
    defect : str
        What was planted.
    file : str
        Path of the file, for a defect of a whole file; empty otherwise.
    """

    kinds: frozenset[str]
    dataset: str
    start: pd.Timestamp
    end: pd.Timestamp
    defect: str
    file: str = ""


@dataclass
class Table:
    """One dataset of one symbol: what the files say, and which of it is true.

    Attributes
    ----------
    rows : pandas.DataFrame
        Columns as in the files; the key column holds UTC milliseconds.
    truth : pandas.DataFrame
        The same rows; a defect blanks (NaN) what a correct reader must not have.
    keep : ndarray of bool
        False for a row that a correct reader must not have at all.
    """

    rows: pd.DataFrame
    truth: pd.DataFrame = field(init=False)
    keep: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.truth = self.rows.copy()
        self.keep = np.ones(len(self.rows), dtype=bool)

    @property
    def time(self) -> npt.NDArray[np.int64]:
        """Key of each row, UTC milliseconds."""
        return self.rows.iloc[:, 0].to_numpy(np.int64)

    def kept(self) -> pd.DataFrame:
        """The rows of a correct store."""
        return self.truth.loc[self.keep].reset_index(drop=True)


@dataclass
class ArchiveFile:
    """One file before it is written; what a defect may change.

    Attributes
    ----------
    lines : list of list of bytes
        For each row of the table in the file's span the lines that stand for it: one, none, several.
    header : bytes
        Empty in an old file.
    content : bytes or None
        The zip, where a defect brings its own.
    checksum : bytes or None
        Text of the checksum file, where a defect brings its own; empty: no such file.
    absent : bool
        True: neither of the two is written.
    """

    symbol: str
    dataset: str
    period: str
    interval: str
    table: Table
    first_row: int
    lines: list[list[bytes]]
    header: bytes
    expected: list[Expected]
    content: bytes | None = None
    checksum: bytes | None = None
    absent: bool = False

    @property
    def path(self) -> str:
        """Path of the zip in the archive."""
        return archive_path(self.symbol, self.dataset, self.period, self.interval)

    @property
    def csv_name(self) -> str:
        """Name of the member."""
        return self.path.rpartition("/")[2].removesuffix(".zip") + ".csv"

    @property
    def start(self) -> pd.Timestamp:
        """Beginning of the file's span."""
        return period_span(self.period)[0]

    @property
    def end(self) -> pd.Timestamp:
        """Its end, excluded."""
        return period_span(self.period)[1]

    def time(self, row: int) -> pd.Timestamp:
        """Moment of a row of this file; of a bar its open."""
        return pd.Timestamp(int(self.table.time[self.first_row + row]), unit="ms", tz="UTC")

    def csv(self) -> bytes:
        """The text of the member."""
        lines = [line for row in self.lines for line in row]
        return b"\n".join([self.header, *lines] if self.header else lines) + b"\n"

    def drop(self, *rows: int) -> None:
        """Say that a correct store lacks these rows."""
        self.table.keep[[self.first_row + row for row in rows]] = False

    def drop_all(self) -> None:
        """Say that a correct store has nothing of this file."""
        self.table.keep[self.first_row : self.first_row + len(self.lines)] = False

    def blank(self, row: int, column: str) -> None:
        """Say that a correct store has no value here."""
        self.table.truth.loc[self.first_row + row, column] = np.nan

    def expect(self, kinds: str, first: int, last: int, defect: str) -> None:
        """Say that the ledger must name something between two rows; ``kinds`` is ``a|b``."""
        span = self.time(first), self.time(last)
        self.expected.append(Expected(frozenset(kinds.split("|")), self.dataset, *span, defect))

    def expect_file(self, kinds: str, defect: str) -> None:
        """Say that the ledger must name this file."""
        end = self.end - pd.Timedelta(milliseconds=1)
        self.expected.append(
            Expected(frozenset(kinds.split("|")), self.dataset, self.start, end, defect, self.path)
        )


Defect = Callable[[ArchiveFile], None]


def archive_path(symbol: str, dataset: str, period: str, interval: str = "1h") -> str:
    """Path of a zip below the archive's root; ``period`` is ``YYYY-MM`` or ``YYYY-MM-DD``.

    Examples
    --------
    >>> archive_path("BTCUSDT", "klines", "2024-01")
    'data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip'
    """
    often = "monthly" if period.count("-") == 1 else "daily"
    folder, name = (f"{symbol}/{interval}", interval) if dataset == "klines" else (symbol, dataset)
    return f"data/futures/um/{often}/{dataset}/{folder}/{symbol}-{name}-{period}.zip"


def period_span(period: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First moment of ``YYYY-MM`` or ``YYYY-MM-DD``, and the first after it.

    Examples
    --------
    >>> [str(moment.date()) for moment in period_span("2024-02")]
    ['2024-02-01', '2024-03-01']
    """
    start = pd.Timestamp(period, tz="UTC")
    return start, start + (pd.DateOffset(months=1) if period.count("-") == 1 else pd.Timedelta(days=1))


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip whose bytes depend on nothing but its members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=6)
    return buffer.getvalue()


def csv_lines(table: Table, dataset: str) -> list[bytes]:
    """Each row as its line of CSV; floats with as many digits as give the same float back."""
    rows = table.rows
    if dataset == "metrics":
        text = pd.DatetimeIndex(pd.to_datetime(rows["create_time"], unit="ms")).strftime("%Y-%m-%d %H:%M:%S")
        rows = rows.assign(create_time=text)
    arrow = pa.Table.from_pandas(rows, preserve_index=False)
    for name in sorted(MONEY & set(rows.columns)):
        # As a decimal: ten places hold a 1024th exactly, and large sums get no exponent.
        place = arrow.schema.get_field_index(name)
        arrow = arrow.set_column(place, name, arrow[name].cast(pa.decimal128(30, 10)))
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(arrow, sink, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return list(sink.getvalue().to_pybytes().splitlines())
