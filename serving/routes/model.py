"""``GET /v1/model`` and ``GET /v1/journal``: what is served, and how it came to be."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.model_schemas import ModelState
from serving.promotion_journal import PromotionJournal, read_promotions
from serving.routes.current import live_model
from serving.routes.query import whole_number
from serving.routes.route import GetRoute, Parameter
from serving.settings import ServingSettings

__all__ = ["MODEL_ROUTES"]

MAX_ENTRIES = 200
ENTRIES = 20


async def model_state(_: Request) -> JSONResponse:
    """Version, training span, metrics, features, and the state of the load."""
    return JSONResponse(live_model().describe(), headers={"Cache-Control": "no-cache"})


def journal(request: Request) -> Response:
    """The newest decisions about the champion."""
    limit = whole_number(request, "limit", ENTRIES, MAX_ENTRIES)
    found = read_promotions(ServingSettings.load().bundles, limit)
    return Response(
        found.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-cache"}
    )


MODEL_ROUTES = [
    GetRoute(
        "/v1/model",
        model_state,
        operation="model",
        summary="What is served",
        description="Version, training span, metrics, features, window length, last load error and last "
        "reloads.",
        model=ModelState,
        tag="Model",
    ),
    GetRoute(
        "/v1/journal",
        journal,
        operation="journal",
        summary="Promotion journal",
        description="Promotions, refusals and rollbacks with their reasons and the gate's checks, the newest "
        "first.",
        model=PromotionJournal,
        parameters=[
            Parameter(
                "limit",
                f"entries at most; {ENTRIES} by default",
                {"type": "integer", "minimum": 1, "maximum": MAX_ENTRIES},
                "20",
            )
        ],
        errors=[503],
        tag="Model",
    ),
]
