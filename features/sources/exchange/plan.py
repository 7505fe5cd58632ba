"""Which stamps of each table are worth a question: none where nothing new can be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from features.errors import UsageError
from features.raw import INTERVALS
from features.sources.exchange.venue import HOUR, Statistic, Venue

__all__ = ["KINDS", "Plan", "Want", "milliseconds"]

KINDS = ("bars", "funding", "open_interest", "positioning", "taker_volume")
"""What ``since`` may name."""
_FOUNDED = 1_514_764_800_000
"""2018-01-01: no venue had a linear perpetual before."""
_LOOK_BACK = 90 * 24 * HOUR
"""Of a table that the store has nothing of, where the venue states no limit."""


@dataclass(frozen=True, slots=True)
class Want:
    """Stamps of one table, Unix ms, both included.

    Attributes
    ----------
    first, last : int
        Of the rows to ask for; there are none where ``first > last``.
    asked : int
        The user's ``since``, as the time of a row: known after it.
    cut : bool
        The venue does not keep what was asked for.
    """

    first: int
    last: int
    asked: int
    cut: bool = False

    def __bool__(self) -> bool:
        return self.first <= self.last


@dataclass(frozen=True)
class Plan:
    """The questions of one fetch.

    Parameters
    ----------
    venue : Venue
    interval : str
    since : mapping of str to pandas.Timestamp or None
        By kind; what is not named is not asked for.
    end : int
        Unix ms; a row must be known by then.

    Raises
    ------
    UsageError
        For an unknown kind or interval, a time without a zone, bars without a beginning.
    """

    venue: type[Venue]
    interval: str
    since: Mapping[str, pd.Timestamp | None]
    end: int

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise UsageError(
                f"interval is {self.interval!r}, expected one of {', '.join(INTERVALS)}", field="interval"
            )
        for kind, time in self.since.items():
            if kind not in KINDS:
                raise UsageError(f"since names {kind!r}, expected {', '.join(KINDS)}", field="since")
            if time is not None and time.tz is None:
                raise UsageError(f"since of {kind} has no time zone, expected UTC", field="since")
        if "bars" in self.since and self.since["bars"] is None:
            raise UsageError("bars need a beginning", field="since", hint="give --since 2024-01-01")

    @property
    def step(self) -> int:
        """Length of a bar, ms."""
        return INTERVALS[self.interval] * HOUR

    def wants(self) -> dict[str, Want]:
        """What is worth asking, by kind."""
        found = {
            "bars": self._bars(),
            "funding": self._funding(),
            "open_interest": self._statistic("open_interest", self.venue.open_interest),
            "positioning": self._statistic("positioning", self.venue.positioning),
            "taker_volume": self._statistic("taker_volume", self.venue.taker_volume),
        }
        return {kind: want for kind, want in found.items() if want and kind in self.since}

    def _bars(self) -> Want:
        asked = self._asked("bars", 0)
        return Want((asked // self.step + 1) * self.step, (self.end // self.step - 1) * self.step, asked)

    def _funding(self) -> Want:
        asked = self._asked("funding", _LOOK_BACK)
        # A contract may settle hourly from one settlement to the next.
        return Want(asked + 1, self.end if asked + HOUR <= self.end else asked, asked)

    def _statistic(self, kind: str, kept: Statistic | None) -> Want:
        if kept is None:
            return Want(1, 0, 0)
        asked, step = self._asked(kind, kept.kept or _LOOK_BACK), kept.step
        first = ((asked - kept.lag) // step + 1) * step
        last = (self.end - kept.lag) // step * step
        reach = first if kept.kept is None else -((kept.kept - self.end) // step) * step
        return Want(max(first, reach), last, asked, cut=reach > first)

    def _asked(self, kind: str, look_back: int) -> int:
        """Time after which rows are asked for; where nothing is said, all that may be there.

        That is what the venue keeps or, without a stated limit, some months, and never less than
        the bars that are asked for.
        """
        time, bars = self.since.get(kind), self.since.get("bars")
        if time is None:
            reach = self.end - look_back
            return max(_FOUNDED, reach if bars is None else min(reach, milliseconds(bars)))
        return max(_FOUNDED, milliseconds(time))


def milliseconds(time: pd.Timestamp) -> int:
    """Unix ms of a UTC time; what is less than a ms is cut off."""
    return int(time.as_unit("ns").value // 1_000_000)
