"""How old the newest bar of a market is, in seconds and in a word."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from features.raw import interval_delta

__all__ = ["DataState", "age_seconds", "data_state"]

DataState = Literal["current", "late", "stale", "ahead"]
"""``current``: no bar is overdue. ``late``: one or two are. ``stale``: more. ``ahead``: the newest bar closes
in this machine's future, so its clock or the data is wrong."""

_GRACE = 12
"""A bar has a twelfth of its interval to arrive."""
_LATE_BARS = 3


def age_seconds(newest_close: pd.Timestamp, now: pd.Timestamp) -> int:
    """Whole seconds since the newest bar closed; negative where it closes in the future.

    Examples
    --------
    >>> noon = pd.Timestamp("2024-01-01 12:00", tz="UTC")
    >>> age_seconds(noon, noon + pd.Timedelta(minutes=90))
    5400
    """
    return int((now - newest_close).total_seconds() // 1)


def data_state(newest_close: pd.Timestamp, now: pd.Timestamp, interval: str) -> DataState:
    """What the age of the newest bar means.

    Parameters
    ----------
    newest_close, now : pandas.Timestamp
        UTC.
    interval : str

    Examples
    --------
    >>> noon = pd.Timestamp("2024-01-01 12:00", tz="UTC")
    >>> [data_state(noon, noon + pd.Timedelta(minutes=m), "1h") for m in (-6, 64, 66, 184, 186)]
    ['ahead', 'current', 'late', 'late', 'stale']
    """
    bar = interval_delta(interval)
    grace, age = bar / _GRACE, now - newest_close
    if age < -grace:
        return "ahead"
    if age < bar + grace:
        return "current"
    return "late" if age < _LATE_BARS * bar + grace else "stale"
