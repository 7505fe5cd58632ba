"""Three venues on loopback, as ccxt talks to them over HTTP, with whatever can go wrong planted.

with start_fake(markets, now=utc("2024-06-01")) as fake:
    Exchange("okx", url=fake.url, now=fake.clock)
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
from fake_binance import binance_routes
from fake_bybit import bybit_routes
from fake_market import FakeMarket
from fake_okx import okx_routes

from features.raw import RawMarket

__all__ = ["Fake", "Fault", "start_fake"]


@dataclass
class Fault:
    """What happens to requests whose path holds ``path``.

    Attributes
    ----------
    path : str
    times : int
        How often; then the fault is over.
    status, body, headers
        Answer in place of the true one, where ``status`` is given.
    change : callable, optional
        Gets the JSON of the true answer, gives another.
    hang, drop : bool
        No answer at all, the line kept open or cut.
    """

    path: str
    times: int = 1_000_000
    status: int | None = None
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[Any], Any] | None = None
    hang: bool = False
    drop: bool = False


class Fake:
    """The running server: its address, its clock, its faults, and what it was asked.

    Attributes
    ----------
    url : str
    now : pandas.Timestamp or None
        Time that the venues believe it is; ``None``: the real one. May be moved.
    faults : list of Fault
        The first that fits and is not used up.
    asked : list of (path, query)
    """

    def __init__(self, markets: Mapping[str, RawMarket], now: pd.Timestamp | None) -> None:
        self.now = now
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        known = {name: FakeMarket(raw, self._ms) for name, raw in markets.items()}
        self._routes: dict[str, Any] = {
            **binance_routes(known, self._ms),
            **okx_routes(known, self._ms),
            **bybit_routes(known, self._ms),
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __str__(self) -> str:
        return self.url

    def clock(self) -> pd.Timestamp:
        """What time it is."""
        return pd.Timestamp.now(tz="UTC") if self.now is None else self.now

    def paths(self) -> list[str]:
        """Paths asked for so far."""
        return [path for path, _ in self.asked]

    def serve(self) -> None:
        """Answer until closed."""
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Let hanging requests go and stop."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def fault(self, path: str) -> Fault | None:
        """The fault that this request meets; counts it."""
        with self._lock:
            for fault in self.faults:
                if fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """True answer to a request."""
        with self._lock:
            self.asked.append((path, query))
        route = self._routes.get(path)
        if route is None:
            return 404, {"path": path, "error": "Not Found"}
        status, content = route(query)
        return int(status), content

    def _ms(self) -> int:
        return int(self.clock().as_unit("ms").value // 1_000_000)


class _Handler(BaseHTTPRequestHandler):
    fake: Fake
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: two would wait for each other's receipt

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        fault = self.fake.fault(parts.path) or Fault("")
        status, content = self.fake.answer(parts.path, dict(parse_qsl(parts.query)))
        if fault.hang or fault.drop:
            if fault.hang:
                self.fake.closing.wait(60)
            self.close_connection = True
            return
        if fault.change is not None:
            content = fault.change(copy.deepcopy(content))
        body = json.dumps(content)
        kind = "application/json"
        if fault.status is not None:
            status, body = fault.status, fault.body
            kind = "text/html" if body.startswith("<") else kind
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in fault.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def start_fake(markets: Mapping[str, RawMarket], *, now: pd.Timestamp | None = None) -> Iterator[Fake]:
    """Serve simulated markets as all three venues until the block ends.

    Parameters
    ----------
    markets : mapping of str to RawMarket
        Hourly, by names such as ``BTCUSDT``.
    now : pandas.Timestamp, optional
        Time at the venues; the real one by default. ``Fake.now`` moves it.
    """
    fake = Fake(markets, now)
    thread = threading.Thread(target=fake.serve, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.close()
        thread.join()
