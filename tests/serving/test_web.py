from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from features.errors import WindowError
from serving.web import UNKNOWN_PATH, install
from serving.web_errors import error_response

LIMIT = 10_000
JSON = {"content-type": "application/json"}


async def echo(request: Request) -> Response:
    return JSONResponse(
        {"length": len(await request.body()), "encoding": request.headers.get("content-encoding")}
    )


async def boom(_: Request) -> Response:
    raise RuntimeError("secret of the handler")


async def late_boom(_: Request) -> Response:
    async def stream() -> Any:
        yield b"begun"
        raise RuntimeError("secret of the stream")

    from starlette.responses import StreamingResponse

    return StreamingResponse(stream())


async def foreign(request: Request) -> Response:
    status = int(request.query_params["status"])
    return JSONResponse([{"error": "a list"}], status_code=status, headers={"X-Inner": "1"})


async def own(_: Request) -> Response:
    return error_response(WindowError("close[3] is -1.0", field="close[3]", hint="mend it"))


async def http_error(_: Request) -> Response:
    raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})


async def seen_path(request: Request) -> Response:
    return PlainTextResponse(request.url.path)


ROUTES = [
    Route("/echo", echo, methods=["POST"]),
    Route("/boom", boom),
    Route("/late", late_boom),
    Route("/foreign", foreign),
    Route("/own", own),
    Route("/auth", http_error),
    Route("/path", seen_path),
]


class Reply:
    def __init__(self, messages: list[dict[str, Any]], reads: int) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])
        self.reads = reads

    @property
    def error(self) -> dict[str, Any]:
        content = json.loads(self.body)
        assert list(content) == ["error"]
        assert list(content["error"]) == ["code", "message", "field", "hint"]
        assert self.headers["content-type"] == "application/json"
        assert int(self.headers["content-length"]) == len(self.body)
        found: dict[str, Any] = content["error"]
        return found


Call = Callable[..., Reply]


@pytest.fixture
def call() -> Call:
    app = install(Starlette(routes=ROUTES), body_limit=LIMIT, body_seconds=0.3)

    def send_request(
        method: str,
        path: str,
        chunks: Iterable[bytes] = (),
        headers: dict[str, str] | None = None,
        *,
        stalls: bool = False,
        leaves: bool = False,
    ) -> Reply:
        sent: list[dict[str, Any]] = []
        reads = 0
        ended = False
        waiting: Iterator[bytes] = iter(chunks)
        path, _, query = path.partition("?")

        async def receive() -> dict[str, Any]:
            nonlocal reads, ended
            reads += 1
            chunk = next(waiting, None)
            if chunk is None and (stalls or ended):
                await asyncio.Event().wait()
            ended = chunk is None
            if chunk is None and leaves:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": raw,
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
        }
        asyncio.run(app(scope, receive, send))
        if leaves and not sent:
            return Reply([{"status": 0, "headers": []}], reads)
        return Reply(sent, reads)

    return send_request


def test_a_plain_body_goes_through_whole(call: Call) -> None:
    reply = call("POST", "/echo", [b"[1,", b"2]"], JSON)
    assert (reply.status, json.loads(reply.body)) == (200, {"length": 5, "encoding": None})


def test_the_limit_is_the_last_size_that_is_taken(call: Call) -> None:
    assert call("POST", "/echo", [b"x" * LIMIT], JSON).status == 200
    reply = call("POST", "/echo", [b"x" * (LIMIT + 1)], JSON)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


def test_a_declared_length_is_refused_before_a_byte_is_read(call: Call) -> None:
    reply = call("POST", "/echo", [b"x"] * 9, JSON | {"content-length": "20000000"})
    assert (reply.status, reply.reads) == (413, 0)
    assert "20000000" in reply.error["message"]
    assert call("POST", "/echo", [b"x"], JSON | {"content-length": "9" * 5_000}).status == 413


def test_an_undeclared_length_is_counted_while_it_streams(call: Call) -> None:
    reply = call("POST", "/echo", (b"x" * 1_000 for _ in range(20_000)), JSON)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert reply.reads == LIMIT // 1_000 + 1


def test_gzip_is_unpacked_and_its_header_taken_away(call: Call) -> None:
    packed = gzip.compress(b"[" + b"1," * 4_000 + b"1]")
    reply = call("POST", "/echo", [packed[:7], packed[7:]], JSON | {"content-encoding": "gzip"})
    assert (reply.status, json.loads(reply.body)) == (200, {"length": 8_003, "encoding": None})


