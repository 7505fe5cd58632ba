"""A body of the live store as a response: entity tag, age of the data, 304 for who has it already."""

from __future__ import annotations

import pandas as pd
from starlette.requests import Request
from starlette.responses import Response

from serving.aged_body import Sent

__all__ = ["AGED_HEADERS", "aged_response", "takes_gzip"]

AGED_HEADERS = {
    "ETag": "weak entity tag: send it as If-None-Match and get a 304 while nothing has changed but an age",
    "Last-Modified": "close of the newest bar that the answer is about",
    "X-Data-Age": "seconds since that close, at the moment of the answer; also with a 304",
    "X-Data-State": "current, late, stale or ahead",
}
"""What the document says of the headers."""


def aged_response(request: Request, sent: Sent) -> Response:
    """The response to a GET, 304 where the client has the same body."""
    headers = {"ETag": sent.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if sent.newest is not None:
        headers["Last-Modified"] = _http_date(sent.newest)
        headers["X-Data-Age"] = str(sent.age)
        headers["X-Data-State"] = str(sent.state)
    if _has(request, sent.tag):
        return Response(status_code=304, headers=headers)
    if sent.encoding is not None:
        headers["Content-Encoding"] = sent.encoding
    return Response(sent.content, media_type="application/json", headers=headers)


def takes_gzip(request: Request) -> bool:
    """Whether the client takes a body as gzip."""
    for part in request.headers.get("accept-encoding", "").split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() in {"gzip", "*"} and weight.replace(" ", "") not in {"q=0", "q=0.0"}:
            return True
    return False


def _has(request: Request, tag: str) -> bool:
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    weak = tag.removeprefix("W/")
    return any(one.strip().removeprefix("W/") in {weak, "*"} for one in given.split(","))


def _http_date(time: pd.Timestamp) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT")
