"""``GET /``: what is where."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse

from serving.routes.route import GetRoute

__all__ = ["INDEX", "INDEX_ROUTES"]

INDEX = """bearmode: market regime, calibrated probabilities, bias and leverage

POST /v1/predict   one window in columns -> one answer
GET  /v1/model     what is served, and why not
GET  /v1/survival/{symbol}   measured chances of liquidation by side, leverage, regime and days
GET  /docs.json    OpenAPI
GET  /livez, /readyz, /metrics
"""


async def index(_: Request) -> PlainTextResponse:
    """List of the paths. BentoML's own page reports its visitors to a third party."""
    return PlainTextResponse(INDEX)


INDEX_ROUTES = [
    GetRoute(
        "/",
        index,
        operation="index",
        summary="What is where",
        description="The paths of the service, as text.",
        media_type="text/plain",
    )
]
