"""The GET routes of the service: one file for each family of paths, collected in ``ROUTES``.

A new family is a file with a list of :class:`~serving.routes.route.GetRoute` and a line below. Such a
route documents itself: the OpenAPI document is made from what it declares.
"""

from starlette.routing import BaseRoute

from serving.routes.events import EVENT_ROUTES
from serving.routes.index import INDEX_ROUTES
from serving.routes.market import MARKET_ROUTES
from serving.routes.model import MODEL_ROUTES
from serving.routes.page import PAGE_ROUTES
from serving.routes.route import GetRoute, Parameter
from serving.routes.survival import SURVIVAL_ROUTES

__all__ = ["ROUTES", "GetRoute", "Parameter"]

ROUTES: list[BaseRoute] = [
    *INDEX_ROUTES,
    *MARKET_ROUTES,
    *MODEL_ROUTES,
    *SURVIVAL_ROUTES,
    *EVENT_ROUTES,
    *PAGE_ROUTES,
]
