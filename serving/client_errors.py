"""What can go wrong between a client and the service.

ClientError(BearmodeError)
├── ServiceError              the service answered with an error; status, code, field, hint, request id
│   ├── RefusedError          4xx: the request has to be changed
│   ├── TooManyError          429, also after the retries
│   └── UnavailableError      503 or another 5xx, also after the retries
├── UnreachableError          no answer: no connection, or not in time
└── BadAnswerError            an answer that is none of this service's
"""

from __future__ import annotations

from features.errors import BearmodeError

__all__ = [
    "BadAnswerError",
    "ClientError",
    "RefusedError",
    "ServiceError",
    "TooManyError",
    "UnavailableError",
    "UnreachableError",
    "service_error",
]


class ClientError(BearmodeError):
    """Anything that ends a call of the client without an answer."""

    default_code = "client_error"


class UnreachableError(ClientError):
    """No answer came."""

    default_code = "unreachable"


class BadAnswerError(ClientError):
    """Something answered, but not as this service does."""

    default_code = "bad_answer"


class ServiceError(ClientError):
    """The service answered with an error.

    Attributes
    ----------
    status : int
    request_id : str or None
        Under which the service's log knows the request.
    retry_after : float or None
        Seconds that the service asks to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        field: str | None = None,
        hint: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field, hint=hint)
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


class RefusedError(ServiceError):
    """The request breaks a rule; sending it again will not help."""


class TooManyError(ServiceError):
    """More requests than the service, or this key, takes."""


class UnavailableError(ServiceError):
    """The service cannot answer now."""


def service_error(
    status: int,
    error: dict[str, str | None],
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
) -> ServiceError:
    """The exception for an error in the one shape.

    Examples
    --------
    >>> found = service_error(422, {"code": "bad_price", "message": "close[3] is 0", "field": "close[3]"})
    >>> type(found).__name__, found.field
    ('RefusedError', 'close[3]')
    """
    kind = TooManyError if status == 429 else UnavailableError if status >= 500 else RefusedError
    return kind(
        error.get("message") or f"the service answered {status}",
        status=status,
        code=error.get("code") or "unknown",
        field=error.get("field"),
        hint=error.get("hint"),
        request_id=request_id,
        retry_after=retry_after,
    )
