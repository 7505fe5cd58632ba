"""A Dask cluster of real processes on loopback, for the tests of work on many symbols."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from symbol_work import wait_until

__all__ = ["Cluster", "cluster"]

ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """A scheduler and its workers, one thread each and without a nanny: a killed one stays away."""

    def __init__(self, folder: Path, *, allowed_failures: int = 3) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self._environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
        }
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(port))

    def add(self, *options: str) -> subprocess.Popen[bytes]:
        """Start one more worker."""
        common = ("--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--death-timeout", "30")
        local = ("--local-directory", str(self.folder), "--memory-limit", "0")
        self.workers.append(self._start("worker", self.address, *common, *local, *options))
        return self.workers[-1]

    def clear(self) -> None:
        """Kill all workers."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()

    def end(self) -> None:
        """Kill all there is."""
        self.clear()
        self.scheduler.kill()
        self.scheduler.wait()

    def wait_for(self, workers: int) -> None:
        """Wait until so many workers have told the scheduler."""
        log = self.folder / "scheduler.log"
        wait_until(lambda: log.read_text().count("Register worker") >= workers)

    def _start(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *options],
                env=self._environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )


@contextmanager
def cluster(folder: Path, *, workers: int = 2, allowed_failures: int = 3) -> Iterator[Cluster]:
    """A cluster while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Cluster(folder, allowed_failures=allowed_failures)
    try:
        for _ in range(workers):
            found.add()
        yield found
    finally:
        found.end()
