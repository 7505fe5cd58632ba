"""Event streams and the status, over ASGI: what a listener gets, and what it costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sse_starlette import EventSourceResponse

from serving.live import event_stream
from serving.live.event_log import EventLog, NewEvent
from serving.live.event_stream import EventStreams, StreamFilter, TooManyStreamsError
from serving.live.settings import LiveSettings
from serving.live.state_files import BOARD, STATUS, read_status, write_state

Streams = Callable[..., EventStreams]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "POLL_SECONDS", 0.01)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    found = EventLog(tmp_path, 10)
    yield found
    found.close()


def streams(tmp_path: Path, **changes: Any) -> EventStreams:
    return EventStreams(LiveSettings.load(symbols="AA", state=tmp_path, **changes))


def event(symbol: str | None = "AA", kind: str = "regime_change") -> NewEvent:
    return NewEvent(kind, symbol, {"to": "bear"})


class Listener:
    """The client's side of one stream."""

    def __init__(self, response: EventSourceResponse) -> None:
        self.got: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.status: list[int] = []
        self._left = asyncio.Event()
        self._task = asyncio.create_task(
            response({"type": "http", "method": "GET"}, self._receive, self._send)
        )

    async def _receive(self) -> MutableMapping[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status.append(message["status"])
        for block in message.get("body", b"").decode().split("\r\n\r\n"):
            if block:
                self.got.put_nowait(dict(line.split(": ", 1) for line in block.splitlines()))

    async def next(self) -> dict[str, str]:
        """The next event that is no comment."""
        while True:
            found = await asyncio.wait_for(self.got.get(), 10)
            if "event" in found:
                return found

    async def ids(self, count: int) -> list[int]:
        return [int((await self.next())["id"]) for _ in range(count)]

    async def leave(self) -> None:
        self._left.set()
        await asyncio.wait_for(self._task, 10)


@asynccontextmanager
async def listening(
    found: EventStreams, after: int | None = None, wanted: StreamFilter | None = None
) -> AsyncIterator[Listener]:
    listener = Listener(found.response(after, wanted or StreamFilter()))
    try:
        yield listener
    finally:
        await listener.leave()


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 30))


def test_a_listener_hears_what_comes_and_goes_on_where_it_was(tmp_path: Path, log: EventLog) -> None:
    async def body() -> None:
        found = streams(tmp_path)
        (old,) = log.write([event()])
        async with listening(found) as listener:
            ready = await listener.next()
            assert (ready["event"], ready["id"], ready["retry"]) == ("ready", str(old), "3000")
            numbers = log.write([event(), event("BB")])
            first = await listener.next()
            assert (first["event"], first["id"]) == ("regime_change", str(numbers[0]))
            assert json.loads(first["data"]) == {
                "id": numbers[0],
                "type": "regime_change",
                "symbol": "AA",
                "to": "bear",
            }
            assert await listener.ids(1) == numbers[1:]
        missed = log.write([event(), event()])
        async with listening(found, after=numbers[0]) as listener:
            assert (await listener.next())["event"] == "ready"
            assert await listener.ids(3) == [numbers[1], *missed]
        assert found.open == 0

    run(body)


def test_only_what_is_wanted_comes(tmp_path: Path, log: EventLog) -> None:
    async def body() -> None:
        found = streams(tmp_path)
        wanted = StreamFilter(frozenset({"AA"}), frozenset({"regime_change", "model_changed"}))
        async with listening(found, wanted=wanted) as listener:
            await listener.next()
            numbers = log.write(
                [
                    event("BB"),
                    event(kind="data_stale"),
                    event(),
                    event(None, "model_changed"),
                    event(None, "x"),
                ]
            )
            assert await listener.ids(2) == [numbers[2], numbers[3]]

    run(body)


@pytest.mark.parametrize("after", [1, 2**52])
def test_what_is_missing_is_said(tmp_path: Path, log: EventLog, after: int) -> None:
    async def body() -> None:
        kept = log.write([event() for _ in range(15)])[-10:]
        async with listening(streams(tmp_path), after=after) as listener:
            assert (await listener.next())["event"] == "ready"
            gap = await listener.next()
            assert (gap["event"], "id" in gap) == ("gap", False)
            assert json.loads(gap["data"]) == {"after": after, "oldest": kept[0], "newest": kept[-1]}
            expected = kept if after == 1 else log.write([event()])
            assert await listener.ids(len(expected)) == expected

    run(body)


