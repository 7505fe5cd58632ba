"""Requests that nobody would send: made from the OpenAPI document, and made by hand.

The real service with a real bundle and a real store answers them all. No 5xx but the documented 503
and 504, no hang, no memory kept, and what it answers is what its document says.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import hypothesis
import orjson
import psutil
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from live_fixtures import served, workers
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from service_fixtures import Served
from small_training import LONG, Trained, small_histories

from serving.predictor import Predictor
from serving.schemas import VALUE_COLUMNS
from serving.window import window_request

FROM_DOCUMENT = 3_500 if LONG else 250
CHANGED = 1_500 if LONG else 200
BY_HAND = 40 if LONG else 3
"""How often each of some forty horrors is sent: all together 5,000 requests and more, or 500."""
DOCUMENTED = {503, 504}
ENDLESS = {"/v1/events"}
"""Answers that do not end: their own tests read them."""
SECONDS = 20
BODY_SECONDS = 1
WARM = tuple(
    f"/v1/{path}"
    for path in (
        "board",
        "regimes/SIMBTC",
        "signals/SIMBTC",
        "history/SIMBTC",
        "liquidation_map/SIMBTC",
        "model",
    )
)
"""What is loaded once and kept."""
GROWTH = 1.15
"""Of a worker's memory over the tests here, once it is warm: allocators keep some."""

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
JSON = {"content-type": "application/json"}
QUIET = hypothesis.settings(
    deadline=None,
    database=None,
    derandomize=not LONG,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate],
)


@pytest.fixture(scope="module")
def good(trained: Trained) -> dict[str, Any]:
    """A body that is answered 200."""
    history = small_histories()[0]
    bars = Predictor.load(trained.bundle).manifest.window_bars
    return window_request(history.window(len(history) - 1, bars))


