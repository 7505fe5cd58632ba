"""``GET /v1/survival/{symbol}``: the measured table of a symbol."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from serving.routes.route import SYMBOL, GetRoute, symbol_of
from serving.settings import ServingSettings
from serving.survival import SurvivalTable, read_survival

__all__ = ["SURVIVAL_ROUTES"]


def survival(request: Request) -> Response:
    """The table as it is in its file."""
    content = read_survival(ServingSettings.load().bundles, symbol_of(request))
    return Response(content, media_type="application/json")


SURVIVAL_ROUTES = [
    GetRoute(
        "/v1/survival/{symbol}",
        survival,
        operation="survival",
        summary="Measured chances of liquidation",
        description="By side, leverage, regime at entry (walk-forward and hindsight) and days held; "
        "404 where `bearmode survival` has not written the symbol's table.",
        model=SurvivalTable,
        parameters=[SYMBOL],
        errors=[404, 503],
        tag="Markets",
    )
]
