"""One line of the health report: a name, a state, and the reason for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import Literal

__all__ = ["STATES", "Check", "graded", "worst"]

State = Literal["ok", "unknown", "warn", "bad"]
STATES: tuple[State, ...] = ("ok", "warn", "bad")
"""From best to worst; unknown is what cannot be said yet, and is no worse than ok."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        Stable, such as ``drift_30d``.
    state : {"ok", "unknown", "warn", "bad"}
    words : str
        The number and what it is measured by.
    """

    name: str
    state: State
    words: str


def graded(value: float, warn: float, bad: float) -> State:
    """State of a number that is better the smaller it is; ``unknown`` where it is NaN.

    Examples
    --------
    >>> graded(0.1, 0.15, 0.24), graded(0.2, 0.15, 0.24), graded(0.3, 0.15, 0.24)
    ('ok', 'warn', 'bad')
    """
    if isnan(value):
        return "unknown"
    return "bad" if value > bad else "warn" if value > warn else "ok"


def worst(checks: Iterable[Check]) -> State:
    """The worst state of some checks; ``ok`` where nothing is known."""
    known = [check.state for check in checks if check.state != "unknown"]
    return max(known, key=STATES.index, default="ok")
