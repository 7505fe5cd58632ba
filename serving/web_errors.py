"""The one shape of every error on the wire.

``{"error": {"code", "message", "field", "hint"}}``: ``code`` is stable snake case, ``field`` a path
such as ``close[17]`` or null, ``hint`` how to mend it or null.
"""

from __future__ import annotations

import orjson
from starlette.responses import Response

from features.errors import BearmodeError
from serving.error_schemas import ErrorBody, error_detail

__all__ = [
    "RequestRefusedError",
    "error_for_status",
    "error_response",
    "is_error_body",
    "not_ready",
]

RETRY_AFTER_SECONDS = {429: 1, 503: 5}
"""What ``Retry-After`` says by status, in seconds."""

_BY_STATUS: dict[int, tuple[str, str, str | None]] = {
    400: ("bad_request", "the request could not be understood", None),
    401: ("unauthorized", "this needs a key", None),
    403: ("forbidden", "this is not allowed", None),
    404: ("not_found", "there is nothing at this path", "GET /docs.json lists the paths"),
    405: ("method_not_allowed", "this path does not take this method", "see the Allow header"),
    408: ("body_timeout", "the request body did not arrive in time", "send it at once"),
    413: ("body_too_large", "the request body is too large", None),
    415: ("unsupported_media_type", "the body's type is not supported", "send application/json"),
    422: ("invalid_request", "the request breaks a rule", None),
    429: ("too_many_requests", "more requests at once than this service takes", "retry after Retry-After"),
    500: ("internal", "the service failed on this request", "its log says more under the X-Request-Id"),
    503: ("not_ready", "no verified bundle is being served", "GET /v1/model says why"),
    504: ("timeout", "no answer within the time limit", "send a shorter window or retry later"),
}


class RequestRefusedError(BearmodeError):
    """A request that is refused before anything is computed.

    Parameters
    ----------
    status : int
        HTTP status; the code is that status's own unless given.
    message : str
        What was got and what was expected.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code or _BY_STATUS[status][0], field=field, hint=hint)
        self.status = status
        self.headers: dict[str, str] = {}
        """More headers of the answer, such as a ``Retry-After`` that is known."""


def error_for_status(status: int) -> RequestRefusedError:
    """The error of a status about which nothing more is known.

    Examples
    --------
    >>> error_for_status(404).code, error_for_status(418).code
    ('not_found', 'bad_request')
    """
    known = status if status in _BY_STATUS else (500 if status >= 500 else 400)
    code, message, hint = _BY_STATUS[known]
    refused = RequestRefusedError(known, message, code=code, hint=hint)
    refused.status = status
    return refused


def not_ready(cause: BearmodeError | None) -> RequestRefusedError:
    """503 that says why no bundle is served."""
    if cause is None:
        return error_for_status(503)
    return RequestRefusedError(
        503, f"no verified bundle is being served: {cause.message}", field=cause.field, hint=cause.hint
    )


def error_response(error: BearmodeError) -> Response:
    """Response in the one shape, with ``Retry-After`` where waiting may help."""
    retry = RETRY_AFTER_SECONDS.get(error.status)
    return Response(
        orjson.dumps(ErrorBody(error=error_detail(error)).model_dump()),
        status_code=error.status,
        media_type="application/json",
        headers=({} if retry is None else {"Retry-After": str(retry)}) | getattr(error, "headers", {}),
    )


def is_error_body(body: bytes) -> bool:
    """Whether a body is in the one shape already.

    Examples
    --------
    >>> is_error_body(b'{"error": "text"}'), is_error_body(error_response(error_for_status(404)).body)
    (False, True)
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    error = content.get("error") if isinstance(content, dict) else None
    return isinstance(error, dict) and error.keys() == {"code", "message", "field", "hint"}
