"""The ``files`` source: history that you already have, recognised by what lies in the folder.

In this order, symbol by symbol: a folder per symbol (:mod:`~features.sources.symbol_files`),
freqtrade's data (:mod:`~features.sources.freqtrade`), files that bear the symbol in their names,
files of the public archive (:mod:`~features.sources.archive_files`). ``<path>/fear_greed_1d`` beside
them is optional.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from features.errors import DataError, NothingUsableError, UsageError
from features.raw import INTERVALS, LedgerEntry, RawMarket
from features.sources.archive_files import find_archive_files
from features.sources.archived_symbols import load_archived
from features.sources.file_columns import FileColumns, parse_columns
from features.sources.file_tables import read_table
from features.sources.freqtrade import find_pairs, load_pair
from features.sources.refusals import Refusals, RefusedFile
from features.sources.symbol_files import (
    find_file,
    find_files_beside,
    find_symbol_folders,
    load_symbol,
    other_intervals,
)

__all__ = ["RefusedFile", "load_files"]

Load = Callable[[Refusals, tuple[LedgerEntry, ...]], RawMarket | None]

_SHOWN = 8


def load_files(
    path: Path,
    symbols: Sequence[str],
    *,
    interval: str = "1h",
    columns: FileColumns | str | None = None,
    refused: list[RefusedFile] | None = None,
) -> list[RawMarket]:
    """Read the raw tables of some symbols.

    Parameters
    ----------
    path : Path
        The folder.
    symbols : sequence of str
        Empty: every symbol that has bars of the interval.
    interval : str
        ``1h``, ``4h`` or ``1d``.
    columns : FileColumns or str, optional
        Which column of the files is which: ``bars.open_time=ts,bars.close=last``
        (:func:`~features.sources.file_columns.parse_columns`).
    refused : list of RefusedFile, optional
        With a list, files that cannot be read are added to it and the others are read: a symbol
        whose bars are refused is left out, another bad file leaves its symbol without that table
        (``refused_file`` in its ledger). Without one, the first bad file is an error.

    Raises
    ------
    UsageError
        If the folder or the interval does not exist, the folder holds several exchanges, or
        ``columns`` makes no sense.
    NothingUsableError
        If a symbol has no bars, or nothing in the folder could be read.
    DataError
        With file, column and row, for a file that breaks a rule.
    """
    if interval not in INTERVALS:
        raise UsageError(
            f"interval is {interval!r}, expected one of {', '.join(INTERVALS)}", field="interval"
        )
    if not path.is_dir():
        raise UsageError(
            f"{path} is not a folder", field="path", hint="name a folder that holds a folder per symbol"
        )
    declared = (parse_columns(columns) if isinstance(columns, str) else columns) or FileColumns()
    reported = [] if refused is None else refused
    before = len(reported)
    refusals = Refusals(path, refused)
    try:
        found = _find(path, symbols, interval, declared)
        mood, notes = _fear_greed(path, declared, refusals)
        markets = []
        for symbol in list(symbols) or sorted(found):
            if symbol not in found:
                refusals.refuse(path / symbol, symbol, _not_there(path, symbol, interval, found))
                continue
            market = found[symbol](refusals, notes)
            if market is not None:
                markets.append(replace(market, fear_greed=mood))
    except OSError as error:
        raise DataError(
            f"{error.filename or path} cannot be read: {error.strerror}", code="unreadable_file", field="path"
        ) from error
    if not markets:
        raise _nothing(path, interval, reported[before:])
    return markets


def _find(path: Path, symbols: Sequence[str], interval: str, columns: FileColumns) -> dict[str, Load]:
    """How to load each symbol; further forms are looked for only while symbols are missing."""
    loads: dict[str, Load] = {
        symbol: partial(load_symbol, own, interval, columns)
        for symbol, own in find_symbol_folders(path, interval).items()
    }

    def missing() -> bool:
        return not symbols or not loads.keys() >= {*symbols}

    if missing():
        for symbol, pair in find_pairs(path, interval).items():
            loads.setdefault(symbol, partial(load_pair, pair, interval))
    if missing():
        for symbol, own in find_files_beside(path, interval, columns).items():
            loads.setdefault(symbol, partial(load_symbol, own, interval, columns))
    if missing():
        for symbol, archived in find_archive_files(path, interval).items():
            loads.setdefault(symbol, partial(load_archived, archived, interval))
    return loads


def _fear_greed(
    path: Path, columns: FileColumns, refusals: Refusals
) -> tuple[pd.DataFrame | None, tuple[LedgerEntry, ...]]:
    """A day's value is published during that day: it counts as known at the day's end."""
    name = "fear_greed_1d"
    file = find_file(path, name)
    if file is None:
        return None, ()
    ledger: list[LedgerEntry] = []
    try:
        table = read_table(file, columns.form(name), ledger, declared=columns.of(name))
    except DataError as error:
        return None, (refusals.refuse(file, "", error),)
    table["time"] = (table["timestamp"].dt.floor("D") + pd.Timedelta(days=1)).dt.as_unit("ms")
    return table[["time", "fear_greed"]], tuple(ledger)


def _not_there(path: Path, symbol: str, interval: str, found: dict[str, Load]) -> NothingUsableError:
    folder = path / symbol
    others = other_intervals(folder, interval)
    words = f"; there are {', '.join(others)} bars" if others else ""
    names = sorted({*found, *(one.name for one in path.iterdir() if one.is_dir())})
    shown = ", ".join(names[:40]) or "none"
    return NothingUsableError(
        f"{symbol}: {folder} has no bars_{interval}.parquet or bars_{interval}.csv, "
        f"nor is there a file of it in another form{words}",
        field="symbols",
        hint=f"there are: {shown}{', ...' if len(names) > 40 else ''}",
    )


def _nothing(path: Path, interval: str, refused: Sequence[RefusedFile]) -> NothingUsableError:
    text = (
        f"{path} holds no {interval} bars that can be read; looked for SYMBOL/bars_{interval}.parquet "
        f"(or .csv), freqtrade's BTC_USDT_USDT-{interval}-futures.feather, SYMBOL-{interval}.csv, "
        f"and the archive's SYMBOL-{interval}-2024-01.zip (or .csv) at any depth"
    )
    shown = "; ".join(f"{one.file}: {one.reason}" for one in refused[:_SHOWN])
    if refused:
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        text += f". Refused: {shown}{more}"
    return NothingUsableError(
        text,
        field="path",
        hint="name the folder that holds the files, or --columns where they have other names",
    )
