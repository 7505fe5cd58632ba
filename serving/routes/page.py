"""The web page: ``GET /`` for a browser, its files below ``/page/``."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.page import Asset, page_assets
from serving.page.assets import PLOTLY_MISSING
from serving.web_errors import RequestRefusedError, error_response

__all__ = ["PAGE_POLICY", "PAGE_ROUTES", "page", "wants_page"]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's own files and nothing else; no inline script, no inline style. Charts draw into data images."""

FOREVER = "public, max-age=31536000, immutable"
"""For what is named by its content."""
ASK_AGAIN = "no-cache"
"""To be kept, and asked for again by its ETag each time."""

_HTML = re.compile(r"^\s*(text/html|application/xhtml\+xml)\s*(;|$)")
_REFUSED = re.compile(r";\s*q\s*=\s*0(\.0*)?\s*(;|$)")


def wants_page(request: Request) -> bool:
    """Whether who asks for ``/`` names HTML among what it takes, as browsers do and curl does not."""
    offered = ",".join(request.headers.getlist("accept")).split(",")
    return any(_HTML.match(one) and not _REFUSED.search(one) for one in offered)


def page(request: Request) -> Response:
    """The page."""
    return _sent(
        page_assets().index,
        request,
        cache=ASK_AGAIN,
        vary="Accept, Accept-Encoding",
        policy=PAGE_POLICY,
    )


def page_file(request: Request) -> Response:
    """One of its files; under another digest than the present one it is not to be kept."""
    assets = page_assets()
    asset = assets.file(request.path_params["name"])
    if asset is None:
        return error_response(RequestRefusedError(404, "the page has no such file"))
    current = request.path_params["digest"] == assets.digest
    return _sent(asset, request, cache=FOREVER if current else ASK_AGAIN)


def chart_script(request: Request) -> Response:
    """Plotly's script as its package holds it."""
    assets = page_assets()
    asset = assets.plotly
    if asset is None:
        return error_response(
            RequestRefusedError(404, PLOTLY_MISSING, hint="pip install plotly where the service runs")
        )
    current = request.path_params["version"] == assets.plotly_version
    return _sent(asset, request, cache=FOREVER if current else ASK_AGAIN)


def _sent(
    asset: Asset, request: Request, *, cache: str, vary: str = "Accept-Encoding", policy: str | None = None
) -> Response:
    """The file, compressed where it is taken so, or 304 where it is there already."""
    zipped = _takes_gzip(request)
    etag = asset.etag if not zipped else f'{asset.etag[:-1]}-gzip"'
    headers = {"ETag": etag, "Cache-Control": cache, "Vary": vary}
    if policy is not None:
        headers["Content-Security-Policy"] = policy
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Response(
        asset.compressed if zipped else asset.content, media_type=asset.media_type, headers=headers
    )


def _matches(given: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names the validator, weakly or not, or anything at all."""
    return any(one.strip().removeprefix("W/") in {etag, "*"} for one in given.split(","))


def _takes_gzip(request: Request) -> bool:
    for one in ",".join(request.headers.getlist("accept-encoding")).split(","):
        name, _, rest = one.partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            return not _REFUSED.search(f";{rest}")
    return False


PAGE_ROUTES = [
    Route("/page/plotly-{version}/plotly.min.js", chart_script, methods=["GET"], include_in_schema=False),
    Route("/page/{digest}/{name}", page_file, methods=["GET"], include_in_schema=False),
]
