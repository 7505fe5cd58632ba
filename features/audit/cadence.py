"""How often a table has rows, and where one is missing.

A table may change its cadence (daily rows first, five-minute rows later), and tables of several
sources do. So the expected distance is taken from the neighbours of each gap, on both sides: a
distance counts as a gap only if it is long for the side with the rarer rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.audit.checks import CHECKS
from features.audit.findings import FloatArray, IntArray
from features.bar_rules import RANGES

__all__ = ["CADENCES_MINUTES", "Gaps", "find_gaps", "gaps_on_grid", "settlement_gaps"]

CADENCES_MINUTES = (1, 5, 15, 30, 60, 120, 240, 480, 720, 1_440, 10_080, 43_200)
"""Distances that tables are made at; what is found is taken as the nearest of them."""

_MINUTE = 60_000
_HOUR = 3_600_000
_NEIGHBOURS = 24
_INTERVAL_HOURS = RANGES["funding_interval_hours"]
_USUAL_INTERVAL_HOURS = 8.0
_CHUNK = 20_000
_LOOSE = CHECKS["missing_rows"].limit


@dataclass(frozen=True)
class Gaps:
    """Where rows are missing.

    Attributes
    ----------
    before : ndarray of int64
        Position of the row before each gap.
    missing : ndarray of int64
        Rows missing in each.
    cadence : ndarray of int64
        Expected distance of rows there, in milliseconds.
    usual : int or None
        Most frequent distance of rows in the whole table, in milliseconds.
    """

    before: IntArray
    missing: IntArray
    cadence: IntArray
    usual: int | None

    @property
    def total(self) -> int:
        """Rows missing in all."""
        return int(self.missing.sum())


def gaps_on_grid(time: IntArray, step: int) -> Gaps:
    """Gaps of rows that are all ``step`` milliseconds apart.

    Examples
    --------
    >>> gaps = gaps_on_grid(np.array([0, 10, 40]), 10)
    >>> gaps.before.tolist(), gaps.missing.tolist()
    ([1], [2])
    """
    missing = np.diff(time) // step - 1
    before = np.flatnonzero(missing > 0)
    return Gaps(before, missing[before], np.full(len(before), step, dtype=np.int64), step)


def settlement_gaps(time: IntArray, interval_hours: FloatArray) -> Gaps:
    """Gaps of funding settlements, each of which says its interval.

    At a change of interval the longer of the two counts; where none is given that can be, 8 hours.
    """
    can_be = (interval_hours >= _INTERVAL_HOURS.low) & (interval_hours <= _INTERVAL_HOURS.high)
    given = np.where(can_be, interval_hours, _USUAL_INTERVAL_HOURS)
    step = np.maximum(given[:-1], given[1:]) * _HOUR
    usual = _most_frequent((given * _HOUR).astype(np.int64))
    return _gaps(time, step.astype(np.int64), usual, 0)


def find_gaps(time: IntArray, *, shortest_hours: float = 0.0) -> Gaps:
    """Gaps of rows whose cadence is taken from their neighbours.

    Parameters
    ----------
    time : ndarray of int64
        Rising, in milliseconds.
    shortest_hours : float
        Shorter distances are never a gap, whatever the cadence.
    """
    distance = np.diff(time)
    if len(distance) < 2:
        usual = int(_nearest(distance)[0]) if len(distance) else None
        none = np.empty(0, dtype=np.int64)
        return Gaps(none, none, none, usual)
    near = _nearest(distance)
    usual = _most_frequent(near)
    values, counts = np.unique(near, return_counts=True)
    closest = int(values[counts >= min(_NEIGHBOURS // 2, counts.max())].min())
    step = np.maximum(near, closest)
    long = np.flatnonzero(distance > _LOOSE * closest)
    for first in range(0, len(long), _CHUNK):
        part = long[first : first + _CHUNK]
        step[part] = _around(distance, part)
    return _gaps(time, step, usual, shortest_hours)


def _around(distance: IntArray, positions: IntArray) -> IntArray:
    """Cadence at some distances: the lower quartile of those before or after, whichever is longer."""
    reach = min(_NEIGHBOURS, len(distance) - 1)
    padded = np.pad(distance, reach, mode="reflect")
    offsets = np.arange(1, reach + 1)
    middle = positions[:, None] + reach
    left = np.quantile(padded[middle - offsets], 0.25, axis=1, method="lower")
    right = np.quantile(padded[middle + offsets], 0.25, axis=1, method="lower")
    return _nearest(np.maximum(left, right))


def _gaps(time: IntArray, step: IntArray, usual: int | None, shortest_hours: float) -> Gaps:
    distance = np.diff(time)
    is_gap = (distance > _LOOSE * step) & (distance > shortest_hours * _HOUR)
    before = np.flatnonzero(is_gap)
    missing = np.maximum(np.rint(distance[before] / step[before]).astype(np.int64) - 1, 1)
    return Gaps(before, missing, step[before], usual)


def _nearest(distance: IntArray) -> IntArray:
    """The nearest of the known cadences, by ratio."""
    known = np.array(CADENCES_MINUTES, dtype=np.float64) * _MINUTE
    edges = np.sqrt(known[:-1] * known[1:])
    return known[np.searchsorted(edges, distance)].astype(np.int64)


def _most_frequent(values: IntArray) -> int | None:
    if not len(values):
        return None
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])
