"""An update in a process of its own: one that hangs can be ended, and its memory comes back.

``python -m serving.live.feed_process JOB RESULT`` reads the job as JSON from one file and writes the
results to the other.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from features.errors import BearmodeError
from features.json_file import write_json
from serving.live.feeds import FeedJob, FeedResult, open_feed

__all__ = ["FeedProcess", "main"]

END_SECONDS = 3.0


class FeedProcess:
    """One running update; ask :meth:`results` again and again.

    Parameters
    ----------
    job : FeedJob
    seconds : float
        It is killed after that.
    command : callable, optional
        Takes the two files, gives the command; for tests.
    monotonic : callable, optional
    """

    def __init__(
        self,
        job: FeedJob,
        seconds: float,
        *,
        command: Callable[[Path, Path], list[str]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job, self._seconds, self._monotonic = job, seconds, monotonic
        self._folder = tempfile.TemporaryDirectory(prefix="bearmode-feed-")
        folder = Path(self._folder.name)
        self._result = folder / "result.json"
        write_json(folder / "job.json", {**asdict(job), "seconds": seconds})
        make = _command if command is None else command
        self._deadline = monotonic() + seconds
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            make(folder / "job.json", self._result), stdin=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def results(self) -> list[FeedResult] | None:
        """Results of all symbols, or ``None`` while it runs; one that takes too long is ended here."""
        code = self._child.poll()
        if code is None:
            if self._monotonic() < self._deadline:
                return None
            self.end()
            return self._all("source_timeout", f"the source did not answer within {self._seconds:g} s")
        try:
            content = json.loads(self._result.read_bytes())
            found = {one["symbol"]: FeedResult.from_dict(one) for one in content}
        except (OSError, ValueError, KeyError, TypeError):
            found = {}
        self.end()
        lost = f"the update ended with status {code}"
        return [found.get(symbol, FeedResult(symbol, 0, "update_died", lost)) for symbol in self._job.symbols]

    def end(self) -> None:
        """End the process, if it runs, and remove its files."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def _all(self, code: str, message: str) -> list[FeedResult]:
        return [FeedResult(symbol, 0, code, message) for symbol in self._job.symbols]


def _command(job: Path, result: Path) -> list[str]:
    return [sys.executable, "-m", "serving.live.feed_process", str(job), str(result)]


def main(job_file: Path, result_file: Path) -> int:
    """Run a job in this process."""
    content = json.loads(job_file.read_bytes())
    # Should the live process be killed, nobody ends this one: an alarm does.
    signal.alarm(int(content.pop("seconds")) + 30)
    job = FeedJob(**{**content, "symbols": tuple(content["symbols"])})
    try:
        results = open_feed(job.source)(job)
    except BearmodeError as error:
        results = [FeedResult.failed(symbol, error) for symbol in job.symbols]
    write_json(result_file, [asdict(one) for one in results])
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
