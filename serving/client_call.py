"""One call of the service, as data: what is sent, when it is repeated, what the answer means.

Nothing here waits or connects: the two clients of :mod:`serving.client` share it.
"""

from __future__ import annotations

import gzip
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

import httpx
import orjson
import pandas as pd
from pydantic import BaseModel, ValidationError

from features.history import History
from serving.client_errors import BadAnswerError, ServiceError, UnreachableError, service_error
from serving.schemas import PredictRequest
from serving.window import window_request

__all__ = ["Call", "Retries", "Window", "answered", "body_of", "failed", "request_headers"]

Model = TypeVar("Model", bound=BaseModel)

Window = History | PredictRequest | Mapping[str, Any]
"""A window to be answered: a history of exactly the bars to send, a request, or the body as a mapping."""

_COMPRESSED_FROM = 16_000
"""Bytes; shorter bodies go plain."""


@dataclass(frozen=True)
class Call(Generic[Model]):
    """A request and the form of its answer."""

    method: str
    path: str
    answer: type[Model]
    query: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Retries:
    """When a call is repeated: every path of the service may be asked twice without harm.

    Attributes
    ----------
    times : int
        After the first attempt.
    first_wait, longest_wait : float
        Seconds. The wait doubles from the first to the longest and is drawn between half of that and all
        of it; the service's ``Retry-After`` is kept to, unless it is longer than the longest.
    """

    times: int = 3
    first_wait: float = 0.25
    longest_wait: float = 15.0

    def wait(self, attempt: int, error: Exception) -> float | None:
        """Seconds before the next attempt, ``None`` where there is to be none.

        Parameters
        ----------
        attempt : int
            Attempts so far, from 1.
        error : Exception
            Of the last one.
        """
        if attempt > self.times:
            return None
        asked: float | None
        if isinstance(error, UnreachableError):
            asked = 0.0 if error.code == "unreachable" else None
        elif isinstance(error, ServiceError) and error.status in {429, 503}:
            asked = error.retry_after or 0.0
        else:
            asked = None
        if asked is None or asked > self.longest_wait:
            return None
        usual = min(self.longest_wait, self.first_wait * 2 ** (attempt - 1))
        drawn: float = usual * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
        return max(asked, drawn)


def request_headers(
    call: Call[Any], request_id: str | None, compress: bool
) -> tuple[dict[str, str], bytes | None]:
    """Headers and body as they are sent; a request id of our own is what both logs can be searched for."""
    headers = {"X-Request-Id": request_id or uuid.uuid4().hex, "Accept": "application/json"}
    body = call.body
    if body is not None:
        headers["Content-Type"] = "application/json"
        if compress and len(body) >= _COMPRESSED_FROM:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 3)
    return headers, body


def body_of(window: Window, as_of: pd.Timestamp | int | None = None, account: Any = None) -> dict[str, Any]:
    """A window as the body of a request.

    Parameters
    ----------
    window : History, PredictRequest or mapping
    as_of : pandas.Timestamp or int, optional
        In place of the window's own; an integer is Unix milliseconds.
    account : Account or mapping, optional
        In place of the window's own.
    """
    if isinstance(window, History):
        body = window_request(window)
    elif isinstance(window, PredictRequest):
        body = window.model_dump(exclude_none=True)
    else:
        body = dict(window)
    if as_of is not None:
        body["as_of"] = as_of if isinstance(as_of, int) else int(as_of.timestamp() * 1000)
    if account is not None:
        given = account.model_dump(exclude_none=True) if isinstance(account, BaseModel) else account
        body["account"] = given
    return body


def packed(content: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """JSON; NaN becomes null, arrays of numpy lists."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def answered(call: Call[Model], response: httpx.Response) -> Model:
    """The answer in a response.

    Raises
    ------
    ServiceError
        For an error in the one shape.
    BadAnswerError
        For anything else.
    """
    request_id = response.headers.get("x-request-id")
    if response.status_code == 200:
        try:
            return call.answer.model_validate_json(response.content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise BadAnswerError(
                f"the answer of {call.path} is not what this client knows: {first['msg']} at {where}",
                hint="client and service may be of different versions",
            ) from error
    try:
        found = orjson.loads(response.content)["error"]
        known = isinstance(found, dict) and "code" in found
    except (orjson.JSONDecodeError, KeyError, TypeError):
        known = False
    if not known:
        found = {"code": "unknown", "message": f"{call.path} answered {response.status_code}"}
        if response.status_code < 400:
            raise BadAnswerError(str(found["message"]), hint="something else than bearmode answers there")
    raise service_error(
        response.status_code, found, request_id=request_id, retry_after=_retry_after(response)
    )


def failed(call: Call[Any], error: httpx.TransportError, base_url: str) -> UnreachableError:
    """The error for an answer that did not come; code ``timeout`` where it was too slow."""
    slow = isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout)
    return UnreachableError(
        f"{base_url}{call.path} gave no answer: {error or type(error).__name__}",
        code="timeout" if slow else "unreachable",
        hint="give it a longer timeout" if slow else "is the service running there? bearmode serve",
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the service asks to wait; HTTP allows a number or a date."""
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - pd.Timestamp.now("UTC").timestamp())
    except (TypeError, ValueError):
        return None
