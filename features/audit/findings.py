"""What an audit says: coverage of each table, findings, agreement with another source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "SEVERITIES",
    "Agreement",
    "Audit",
    "BoolArray",
    "Coverage",
    "Finding",
    "FloatArray",
    "IntArray",
    "Severity",
    "as_number",
    "iso",
    "milliseconds",
    "stamp",
]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""``error``: rows that cannot be right; ``warning``: rows that are missing or need a look; ``note``: worth
knowing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an audit found.

    Attributes
    ----------
    kind : str
        Name of the check (:data:`~features.audit.checks.CHECKS`) or of the ledger's entry
        (:data:`~features.audit.checks.LEDGER_KINDS`).
    table : str
        Table or file it is about, such as ``bars`` or ``positioning: lsr_global``.
    start, end : pandas.Timestamp or None
        First and last moment touched, UTC, both included; a bar's CLOSE where it is about bars.
    count : int
        Rows touched or missing.
    severity : {"error", "warning", "note"}
    detail : str
        In words.
    worst : float or None
        The most extreme value, in the unit of the check.
    origin : {"audit", "ledger"}
        Found here, or what the source said when it read the rows.
    """

    kind: str
    table: str
    start: pd.Timestamp | None
    end: pd.Timestamp | None
    count: int
    severity: Severity
    detail: str = ""
    worst: float | None = None
    origin: Literal["audit", "ledger"] = "audit"

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form; times as ISO 8601 with ``Z``."""
        return {
            "kind": self.kind,
            "table": self.table,
            "start": iso(self.start),
            "end": iso(self.end),
            "count": self.count,
            "severity": self.severity,
            "detail": self.detail,
            "worst": as_number(self.worst),
            "origin": self.origin,
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a table is there, from its own first row to its last.

    Attributes
    ----------
    table : str
        ``bars``, ``funding``, ...; columns that are there at different times are named behind it.
    cadence_minutes : float or None
        Usual distance between rows.
    first, last : pandas.Timestamp or None
        Oldest and newest row with a value, UTC (a bar's CLOSE).
    expected, present : int
        Rows at the table's cadence between them, and those with a value.
    newest_age_hours : float or None
        How old the newest row is.
    longest_gap_hours : float
        Longest distance between neighbours where a row is missing; 0 without a gap.
    week : pandas.Timestamp or None
        Start of the first week: a Monday, 00:00 UTC.
    weekly : tuple of float
        Share of the expected rows in each week from then on; NaN where none was expected.
    """

    table: str
    cadence_minutes: float | None
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    expected: int
    present: int
    newest_age_hours: float | None
    longest_gap_hours: float = 0.0
    week: pd.Timestamp | None = None
    weekly: tuple[float, ...] = ()

    @property
    def share(self) -> float:
        """Present over expected; NaN for a table without rows."""
        return self.present / self.expected if self.expected else math.nan

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form; hours to three digits, shares to six."""
        return {
            "table": self.table,
            "cadence_minutes": as_number(self.cadence_minutes),
            "first": iso(self.first),
            "last": iso(self.last),
            "expected": self.expected,
            "present": self.present,
            "share": as_number(self.share, 6),
            "newest_age_hours": as_number(self.newest_age_hours, 3),
            "longest_gap_hours": as_number(self.longest_gap_hours, 3),
            "week": iso(self.week),
            "weekly": [as_number(share, 4) for share in self.weekly],
        }


@dataclass(frozen=True, slots=True)
class Agreement:
    """One column beside the same column of another source, on their common times.

    Attributes
    ----------
    table, column : str
    tolerance : float
        Largest difference that passes: a share of the larger value, or absolute.
    relative : bool
    compared : int
        Common rows with a value in both.
    beyond : int
        Those that differ by more than the tolerance.
    largest : float or None
        Largest difference, and ``largest_at`` when.
    first, last : pandas.Timestamp or None
        First and last row beyond the tolerance.
    median_ratio : float or None
        Median of other over own: near 1 if single rows differ, far from it if the levels do.
    only_here, only_there : int
        Rows between the first and the last common time that only one of the two has.
    """

    table: str
    column: str
    tolerance: float
    relative: bool
    compared: int
    beyond: int
    largest: float | None
    largest_at: pd.Timestamp | None
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    median_ratio: float | None
    only_here: int
    only_there: int

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "table": self.table,
            "column": self.column,
            "tolerance": self.tolerance,
            "relative": self.relative,
            "compared": self.compared,
            "beyond": self.beyond,
            "largest": as_number(self.largest),
            "largest_at": iso(self.largest_at),
            "first": iso(self.first),
            "last": iso(self.last),
            "median_ratio": as_number(self.median_ratio, 6),
            "only_here": self.only_here,
            "only_there": self.only_there,
        }


@dataclass(frozen=True)
class Audit:
    """What was found in the tables of one symbol.

    Attributes
    ----------
    symbol, interval, source : str
    now : pandas.Timestamp
        The time that ages count back from.
    coverage : tuple of Coverage
        Bars first.
    findings : tuple of Finding
        Those of the audit, then those of the source's ledger.
    against : str or None
        Source of the market it was compared with.
    agreement : tuple of Agreement
        Empty without such a market.
    """

    symbol: str
    interval: str
    source: str
    now: pd.Timestamp
    coverage: tuple[Coverage, ...]
    findings: tuple[Finding, ...]
    against: str | None = None
    agreement: tuple[Agreement, ...] = ()

    def counts(self) -> dict[Severity, int]:
        """Findings of each severity."""
        found: dict[Severity, int] = dict.fromkeys(SEVERITIES, 0)
        for finding in self.findings:
            found[finding.severity] += 1
        return found

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "symbol": self.symbol,
            "interval": self.interval,
            "source": self.source,
            "now": iso(self.now),
            "counts": self.counts(),
            "coverage": [one.as_dict() for one in self.coverage],
            "findings": [one.as_dict() for one in self.findings],
            "against": self.against,
            "agreement": [one.as_dict() for one in self.agreement],
        }


def stamp(milliseconds: int) -> pd.Timestamp:
    """UTC time from milliseconds since 1970."""
    return pd.Timestamp(int(milliseconds), unit="ms", tz="UTC").as_unit("ms")


def milliseconds(time: pd.Timestamp) -> int:
    """Milliseconds since 1970 of a time with a time zone."""
    return int(time.tz_convert("UTC").as_unit("ns").value // 1_000_000)


def iso(time: pd.Timestamp | None) -> str | None:
    """ISO 8601 with ``Z``, to the second."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def as_number(value: float | None, digits: int | None = None) -> float | None:
    """A number that JSON can hold; ``None`` for what is none."""
    if value is None or not math.isfinite(value):
        return None
    return float(value) if digits is None else round(float(value), digits)
