"""The tables of a market as plain arrays in order of time, and what was wrong with that order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.audit.checks import CHECKS
from features.audit.findings import BoolArray, Finding, FloatArray, IntArray, Severity, stamp
from features.bar_rules import PRICE_COLUMNS
from features.history import STALE_AFTER_HOURS
from features.raw import RawMarket, interval_delta

__all__ = ["CROWD", "Table", "crowded", "finding", "hours", "runs", "tables_of"]

CROWD = 1_000
"""Findings of one kind in one table that are listed one by one; the rest is one more that sums them up."""

_HOUR = 3_600_000
_VALUE = {"funding": "funding_rate", "open_interest": "open_interest_value"}


@dataclass(frozen=True)
class Table:
    """One table: times that rise, and float columns of the same length.

    Attributes
    ----------
    name : str
        ``bars``, ``funding``, ``open_interest``, ``positioning``, ``fear_greed`` or a signal's name.
    time : ndarray of int64
        Milliseconds since 1970, UTC, each once; a bar's CLOSE, else when the value was known.
    columns : dict of str to ndarray of float64
    stale_after_hours : float
        Age after which a value no longer counts.
    kind : {"bars", "funding", "open_interest", "positioning", "fear_greed", "signal"}
    """

    name: str
    time: IntArray
    columns: dict[str, FloatArray]
    stale_after_hours: float
    kind: str

    @property
    def present(self) -> BoolArray:
        """Rows with a value: all four prices for bars, else any column."""
        if self.kind == "bars":
            return np.asarray(~np.isnan(np.stack([self.column(name) for name in PRICE_COLUMNS])).all(axis=0))
        if self.kind in _VALUE:
            return np.asarray(~np.isnan(self.column(_VALUE[self.kind])))
        there = np.zeros(len(self.time), dtype=bool)
        for values in self.columns.values():
            there |= ~np.isnan(values)
        return there

    def column(self, name: str) -> FloatArray:
        """One column; all NaN where the table lacks it."""
        return self.columns.get(name, np.full(len(self.time), np.nan))


def tables_of(market: RawMarket) -> tuple[list[Table], list[Finding]]:
    """Every table of a market, bars first; and its rows that are doubled or out of order."""
    delta = interval_delta(market.interval)
    step = int(delta / pd.Timedelta(milliseconds=1))
    found: list[tuple[str, str, pd.DataFrame, str, float]] = [
        ("bars", "bars", market.bars, "open_time", 2 * step / _HOUR)
    ]
    for kind in ("funding", "open_interest", "positioning", "fear_greed"):
        frame: pd.DataFrame | None = getattr(market, kind)
        if frame is not None:
            found.append((kind, kind, frame, "time", float(STALE_AFTER_HOURS[kind])))
    found += [
        (name, "signal", series.table, "time", series.stale_after_hours)
        for name, series in sorted(market.extras.items())
    ]
    tables, findings = [], []
    for name, kind, frame, key, stale in found:
        time = pd.DatetimeIndex(frame[key]).as_unit("ms").asi8.astype(np.int64)
        if kind == "bars":
            time = time + step
        numbers = {
            str(column): frame[column].to_numpy(np.float64)
            for column in frame.columns
            if column != key and pd.api.types.is_numeric_dtype(frame[column])
        }
        known = np.asarray(~frame[key].isna())
        order, wrong = _ordered(name, time, known)
        findings += wrong
        ordered = {column: values[order] for column, values in numbers.items()}
        tables.append(Table(name, time[order], ordered, stale, kind))
    return tables, findings


def _ordered(name: str, time: IntArray, known: BoolArray) -> tuple[IntArray, list[Finding]]:
    """Positions of the rows to look at (the last of each time, oldest first), and what was wrong."""
    findings = []
    if not known.all():
        words = f"{int((~known).sum()):,} rows have no time"
        findings.append(Finding("impossible_value", name, None, None, int((~known).sum()), "error", words))
    rows = np.flatnonzero(known)
    stamps = time[rows]
    back = np.flatnonzero(np.diff(stamps) < 0)
    if len(back):
        findings.append(
            finding(
                "unsorted_rows",
                name,
                int(stamps[back + 1].min()),
                int(stamps[back + 1].max()),
                len(back),
                "rows earlier than the row before",
            )
        )
        rows = rows[np.argsort(stamps, kind="stable")]
        stamps = time[rows]
    same = np.flatnonzero(np.diff(stamps) == 0)
    if len(same):
        findings.append(
            finding(
                "double_rows",
                name,
                int(stamps[same[0]]),
                int(stamps[same[-1]]),
                len(same),
                "rows of a time that is there already; the last one is looked at",
            )
        )
    last = np.append(np.diff(stamps) > 0, True)[: len(stamps)]
    return rows[last].astype(np.int64), findings


def finding(
    kind: str,
    table: str,
    start: int,
    end: int,
    count: int,
    detail: str,
    *,
    worst: float | None = None,
    severity: Severity | None = None,
) -> Finding:
    """A finding of a declared check; times in milliseconds, its usual severity unless another is given."""
    check = CHECKS[kind]
    return Finding(kind, table, stamp(start), stamp(end), count, severity or check.severity, detail, worst)


def runs(flag: BoolArray) -> Iterator[tuple[int, int]]:
    """First and last position of each run of true values, both included."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flag.astype(np.int8), [0]))))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(after) - 1


def hours(length: float) -> str:
    """A length given in hours, in words.

    Examples
    --------
    >>> hours(0.5), hours(3), hours(608), hours(8760)
    ('30 min', '3 h', '25.3 days', '365 days')
    """
    if length < 1:
        return f"{length * 60:.3g} min"
    if length < 72:
        return f"{length:.3g} h"
    return f"{length / 24:,.1f}".removesuffix(".0") + " days"


def crowded(findings: list[Finding]) -> list[Finding]:
    """Findings of one kind and table; beyond :data:`CROWD` the rest is summed up in one."""
    if len(findings) <= CROWD:
        return findings
    rest = findings[CROWD - 1 :]
    worst = max((one.worst for one in rest if one.worst is not None), key=abs, default=None)
    severities = {one.severity for one in rest}
    severity: Severity = next(one for one in ("error", "warning", "note") if one in severities)
    starts = [one.start for one in rest if one.start is not None]
    ends = [one.end for one in rest if one.end is not None]
    total = sum(one.count for one in rest)
    detail = f"{len(rest):,} more such findings"
    summed = Finding(
        rest[0].kind,
        rest[0].table,
        min(starts, default=None),
        max(ends, default=None),
        total,
        severity,
        detail,
        worst,
        rest[0].origin,
    )
    return [*findings[: CROWD - 1], summed]
