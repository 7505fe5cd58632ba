"""Server-sent events: what the live process wrote down, read by a worker for those who listen.

A listener has a place in the log and nothing else: one that reads slowly costs no memory, and one
that comes back with ``Last-Event-ID`` goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent

from features.errors import BearmodeError
from serving.live.event_log import Event, read_events
from serving.live.settings import LiveSettings
from serving.live.state_files import BOARD, read_board

__all__ = ["EventStreams", "StreamFilter", "TooManyStreamsError"]

POLL_SECONDS = 0.5
RETRY_MILLISECONDS = 3_000
SEND_SECONDS = 30.0
"""A listener that takes nothing for so long is let go."""

GRACE_SECONDS = 3.0
"""A stream has so long to end by itself when the service does."""

logger = logging.getLogger("bearmode.live")


class TooManyStreamsError(BearmodeError):
    """A worker has as many listeners as it may have."""

    default_code = "too_many_streams"
    status = 503


@dataclass(frozen=True)
class StreamFilter:
    """What a listener wants to hear; empty: everything.

    Attributes
    ----------
    symbols, kinds : frozenset of str
        Events that are about no symbol pass the first one.
    """

    symbols: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def passes(self, kind: str, symbol: str | None) -> bool:
        """Whether to send an event."""
        named = symbol is None or not self.symbols or symbol in self.symbols
        return named and (not self.kinds or kind in self.kinds)


class EventStreams:
    """All listeners of a worker, and the one task that looks for news while there are any.

    Parameters
    ----------
    settings : LiveSettings
    """

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.open = 0
        self._folder: Path = settings.state
        self._news = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    def response(self, after: int | None, wanted: StreamFilter) -> EventSourceResponse:
        """Answer that goes on until the listener leaves or the service ends.

        Parameters
        ----------
        after : int or None
            Id of the last event that the listener has; ``None``: only what comes from now on.
        wanted : StreamFilter

        Raises
        ------
        TooManyStreamsError
            If there are too many listeners already.
        """
        if self.open >= self.settings.max_streams:
            raise TooManyStreamsError(
                f"this worker has {self.open} listeners, its most",
                hint="ask again later, or raise live.max_streams",
            )
        ending = anyio.Event()
        return EventSourceResponse(
            self._listen(after, wanted, ending),
            # The service is about to end: the stream ends by itself, whole, and the listener comes back.
            shutdown_event=ending,
            shutdown_grace_period=GRACE_SECONDS,
            ping=self.settings.heartbeat_seconds,
            send_timeout=SEND_SECONDS,
            headers={"Cache-Control": "no-store"},
        )

    async def _listen(
        self, after: int | None, wanted: StreamFilter, ending: anyio.Event
    ) -> AsyncIterator[ServerSentEvent]:
        self.open += 1
        try:
            if self._watcher is None or self._watcher.done():
                self._watcher = asyncio.create_task(self._watch())
            _, oldest, newest = await self._read(0, most=1)
            place = newest if after is None else after
            yield _sent("ready", {"last_event_id": place}, identity=place)
            if after and (after > newest or after + 1 < oldest):
                # The log was trimmed or replaced: what is missing is said, never skipped in silence.
                place = min(after, oldest - 1) if after <= newest else newest
                yield _sent("gap", {"after": after, "oldest": oldest, "newest": newest})
            board = self._board_stamp()
            while not ending.is_set():
                news = self._news
                events, _, _ = await self._read(place)
                for event in events:
                    place = event.id
                    if wanted.passes(event.kind, event.symbol):
                        yield ServerSentEvent(event.data, event=event.kind, id=str(event.id))
                if events:
                    continue
                before, board = board, self._board_stamp()
                if board != before and wanted.passes("board", None):
                    yield _sent("board", await asyncio.to_thread(_board_news, self._folder))
                await _either(news, ending)
        finally:
            self.open -= 1

    async def _read(self, after: int, most: int = 100) -> tuple[list[Event], int, int]:
        try:
            return await asyncio.to_thread(read_events, self._folder, after, most)
        except BearmodeError as error:
            logger.warning("%s", error.one_line())
            return [], 0, 0

    async def _watch(self) -> None:
        """Wake the listeners when there is something new; ends with the last of them."""
        seen: object = None
        while self.open:
            _, _, newest = await self._read(0, most=1)
            found = (newest, self._board_stamp())
            if found != seen:
                seen = found
                news, self._news = self._news, asyncio.Event()
                news.set()
            await asyncio.sleep(POLL_SECONDS)

    def _board_stamp(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            found = (self._folder / BOARD).stat()
            return found.st_mtime_ns, found.st_ino
        return None


async def _either(news: asyncio.Event, ending: anyio.Event) -> None:
    """Wait for the first of two events."""
    tasks = [asyncio.ensure_future(one.wait()) for one in (news, ending)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _sent(kind: str, content: dict[str, Any], identity: int | None = None) -> ServerSentEvent:
    """An event that is not in the log: a listener's place moves only where an id is given."""
    return ServerSentEvent(
        json.dumps(content),
        event=kind,
        id=None if identity is None else str(identity),
        retry=RETRY_MILLISECONDS if kind == "ready" else None,
    )


def _board_news(folder: Path) -> dict[str, Any]:
    """What a new board is about, in short: the board itself is at ``/v1/board``."""
    board = read_board(folder) or {}
    rows = board.get("rows", [])
    return {
        "computed_at": board.get("computed_at"),
        "model_version": board.get("model_version"),
        "symbols": {row["symbol"]: row["newest_close"] for row in rows},
    }
