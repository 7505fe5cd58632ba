"""The fear & greed index over HTTP: a real server on loopback, with every way to fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pandas as pd
import pytest
from histories import utc

from features.errors import BearmodeError, DataError, UsageError
from features.sources.fear_greed import ATTEMPTS, ATTRIBUTION, fetch_fear_greed

NOW = utc("2024-03-05 12:00")
Answer = tuple[int, bytes]


@contextmanager
def served(answer: Callable[[int], Answer]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives the n-th request its answer; its address, and the paths asked so far."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answer(len(asked))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/fng/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def days(*values: tuple[str, object]) -> list[dict[str, Any]]:
    return [
        {
            "value": value if not isinstance(value, int) else str(value),
            "value_classification": "Fear",
            "timestamp": str(int(utc(day).timestamp())),
            "time_until_update": "100",
        }
        for day, value in values
    ]


def body(rows: object) -> bytes:
    return json.dumps({"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}).encode()


def fetch(answer: bytes) -> tuple[pd.DataFrame, list[tuple[str, int]]]:
    with served(lambda _: (200, answer)) as (url, _):
        table, ledger = fetch_fear_greed(url, now=NOW, backoff_seconds=0.01)
    return table, [(entry.kind, entry.count) for entry in ledger]


def test_a_days_value_is_known_at_its_end_and_today_is_not_over() -> None:
    table, ledger = fetch(body(days(("2024-03-05", 70), ("2024-03-04", 60), ("2024-03-03", 50))))
    assert table["time"].tolist() == [utc("2024-03-04"), utc("2024-03-05")]
    assert table["fear_greed"].tolist() == [50.0, 60.0]
    assert [str(kind) for kind in table.dtypes] == ["datetime64[ms, UTC]", "float64"]
    assert ledger == []
    assert "alternative.me" in ATTRIBUTION


def test_missing_and_doubled_days_are_named() -> None:
    rows = days(("2024-03-04", 60), ("2024-03-04 11:00", 9), ("2024-03-01", 50))
    table, ledger = fetch(body(rows))
    assert table["fear_greed"].tolist() == [50.0, 60.0]
    assert ledger == [("double_rows", 1), ("missing_rows", 2)]


def test_numbers_that_are_numbers_are_taken_too() -> None:
    rows = [{"value": 55, "timestamp": int(utc("2024-03-01").timestamp())}]
    assert fetch(body(rows))[0]["fear_greed"].tolist() == [55.0]


@pytest.mark.parametrize(
    ("answer", "code", "field"),
    [
        (b"<html>Just a moment...</html>", "not_json", "data"),
        (b"", "not_json", "data"),
        (b"[1, 2]", "unexpected_shape", "data"),
        (b'{"data": {}}', "unexpected_shape", "data"),
        (body([]), "unexpected_shape", "data"),
        (body(["x"]), "unexpected_shape", "data[0].value"),
        (body(days(("2024-03-01", 5), ("2024-03-02", None))), "unexpected_shape", "data[1].value"),
        (body(days(("2024-03-01", "high"))), "bad_value", "data[0].value"),
        (body(days(("2024-03-01", 101))), "bad_value", "data[0].value"),
        (body(days(("2024-03-01", -1))), "bad_value", "data[0].value"),
        (body(days(("2024-03-01", "nan"))), "bad_value", "data[0].value"),
        (body([{"value": "5", "timestamp": "03-01-2024"}]), "bad_value", "data[0].timestamp"),
        (body([{"value": "5", "timestamp": "1709251200000"}]), "bad_value", "data[0].timestamp"),
        (body([{"value": "5", "timestamp": True}]), "unexpected_shape", "data[0].timestamp"),
    ],
)
def test_what_is_no_index_is_named(answer: bytes, code: str, field: str) -> None:
    with pytest.raises(DataError) as caught:
        fetch(answer)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_server_that_recovers_is_asked_again() -> None:
    good = body(days(("2024-03-01", 5)))
    with served(lambda n: (200, good) if n == 4 else ((500, 429, 503)[n - 1], b"busy")) as (url, asked):
        table, _ = fetch_fear_greed(f"{url}?limit=0", now=NOW, backoff_seconds=0.01)
    assert len(table) == 1
    assert asked == ["/fng/?limit=0"] * 4


@pytest.mark.parametrize(("status", "requests"), [(500, ATTEMPTS), (403, 1), (451, 1), (204, 1)])
def test_a_server_that_refuses_is_one_error(status: int, requests: int) -> None:
    with served(lambda _: (status, b"")) as (url, asked), pytest.raises(BearmodeError) as caught:
        fetch_fear_greed(f"{url}?key=secret", now=NOW, backoff_seconds=0.01)
    assert caught.value.code == "fear_greed_unreachable"
    assert f"status {status}" in caught.value.message
    assert "secret" not in caught.value.one_line()
    assert len(asked) == requests


def test_nobody_there_is_one_error_without_credentials() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BearmodeError) as caught:
        fetch_fear_greed(f"http://me:secret@127.0.0.1:{port}/", backoff_seconds=0.01)
    assert caught.value.code == "fear_greed_unreachable"
    assert "secret" not in caught.value.one_line()
    assert str(port) in caught.value.message


def test_a_client_of_the_callers_is_used_and_left_open() -> None:
    with served(lambda _: (200, body(days(("2024-03-01", 5))))) as (url, _), httpx.Client() as client:
        fetch_fear_greed(url, client=client, now=NOW)
        assert not client.is_closed


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "file:///etc/passwd", "alternative.me", "http:///x", "http://a b"]
)
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError):
        fetch_fear_greed(url)
