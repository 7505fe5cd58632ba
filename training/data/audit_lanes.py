"""The picture of coverage: weeks along a common axis, a lane for each table, marks for findings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.audit import SEVERITIES, Audit, Coverage, Finding, Severity
from features.audit.findings import FloatArray

__all__ = ["SHADES", "Axis", "Block", "Lane", "Mark", "axis_of", "lanes_of", "overview_lane", "shade"]

SHADES: tuple[tuple[str, float, str], ...] = (
    ("full", 1.0, "all rows"),
    ("most", 0.9, "90 % or more"),
    ("half", 0.5, "half or more"),
    ("less", 1e-9, "less than half"),
    ("none", 0.0, "none"),
)
"""Class of a week's share, its lower limit, and its name in the legend."""

_WEEK = pd.Timedelta(days=7)
_NEEDED = ("bars", "funding", "open_interest")
_OF_ALL_SYMBOLS = "fear_greed"
_MARK_WORDS = 5


@dataclass(frozen=True)
class Axis:
    """Weeks that all pictures of a page share.

    Attributes
    ----------
    start : pandas.Timestamp
        A Monday.
    weeks : int
    ticks : tuple of (float, str)
        Place between 0 and 100, and label.
    """

    start: pd.Timestamp
    weeks: int
    ticks: tuple[tuple[float, str], ...]

    def place(self, time: pd.Timestamp) -> float:
        """Weeks from the start, within the axis."""
        return float(np.clip((time - self.start) / _WEEK, 0, self.weeks))

    def day(self, week: int) -> str:
        """Date of a week's start."""
        return f"{self.start + week * _WEEK:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Block:
    """Weeks of one shade."""

    first: int
    weeks: int
    shade: str
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Findings at one place of a lane."""

    place: float
    width: float
    severity: Severity
    title: str


@dataclass(frozen=True)
class Lane:
    """One table's weeks."""

    label: str
    share: float
    blocks: Sequence[Block]
    marks: Sequence[Mark]


def axis_of(audits: Iterable[Audit]) -> Axis:
    """Weeks from the oldest row of any symbol's own tables to the newest."""
    own = [
        one
        for audit in audits
        for one in audit.coverage
        if one.table != _OF_ALL_SYMBOLS and one.week is not None
    ]
    starts = [one.week for one in own if one.week is not None]
    if not starts:
        return Axis(pd.Timestamp("2024-01-01", tz="UTC"), 1, ())
    start = min(starts)
    weeks = max(round((one.week - start) / _WEEK) + len(one.weekly) for one in own if one.week is not None)
    return Axis(start, max(weeks, 1), _ticks(start, max(weeks, 1)))


def _ticks(start: pd.Timestamp, weeks: int) -> tuple[tuple[float, str], ...]:
    """Years; quarters or months where the span is short."""
    end = start + weeks * _WEEK
    freq, form = ("MS", "%b %Y") if weeks <= 40 else ("QS", "%b %Y") if weeks <= 120 else ("YS", "%Y")
    days = pd.date_range(start.normalize(), end, freq=freq)
    if len(days) > 14:
        days = days[:: math.ceil(len(days) / 14)]
    return tuple((round(100 * ((day - start) / _WEEK) / weeks, 2), f"{day:{form}}") for day in days)


def shade(share: float) -> str:
    """Class of a week's share; empty where nothing was expected.

    Examples
    --------
    >>> [shade(share) for share in (1.0, 0.99, 0.6, 0.1, 0.0, float("nan"))]
    ['full', 'most', 'half', 'less', 'none', '']
    """
    if math.isnan(share):
        return ""
    return next(name for name, limit, _ in SHADES if share >= limit)


