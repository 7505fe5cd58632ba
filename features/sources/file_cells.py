"""Cells of a user's file as UTC times and as numbers; the first one that is none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import DataError

__all__ = ["Stamps", "numbers", "times"]

Stamps = Literal["milliseconds", "by_magnitude"]
"""What whole numbers in a time column are."""

_FIRST = pd.Timestamp("1900-01-01", tz="UTC").as_unit("ms").value // 1_000_000
_LAST = pd.Timestamp("2200-01-01", tz="UTC").as_unit("ms").value // 1_000_000
_UNITS: tuple[Literal["s", "ms", "us", "ns"], ...] = ("s", "ms", "us", "ns")
_BOUNDS = np.array([1e11, 1e14, 1e17, 1e20])
"""Below each bound a whole number is in that unit: so are all times between 1973 and 5138."""


def times(
    column: pd.Series,
    file: Path,
    name: str,
    *,
    stamps: Stamps = "milliseconds",
    naive_is_utc: bool = False,
    bare_days: bool = False,
) -> pd.Series:
    """UTC times in ms from timestamps, ISO text or whole numbers.

    Parameters
    ----------
    column : pandas.Series
    file, name
        For messages.
    stamps : {"milliseconds", "by_magnitude"}
    naive_is_utc : bool
        Times without a zone are UTC, by the documentation of the format.
    bare_days : bool
        A column of days (``2024-01-31``) is their beginnings, UTC.

    Raises
    ------
    DataError
        ``naive_time`` or ``bad_time``.
    """
    where = f"{file}: column {name!r}"
    try:
        parsed = _parsed_times(column, where, name, stamps, naive_is_utc, bare_days)
    except (TypeError, OverflowError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{where} holds {column.dtype}, expected times: {str(error)[:120]}", code="bad_time", field=name
        ) from error
    if parsed.isna().any():
        row = int(np.argmax(parsed.isna().to_numpy()))
        raise DataError(f"{where}, row {row}: the time is empty", code="bad_time", field=f"{name}[{row}]")
    utc: pd.Series = parsed.dt.tz_convert("UTC").dt.as_unit("ms")
    stamps_ms = pd.DatetimeIndex(utc).asi8
    far = (stamps_ms < _FIRST) | (stamps_ms >= _LAST)
    if far.any():
        row = int(np.argmax(far))
        raise DataError(
            f"{where}, row {row}: {stamps_ms[row]} ms since 1970 is no time between 1900 and 2200",
            code="bad_time",
            field=f"{name}[{row}]",
        )
    return utc


def _parsed_times(
    column: pd.Series, where: str, name: str, stamps: Stamps, naive_is_utc: bool, bare_days: bool
) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        raise TypeError("true and false are no times")
    if pd.api.types.is_numeric_dtype(column):
        return pd.to_datetime(column, unit=_unit(column, where, name, stamps), utc=True)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column
    if pd.api.types.is_datetime64_any_dtype(column):
        if naive_is_utc:
            utc: pd.Series = column.dt.tz_localize("UTC")
            return utc
        raise DataError(f"{where} has times without a time zone, expected UTC", code="naive_time", field=name)
    text = column.astype("str").str.strip()
    parsed = pd.to_datetime(text.where(column.notna()), utc=True, errors="coerce", format="ISO8601")
    if parsed.isna().any():
        row = int(np.argmax(parsed.isna().to_numpy()))
        raise DataError(
            f"{where}, row {row}: {str(column.iloc[row])[:60]!r} is not a time",
            code="bad_time",
            field=f"{name}[{row}]",
        )
    if bare_days and text.str.fullmatch(r"\d{4}-\d{2}-\d{2}").all():
        return parsed
    naive = ~text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True)
    if naive.any() and not naive_is_utc:
        row = int(np.argmax(naive.to_numpy()))
        raise DataError(
            f"{where}, row {row}: {text.iloc[row]!r} has no time zone",
            code="naive_time",
            field=f"{name}[{row}]",
            hint="write UTC times with a Z, or integer milliseconds",
        )
    return parsed


def _unit(column: pd.Series, where: str, name: str, stamps: Stamps) -> Literal["s", "ms", "us", "ns"]:
    """Unit of whole-number times; a mixture of units is none."""
    values = np.abs(column.to_numpy(np.float64, na_value=np.nan))
    there = ~np.isnan(values)
    magnitude = np.searchsorted(_BOUNDS, values, side="right")
    unit = 1
    if stamps == "by_magnitude" and there.any():
        unit = min(int(magnitude[int(np.argmax(there))]), 3)
    wrong = there & (magnitude != unit)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{where}, row {row}: {column.iloc[row]} is no time in {_UNITS[unit]} since 1970",
            code="bad_time",
            field=f"{name}[{row}]",
            hint="whole-number times are Unix milliseconds, UTC",
        )
    return _UNITS[unit]


def numbers(column: pd.Series, file: Path, name: str) -> pd.Series:
    """Float64 from numbers or their text; blank cells are NaN.

    Raises
    ------
    DataError
        ``not_a_number``.
    """
    kind = column.dtype
    try:
        if kind.kind in "bcmM" or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
            raise TypeError(kind)
        found = pd.to_numeric(column, errors="coerce").astype("float64")
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{file}: column {name!r} holds {kind}, expected numbers", code="not_a_number", field=name
        ) from error
    wrong = found.isna() & column.notna()
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise DataError(
            f"{file}: column {name!r}, row {row}: {str(column.iloc[row])[:60]!r} is not a number",
            code="not_a_number",
            field=f"{name}[{row}]",
        )
    return found
