"""How much of each table is there, week by week, and where the gaps are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features.audit.cadence import Gaps, find_gaps, gaps_on_grid, settlement_gaps
from features.audit.checks import CHECKS
from features.audit.findings import BoolArray, Coverage, Finding, FloatArray, IntArray, stamp
from features.audit.tables import Table, crowded, finding, hours

__all__ = ["WEEK", "cover", "edge_findings"]

_HOUR = 3_600_000
_DAY = 24 * _HOUR
WEEK = 7 * _DAY
_FIRST_MONDAY = 4 * _DAY  # 1970-01-05
_NEEDED = ("bars", "funding", "open_interest")
_SINGLE_CELLS = 0.01
_LATE_DAYS = CHECKS["starts_late"].limit


def cover(
    table: Table, step: int, now: int, since: int | None = None
) -> tuple[list[Coverage], list[Finding]]:
    """Coverage and gaps of a table, columns that are there at the same times together.

    Parameters
    ----------
    table : Table
    step : int
        Distance of bars in milliseconds; for bars alone.
    now : int
        Milliseconds; ages count back from it.
    since : int, optional
        Gaps that end before it are passed over.
    """
    found, findings = [], []
    for name, time, interval_hours in _parts(table):
        gaps = _gaps_of(table, time, step, interval_hours)
        found.append(_coverage(name, time, gaps, now))
        findings += _gap_findings(table.kind, name, time, gaps, since)
    return found, findings


def _parts(table: Table) -> list[tuple[str, IntArray, FloatArray | None]]:
    """Name, times and funding intervals of the rows with a value."""
    if table.kind == "funding":
        there = table.present
        given = table.column("funding_interval_hours")
        return [(table.name, table.time[there], given[there])]
    if table.kind != "positioning":
        return [(table.name, table.time[table.present], None)]
    parts: list[tuple[str, IntArray, FloatArray | None]] = []
    for names in _alike({name: ~np.isnan(values) for name, values in table.columns.items()}):
        there = np.logical_and.reduce([~np.isnan(table.columns[name]) for name in names])
        if there.any():
            parts.append((f"{table.name}: {', '.join(names)}", table.time[there], None))
    return parts


def _alike(there: Mapping[str, BoolArray]) -> list[list[str]]:
    """Columns that are there at the same times, but for single cells."""
    groups: list[list[str]] = []
    for name, flag in there.items():
        for group in groups:
            other = there[group[0]]
            if np.count_nonzero(flag != other) <= _SINGLE_CELLS * np.count_nonzero(flag | other):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _gaps_of(table: Table, time: IntArray, step: int, interval_hours: FloatArray | None) -> Gaps:
    if table.kind == "bars":
        return gaps_on_grid(time, step)
    if interval_hours is not None:
        return settlement_gaps(time, interval_hours)
    return find_gaps(time, shortest_hours=table.stale_after_hours if table.kind == "signal" else 0.0)


def _coverage(name: str, time: IntArray, gaps: Gaps, now: int) -> Coverage:
    if not len(time):
        return Coverage(name, None, None, None, 0, 0, None)
    longest = int(np.diff(time)[gaps.before].max()) if len(gaps.before) else 0
    week, weekly = _weekly(time, gaps)
    return Coverage(
        name,
        None if gaps.usual is None else gaps.usual / 60_000,
        stamp(time[0]),
        stamp(time[-1]),
        len(time) + gaps.total,
        len(time),
        (now - int(time[-1])) / _HOUR,
        longest / _HOUR,
        stamp(week),
        weekly,
    )


def _weekly(time: IntArray, gaps: Gaps) -> tuple[int, tuple[float, ...]]:
    """First Monday and the share of rows in each week; a row at a week's very start ends the one before.

    Rows that a gap lacks are taken as evenly spread in it; the cost does not grow with its length.
    """
    first = (int(time[0]) - 1 - _FIRST_MONDAY) // WEEK
    last = (int(time[-1]) - 1 - _FIRST_MONDAY) // WEEK
    edges = _FIRST_MONDAY + WEEK * np.arange(first, last + 2)
    rows = np.searchsorted(time, edges, side="right")
    there = np.diff(rows)
    missing = np.zeros(len(time), dtype=np.int64)
    missing[gaps.before] = gaps.missing
    at = np.maximum(rows - 1, 0)
    before = np.concatenate(([0], np.cumsum(missing)))[at]
    step = np.maximum((time[np.minimum(at + 1, len(time) - 1)] - time[at]) // (missing[at] + 1), 1)
    lost = np.diff(before + np.clip((edges - time[at]) // step, 0, missing[at]))
    expected = there + lost
    share = np.divide(there, expected, out=np.full(len(there), np.nan), where=expected > 0)
    return int(edges[0]), tuple(np.round(share, 4).tolist())


def _gap_findings(kind: str, name: str, time: IntArray, gaps: Gaps, since: int | None) -> list[Finding]:
    """One finding for each gap; where rows are close, the long ones of a day, the short ones of a month."""
    check = "missing_bars" if kind == "bars" else "missing_rows"
    groups: dict[tuple[str, int], list[int]] = {}
    for k, before in enumerate(gaps.before):
        if since is None or time[before + 1] > since:
            groups.setdefault(_group(k, gaps, int(time[before]), int(time[before + 1])), []).append(k)
    found = []
    for (what, _), members in groups.items():
        head, tail = members[0], members[-1]
        start, end = int(time[gaps.before[head]]), int(time[gaps.before[tail] + 1])
        cadence, missing = int(gaps.cadence[head]), int(gaps.missing[members].sum())
        longest = _longest(time, gaps, members)
        runs = f" in {len(members)} gaps" if len(members) > 1 else ""
        found.append(
            finding(
                check,
                name,
                start + cadence,
                max(end - int(gaps.cadence[tail]), start + cadence),
                missing,
                f"{missing:,} missing{runs}, one is expected every {hours(cadence / _HOUR)}",
                worst=longest / _HOUR,
                severity="warning" if kind in _NEEDED and what != "month" else "note",
            )
        )
    return crowded(found)


def _group(k: int, gaps: Gaps, start: int, end: int) -> tuple[str, int]:
    """What a gap is told together with."""
    if gaps.cadence[k] >= _HOUR:
        return "gap", k
    if end - start > _HOUR:
        return "day", start // _DAY
    return "month", int(np.datetime64(start, "ms").astype("datetime64[M]").astype(np.int64))


def _longest(time: IntArray, gaps: Gaps, members: list[int]) -> int:
    before = gaps.before[members]
    return int((time[before + 1] - time[before]).max())


def edge_findings(tables: list[tuple[Table, list[Coverage]]]) -> list[Finding]:
    """Tables without rows, that start late, end early, or are old by now."""
    found: list[Finding] = []
    table, (bars, *_) = tables[0]
    bars_are_old = bars.newest_age_hours is not None and bars.newest_age_hours > table.stale_after_hours
    for table, covered in tables:
        for one in covered:
            if one.first is None or one.last is None:
                continue
            # Where the bars are old, so is all that ends with them: once is enough.
            told = table.kind != "bars" and bars_are_old
            old = one.newest_age_hours is not None and one.newest_age_hours > table.stale_after_hours
            if old and not told:
                found.append(_edge("stale_table", one, one.newest_age_hours or 0.0))
            if table.kind == "bars" or bars.first is None or bars.last is None:
                continue
            late = (one.first - bars.first).total_seconds() / 86_400
            if late > _LATE_DAYS:
                found.append(_edge("starts_late", one, late))
            early = (bars.last - one.last).total_seconds() / 3_600
            if early > table.stale_after_hours:
                found.append(_edge("ends_early", one, early))
    return found


def _edge(kind: str, one: Coverage, worst: float) -> Finding:
    words = {
        "stale_table": f"the newest row is {hours(worst)} old",
        "starts_late": f"starts {worst:,.0f} days after the first bar",
        "ends_early": f"ends {hours(worst)} before the last bar",
    }
    at = one.first if kind == "starts_late" else one.last
    return Finding(kind, one.table, at, at, 0, CHECKS[kind].severity, words[kind], worst)
