"""An HTTP server for archives, in a process of its own, that can be told to misbehave.

It serves the files of a folder as they are on disk at that moment (so a file can be swapped between
two runs), keeps connections alive, answers thousands of small files a second on one core, and logs
every request. ``python -m benchmarks.faulty_server FOLDER`` serves until it is stopped.

A rule (:class:`Rule`) names the paths it is about, the requests of them that it spoils, and how:

=================  ============================================================================
``status``         answers with ``value`` (429, 500, 503, 404, ...) and ``Retry-After`` where given
``slow``           waits ``value`` seconds before the first byte
``trickle``        sends ``value`` bytes ten times a second, for as long as it lasts
``reset``          resets the connection after the share ``value`` of the body
``short``          promises the whole body, sends the share ``value`` of it and closes
``understate``     promises ``value`` bytes less than the body has, sends those and closes
``corrupt``        sends a body of the right length with one byte flipped
``redirect``       answers 302 to ``target``
``hang``           never answers
=================  ============================================================================
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

__all__ = ["Answered", "FaultyServer", "Rule", "serving"]

WORDS = {200: "OK", 302: "Found", 403: "Forbidden", 404: "Not Found", 418: "I'm a teapot"}
_WITHOUT_BODY = {"status", "slow", "redirect", "hang"}
"""Faults of a HEAD request; the others are of bodies."""


@dataclass
class Rule:
    """Which requests to spoil, and how.

    Attributes
    ----------
    fault : str
        One of the names in the table above.
    match : str
        Shell pattern of the paths, such as ``*.zip``; ``*`` crosses folders.
    value : float
        What the fault needs: a status, seconds, a share, bytes.
    first : int or None
        Spoil only the first so many of the matching requests.
    every : int
        Spoil only every so many-th of them.
    each : bool
        Count for every path on its own.
    retry_after : str or None
        Header of that name.
    target : str
        Where a redirect leads.
    """

    fault: str
    match: str = "*"
    value: float = 0.0
    first: int | None = None
    every: int = 1
    each: bool = False
    retry_after: str | None = None
    target: str = ""
    seen: Counter[str] = field(default_factory=Counter)

    def hits(self, path: str) -> bool:
        """Count the request; whether it is one to spoil."""
        if not fnmatchcase(path, self.match):
            return False
        key = path if self.each else ""
        self.seen[key] += 1
        return (self.first is None or self.seen[key] <= self.first) and self.seen[key] % self.every == 0


class Answered(NamedTuple):
    """One request in the log."""

    seconds: float
    """Monotonic clock of the machine, as the request came in."""
    method: str
    path: str
    status: int
    whole: bool
    """Whether all of an unspoilt body was handed to the operating system."""
    at_once: int
    """Requests being answered at that moment, this one included."""


class _State:
    """What all connections of the serving process share."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.rules: list[Rule] = []
        self.log: list[list[object]] = []
        self.open_requests = 0
        self.tasks: set[asyncio.Task[None]] = set()


