"""Services as processes on loopback, and a client that costs next to nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Running", "load", "once", "started"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Running:
    """A service that answers.

    Attributes
    ----------
    port : int
    process : psutil.Process
        Its first process.
    seconds : float
        From the start of the process to its being ready.
    """

    port: int
    process: psutil.Process
    seconds: float

    def family(self) -> list[psutil.Process]:
        """The first process and all below it."""
        return [self.process, *self.process.children(recursive=True)]

    def worker(self) -> psutil.Process:
        """The process that holds most memory of its own."""
        return max(self.family(), key=lambda one: int(one.memory_full_info().uss))

    def cpu(self) -> float:
        """Seconds of processor time of all processes."""
        total = 0.0
        for one in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
        return total


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(
    command: list[str], environment: Mapping[str, str], *, ready: str = "/readyz"
) -> Iterator[Running]:
    """Run a command until the block ends; ``{port}`` in it is the port to listen on."""
    port = free_port()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        with log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, *(part.format(port=port) for part in command)],
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "BENTOML_DO_NOT_TRACK": "True",
                    "PROMETHEUS_MULTIPROC_DIR": folder,
                    **environment,
                },
                cwd=folder,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            while not _answers(port, ready):
                if child.poll() is not None or time.perf_counter() - began > 120:
                    raise RuntimeError(f"{command} did not come up: {log.read_text()[-2000:]}")
                time.sleep(0.02)
            yield Running(port, psutil.Process(child.pid), time.perf_counter() - began)
        finally:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _answers(port: int, path: str) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        finally:
            connection.close()
    return False


def once(connection: http.client.HTTPConnection, path: str, body: bytes | None) -> bytes:
    """One request, answered 200."""
    method = "GET" if body is None else "POST"
    connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {content[:300]!r}")
    return content


def load(port: int, path: str, body: bytes | None, *, connections: int, seconds: float) -> float:
    """Answers a second with so many connections that ask without a pause."""
    counts = [0] * connections
    until = time.perf_counter() + seconds

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.perf_counter() < until:
            once(connection, path, body)
            counts[number] += 1
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)