def lanes_of(audit: Audit, axis: Axis) -> list[Lane]:
    """A lane for each table with its findings, and one for the source's ledger where it has times."""
    lanes = []
    for one in audit.coverage:
        mine = [
            finding
            for finding in audit.findings
            if finding.origin == "audit"
            and (finding.table == one.table or finding.table == one.table.partition(":")[0])
        ]
        blocks = _blocks(_on_axis(one, axis), axis)
        lanes.append(Lane(one.table, one.share, blocks, _marks(mine, axis)))
    ledger = [
        finding for finding in audit.findings if finding.origin == "ledger" and finding.start is not None
    ]
    if ledger:
        lanes.append(Lane("source's ledger", math.nan, (), _marks(ledger, axis)))
    return lanes


def overview_lane(audit: Audit, axis: Axis) -> Lane:
    """The smallest share among bars, funding and open interest; pale where one of them is not there yet."""
    weekly = [_on_axis(one, axis) for one in audit.coverage if one.table in _NEEDED]
    table = np.stack(weekly) if weekly else np.full((1, axis.weeks), np.nan)
    there = ~np.isnan(table)
    least = np.where(there, table, np.inf).min(axis=0)
    least[~there.any(axis=0)] = np.nan
    partly = there.any(axis=0) & (there.sum(axis=0) < len(_NEEDED))
    marks = [
        one
        for one in audit.findings
        if one.origin == "audit" and one.severity != "note" and one.table in _NEEDED
    ]
    return Lane("", math.nan, _blocks(least, axis, partly), _marks(marks, axis))


def _on_axis(one: Coverage, axis: Axis) -> FloatArray:
    shares = np.full(axis.weeks, np.nan)
    if one.week is None:
        return shares
    first = round((one.week - axis.start) / _WEEK)
    weekly = np.array(one.weekly, dtype=np.float64)
    low, high = max(first, 0), min(first + len(weekly), axis.weeks)
    if high > low:
        shares[low:high] = weekly[low - first : high - first]
    return shares


def _blocks(shares: FloatArray, axis: Axis, partly: object = None) -> list[Block]:
    """Runs of weeks with the same shade; the title says the days and the mean share."""
    pale = np.zeros(len(shares), dtype=bool) if partly is None else np.asarray(partly)
    names = [shade(share) + (" pale" if pale[k] else "") for k, share in enumerate(shares.tolist())]
    blocks: list[Block] = []
    first = 0
    for week in range(1, len(names) + 1):
        if week < len(names) and names[week] == names[first]:
            continue
        if names[first].strip():
            mean = float(shares[first:week].mean())
            words = "100 %" if mean >= 1 else f"{math.floor(mean * 1000) / 10:.1f} %"
            also = "; a needed table is not there" if pale[first] else ""
            title = f"{axis.day(first)} to {axis.day(week)}: {words}{also}"
            blocks.append(Block(first, week - first, names[first], title))
        first = week
    return blocks


def _marks(findings: Iterable[Finding], axis: Axis) -> list[Mark]:
    """Findings as marks; those of one week and severity share one."""
    least = max(axis.weeks / 180, 0.15)
    groups: dict[tuple[int, int, Severity], list[Finding]] = {}
    for one in findings:
        if one.start is None or one.end is None:
            continue
        first, last = axis.place(one.start), axis.place(one.end)
        groups.setdefault((int(first / least), int(last / least), one.severity), []).append(one)
    marks = []
    for (_, _, severity), members in sorted(groups.items(), key=lambda item: -SEVERITIES.index(item[0][2])):
        starts = [axis.place(one.start) for one in members if one.start is not None]
        ends = [axis.place(one.end) for one in members if one.end is not None]
        place = min(*starts, axis.weeks - least)
        words = [f"{one.kind} {one.start:%Y-%m-%d %H:%M} {one.detail}" for one in members[:_MARK_WORDS]]
        rest = [f"and {len(members) - _MARK_WORDS} more"] if len(members) > _MARK_WORDS else []
        width = max(max(ends) - place, least)
        marks.append(Mark(round(place, 2), round(width, 2), severity, "\n".join([*words, *rest])))
    return marks
