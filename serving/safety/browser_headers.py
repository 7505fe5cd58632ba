"""What browsers are told: security headers on everything, and which other origins may read answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from serving.web_errors import RequestRefusedError, error_response

__all__ = ["PAGE_POLICY", "SecurityHeaders", "cross_origin"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Nothing of an answer that is data may run or be framed."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page: its own scripts only, none inline. Plotly styles its elements inline; its pictures are blobs."""

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
)
_RESOURCE = b"cross-origin-resource-policy"
_MAX_AGE = 600
_EXPOSED = ("ETag", "Age", "Retry-After", "X-Data-Age", "X-Data-State", "X-Request-Id")
_ALLOWED = ("Content-Type", "X-API-Key", "Authorization", "X-Request-Id", "If-None-Match", "Last-Event-ID")


class SecurityHeaders:
    """Adds the headers to every answer, errors included.

    Parameters
    ----------
    app : ASGI application
    shared : bool
        Other origins may read answers (:func:`cross_origin`).
    """

    def __init__(self, app: App, *, shared: bool = False) -> None:
        self.app = app
        self._fixed = (*_ALWAYS, (_RESOURCE, b"cross-origin" if shared else b"same-origin"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                raw = message.setdefault("headers", [])
                headers = MutableHeaders(raw=raw)
                raw.extend(self._fixed)
                if "content-security-policy" not in headers:
                    page = headers.get("content-type", "").startswith("text/html")
                    headers["content-security-policy"] = PAGE_POLICY if page else DATA_POLICY
                if "server" in headers:
                    del headers["server"]
            await send(message)

        await self.app(scope, receive, marked)


class SharedAnswers(CORSMiddleware):
    """Starlette's middleware, its refusals in the one shape."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a browser that asks before it sends."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refused = RequestRefusedError(
            403,
            f"pages of other origins may not do this: {bytes(response.body).decode()}",
            code="cross_origin",
            hint="setting cors_origins lists the origins that may",
        )
        return error_response(refused)


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """Middleware that lets pages of other origins read answers; none where there are no origins.

    Credentials of the browser (cookies) are never allowed: a key travels in a header of its own.
    """
    if not origins:
        return []
    return [
        Middleware(
            SharedAnswers,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=list(_ALLOWED),
            expose_headers=list(_EXPOSED),
            allow_credentials=False,
            max_age=_MAX_AGE,
        )
    ]