class _Connection(asyncio.Protocol):
    """One client: requests one after the other, answered from the disk."""

    transport: asyncio.Transport

    def __init__(self, state: _State) -> None:
        self.state = state
        self.buffer = b""
        self.busy = False
        self.head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._next()

    def _next(self) -> None:
        while not self.busy:
            head, mark, rest = self.buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            request, _, headers = head.decode("latin-1").partition("\r\n")
            length = 0
            for line in headers.split("\r\n"):
                if line[:15].lower() == "content-length:":
                    length = int(line[15:])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            method, target = request.split(" ")[:2]
            path = unquote(target.partition("?")[0])
            self.head = method == "HEAD"
            if path.startswith("/_"):
                self._control(path, rest[:length])
            else:
                self._answer(method, path)

    def _send(self, status: int, body: bytes, *headers: str, length: int | None = None) -> None:
        size = len(body) if length is None else length
        extra = "".join(f"{line}\r\n" for line in headers)
        head = f"HTTP/1.1 {status} {WORDS.get(status, 'Trouble')}\r\nContent-Length: {size}\r\n{extra}\r\n"
        self.transport.write(head.encode() + (b"" if self.head else body))

    def _control(self, path: str, body: bytes) -> None:
        state = self.state
        answer: object = "done"
        if path == "/_rules":
            state.rules = [Rule(**{**one, "seen": Counter()}) for one in json.loads(body)]
        elif path == "/_forget":
            state.log.clear()
        else:
            answer = state.log
        self._send(200, json.dumps(answer).encode())

    def _answer(self, method: str, path: str) -> None:
        state = self.state
        state.open_requests += 1
        entry: list[object] = [time.monotonic(), method, path, 0, False, state.open_requests]
        state.log.append(entry)
        # All rules count the request, the first that hits spoils it.
        spoilt = [rule for rule in state.rules if rule.hits(path)]
        file = state.root / path.lstrip("/")
        try:
            body: bytes | None = file.read_bytes() if ".." not in path else None
        except OSError:
            body = None
        if spoilt and (not self.head or spoilt[0].fault in _WITHOUT_BODY):
            self.busy = True
            task = asyncio.get_running_loop().create_task(self._spoil(spoilt[0], body, entry))
            state.tasks.add(task)
            task.add_done_callback(state.tasks.discard)
            return
        self._plain(body, entry)
        state.open_requests -= 1

    def _plain(self, body: bytes | None, entry: list[object]) -> None:
        entry[3] = 404 if body is None else 200
        if body is None:
            self._send(404, b"no such key")
        else:
            self._send(200, body)
            entry[4] = not self.transport.is_closing() and not self.head

    async def _spoil(self, rule: Rule, body: bytes | None, entry: list[object]) -> None:
        entry[3] = 200
        try:
            await self._spoilt_answer(rule, body, entry)
        finally:
            self.state.open_requests -= 1
            self.busy = False
        self._next()

    async def _spoilt_answer(self, rule: Rule, body: bytes | None, entry: list[object]) -> None:
        if rule.fault == "status":
            entry[3] = int(rule.value)
            headers = [] if rule.retry_after is None else [f"Retry-After: {rule.retry_after}"]
            self._send(int(rule.value), b"go away", *headers)
        elif rule.fault == "redirect":
            entry[3] = 302
            self._send(302, b"", f"Location: {rule.target}")
        elif rule.fault == "hang":
            while not self.transport.is_closing():
                await asyncio.sleep(0.05)
        elif rule.fault == "slow" or body is None:
            await asyncio.sleep(rule.value if rule.fault == "slow" else 0)
            self._plain(body, entry)
        elif rule.fault == "trickle":
            self._send(200, b"", length=len(body))
            step = max(1, int(rule.value))
            for start in range(0, len(body), step):
                if self.transport.is_closing():
                    return
                self.transport.write(body[start : start + step])
                await asyncio.sleep(0.1)
            entry[4] = True
        elif rule.fault == "reset":
            self._send(200, body[: int(len(body) * rule.value)], length=len(body))
            await asyncio.sleep(0.01)
            self._reset()
        elif rule.fault == "short":
            self._send(200, body[: int(len(body) * rule.value)], length=len(body))
            self.transport.close()
        elif rule.fault == "understate":
            size = max(0, len(body) - int(rule.value))
            self._send(200, body[:size], length=size)
            self.transport.close()
        elif rule.fault == "corrupt":
            middle = len(body) // 2
            self._send(200, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])
        else:
            raise ValueError(f"no fault is named {rule.fault!r}")

    def _reset(self) -> None:
        """Close so that the client sees a reset and not an end."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class FaultyServer:
    """The other side of a serving process: its address, its rules, its log."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def spoil(self, *rules: Rule) -> None:
        """Put these rules in the place of all earlier ones."""
        self._ask("/_rules", json.dumps([asdict(rule) for rule in rules]))

    def forget(self) -> None:
        """Empty the log."""
        self._ask("/_forget", "")

    def log(self) -> list[Answered]:
        """Every request since the start or the last :meth:`forget`."""
        return [Answered(*entry) for entry in self._ask("/_log", "")]

    def asked(self, pattern: str = "*.zip") -> Counter[str]:
        """How often the content of each path was requested: GET, not HEAD."""
        return Counter(
            one.path for one in self.log() if one.method == "GET" and fnmatchcase(one.path, pattern)
        )

    def _ask(self, path: str, body: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, body)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, rules: Sequence[Rule] = ()) -> Iterator[FaultyServer]:
    """Serve a folder on a free port of loopback, from a process of its own, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.faulty_server", str(folder)],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        server = FaultyServer(int(process.stdout.readline()))
        if rules:
            server.spoil(*rules)
        yield server
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def _serve(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    state = _State(folder)
    server = await loop.create_server(lambda: _Connection(state), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
