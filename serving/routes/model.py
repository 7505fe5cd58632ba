"""``GET /v1/model``: what is served."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from serving.routes.current import live_model
from serving.routes.route import GetRoute

__all__ = ["MODEL_ROUTES"]


async def model_state(_: Request) -> JSONResponse:
    """Version, training span, metrics, features, and the state of the load."""
    return JSONResponse(live_model().describe())


MODEL_ROUTES = [
    GetRoute(
        "/v1/model",
        model_state,
        operation="model",
        summary="What is served",
        description="Version, training span, metrics, features, window length, last load error.",
    )
]
