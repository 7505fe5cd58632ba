"""The ``files`` source: a folder per symbol of Parquet or CSV files.

``<path>/<SYMBOL>/bars_<interval>.{parquet,csv}`` is required; ``funding``, ``open_interest`` and
``positioning_1d`` beside it and ``<path>/fear_greed_1d`` are optional. Files and columns that are
not known are ignored and named in the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.bar_rules import POSITIONING_COLUMNS, PRICE_COLUMNS, check_bars
from features.errors import DataError, HistoryError, NothingUsableError, UsageError
from features.raw import INTERVALS, LedgerEntry, RawMarket, interval_delta

__all__ = ["TABLES", "TableFormat", "load_files"]


@dataclass(frozen=True)
class TableFormat:
    """Names of one kind of file.

    Attributes
    ----------
    time : str
        The file's time column; it becomes ``open_time`` for bars and ``time`` elsewhere.
    required, optional : tuple of str
        Value columns, file name to be read as it stands unless ``rename`` maps it.
    rename : dict of str to str
        File column to column here.
    """

    time: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()


TABLES: dict[str, TableFormat] = {
    "bars": TableFormat("open_time", (*PRICE_COLUMNS, "volume"), ("market",)),
    "funding": TableFormat("time", ("funding_rate",), ("funding_interval_hours",)),
    "open_interest": TableFormat("time", ("open_interest_value",)),
    "positioning_1d": TableFormat("time", (), POSITIONING_COLUMNS),
    "fear_greed_1d": TableFormat("timestamp", ("fear_greed",), ("label",)),
}
"""The one place where file columns are mapped."""

_SNAP_HOURS = np.array([1.0, 2.0, 4.0, 8.0])


def load_files(path: Path, symbols: Sequence[str], *, interval: str = "1h") -> list[RawMarket]:
    """Read the raw tables of some symbols.

    Parameters
    ----------
    path : Path
        Folder that holds a folder per symbol.
    symbols : sequence of str
        Empty: every symbol folder that has bars of the interval.
    interval : str
        ``1h``, ``4h`` or ``1d``.

    Raises
    ------
    UsageError
        If the folder or the interval does not exist.
    NothingUsableError
        If a symbol has no bars, or the folder holds no symbol.
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
    names = list(symbols) or sorted(
        folder.name for folder in path.iterdir() if folder.is_dir() and _find(folder, f"bars_{interval}")
    )
    if not names:
        raise NothingUsableError(
            f"{path} holds no folder with bars_{interval}.parquet or bars_{interval}.csv"
        )
    ignored: list[LedgerEntry] = []
    fear_greed = _load_fear_greed(path, ignored)
    return [_load_symbol(path, name, interval, fear_greed, ignored) for name in names]


def _load_symbol(
    path: Path, symbol: str, interval: str, fear_greed: pd.DataFrame | None, ignored: list[LedgerEntry]
) -> RawMarket:
    folder = path / symbol
    file = _find(folder, f"bars_{interval}") if folder.is_dir() else None
    if file is None:
        raise NothingUsableError(
            f"{symbol}: {folder} has no bars_{interval}.parquet or bars_{interval}.csv",
            field="symbols",
            hint=f"there are: {', '.join(sorted(f.name for f in path.iterdir() if f.is_dir())) or 'none'}",
        )
    ledger = [*_ignored(folder, interval), *ignored]
    bars = _read(file, TABLES["bars"], ledger)
    if bars.empty:
        raise NothingUsableError(f"{symbol}: {file} has no bar in it", field="symbols")
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
    tables: dict[str, pd.DataFrame | None] = {}
    for kind in ("funding", "open_interest", "positioning_1d"):
        found = _find(folder, kind)
        tables[kind] = None if found is None else _read(found, TABLES[kind], ledger)
    funding = tables["funding"]
    if funding is not None:
        _check_intervals(funding, folder)
        funding = _settlements(funding, symbol, ledger)
    return RawMarket(
        symbol,
        interval,
        bars,
        funding,
        tables["open_interest"],
        tables["positioning_1d"],
        fear_greed,
        "files",
        tuple(ledger),
    )


def _find(folder: Path, stem: str) -> Path | None:
    for suffix in (".parquet", ".csv"):
        file = folder / f"{stem}{suffix}"
        if file.is_file():
            return file
    return None


def _ignored(folder: Path, interval: str) -> list[LedgerEntry]:
    stems = {*(f"bars_{name}" for name in INTERVALS), "funding", "open_interest", "positioning_1d"}
    return [
        LedgerEntry("ignored_file", file.name, detail=f"not read for {interval}")
        for file in sorted(folder.iterdir())
        if file.suffix not in {".parquet", ".csv"}
        or file.stem not in stems
        or file != _find(folder, file.stem)
    ]


