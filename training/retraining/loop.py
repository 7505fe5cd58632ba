"""``retrain --every``: at fixed times after the bar close, each run in a process of its own.

A process of its own, because a fit cannot be interrupted politely and because a run may be killed at any
moment without harm: SIGTERM ends the loop within seconds, whatever the run is doing, and the next run
goes on from what was kept.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import pandas as pd

from features.errors import BearmodeError
from serving.bundle import champion
from training.retraining.current import read_current
from training.retraining.journal import Journal

__all__ = ["AFTER_CLOSE", "Loop", "next_time"]

AFTER_CLOSE = pd.Timedelta(minutes=5)
"""A run begins so long after the bar closed: the venue has published it by then."""
GRACE_SECONDS = 5.0
POLL_SECONDS = 0.25
USAGE = 2


def next_time(now: pd.Timestamp, period: pd.Timedelta) -> pd.Timestamp:
    """First time after ``now`` at which a run is due: whole periods since 1970 UTC, and five minutes.

    It does not depend on when the loop was started or how long a run took.

    Examples
    --------
    >>> next_time(pd.Timestamp("2024-03-01 07:10", tz="UTC"), pd.Timedelta(hours=6))
    Timestamp('2024-03-01 12:05:00+0000', tz='UTC')
    """
    return (now - AFTER_CLOSE).floor(period) + period + AFTER_CLOSE


@dataclass
class Loop:
    """Runs a command again and again, until it is told to stop.

    Parameters
    ----------
    command : sequence of str
        One retraining.
    period : pandas.Timedelta
    bundles : Path
        Where failures are journaled that a run could not journal itself.
    say : callable
    """

    command: Sequence[str]
    period: pd.Timedelta
    bundles: Path
    say: Callable[[str], None]
    stopping: bool = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; gives the exit status.

        The first run begins at once where the last due time has passed without one.
        """
        with self._signals():
            due = self._first()
            while not self.stopping:
                if due > _now():
                    self.say(f"next run at {due:%Y-%m-%d %H:%M} UTC")
                if not self._reached(due):
                    break
                if self._once() == USAGE:
                    return USAGE
                due = next_time(_now(), self.period)
        self.say("stopped; the champion and what was kept are whole")
        return 0

    def _reached(self, due: pd.Timestamp) -> bool:
        """Wait for a time; false where the loop was told to stop before it."""
        while not self.stopping:
            left = (due - _now()).total_seconds()
            if left <= 0:
                return True
            time.sleep(min(left, POLL_SECONDS))
        return False

    def _first(self) -> pd.Timestamp:
        now = _now()
        due = next_time(now, self.period)
        last = read_current(self.bundles)
        served = last is not None and last.outcome is not None
        if served and last is not None and pd.Timestamp(last.started_at) >= due - self.period:
            return due
        return now

    def _once(self) -> int:
        """One run in a process of its own; its end is waited for, or brought about."""
        child = subprocess.Popen(list(self.command), start_new_session=True)  # noqa: S603 - our own command
        while not self.stopping:
            try:
                child.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            return 0
        if child.returncode < 0:
            self._journal(f"the run was killed by signal {-child.returncode}")
        if child.returncode:
            self.say(f"the run ended with status {child.returncode}; the loop goes on")
        return child.returncode

    def _journal(self, reason: str) -> None:
        self.say(reason)
        try:
            found = champion(self.bundles)
            entry = {"action": "failure", "job": "retrain", "error": "killed", "reason": reason}
            Journal(self.bundles).append({**entry, "champion": None if found is None else found.version})
        except (BearmodeError, OSError) as error:
            self.say(f"this could not be journaled: {error}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _now() -> pd.Timestamp:
    return pd.Timestamp(datetime.now(UTC))
