"""``GET /``: the page for a browser, what is where for everything else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from serving.routes.page import page, wants_page
from serving.routes.route import GetRoute

__all__ = ["INDEX", "INDEX_ROUTES"]

INDEX = """bearmode: market regime, calibrated probabilities, bias and leverage

POST /v1/predict   one window in columns -> one answer
GET  /v1/model     what is served, and why not
GET  /v1/survival/{symbol}   measured chances of liquidation by side, leverage, regime and days
GET  /docs.json    OpenAPI
GET  /livez, /readyz, /metrics
"""


def index(request: Request) -> Response:
    """The page, or the list of the paths. BentoML's own page reports its visitors to a third party."""
    if wants_page(request):
        return page(request)
    return PlainTextResponse(INDEX, headers={"Vary": "Accept"})


INDEX_ROUTES = [
    GetRoute(
        "/",
        index,
        operation="index",
        summary="What is where",
        description="The paths of the service, as text; the web page for what accepts HTML.",
        media_type="text/plain",
    )
]
