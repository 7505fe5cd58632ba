"""Two sources side by side: what they say of the same times."""

from __future__ import annotations

import numpy as np

from features.audit.checks import TOLERANCES
from features.audit.findings import Agreement, Finding, FloatArray, IntArray, milliseconds, stamp
from features.audit.tables import Table, finding

__all__ = ["compare"]

_MINUTE = 60_000


def compare(here: list[Table], there: list[Table]) -> tuple[list[Agreement], list[Finding]]:
    """Compare bars, funding and open interest on their common times.

    Parameters
    ----------
    here, there : list of Table
        All tables of the market under audit, and of the other one.

    Returns
    -------
    agreement : list of Agreement
        One for each column that both have.
    findings : list of Finding
        ``disagreement`` for each column beyond its tolerance, ``only_there`` for times that only
        the other one has, ``not_comparable`` for tables without a common time.
    """
    own, other = ({table.name: table for table in tables} for tables in (here, there))
    agreements: list[Agreement] = []
    findings: list[Finding] = []
    for name, columns in TOLERANCES.items():
        if name not in own or name not in other:
            continue
        left, right = _rows(own[name]), _rows(other[name])
        if not len(left[0]) or not len(right[0]):
            continue
        common, at_left, at_right = np.intersect1d(left[0], right[0], return_indices=True)
        if not len(common):
            words = f"this source has {_span(left[0])}, the other {_span(right[0])}"
            start, end = int(left[0][0]), int(left[0][-1])
            findings.append(finding("not_comparable", name, start, end, 0, words))
            continue
        only_here, only_there = (_apart(mine[0], common) for mine in (left, right))
        if len(only_there):
            start, end = int(only_there[0]), int(only_there[-1])
            words = f"{len(only_there):,} times that only the other source has"
            findings.append(finding("only_there", name, start, end, len(only_there), words))
        for column, tolerance, relative in columns:
            if column not in left[1] or column not in right[1]:
                continue
            values = left[1][column][at_left], right[1][column][at_right]
            one = _column(name, column, common, values, tolerance, relative, len(only_here), len(only_there))
            agreements.append(one)
            findings += _disagreement(one)
    return agreements, findings


def _rows(table: Table) -> tuple[IntArray, dict[str, FloatArray]]:
    """Times of the rows with a value, settlements to the minute, and the columns."""
    there = table.present
    time = table.time[there]
    columns = {name: values[there] for name, values in table.columns.items()}
    if table.kind != "funding":
        return time, columns
    rounded = (time + _MINUTE // 2) // _MINUTE * _MINUTE
    last = np.append(np.diff(rounded) > 0, True)[: len(rounded)]
    return rounded[last], {name: values[last] for name, values in columns.items()}


def _apart(time: IntArray, common: IntArray) -> IntArray:
    """Times that are not common, between the first and the last that are."""
    inside = time[(time > common[0]) & (time < common[-1])]
    return np.setdiff1d(inside, common, assume_unique=True)


def _column(
    table: str,
    column: str,
    time: IntArray,
    values: tuple[FloatArray, FloatArray],
    tolerance: float,
    relative: bool,
    only_here: int,
    only_there: int,
) -> Agreement:
    both = np.isfinite(values[0]) & np.isfinite(values[1])
    when, own, other = time[both], values[0][both], values[1][both]
    difference = np.abs(own - other)
    scale = np.maximum(np.abs(own), np.abs(other))
    if relative:
        difference = np.divide(difference, scale, out=np.zeros(len(when)), where=scale > 0)
    beyond = np.flatnonzero(difference > tolerance)
    at = int(difference.argmax()) if len(when) else -1
    ratio = other[own != 0] / own[own != 0]
    return Agreement(
        table,
        column,
        tolerance,
        relative,
        len(when),
        len(beyond),
        float(difference[at]) if len(when) else None,
        stamp(when[at]) if len(when) else None,
        stamp(when[beyond[0]]) if len(beyond) else None,
        stamp(when[beyond[-1]]) if len(beyond) else None,
        float(np.median(ratio)) if len(ratio) else None,
        only_here,
        only_there,
    )


def _disagreement(one: Agreement) -> list[Finding]:
    if not one.beyond or one.first is None or one.last is None or one.largest is None:
        return []
    shown = f"{100 * one.largest:.3g} %" if one.relative else f"{one.largest:.3g}"
    allowed = f"{100 * one.tolerance:g} %" if one.relative else f"{one.tolerance:g}"
    words = (
        f"{one.column}: {one.beyond:,} of {one.compared:,} differ by more than {allowed}, "
        f"most by {shown} at {one.largest_at:%Y-%m-%d %H:%M}"
    )
    if one.relative and one.median_ratio is not None and abs(one.median_ratio - 1) > one.tolerance:
        words += f"; the other is {one.median_ratio:.3g} times this one throughout"
    start, end = milliseconds(one.first), milliseconds(one.last)
    return [finding("disagreement", one.table, start, end, one.beyond, words, worst=one.largest)]


def _span(time: IntArray) -> str:
    return f"{stamp(time[0]):%Y-%m-%d %H:%M} to {stamp(time[-1]):%Y-%m-%d %H:%M}"