def test_a_listener_of_an_empty_log_misses_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with listening(streams(tmp_path)) as listener:
            assert (await listener.next())["id"] == "0"
            log = EventLog(tmp_path, 10)
            numbers = log.write([event()])
            assert await listener.ids(1) == numbers
            log.close()
        async with listening(streams(tmp_path), after=0) as listener:
            assert (await listener.next())["event"] == "ready"
            assert await listener.ids(1) == numbers

    run(body)


def test_a_new_board_is_told_without_a_place_in_the_log(tmp_path: Path, log: EventLog) -> None:
    async def body() -> None:
        async with listening(streams(tmp_path)) as listener:
            await listener.next()
            rows = [{"symbol": "AA", "newest_close": "2024-01-01T00:00:00Z"}]
            write_state(tmp_path, BOARD, {"rows": rows, "computed_at": "x", "model_version": "v"})
            board = await listener.next()
            assert (board["event"], "id" in board) == ("board", False)
            assert json.loads(board["data"])["symbols"] == {"AA": "2024-01-01T00:00:00Z"}

    run(body)


def test_listeners_are_bounded_and_their_places_come_back(tmp_path: Path, log: EventLog) -> None:
    async def body() -> None:
        found = streams(tmp_path, max_streams=2)
        async with listening(found) as first, listening(found) as second:
            await first.next()
            await second.next()
            with pytest.raises(TooManyStreamsError):
                found.response(None, StreamFilter())
        async with listening(found) as third:
            assert (await third.next())["event"] == "ready"

    run(body)


def test_a_quiet_stream_is_kept_open(tmp_path: Path, log: EventLog) -> None:
    async def body() -> None:
        async with listening(streams(tmp_path, heartbeat_seconds=0.05)) as listener:
            await listener.next()
            found = await asyncio.wait_for(listener.got.get(), 10)
            assert "ping" in found[""]

    run(body)


def test_a_broken_log_ends_no_stream(tmp_path: Path, log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with listening(streams(tmp_path)) as listener:
            await listener.next()
            content = (tmp_path / "events.sqlite").read_bytes()
            (tmp_path / "events.sqlite").write_bytes(b"broken" * 1_000)
            while "cannot be" not in caplog.text:
                await asyncio.sleep(0.01)
            (tmp_path / "events.sqlite").write_bytes(content)
            other = EventLog(tmp_path, 10)
            numbers = other.write([event()])
            other.close()
            assert await listener.ids(1) == numbers

    run(body)


# --- the status ------------------------------------------------------------------------------------

NOW = datetime(2024, 1, 1, 12, 0, 5, tzinfo=UTC)


def status(tmp_path: Path, **changes: Any) -> None:
    row = {"symbol": "AA", "newest_close": "2024-01-01T12:00:00Z", "error": None, "source_error": None}
    content = {
        "heartbeat_at": NOW.isoformat(),
        "clock": NOW.isoformat(),
        "clock_speed": 1.0,
        "interval": "1h",
        "trouble": [],
        "symbols": [row | changes.pop("row", {})],
    }
    write_state(tmp_path, STATUS, content | changes)


@pytest.mark.parametrize(
    ("changes", "later", "state", "degraded"),
    [
        ({}, 1, "running", []),
        ({}, 31, "down", []),
        ({}, -31, "down", []),
        ({}, 7_200, "down", ["data_late"]),
        ({"row": {"newest_close": "2024-01-01T10:00:00Z"}}, 1, "degraded", ["data_late"]),
        ({"row": {"newest_close": "2024-01-02T10:00:00Z"}}, 1, "degraded", ["data_ahead"]),
        ({"row": {"newest_close": None}}, 1, "degraded", ["data_missing"]),
        ({"row": {"source_error": {"code": "locked"}}}, 1, "degraded", ["locked"]),
        ({"row": {"error": {"code": "bad_window"}}}, 1, "degraded", []),
        ({"trouble": ["no space"]}, 1, "degraded", []),
    ],
)
def test_the_state_is_as_of_the_readers_own_time(
    tmp_path: Path, changes: dict[str, Any], later: float, state: str, degraded: list[str]
) -> None:
    status(tmp_path, **changes)
    found = read_status(tmp_path, NOW + timedelta(seconds=later))
    assert found is not None
    assert (found["state"], found["symbols"][0]["degraded"]) == (state, degraded)


def test_a_status_that_is_not_there_or_not_whole_is_none(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    (tmp_path / STATUS).write_text("{")
    assert read_status(tmp_path) is None
