"""The ASGI layer around BentoML's application.

It stands inside BentoML's metrics and access log, which therefore see what the client sees, and
outside its time and concurrency limits, whose 504 and 429 it brings into shape. It

- refuses by path, content type, length and encoding before a body is read, and hands the
  application a body that is whole, unpacked and within its limit;
- turns every error, whoever made it, into the one documented shape;
- echoes ``X-Request-Id`` or makes one.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from features.errors import BearmodeError
from serving.request_body import ClientGoneError, check_headers, read_body
from serving.watching.route_names import RouteNames
from serving.web_errors import RequestRefusedError, error_for_status, error_response, is_error_body

__all__ = ["BoundedPaths", "LargeBodies", "WebLayer", "install"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UNKNOWN_PATH = "/-/unknown"
"""What paths that nobody serves are counted as."""

_PATH = "bearmode.path"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_KEPT_HEADERS = ("allow", "retry-after", "www-authenticate")
_HELD_BYTES = 65_536

logger = logging.getLogger("bearmode.web")


def install(
    app: Starlette,
    *,
    outermost: Sequence[Middleware] = (),
    around: Sequence[Middleware] = (),
    unlimited: Sequence[str] = (),
    **options: Any,
) -> Starlette:
    """Put the layer into BentoML's application, options as of :class:`WebLayer`.

    Parameters
    ----------
    app : Starlette
    outermost : sequence of Middleware
        What sees a request first, and every answer last.
    around : sequence of Middleware
        What stands between BentoML's metrics and the layer.
    unlimited : sequence of str
        Paths that do not count among the requests at once.
    """
    stack = app.user_middleware
    # Ours says more, in one line.
    stack[:] = [entry for entry in stack if not (around and _name(entry) == "AccessLogMiddleware")]
    limits = [i for i, entry in enumerate(stack) if _name(entry) in _LIMITS]
    place = min(limits, default=len(stack))
    stack[place:place] = [*around, Middleware(WebLayer, **options)]
    stack[:0] = [*outermost, Middleware(BoundedPaths)]
    for entry in stack:
        if _name(entry) == "MaxConcurrencyMiddleware":
            # A listener waits and computes nothing: it takes no place of those who ask.
            theirs: Any = entry.kwargs
            theirs["skip_paths"] = [*theirs.get("skip_paths", ()), *unlimited]
    return app


_LIMITS = {"TimeoutMiddleware", "MaxConcurrencyMiddleware"}


def _name(entry: Middleware) -> str:
    return str(getattr(entry.cls, "__name__", ""))


def _match(scope: Scope) -> Match:
    """How well the application's routes fit the request."""
    routes = scope["app"].router.routes
    return max((route.matches(scope)[0] for route in routes), key=lambda m: m.value, default=Match.NONE)


