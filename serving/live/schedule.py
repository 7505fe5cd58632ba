"""When the source is asked: after each bar's close, and whatever the clock does.

Two clocks are looked at. The wall clock says which bar should be there; the monotonic one says how
long something took, and where the two part the wall clock was set.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

__all__ = ["ClockJump", "JumpWatch", "Schedule", "wall_clock"]

LONGEST_RETRY_SECONDS = 300.0
JUMP_SECONDS = 5.0
"""Slower drifts are a time service at work."""


def wall_clock(began: pd.Timestamp | None = None, speed: float = 1.0) -> Callable[[], pd.Timestamp]:
    """The time now, UTC; or that of a clock which began at a moment and runs faster."""
    if began is None and speed == 1.0:
        return _utc_now
    start = _utc_now() if began is None else began
    zero = time.monotonic()
    return lambda: (start + pd.Timedelta(seconds=(time.monotonic() - zero) * speed)).floor("ms")


def _utc_now() -> pd.Timestamp:
    return pd.Timestamp.now(tz="UTC").floor("ms")


@dataclass(frozen=True)
class ClockJump:
    """The wall clock was set.

    Attributes
    ----------
    at : pandas.Timestamp
        By the new time.
    seconds : float
        Forward if positive.
    """

    at: pd.Timestamp
    seconds: float


class JumpWatch:
    """Notices that the wall clock was set.

    Parameters
    ----------
    now : callable
        Wall clock.
    monotonic : callable
        Seconds that nobody sets.
    speed : float
        Seconds of the wall clock in a second.
    """

    def __init__(
        self,
        now: Callable[[], pd.Timestamp],
        monotonic: Callable[[], float] = time.monotonic,
        speed: float = 1.0,
    ) -> None:
        self._now, self._monotonic, self._speed = now, monotonic, speed
        self._before = (now(), monotonic())

    def look(self) -> ClockJump | None:
        """The jump since the last look; ``None`` where time simply went on."""
        now, mark = self._now(), self._monotonic()
        before, before_mark = self._before
        self._before = (now, mark)
        off = (now - before).total_seconds() - (mark - before_mark) * self._speed
        return ClockJump(now, off) if abs(off) > JUMP_SECONDS * max(1.0, self._speed) else None


class Schedule:
    """Due times of updates.

    Parameters
    ----------
    step : pandas.Timedelta
        Of the bars.
    delay, jitter : float
        Seconds after the close: at least, and how much more at most.
    retry : float
        Seconds until the first repetition of what failed or came too early.
    rng : random.Random, optional

    Examples
    --------
    >>> schedule = Schedule(pd.Timedelta(hours=1), 20.0, 0.0, 15.0)
    >>> now = pd.Timestamp("2024-01-01 10:30", tz="UTC")
    >>> schedule.is_due(now)
    True
    >>> schedule.finished(now, complete=True)
    >>> schedule.next_at(now)
    Timestamp('2024-01-01 11:00:20+0000', tz='UTC')
    """

    def __init__(
        self,
        step: pd.Timedelta,
        delay: float,
        jitter: float,
        retry: float,
        rng: random.Random | None = None,
    ) -> None:
        self.step = step
        self._delay, self._jitter, self._retry = delay, jitter, retry
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._next: pd.Timestamp | None = None
        self._failures = 0

    def expected(self, now: pd.Timestamp) -> pd.Timestamp:
        """Close of the newest bar that the source can be expected to have."""
        return (now - pd.Timedelta(seconds=self._delay)).floor(self.step)

    def is_due(self, now: pd.Timestamp) -> bool:
        """Whether to ask now; the first time at once."""
        return self._next is None or now >= self.next_at(now)

    def next_at(self, now: pd.Timestamp) -> pd.Timestamp:
        """The next due time; drawn anew if the clock was set back before it."""
        if self._next is None:
            return now
        latest = now + self.step + pd.Timedelta(seconds=self._delay + self._jitter)
        if self._next > latest:
            self._next = self._regular(now)
        return self._next

    def finished(self, now: pd.Timestamp, *, complete: bool) -> None:
        """Set the next due time: after the next close, or sooner where something is still missing."""
        regular = self._regular(now)
        if complete:
            self._failures = 0
            self._next = regular
            return
        wait = min(self._retry * 2.0**self._failures, max(LONGEST_RETRY_SECONDS, self._retry))
        self._failures = min(self._failures + 1, 30)
        self._next = min(now + pd.Timedelta(seconds=wait * self._rng.uniform(0.8, 1.2)), regular).floor("ms")

    def at_once(self) -> None:
        """Ask at the next look: the clock was set, or something else changed everything."""
        self._next = None

    def _regular(self, now: pd.Timestamp) -> pd.Timestamp:
        wait = self._delay + self._rng.uniform(0.0, self._jitter)
        return (self.expected(now) + self.step + pd.Timedelta(seconds=wait)).floor("ms")