@pytest.fixture(scope="module")
def service(
    trained: Trained, good: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The service, warm; at the end it is as well and about as large as at the beginning."""
    folder = tmp_path_factory.mktemp("fuzzed")
    settings = {
        "STORE": str(trained.places.store),
        "BUNDLE": str(trained.bundle),
        "BODY_SECONDS": str(BODY_SECONDS),
    }
    with served(folder, settings=settings) as process:
        process.wait_for("/readyz", 200)
        body = orjson.dumps(good)
        for _ in range(30):
            assert asked(process, body).status_code == 200
        for path in WARM:
            assert requests.get(f"{process.url}{path}", timeout=SECONDS).status_code < 500
        for hostile, headers in horrors(good).values():
            asked(process, hostile, **headers)
        before = memory(process)
        yield process
        for _ in range(5):
            assert asked(process, body).status_code == 200
        assert memory(process) < GROWTH * before
        assert "Traceback" not in process.output()


def memory(process: Served) -> float:
    """Bytes that the workers have for themselves."""
    return float(sum(one.memory_full_info().uss for one in workers(process)))


def asked(process: Served, body: bytes, **headers: str) -> requests.Response:
    return requests.post(f"{process.url}/v1/predict", data=body, headers=JSON | headers, timeout=SECONDS)


def checked(answer: requests.Response) -> None:
    """No failure inside, and every error in the one shape."""
    assert answer.status_code < 500 or answer.status_code in DOCUMENTED, answer.text[:500]
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        assert list(answer.json()) == ["error"]
        assert list(answer.json()["error"]) == ["code", "message", "field", "hint"]
        assert len(answer.content) < 4_000
        assert "Traceback" not in answer.text


# --- from the document ------------------------------------------------------------------------


def takes_something(operation: APIOperation[Any, Any, Any, Any]) -> bool:
    """Whether a request can be other than right."""
    return bool(operation.body or operation.path_parameters or operation.query)


def test_what_the_document_allows_and_forbids_is_answered_as_it_says(service: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{service.url}/docs.json")
    found = [one for one in schema.get_all_operations() if isinstance(one, Ok)]
    operations = [one.ok() for one in found if one.ok().path not in ENDLESS]
    assert {"/v1/predict", "/v1/model", "/v1/board"} <= {one.path for one in operations}
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    taking = sum(takes_something(one) for one in operations)
    sent = 0
    with requests.Session() as session:
        for operation in operations:
            each = -(-FROM_DOCUMENT // (taking * len(modes))) if takes_something(operation) else 2
            for mode in modes:

                @hypothesis.settings(QUIET, max_examples=each)
                @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
                def send(case: Any) -> None:
                    nonlocal sent
                    answer = case.call(session=session, timeout=SECONDS)
                    sent += 1
                    assert answer.status_code < 500 or answer.status_code in DOCUMENTED, answer.text[:500]
                    case.validate_response(
                        answer,
                        checks=[
                            status_code_conformance,
                            content_type_conformance,
                            response_schema_conformance,
                        ],
                    )

                # What takes nothing cannot be asked wrongly.
                with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
                    send()
    assert sent >= FROM_DOCUMENT / 2


# --- a good body, changed ---------------------------------------------------------------------

NUMBERS = st.one_of(
    st.none(),
    st.sampled_from([0, -1, 1e308, -1e308, 1e-308, 5e-324, 2**63, 10**30, True, "1", [], {}, 1.5]),
    st.floats(allow_nan=True, allow_infinity=True),
)
CHANGES = st.tuples(
    st.sampled_from(["time", *VALUE_COLUMNS]),
    st.sampled_from(["cell", "all", "cut", "last", "double", "swap", "missing"]),
    NUMBERS,
    st.integers(0, 10_000),
)


def changed(body: dict[str, Any], change: tuple[str, str, Any, int]) -> dict[str, Any]:
    """The body with one thing done to one of its columns."""
    name, kind, value, place = change
    column = list(body.get(name) or body["close"])
    at = place % len(column)
    if kind == "cell":
        column[at] = value
    elif kind == "last":
        column[-1] = value
    elif kind == "all":
        column = [value] * len(column)
    elif kind == "cut":
        column = column[:at]
    elif kind == "double":
        column = column + column
    elif kind == "swap":
        column[0], column[at] = column[at], column[0]
    return (
        {key: item for key, item in body.items() if key != name}
        if kind == "missing"
        else body | {name: column}
    )


def test_a_good_window_with_one_thing_wrong_is_answered_or_refused_by_name(
    service: Served, good: dict[str, Any]
) -> None:
    with requests.Session() as session:

        @hypothesis.settings(QUIET, max_examples=CHANGED)
        @hypothesis.given(change=CHANGES)
        def send(change: tuple[str, str, Any, int]) -> None:
            body = json.dumps(changed(good, change)).encode()
            answer = session.post(f"{service.url}/v1/predict", data=body, headers=JSON, timeout=SECONDS)
            checked(answer)
            assert answer.status_code in {200, 400, 413, 422}

        send()


# --- by hand ----------------------------------------------------------------------------------


def horrors(good: dict[str, Any]) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Bodies and headers, each as bad as a client can make it."""
    whole = orjson.dumps(good)
    bars = len(good["time"])

    def but(**changes: Any) -> bytes:
        return json.dumps(good | changes).encode()

    bomb = zlib.compressobj(9, wbits=31)
    return {
        "empty": (b"", {}),
        "space": (b" " * 1000, {}),
        "nul": (b"\x00" * 1000, {}),
        "null": (b"null", {}),
        "true": (b"true", {}),
        "number": (b"1e400", {}),
        "string": (b'"' + b"a" * 100_000 + b'"', {}),
        "list": (b"[]", {}),
        "nothing": (b"{}", {}),
        "truncated": (whole[: len(whole) // 2], {}),
        "one_byte_short": (whole[:-1], {}),
        "two": (whole + whole, {}),
        "bom": (b"\xef\xbb\xbf" + whole, {}),
        "utf16": (whole.decode().encode("utf-16"), {}),
        "bad_utf8": (whole.replace(b"SIMBTC", b"SIM\xff\xfe"), {}),
        "surrogate": (whole.replace(b"SIMBTC", b"\\ud800"), {}),
        "double_name": (whole[:-1] + b', "symbol": "AB"}', {}),
        "nan": (but(close=[float("nan")] * bars), {}),
        "inf": (but(close=[float("inf")] * bars), {}),
        "huge": (but(close=[1e308] * bars, high=[1e308] * bars), {}),
        "huge_all": (but(**dict.fromkeys(("open", "high", "low", "close"), [1e308] * bars)), {}),
        "tiny_all": (but(**dict.fromkeys(("open", "high", "low", "close"), [5e-324] * bars)), {}),
        "flat": (but(**dict.fromkeys(("open", "high", "low", "close"), [1.0] * bars)), {}),
        "overflow": (but().replace(b'"volume": [', b'"volume": [1e999, '), {}),
        "long_number": (whole.replace(b'"volume":[', b'"volume":[' + b"9" * 100_000 + b","), {}),
        "nested_lists": (b'{"time": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}),
        "nested_objects": (b'{"account": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", {}),
        "100_000_bars": (orjson.dumps({"symbol": "AB", "time": list(range(100_000))}), {}),
        "too_large": (b"[" + b"0," * 3_000_000 + b"0]", {}),
        "many_names": (orjson.dumps({f"x{i}": 1 for i in range(100_000)}), {}),
        "one_long_name": (b'{"' + b"x" * 3_000_000 + b'": 1}', {}),
        "far_future": (but(time=[4_102_444_800_000 - (bars - i) * 14_400_000 for i in range(bars)]), {}),
        "before_everything": (but(time=[i * 14_400_000 for i in range(bars)], as_of=None), {}),
        "gzip_of_nothing": (gzip.compress(b""), {"content-encoding": "gzip"}),
        "not_gzip": (whole, {"content-encoding": "gzip"}),
        "half_gzip": (gzip.compress(whole)[:-20], {"content-encoding": "gzip"}),
        "gzip_twice": (gzip.compress(gzip.compress(whole)), {"content-encoding": "gzip"}),
        "gzip_bomb": (
            bomb.compress(b" " * 100_000_000) + bomb.flush(),
            {"content-encoding": "gzip"},
        ),
        "unknown_encoding": (whole, {"content-encoding": "zstd"}),
        "pickle": (b"\x80\x04.", {"content-type": "application/vnd.bentoml+pickle"}),
        "form": (b"a=1", {"content-type": "application/x-www-form-urlencoded"}),
        "multipart": (b"--x--", {"content-type": "multipart/form-data; boundary=x"}),
        "no_type": (whole, {"content-type": ""}),
        "long_header": (whole, {"x-request-id": "x" * 20_000}),
    }


ANSWERED = {
    "double_name",
    "long_header",
    "huge",
    "huge_all",
    "tiny_all",
    "flat",
    "before_everything",
    "far_future",
}
"""Ugly, but nothing that breaks a rule has to be in them."""


def test_horrors_are_refused_in_the_one_shape(service: Served, good: dict[str, Any]) -> None:
    bodies = horrors(good)
    for _ in range(BY_HAND):
        for name, (body, headers) in bodies.items():
            answer = asked(service, body, **headers)
            checked(answer)
            assert answer.status_code != 200 or name in ANSWERED, name
    assert asked(service, orjson.dumps(good)).status_code == 200


# --- on the wire ------------------------------------------------------------------------------


def connected(process: Served) -> socket.socket:
    host, port = process.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


def head(length: int | None, *extra: bytes) -> bytes:
    lines = [b"POST /v1/predict HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: application/json", *extra]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"", b""])


def until_closed(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def test_a_body_that_stops_is_given_up(service: Served, good: dict[str, Any]) -> None:
    with connected(service) as connection:
        connection.sendall(head(1000) + b"{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
    assert asked(service, orjson.dumps(good)).status_code == 200


def test_a_body_that_trickles_is_given_up(service: Served) -> None:
    with connected(service) as connection:
        connection.sendall(head(None, b"Transfer-Encoding: chunked"))
        connection.settimeout(0.05)
        answer = b""
        for _ in range(SECONDS * 20):
            try:
                connection.sendall(b"1\r\n[\r\n")
                answer = connection.recv(4096)
            except TimeoutError:
                continue
            break
        assert answer.startswith(b"HTTP/1.1 408")


def test_half_closed_and_dropped_connections_are_forgotten(service: Served, good: dict[str, Any]) -> None:
    body = orjson.dumps(good)
    open_before = sum(one.num_fds() for one in workers(service))
    for cut in (0, 1, len(body) // 2, len(body)):
        with connected(service) as connection:
            connection.sendall(head(len(body)) + body[:cut])
            connection.shutdown(socket.SHUT_WR)
            until_closed(connection)
        connection = connected(service)
        connection.sendall(head(len(body)) + body[:cut])
        connection.close()
    assert asked(service, body).status_code == 200
    assert sum(one.num_fds() for one in workers(service)) <= open_before + 5


def test_pipelined_requests_are_answered_in_order(service: Served) -> None:
    ready = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connected(service) as connection:
        connection.sendall(ready + head(2) + b"[]" + ready + head(1, b"Connection: close") + b"{")
        said = until_closed(connection)
    assert re.findall(rb"HTTP/1\.1 (\d+)", said) == [b"200", b"422", b"200", b"400"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(5000)) + b"\r\n",
    ],
    ids=["nul", "version", "tls", "negative", "two_lengths", "header", "path", "headers"],
)
def test_what_is_no_http_ends_the_connection(service: Served, good: dict[str, Any], sent: bytes) -> None:
    with connected(service) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            said = until_closed(connection)
        except OSError:  # the other end was quicker
            said = b""
    assert said == b"" or said.split()[1][:1] == b"4"
    assert asked(service, orjson.dumps(good)).status_code == 200


def test_many_connections_that_say_nothing_keep_nobody_out(service: Served, good: dict[str, Any]) -> None:
    silent = [connected(service) for _ in range(100)]
    try:
        assert asked(service, orjson.dumps(good)).status_code == 200
        assert all(psutil.pid_exists(one.pid) for one in workers(service))
    finally:
        for connection in silent:
            connection.close()