class BoundedPaths:
    """Routes in place of paths: metrics keep a time series for each path that they ever see.

    ``/v1/regimes/BTCUSDT`` is ``/v1/regimes/{symbol}`` until :class:`WebLayer`, which has the path back
    from ``scope["bearmode.path"]``; what nobody serves is :data:`UNKNOWN_PATH` throughout.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._names: RouteNames | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            if self._names is None:
                self._names = RouteNames(scope["app"].router.routes)
            path = scope["path"]
            name = self._names.name(path)
            if name is None:
                scope = {**scope, "path": UNKNOWN_PATH, "raw_path": UNKNOWN_PATH.encode()}
            elif name != path:
                scope = {**scope, "path": name, _PATH: path}
        await self.app(scope, receive, send)


class LargeBodies:
    """The path that takes large bodies, and how many of them at once: each is held in memory.

    Parameters
    ----------
    path : str
    limit : int
        Bytes of one body, as sent and as unpacked.
    at_once : int
    """

    def __init__(self, path: str, limit: int, at_once: int) -> None:
        self.path = path
        self.limit = limit
        self._free = at_once

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold the place of one body.

        Raises
        ------
        RequestRefusedError
            429 where all are taken.
        """
        if self._free < 1:
            raise RequestRefusedError(
                429, f"as many requests to {self.path} as it takes at once are being answered", hint="retry"
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class WebLayer:
    """Limits before, one error shape after.

    Parameters
    ----------
    app : ASGI application
        What is wrapped.
    body_limit : int
        Bytes of a body, as sent and as unpacked.
    body_seconds : float
        Time for a body to arrive.
    large : LargeBodies, optional
        The path whose bodies may be larger.
    not_ready : callable, optional
        Gives the error that a 503 without a reason is answered with.
    admit : callable, optional
        Raises where a request is not let in; asked before its body is read.
    """

    def __init__(
        self,
        app: App,
        *,
        admit: Callable[[Scope, Headers], object] | None = None,
        body_limit: int = 4_000_000,
        body_seconds: float = 15.0,
        large: LargeBodies | None = None,
        not_ready: Callable[[], BearmodeError] | None = None,
    ) -> None:
        self.app = app
        self.large = large
        self.body_limit = body_limit
        self.body_seconds = body_seconds
        self.not_ready = not_ready
        self.admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _PATH in scope:
            scope = {**scope, "path": scope[_PATH]}
        headers = Headers(scope=scope)
        answer = _ShapedSend(scope, receive, send, _request_id(headers), self.not_ready)
        try:
            if self.admit is not None:
                self.admit(scope, headers)
            match = _match(scope)
            if scope["method"] == "OPTIONS" and match is not Match.NONE:
                await _options(scope)(scope, receive, answer)
            elif match is not Match.FULL or scope["method"] not in {"POST", "PUT", "PATCH"}:
                await self.app(scope, receive, answer)
            elif self.large is not None and scope["path"] == self.large.path:
                with self.large.one():
                    await self._with_whole_body(scope, receive, answer, headers, self.large.limit)
            else:
                await self._with_whole_body(scope, receive, answer, headers, self.body_limit)
        except ClientGoneError:
            return
        except BearmodeError as error:
            await answer.refuse(error)
        except Exception:
            logger.exception("request %s: %s failed", answer.request_id, scope["path"])
            await answer.refuse(error_for_status(500))

    async def _with_whole_body(
        self, scope: Scope, receive: Receive, answer: Send, headers: Headers, limit: int
    ) -> None:
        check_headers(headers, limit)
        body = await read_body(receive, headers, limit=limit, seconds=self.body_seconds)
        if not body:
            raise RequestRefusedError(400, "the body is empty, expected JSON", code="not_json")
        scope, receive = _with_body(scope, body, receive)
        await self.app(scope, receive, answer)


def _options(scope: Scope) -> Response:
    """Which methods a path takes; what another origin may do, the layer outside this one answers."""
    methods = {"OPTIONS"}
    for route in scope["app"].router.routes:
        methods |= _methods(route, scope)
    return Response(status_code=204, headers={"Allow": ", ".join(sorted(methods))})


def _methods(route: BaseRoute, scope: Scope) -> set[str]:
    """Methods of the routes below a route that fit the path."""
    match, inner = route.matches({**scope, "method": "GET"})
    if match is Match.NONE:
        return set()
    below = getattr(route, "routes", None)
    if below:
        deeper = {**scope, **inner}
        return set().union(*(_methods(one, deeper) for one in below))
    return set(getattr(route, "methods", None) or ())


def _request_id(headers: Headers) -> str:
    """The client's own id where it is printable, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _with_body(scope: Scope, body: bytes, receive: Receive) -> tuple[Scope, Receive]:
    """Scope and receive of a request whose body is already here, plain."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in {b"content-encoding", b"content-length", b"transfer-encoding"}
    ]
    headers.append((b"content-length", str(len(body)).encode()))
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return {**scope, "headers": headers}, replay


class _ShapedSend:
    """Send function that holds error responses back until they are in the one shape."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        not_ready: Callable[[], BearmodeError] | None,
    ) -> None:
        self.request_id = request_id
        self._scope, self._receive, self._send = scope, receive, send
        self._not_ready = not_ready
        self._started = False
        self._held: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self._held = message
                return
            self._started = True
            self._mark(MutableHeaders(raw=message.setdefault("headers", [])))
        elif self._held is not None:
            if len(self._body) < _HELD_BYTES:
                self._body += message.get("body", b"")[:_HELD_BYTES]
            if not message.get("more_body", False):
                await self._reshape(self._held)
            return
        await self._send(message)

    async def refuse(self, error: BearmodeError, keep: MutableMapping[str, str] | None = None) -> None:
        """Answer with an error, unless an answer has begun."""
        if self._started:
            return
        self._started = True
        response = error_response(error)
        response.headers.update(keep or {})
        self._mark(response.headers)
        await response(self._scope, self._receive, self._send)

    async def _reshape(self, start: Message) -> None:
        """Send the held error in shape."""
        self._held = None
        headers = MutableHeaders(raw=list(start.get("headers", [])))
        if is_error_body(self._body):
            self._started = True
            self._mark(headers)
            await self._send({**start, "headers": headers.raw})
            await self._send({"type": "http.response.body", "body": self._body})
            return
        status = start["status"]
        error = self._not_ready() if status == 503 and self._not_ready else error_for_status(status)
        if status >= 500 and status != 503:
            logger.error("request %s: %s answered %d", self.request_id, self._scope["path"], status)
        await self.refuse(error, {name: headers[name] for name in _KEPT_HEADERS if name in headers})

    def _mark(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self.request_id
