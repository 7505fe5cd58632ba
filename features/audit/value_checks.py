"""Checks of the tables beside the bars: funding, open interest, positioning, sentiment, signals."""

from __future__ import annotations

import numpy as np

from features.audit.checks import CHECKS
from features.audit.excursions import excursions
from features.audit.findings import BoolArray, Finding, FloatArray
from features.audit.funding_caps import funding_caps
from features.audit.tables import Table, crowded, finding, hours, runs
from features.bar_rules import RANGES, out_of_range

__all__ = ["value_findings"]

_DAY = 86_400_000
_RANGE_OF = {"open_interest_value": "open_interest"}


def value_findings(table: Table, symbol: str, now: int) -> list[Finding]:
    """Look at the values of one table that is not the bars.

    Parameters
    ----------
    table : Table
    symbol : str
        Names the cap of the funding rate.
    now : int
        Milliseconds; a later row cannot be known yet.
    """
    found = []
    later = np.flatnonzero(table.time > now)
    if len(later):
        first, last = int(table.time[later[0]]), int(table.time[later[-1]])
        words = "rows later than the time of the audit"
        found.append(finding("future_rows", table.name, first, last, len(later), words))
    for name, values in table.columns.items():
        found += _impossible(table, name, values)
    if table.kind == "funding":
        found += _beyond_cap(table, funding_caps().of(symbol))
        found += _changed_intervals(table)
    if table.kind == "open_interest":
        found += _jumps(table)
    return found


def _impossible(table: Table, name: str, values: FloatArray) -> list[Finding]:
    known = _RANGE_OF.get(name, name)
    if known in RANGES:
        wrong, expected = out_of_range(known, values), RANGES[known].words
    else:
        wrong, expected = np.isinf(values), "a finite number"
    found = []
    for first, last in runs(wrong):
        part = values[first : last + 1]
        worst = float(part[np.abs(part).argmax()])
        words = f"{name} {worst:.8g}, expected {expected}"
        start, end = int(table.time[first]), int(table.time[last])
        found.append(finding("impossible_value", table.name, start, end, len(part), words, worst=worst))
    return crowded(found)


def _beyond_cap(table: Table, cap: float) -> list[Finding]:
    rate = table.column("funding_rate")
    flag: BoolArray = np.abs(rate) > cap * (1 + CHECKS["beyond_funding_cap"].limit)
    found = []
    for first, last in runs(np.asarray(flag)):
        part = rate[first : last + 1]
        worst = 100 * float(part[np.abs(part).argmax()])
        start, end = int(table.time[first]), int(table.time[last])
        words = f"{worst:+.4f} %, the cap is {100 * cap:.2f} %"
        found.append(finding("beyond_funding_cap", table.name, start, end, len(part), words, worst=worst))
    return crowded(found)


def _changed_intervals(table: Table) -> list[Finding]:
    given = table.column("funding_interval_hours")
    rows = np.flatnonzero(np.isfinite(given) & table.present)
    hours = given[rows]
    found = []
    for k in (np.flatnonzero(np.diff(hours) != 0) + 1).tolist():
        at = int(table.time[rows[k]])
        words = f"from {hours[k - 1]:g} h to {hours[k]:g} h"
        found.append(finding("changed_interval", table.name, at, at, 1, words, worst=float(hours[k])))
    return crowded(found)


def _jumps(table: Table) -> list[Finding]:
    value = table.column("open_interest_value")
    good = table.present & ~out_of_range("open_interest", value)
    time, level = table.time[good], np.log(value[good])
    if len(level) < 2:
        return []
    near = np.diff(time, prepend=time[0]) <= 2 * _DAY
    step = np.diff(level, prepend=level[0])
    flag = near & (np.abs(step) >= np.log(CHECKS["open_interest_jump"].limit) - 1e-9)
    typical = max(int(np.median(np.diff(time))), 1)
    longest = int(np.clip(_DAY // typical, 1, 288))
    found = []
    for first, last, returned in excursions(level, flag, longest):
        factor = float(np.exp(step[first]))
        back = f", back after {hours((last + 1 - first) * typical / 3_600_000)}" if returned else ""
        words = f"{factor:.3g} times the value before{back}"
        start, end = int(time[first]), int(time[last])
        found.append(
            finding("open_interest_jump", table.name, start, end, last + 1 - first, words, worst=factor)
        )
    return crowded(found)
