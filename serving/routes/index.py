"""``GET /``: the page for a browser, what is where for everything else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from serving.routes.page import page, wants_page
from serving.routes.route import GetRoute

__all__ = ["INDEX", "INDEX_ROUTES"]

INDEX = """bearmode: market regime, calibrated probabilities, bias and leverage

POST /v1/predict                    one window in columns -> one answer
POST /v1/predict/batch              many windows -> an answer or an error for each
GET  /v1/board                      all symbols of the live store, with the age of their data
GET  /v1/regimes/{symbol}           newest answer of a symbol
GET  /v1/signals/{symbol}           its signals
GET  /v1/history/{symbol}           prices with replayed regimes and probabilities
GET  /v1/liquidation_map/{symbol}   estimated liquidation map
GET  /v1/survival/{symbol}          measured chances of liquidation by side, leverage, regime and days
GET  /v1/model, /v1/journal         what is served and why not; promotions
GET  /v1/events, /v1/live           changes as they happen; how live mode does
GET  /docs.json                     OpenAPI
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
