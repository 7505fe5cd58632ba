"""Files of a symbol in this project's own form, in a folder of the symbol or beside one another.

    <path>/BTCUSDT/bars_1h.parquet    <path>/BTCUSDT/funding.csv     ...
    <path>/BTCUSDT-1h.csv             <path>/BTCUSDT-funding.csv     ...

Beside one another the bars may be called ``BTCUSDT-1h``, ``BTCUSDT_1h`` or, where their columns are
declared, ``BTCUSDT``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from features.bar_rules import PRICE_COLUMNS, check_bars
from features.errors import BearmodeError, DataError, HistoryError, NothingUsableError
from features.raw import INTERVALS, LedgerEntry, RawMarket, interval_delta
from features.sources.file_columns import CLOSE_TIME, FileColumns
from features.sources.file_tables import read_table
from features.sources.refusals import Refusals
from features.sources.settlements import settlements

__all__ = [
    "SymbolFiles",
    "check_file_bars",
    "find_file",
    "find_files_beside",
    "find_symbol_folders",
    "load_symbol",
    "other_intervals",
]

SUFFIXES = (".parquet", ".csv")
OPTIONAL = ("funding", "open_interest", "positioning_1d")
_BESIDE = re.compile(r"(?P<symbol>[A-Z0-9]{2,24})(?:[-_](?P<what>[a-z0-9_]+))?")
_MILLISECOND = pd.Timedelta(milliseconds=1)


@dataclass(frozen=True)
class SymbolFiles:
    """Files of one symbol: its bars, the optional tables by name, and what else lies there."""

    symbol: str
    bars: Path
    optional: Mapping[str, Path] = field(default_factory=dict)
    ignored: tuple[LedgerEntry, ...] = ()


def find_file(folder: Path, stem: str) -> Path | None:
    """The file of that name, Parquet before CSV; a folder of that name is none."""
    for suffix in SUFFIXES:
        file = folder / f"{stem}{suffix}"
        if file.is_file():
            return file
    return None


def find_symbol_folders(path: Path, interval: str) -> dict[str, SymbolFiles]:
    """Folders with bars of the interval."""
    found = {}
    for folder in sorted(path.iterdir()):
        if not folder.is_dir():
            continue
        bars = find_file(folder, f"bars_{interval}")
        if bars is not None:
            optional = {name: find_file(folder, name) for name in OPTIONAL}
            there = {name: file for name, file in optional.items() if file is not None}
            found[folder.name] = SymbolFiles(folder.name, bars, there, _ignored(folder, interval))
    return found


def other_intervals(folder: Path, interval: str) -> list[str]:
    """Intervals of which a symbol's folder has bars."""
    return [name for name in INTERVALS if name != interval and find_file(folder, f"bars_{name}")]


def find_files_beside(path: Path, interval: str, columns: FileColumns | None) -> dict[str, SymbolFiles]:
    """Files that bear the symbol in their names."""
    bars_names = {interval, f"bars_{interval}"}
    if columns is not None and columns.of("bars"):
        bars_names.add("")
    bars: dict[str, Path] = {}
    optional: dict[str, dict[str, Path]] = {}
    for file in sorted(path.iterdir()):
        named = _BESIDE.fullmatch(file.stem)
        if named is None or file.suffix not in SUFFIXES or not file.is_file():
            continue
        what = named["what"] or ""
        if what in bars_names:
            bars[named["symbol"]] = file
        elif what in OPTIONAL:
            optional.setdefault(named["symbol"], {})[what] = file
    return {
        symbol: SymbolFiles(symbol, file, optional.get(symbol, {})) for symbol, file in sorted(bars.items())
    }


def _ignored(folder: Path, interval: str) -> tuple[LedgerEntry, ...]:
    stems = {*(f"bars_{name}" for name in INTERVALS), *OPTIONAL}
    return tuple(
        LedgerEntry("ignored_file", file.name, detail=f"not read for {interval}")
        for file in sorted(folder.iterdir())
        if file.suffix not in SUFFIXES or file.stem not in stems or file != find_file(folder, file.stem)
    )


def load_symbol(
    files: SymbolFiles,
    interval: str,
    columns: FileColumns,
    refusals: Refusals,
    shared: tuple[LedgerEntry, ...] = (),
) -> RawMarket | None:
    """Raw tables of one symbol; ``None`` where its bars were refused.

    Parameters
    ----------
    files : SymbolFiles
    interval : str
    columns : FileColumns
    refusals : Refusals
    shared : tuple of LedgerEntry
        What is to be said of files that speak of all symbols.

    Raises
    ------
    DataError, NothingUsableError
        For the first bad file, where nobody asked for a report.
    """
    ledger = [*files.ignored, *shared]
    try:
        bars = _bars(files, interval, columns, ledger)
    except BearmodeError as error:
        refusals.refuse(files.bars, files.symbol, error)
        return None
    tables: dict[str, pd.DataFrame] = {}
    for name, file in files.optional.items():
        try:
            table = read_table(file, columns.form(name), ledger, declared=columns.of(name))
            if name == "funding":
                _check_intervals(table, file)
                table = settlements(table, files.symbol, ledger)
            tables[name] = table
        except DataError as error:
            ledger.append(refusals.refuse(file, files.symbol, error))
    return RawMarket(
        files.symbol,
        interval,
        bars,
        tables.get("funding"),
        tables.get("open_interest"),
        tables.get("positioning_1d"),
        None,
        "files",
        tuple(ledger),
    )


def _bars(files: SymbolFiles, interval: str, columns: FileColumns, ledger: list[LedgerEntry]) -> pd.DataFrame:
    bars = read_table(files.bars, columns.form("bars"), ledger, declared=columns.of("bars"))
    if CLOSE_TIME in bars:
        # An exchange's close stamp is a millisecond before the close.
        close = bars[CLOSE_TIME]
        late = (close + _MILLISECOND).dt.floor("s") == close + _MILLISECOND
        close = close.where(~late, close + _MILLISECOND)
        bars.insert(0, "open_time", (close - interval_delta(interval)).dt.as_unit("ms"))
        bars = bars.drop(columns=CLOSE_TIME)
    if bars.empty:
        raise NothingUsableError(f"{files.symbol}: {files.bars} has no bar in it", field="symbols")
    check_file_bars(bars, interval, files.bars)
    return bars


def check_file_bars(bars: pd.DataFrame, interval: str, file: Path) -> None:
    """Refuse bars that break a rule, with the file in the message.

    Raises
    ------
    HistoryError
    """
    try:
        check_bars(
            pd.DatetimeIndex(bars["open_time"]) + interval_delta(interval),
            {name: bars[name].to_numpy(np.float64) for name in (*PRICE_COLUMNS, "volume")},
            interval,
            now=pd.Timestamp.now(tz="UTC"),
        )
    except HistoryError as error:
        raise HistoryError(
            f"{file}: {error.message}", code=error.code, field=error.field, hint=error.hint
        ) from error


def _check_intervals(funding: pd.DataFrame, file: Path) -> None:
    if "funding_interval_hours" not in funding:
        return
    hours = funding["funding_interval_hours"].to_numpy(np.float64)
    wrong = ~(np.isfinite(hours) & (hours > 0)) & ~np.isnan(hours)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{file}: column 'funding_interval_hours', row {row}: {hours[row]}, expected hours above zero",
            code="bad_interval",
            field=f"funding_interval_hours[{row}]",
        )