def test_a_gzip_bomb_is_stopped_at_the_limit(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    biggest = 0
    real = zlib.decompressobj

    class Watched:
        def __init__(self, wbits: int) -> None:
            self.inner = real(wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal biggest
            part = self.inner.decompress(data, most)
            biggest = max(biggest, len(part))
            return part

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    bomb = gzip.compress(b"0" * 5_000_000)
    assert len(bomb) < LIMIT
    reply = call("POST", "/echo", [bomb], JSON | {"content-encoding": "gzip"})
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert LIMIT < biggest <= LIMIT + 1


@pytest.mark.parametrize(
    "packed",
    [
        b"not gzip at all",
        gzip.compress(b"[1]")[:-3],
        gzip.compress(b"[1]") + b"tail",
        gzip.compress(b"[1]") + gzip.compress(b"[2]"),
        gzip.compress(b"[1]")[:-8] + bytes(8),
    ],
    ids=["plain", "cut", "tail", "two", "checksum"],
)
def test_broken_gzip_is_a_400(call: Call, packed: bytes) -> None:
    reply = call("POST", "/echo", [packed], JSON | {"content-encoding": "gzip"})
    assert (reply.status, reply.error["code"]) == (400, "bad_gzip")


def test_an_empty_body_is_not_json(call: Call) -> None:
    for headers in (JSON, JSON | {"content-encoding": "gzip"}):
        reply = call("POST", "/echo", [], headers)
        assert (reply.status, reply.error["code"]) == (400, "not_json")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/vnd.bentoml+pickle", 415),
        ("application/jsonp", 415),
    ],
)
def test_only_json_is_taken(call: Call, kind: str, status: int) -> None:
    reply = call("POST", "/echo", [b"[]"], {"content-type": kind})
    assert reply.status == status
    if status == 415:
        assert (reply.reads, reply.error["code"]) == (0, "unsupported_media_type")


def test_a_missing_content_type_counts_as_json(call: Call) -> None:
    assert call("POST", "/echo", [b"[]"]).status == 200


def test_other_encodings_are_a_415(call: Call) -> None:
    reply = call("POST", "/echo", [b"[]"], JSON | {"content-encoding": "br"})
    assert (reply.status, reply.error["code"]) == (415, "unsupported_encoding")


def test_a_body_that_does_not_come_is_a_408(call: Call) -> None:
    reply = call("POST", "/echo", [b"["], JSON, stalls=True)
    assert (reply.status, reply.error["code"]) == (408, "body_timeout")


def test_a_client_that_leaves_gets_nothing_and_breaks_nothing(call: Call) -> None:
    assert call("POST", "/echo", [b"["], JSON, leaves=True).status == 0


def test_unknown_paths_and_methods(call: Call) -> None:
    reply = call("POST", "/nowhere", [b"x"] * 9, {"content-type": "text/plain"})
    assert (reply.status, reply.error["code"], reply.reads) == (404, "not_found", 0)
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        reply = call(method, "/echo")
        assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
        assert reply.headers["allow"] == "POST"
    asked = call("OPTIONS", "/echo")
    assert (asked.status, asked.headers["allow"], asked.body) == (204, "OPTIONS, POST", b"")


def test_paths_that_nobody_serves_are_counted_as_one() -> None:
    seen = []

    class Counted:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            await self.app(scope, receive, send)

    app = Starlette(routes=ROUTES)
    app.add_middleware(Counted)
    install(app)

    async def ask(path: str) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Any) -> None:
            return

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [],
            "query_string": b"",
            "root_path": "",
        }
        await app(scope, receive, send)

    for path in ("/a1", "/a2", "/path"):
        asyncio.run(ask(path))
    assert seen == [UNKNOWN_PATH, UNKNOWN_PATH, "/path"]


def test_an_exception_is_a_500_without_its_text(call: Call) -> None:
    reply = call("GET", "/boom")
    assert (reply.status, reply.error["code"]) == (500, "internal")
    assert b"secret" not in reply.body
    assert b"Traceback" not in reply.body


def test_an_exception_in_the_middle_of_an_answer_adds_nothing(call: Call) -> None:
    reply = call("GET", "/late")
    assert (reply.status, reply.body) == (200, b"begun")


@pytest.mark.parametrize(
    ("status", "code", "retry"),
    [
        (400, "bad_request", None),
        (403, "forbidden", None),
        (418, "bad_request", None),
        (429, "too_many_requests", "1"),
        (500, "internal", None),
        (502, "internal", None),
        (503, "not_ready", "5"),
        (504, "timeout", None),
    ],
)
def test_errors_of_others_come_out_in_shape(call: Call, status: int, code: str, retry: str | None) -> None:
    reply = call("GET", f"/foreign?status={status}")
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.headers.get("retry-after") == retry


def test_our_own_errors_pass_unchanged(call: Call) -> None:
    reply = call("GET", "/own")
    assert reply.status == 422
    assert reply.error == {
        "code": "bad_window",
        "message": "close[3] is -1.0",
        "field": "close[3]",
        "hint": "mend it",
    }


def test_headers_that_mean_something_are_kept(call: Call) -> None:
    assert call("GET", "/auth").headers["www-authenticate"] == "Bearer"


def test_the_request_id_is_echoed_or_made(call: Call) -> None:
    for path in ("/path", "/own", "/boom", "/nowhere"):
        assert call("GET", path, headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = {call("GET", "/path").headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5
    for bad in ("a b", "x" * 129, "\t"):
        assert call("GET", "/path", headers={"x-request-id": bad}).headers["x-request-id"] != bad
