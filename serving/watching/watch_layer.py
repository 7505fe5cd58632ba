"""The ASGI layer that sees each request come and go: one record, one log line, its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import orjson

from serving.watching.request_record import CURRENT, RequestRecord
from serving.watching.watch import Finished, Watch

__all__ = ["CHOICE_HEADER", "WatchLayer"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CHOICE_HEADER = b"x-prediction-log"
"""``on`` or ``off``: whether the answers of this request may be kept."""
CLIENT_GONE = 499
"""Status of a request whose client left before its answer."""
_MOST_ERROR_BYTES = 65_536


class WatchLayer:
    """Tells a :class:`Watch` of every request, once its answer is on its way.

    Parameters
    ----------
    app : ASGI application
        Its errors come in the one shape, its paths as routes in ``scope["path"]``.
    watch : callable
        Gives the worker's watch.
    """

    def __init__(self, app: App, *, watch: Callable[[], Watch]) -> None:
        self.app = app
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watch = self._watch()
        record = RequestRecord(log_choice=_choice(scope))
        seen = _SeenSend(send, watch)
        before = CURRENT.set(record)
        began = perf_counter()
        try:
            await self.app(scope, receive, seen)
        finally:
            seconds = perf_counter() - began
            CURRENT.reset(before)
            seen.end()
            finished = Finished(
                route=scope["path"],
                method=scope["method"],
                status=seen.status or CLIENT_GONE,
                seconds=seconds,
                streamed=seen.streamed,
                request_id=seen.request_id,
                code=seen.code(),
                record=record,
            )
            watch.finished(finished)
            # Timers that were called off keep this context, and with it the windows, for half a minute.
            record.answers.clear()


def _choice(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == CHOICE_HEADER:
            return str(value.decode("latin-1").strip().lower())
    return None


class _SeenSend:
    """A send function that remembers what was answered."""

    def __init__(self, send: Send, watch: Watch) -> None:
        self.status: int | None = None
        self.request_id: str | None = None
        self.streamed = False
        self._send = send
        self._watch = watch
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message.get("headers", ()):
                if name == b"x-request-id":
                    self.request_id = value.decode("latin-1")
                elif name == b"content-type" and value.startswith(b"text/event-stream"):
                    self.streamed = True
                    self._watch.stream_opened()
        elif self.status is not None and self.status >= 400 and len(self._body) < _MOST_ERROR_BYTES:
            self._body += message.get("body", b"")
        await self._send(message)

    def end(self) -> None:
        """The answer is over."""
        if self.streamed:
            self._watch.stream_closed()

    def code(self) -> str | None:
        """Code of the error that was answered; ``None`` where it was none."""
        if self.status is None or self.status < 400:
            return None
        try:
            return str(orjson.loads(self._body)["error"]["code"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return f"http_{self.status}"
