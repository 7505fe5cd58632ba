"""``GET /v1/events`` and ``GET /v1/live``: what changes while the service runs, and how live mode does."""

from __future__ import annotations

from typing import Any

import bentoml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.live.event_stream import EventStreams, StreamFilter, TooManyStreamsError
from serving.live.state_files import read_status
from serving.request_symbol import check_symbol
from serving.routes.route import GetRoute, Parameter
from serving.web_errors import RequestRefusedError, error_response

__all__ = ["EVENTS_PATH", "EVENT_ROUTES"]

EVENTS_PATH = "/v1/events"
KINDS = ("regime_change", "data_stale", "data_fresh", "model_changed", "board")
_LARGEST_ID = 2**53


async def events(request: Request) -> Response:
    """A stream of server-sent events."""
    streams = _streams()
    if not streams.settings.is_on:
        raise RequestRefusedError(
            404, "live mode is off", code="live_off", hint="bearmode serve --live BTCUSDT,ETHUSDT"
        )
    wanted = StreamFilter(
        frozenset(check_symbol(name) for name in _listed(request, "symbols")),
        frozenset(_kind(name) for name in _listed(request, "types")),
    )
    try:
        return streams.response(_last_event(request), wanted)
    except TooManyStreamsError as error:
        refused = error_response(error)
        refused.headers["Retry-After"] = "10"
        return refused


def live(_: Request) -> Response:
    """How live mode does, with ages as of now."""
    settings = _streams().settings
    status = read_status(settings.state) if settings.is_on else None
    off: dict[str, Any] = {"state": "starting" if settings.is_on else "off", "symbols": []}
    return JSONResponse(status or off, headers={"Cache-Control": "no-store"})


def _streams() -> EventStreams:
    found: EventStreams = bentoml.get_current_service().streams
    return found


def _listed(request: Request, name: str) -> list[str]:
    return [one for one in request.query_params.get(name, "").split(",") if one]


def _kind(name: str) -> str:
    if name not in KINDS:
        raise RequestRefusedError(
            422,
            f"types has {name[:60]!r}, expected some of {', '.join(KINDS)}",
            code="invalid_request",
            field="types",
        )
    return name


def _last_event(request: Request) -> int | None:
    """Where the listener was: the header that browsers send by themselves, else the parameter."""
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 16 and int(given) < _LARGEST_ID):
        raise RequestRefusedError(
            422, f"the last event id is {given[:40]!r}, expected a whole number", field="last_event_id"
        )
    return int(given)


def _example() -> dict[str, Any]:
    return {
        "state": "degraded",
        "heartbeat_at": "2026-03-01T12:05:31.204000Z",
        "heartbeat_age_seconds": 1.4,
        "source": "exchange",
        "interval": "1h",
        "updating": False,
        "next_update_at": "2026-03-01T12:06:02Z",
        "model_version": "8727388a7965",
        "symbols": [
            {
                "symbol": "BTCUSDT",
                "newest_close": "2026-03-01T10:00:00Z",
                "regime": "bear",
                "since": "2026-02-20T04:00:00Z",
                "data_age_seconds": 7532,
                "data_state": "late",
                "stale": True,
                "degraded": ["data_late", "exchange_unreachable"],
            }
        ],
        "webhooks": [{"name": "desk", "pending": 0, "delivered": 12, "dead": 0}],
        "trouble": [],
    }


EVENT_ROUTES = [
    GetRoute(
        EVENTS_PATH,
        events,
        operation="events",
        summary="What changes, as it changes",
        description="Server-sent events: `regime_change`, `data_stale`, `data_fresh` and `model_changed` "
        "have ids that go up; a client that comes back with `Last-Event-ID` misses none that is kept, and "
        "a `gap` says where some are not. `ready` and `board` have no place in the log. Comments keep a "
        "quiet stream open.",
        media_type="text/event-stream",
        parameters=[
            Parameter("symbols", "only events of these, comma-separated", {"type": "string"}),
            Parameter("types", "only events of these types, comma-separated", {"type": "string"}),
            Parameter(
                "last_event_id",
                "where to go on, for clients that cannot send the header `Last-Event-ID`",
                {"type": "integer", "minimum": 0},
            ),
        ],
        errors=[404, 503],
    ),
    GetRoute(
        "/v1/live",
        live,
        operation="live",
        summary="How live mode does",
        description="`state` is `off`, `starting`, `running`, `degraded` or `down`; for each symbol the age "
        "of its data and, in `degraded`, what is wrong with it by name.",
        example=_example,
    ),
]
