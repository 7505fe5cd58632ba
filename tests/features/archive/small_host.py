"""A small archive on loopback, in this process: what it has, what it does instead, what it was asked.

For tests that change one file between two runs; the archive with every defect and the server of its
own process are in :mod:`archive_world`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pandas as pd

from features.sources.archive import ArchiveSettings, Period
from features.sources.archive.layout import HOUR_MS, ArchiveFile, days

SYMBOL = "BTCUSDT"

Answer = Callable[[BaseHTTPRequestHandler], None]


class Host:
    """What the server has: bodies by path, what it does instead, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: dict[str, bytes] = {}
        self.instead: dict[str, list[Answer]] = {}
        self.asked: Counter[str] = Counter()
        self.started: list[float] = []

    def settings(self, **more: Any) -> ArchiveSettings:
        # Two connections: server and client share one interpreter, and more only wait for its lock.
        return ArchiveSettings(
            archive_url=self.url,
            **{"backoff_seconds": 0.01, "timeout_seconds": 5.0, "attempts": 3, "connections": 2, **more},
        )

    def put(self, file: ArchiveFile, csv: str, *, checksum: str | None = None) -> str:
        """Serve a file and its checksum; gives its SHA-256."""
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(file.name.replace(".zip", ".csv")), csv)
        digest = hashlib.sha256(sink.getvalue()).hexdigest()
        self.bodies[file.path] = sink.getvalue()
        self.bodies[f"{file.path}.CHECKSUM"] = f"{checksum or digest}  {file.name}\n".encode()
        return digest

    def take_away(self, file: ArchiveFile) -> None:
        for path in (file.path, f"{file.path}.CHECKSUM"):
            self.bodies.pop(path, None)

    def zips(self) -> list[str]:
        """Names of the zips that were asked for, each as often as it was."""
        return sorted(path.rpartition("/")[2] for path in self.asked.elements() if path.endswith(".zip"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    host: ClassVar[Host]

    def do_GET(self) -> None:
        host, path = self.host, self.path.lstrip("/")
        host.started.append(time.monotonic())
        if self.command == "GET":
            host.asked[path] += 1
        queue = host.instead.get(path, [])
        if queue:
            (queue.pop(0) if len(queue) > 1 or path not in FOREVER else queue[0])(self)
            return
        body = host.bodies.get(path)
        send(self, 404 if body is None else 200, body or b"")

    do_HEAD = do_GET  # noqa: N815 - the base class calls it so

    def log_message(self, format: str, *args: Any) -> None:
        pass


FOREVER: set[str] = set()
"""Paths whose last answer is given again and again."""


def send(
    request: BaseHTTPRequestHandler, code: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> None:
    request.send_response(code)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def status(code: int, headers: Mapping[str, str] | None = None) -> Answer:
    return lambda request: send(request, code, headers=headers)


def short(request: BaseHTTPRequestHandler) -> None:
    send(request, 200, b"half", {"Content-Length": "8"})
    request.close_connection = True


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def trickle(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    try:
        for _ in range(400):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.02)
    except OSError:
        request.close_connection = True


def chunked(body: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    return answer


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""


@contextlib.contextmanager
def serving() -> Iterator[Host]:
    """The server, as long as the block runs."""
    with _Server(("127.0.0.1", 0), Handler) as server:
        Handler.host = found = Host(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            FOREVER.clear()
            server.shutdown()
            thread.join()


def bars_file(period: str) -> ArchiveFile:
    return ArchiveFile(SYMBOL, "klines", "1d", Period.parse(period))


def funding_file(period: str) -> ArchiveFile:
    return ArchiveFile(SYMBOL, "fundingRate", "", Period.parse(period))


def metrics_file(day: str) -> ArchiveFile:
    return ArchiveFile(SYMBOL, "metrics", "", Period.parse(day))


def put_bars(host: Host, period: str, price: float = 100.0) -> None:
    file = bars_file(period)
    lines = [
        f"{day.start},{price},{price + 2},{price - 2},{price + 1},5,{day.end - 1},500,3,2,200,0"
        for day in days(file.period.start, file.period.end)
    ]
    host.put(file, "\n".join(lines))


def put_funding(host: Host, month: str, interval: str = "8") -> None:
    file = funding_file(month)
    hours = range(file.period.start, file.period.end, 8 * HOUR_MS)
    host.put(
        file,
        "calc_time,funding_interval_hours,last_funding_rate\n"
        + "\n".join(f"{time},{interval},0.0001" for time in hours),
    )


def put_metrics(
    host: Host, day: str, value: float = 1e9, *, midnights: tuple[bool, bool] = (True, False)
) -> None:
    file = metrics_file(day)
    first, after = (0 if midnights[0] else 1), (289 if midnights[1] else 288)
    lines = []
    for step in range(first, after):
        time = file.period.start + step * 300_000
        stamp = pd.Timestamp(time, unit="ms").strftime("%Y-%m-%d %H:%M:%S")
        # Two days agree on what was at the midnight between them, as the exchange does.
        unit = time // 300_000 % 9973
        lines.append(f"{stamp},{SYMBOL},1,{value + unit},{1 + unit / 1e4},2,3,{unit / 1e4}")
    host.put(file, "\n".join(lines))