def _read(file: Path, form: TableFormat, ledger: list[LedgerEntry]) -> pd.DataFrame:
    """Read one file, columns mapped and typed, times UTC; errors name file, column and row."""
    try:
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable: {error}", code="unreadable_file", field=file.name) from error
    frame = frame.rename(columns=dict(form.rename))
    for name in (form.time, *form.required):
        if name not in frame:
            raise DataError(
                f"{file}: column {name!r} is missing; there are {', '.join(map(str, frame.columns))}",
                code="missing_column",
                field=name,
            )
    known = {form.time, *form.required, *form.optional}
    ledger.extend(
        LedgerEntry("ignored_column", f"{file.name}:{name}", count=len(frame))
        for name in frame.columns
        if name not in known
    )
    table = pd.DataFrame({form.time: _times(frame[form.time], file, form.time)})
    for name in (*form.required, *form.optional):
        if name in frame and name not in {"market", "label"}:
            table[name] = _numbers(frame[name], file, name)
    return table


def _times(column: pd.Series, file: Path, name: str) -> pd.Series:
    """UTC times from timestamps, ISO text or integer milliseconds."""
    where = f"{file}: column {name!r}"
    if pd.api.types.is_numeric_dtype(column):
        column = pd.to_datetime(column, unit="ms", utc=True)
    elif not isinstance(column.dtype, pd.DatetimeTZDtype):
        if pd.api.types.is_datetime64_any_dtype(column):
            raise DataError(
                f"{where} has times without a time zone, expected UTC", code="naive_time", field=name
            )
        parsed = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
        if parsed.isna().any():
            row = int(np.argmax(parsed.isna().to_numpy()))
            raise DataError(
                f"{where}, row {row}: {column.iloc[row]!r} is not a time",
                code="bad_time",
                field=f"{name}[{row}]",
            )
        text = column.astype("str")
        naive = ~text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True)
        if naive.any():
            row = int(np.argmax(naive.to_numpy()))
            raise DataError(
                f"{where}, row {row}: {text.iloc[row]!r} has no time zone",
                code="naive_time",
                field=f"{name}[{row}]",
                hint="write UTC times with a Z, or integer milliseconds",
            )
        column = parsed
    if column.isna().any():
        row = int(np.argmax(column.isna().to_numpy()))
        raise DataError(f"{where}, row {row}: the time is empty", code="bad_time", field=f"{name}[{row}]")
    utc: pd.Series = column.dt.tz_convert("UTC").dt.as_unit("ms")
    return utc


def _numbers(column: pd.Series, file: Path, name: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = numbers.isna() & column.notna()
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise DataError(
            f"{file}: column {name!r}, row {row}: {column.iloc[row]!r} is not a number",
            code="not_a_number",
            field=f"{name}[{row}]",
        )
    return numbers


def _check_intervals(funding: pd.DataFrame, folder: Path) -> None:
    if "funding_interval_hours" not in funding:
        return
    hours = funding["funding_interval_hours"].to_numpy(np.float64)
    wrong = ~(np.isfinite(hours) & (hours > 0)) & ~np.isnan(hours)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{_find(folder, 'funding')}: column 'funding_interval_hours', row {row}: {hours[row]}, "
            "expected hours above zero",
            code="bad_interval",
            field=f"funding_interval_hours[{row}]",
        )


def _settlements(funding: pd.DataFrame, symbol: str, ledger: list[LedgerEntry]) -> pd.DataFrame:
    """Round jittered stamps to the minute; give each settlement its interval in hours."""
    if funding.empty:
        return funding.assign(funding_interval_hours=np.empty(0))
    table = funding.sort_values("time", kind="stable").copy()
    table["time"] = table["time"].dt.round("min")
    doubled = table["time"].duplicated(keep="last").to_numpy()
    if doubled.any():
        ledger.append(
            LedgerEntry("double_rows", "funding", count=int(doubled.sum()), detail="the last one is kept")
        )
        table = table.loc[~doubled]
    stamps = pd.DatetimeIndex(table["time"]).as_unit("ms").asi8
    since_last = np.diff(stamps, prepend=stamps[0] - 8 * 3_600_000) / 3_600_000
    snapped = _SNAP_HOURS[np.abs(since_last[:, None] - _SNAP_HOURS).argmin(axis=1)]
    given = table.get("funding_interval_hours", pd.Series(np.nan, index=table.index))
    table["funding_interval_hours"] = given.where(given.notna(), pd.Series(snapped, index=table.index))
    odd = int(((since_last != snapped) & given.isna().to_numpy()).sum())
    if odd:
        ledger.append(
            LedgerEntry(
                "snapped_interval", "funding", count=odd, detail=f"{symbol}: gaps snapped to 1, 2, 4 or 8 h"
            )
        )
    return table.reset_index(drop=True)


def _load_fear_greed(path: Path, ledger: list[LedgerEntry]) -> pd.DataFrame | None:
    """A day's value is published during that day: it counts as known at the day's end."""
    file = _find(path, "fear_greed_1d")
    if file is None:
        return None
    table = _read(file, TABLES["fear_greed_1d"], ledger)
    table["time"] = table["timestamp"].dt.floor("D") + pd.Timedelta(days=1)
    return table[["time", "fear_greed"]]
