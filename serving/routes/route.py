"""A GET route that says in one place what it answers, what it takes and how it may fail."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.errors import BearmodeError
from serving.request_symbol import SYMBOL_PATTERN, check_symbol
from serving.web_errors import RequestRefusedError, error_response

__all__ = ["SYMBOL", "GetRoute", "Parameter", "symbol_of"]

Answer = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a path or a query.

    Attributes
    ----------
    name : str
        A parameter that stands in the path is required, all others are optional.
    description : str
    schema : mapping
        JSON schema of its value.
    example : str, optional
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    example: str | None = None


SYMBOL = Parameter("symbol", "such as BTCUSDT", {"type": "string", "pattern": SYMBOL_PATTERN}, "BTCUSDT")


class GetRoute(Route):
    """A GET route (and HEAD) with its documentation; unknown query parameters are refused.

    Parameters
    ----------
    path : str
    answer : callable
        Takes the request, gives the response. A plain function runs in a thread, a coroutine on the
        event loop: there it must not compute. A :class:`BearmodeError` becomes the error in the one
        shape, except that of status 500, which is logged and answered without its text.
    operation : str
        Name of the operation in the OpenAPI document, such as ``board``.
    summary, description : str
    model : type of BaseModel, optional
        Schema of the answer, where it is JSON; otherwise any object.
    media_type : str
    parameters : sequence of Parameter
    errors : sequence of int
        Statuses beyond those that every path can have.
    headers : mapping of str to str, optional
        Headers of the answer and what they say; with an ``ETag`` among them it may be a 304.
    tag : str
        Chapter of the document, one of :data:`serving.openapi_words.TAGS`.
    example : callable, optional
        Gives an answer for the document; called when the document is made.
    """

    def __init__(
        self,
        path: str,
        answer: Answer,
        *,
        operation: str,
        summary: str,
        description: str,
        model: type[BaseModel] | None = None,
        media_type: str = "application/json",
        parameters: Sequence[Parameter] = (),
        errors: Sequence[int] = (),
        headers: Mapping[str, str] | None = None,
        tag: str = "Operations",
        example: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(path, _guarded(answer, path, parameters), methods=["GET"], name=operation)
        self.operation = operation
        self.summary = summary
        self.description = description
        self.model = model
        self.media_type = media_type
        self.parameters = tuple(parameters)
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.tag = tag
        self.example = example


def symbol_of(request: Request) -> str:
    """The path's symbol.

    Raises
    ------
    RequestRefusedError
        422 for what is no symbol.
    """
    return check_symbol(str(request.path_params["symbol"]))


def _guarded(
    answer: Answer, path: str, parameters: Sequence[Parameter]
) -> Callable[[Request], Awaitable[Response]]:
    known = {parameter.name for parameter in parameters if f"{{{parameter.name}" not in path}

    async def endpoint(request: Request) -> Response:
        try:
            _check_query(request, known)
            if inspect.iscoroutinefunction(answer):
                response: Response = await answer(request)
            else:
                response = await run_in_threadpool(answer, request)  # type: ignore[arg-type]
        except BearmodeError as error:
            if error.status == 500:
                raise
            return error_response(error)
        return response

    return endpoint


def _check_query(request: Request, known: set[str]) -> None:
    """Refuse query parameters that nobody reads, and those given twice."""
    if not request.scope["query_string"]:
        return
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise RequestRefusedError(
                422,
                f"{name[:60]!r} is no parameter of this path",
                code="unknown_parameter",
                field=name[:60] or None,
                hint=f"it takes {', '.join(sorted(known))}" if known else "it takes none",
            )
        if given.count(name) > 1:
            raise RequestRefusedError(422, f"{name} is given twice", field=name, hint="give it once")
