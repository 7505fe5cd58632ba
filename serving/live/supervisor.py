"""Keeps the live process running: started again when it ends or gives no sign of life.

Nothing of it touches the workers: whatever becomes of the live process, requests are answered.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from serving.live.state_files import STATUS

__all__ = ["Supervisor"]

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
HEALTHY_SECONDS = 300.0
"""A process that ran so long is started again at once."""
SILENT_SECONDS = 60.0
"""One without a sign of life for so long hangs; it has this long to start, too."""
END_SECONDS = 5.0


class Supervisor:
    """One child; call :meth:`look` every now and then, and :meth:`end` at the end.

    Parameters
    ----------
    state : Path
        Folder whose ``status.json`` is the sign of life.
    environment : mapping of str to str
    say : callable
        Takes a line for the operator.
    command : sequence of str, optional
    monotonic : callable
    """

    def __init__(
        self,
        state: Path,
        environment: Mapping[str, str],
        say: Callable[[str], None],
        *,
        command: Sequence[str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status, self._environment, self._say = state / STATUS, dict(environment), say
        self._command = command or [sys.executable, "-m", "serving.live.process"]
        self._monotonic = monotonic
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = self._heard_at = 0.0
        self._start_at: float | None = monotonic()
        self._sign: object = None
        self.restarts = 0

    def look(self) -> None:
        """Start the child if it is time to; end it if it hangs; plan its restart if it ended."""
        now = self._monotonic()
        if self._child is None:
            if self._start_at is not None and now >= self._start_at:
                self._start(now)
            return
        code = self._child.poll()
        if code is not None:
            self._ended(now, f"ended with status {code}")
            return
        sign = self._stamp()
        if sign != self._sign:
            self._sign, self._heard_at = sign, now
        elif now - self._heard_at > SILENT_SECONDS:
            self._kill()
            self._ended(now, f"gave no sign of life for {SILENT_SECONDS:.0f} s")

    def ask_to_end(self) -> None:
        """Ask the child to end, without waiting."""
        self._start_at = None
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.terminate()

    def end(self) -> None:
        """End the child and all that it started."""
        self.ask_to_end()
        if self._child is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(END_SECONDS)
        self._kill()
        self._child = None

    def _start(self, now: float) -> None:
        # A group of its own: an update that it started ends with it.
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            self._command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._started_at = self._heard_at = now
        self._sign = self._stamp()

    def _ended(self, now: float, how: str) -> None:
        self._kill()
        self._child = None
        if now - self._started_at >= HEALTHY_SECONDS:
            self.restarts = 0
        wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(self.restarts, 30), LONGEST_WAIT_SECONDS)
        self.restarts += 1
        self._start_at = now + wait
        self._say(f"the live process {how}; it is started again in {wait:.0f} s, requests go on")

    def _kill(self) -> None:
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._status.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
