"""Bytes to a validated request, or one readable error.

BentoML hands the body to :meth:`PredictRequestBody.model_validate_json`. A right one is read by
:mod:`serving.request_columns`, its columns as arrays; what is left, and all wording, is here.

An error does not leave it as an exception, since BentoML would log each bad request with a traceback
and answer with the list of all violations (57 MB for a 1.5 MB body of wrong values): it travels inside
the request instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Self, cast

import orjson
from pydantic import PrivateAttr, TypeAdapter, ValidationError

from features.errors import BearmodeError
from serving.request_columns import request_fields
from serving.schemas import PredictRequest
from serving.web_errors import RequestRefusedError

__all__ = ["PredictRequestBody", "field_path", "refusal_of"]

MANY = 1_000
"""Above this many violations they are looked at piece by piece: listing them all takes seconds."""

MAX_MEMBERS = 2_000
"""Names in a body, over all its objects: 4 MB of tiny objects would take four seconds to validate."""

Path = Sequence[int | str]


class PredictRequestBody(PredictRequest):
    """A request off the wire, or the reason why it is none."""

    _refusal: BearmodeError | None = PrivateAttr(default=None)

    @property
    def refusal(self) -> BearmodeError | None:
        """Why the request is refused; ``None`` for a valid one."""
        return self._refusal

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Validate a body; a refusal is carried, not raised."""
        body = json_data.encode() if isinstance(json_data, str) else bytes(json_data)
        fields = request_fields(body)
        if fields is not None:
            construct: Any = cls.model_construct
            return cast(Self, construct(**fields))
        members = body.count(b'":')
        if members > MAX_MEMBERS:
            text = f"the body has {members:,} names in its objects, expected at most {MAX_MEMBERS:,}"
            return cls._refused(RequestRefusedError(422, text, hint="send less context"))
        try:
            # The parser takes these two tokens, JSON does not; inside a string they are fine.
            if b"NaN" in body or b"Infinity" in body:
                orjson.loads(body)
            return super().model_validate_json(body, **options)
        except orjson.JSONDecodeError as error:
            hint = "NaN and Infinity are not JSON: write null for a missing value"
            refusal = _not_json(str(error), hint)
        except ValidationError as error:
            refusal = refusal_of(error, body)
        return cls._refused(refusal)

    @classmethod
    def _refused(cls, refusal: BearmodeError) -> Self:
        """A request without any field but its refusal."""
        construct: Any = cls.model_construct
        refused: Self = construct()
        refused._refusal = refusal
        return refused


def refusal_of(error: ValidationError, body: bytes) -> RequestRefusedError:
    """The first violation of a body as the error to answer with."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        return _not_json(str(broken))
    count = error.error_count()
    if not isinstance(data, dict):
        return RequestRefusedError(422, f"the body is {_shown(data)}, expected an object")
    first = next(_listed(error), None) if count <= MANY else next(_piecewise(data), None)
    if first is None:
        return RequestRefusedError(422, f"the request breaks a rule in {count:,} places")
    kind, path, text = first
    if kind == "json_invalid":
        return _not_json(text.removeprefix("Invalid JSON: "))
    refusal = _worded(kind, path, text, data)
    if count > 1:
        refusal.message += f" (and {count - 1:,} more)"
    return refusal


def field_path(path: Path) -> str | None:
    """Path of a value as it is written in the answer.

    Examples
    --------
    >>> field_path(("context", "BTCUSDT", "close", 17))
    'context.BTCUSDT.close[17]'
    """
    text = ""
    for part in path:
        if part == "[key]":
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text[:200] or None


Violation = tuple[str, Path, str]
"""Kind, path and words of one broken rule, as pydantic names them."""


def _listed(error: ValidationError, before: Path = (), shift: int = 0) -> Iterator[Violation]:
    """Every violation of an error, below a path, with list positions shifted."""
    for entry in error.errors(include_url=False, include_context=False, include_input=False):
        path = entry["loc"]
        if shift and path and isinstance(path[0], int):
            path = (path[0] + shift, *path[1:])
        yield entry["type"], (*before, *path), entry["msg"]


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Validator of each field by itself."""
    adapters: dict[str, TypeAdapter[Any]] = {}
    for name, field in PredictRequest.model_fields.items():
        kind: Any = field.annotation
        adapters[name] = TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)
    return adapters


def _piecewise(data: dict[str, Any]) -> Iterator[Violation]:
    """The violations of a body that has very many, found a piece at a time."""
    for name in data.keys() - _adapters().keys():
        yield "extra_forbidden", (name,), ""
    for name, adapter in _adapters().items():
        if name not in data:
            continue
        for shift, piece in _pieces(data[name]):
            try:
                adapter.validate_python(piece)
            except ValidationError as error:
                yield from _listed(error, (name,), shift)


def _pieces(value: Any) -> Iterator[tuple[int, Any]]:
    """A list or an object in pieces of at most 500, with where each begins."""
    if isinstance(value, list) and len(value) > 500:
        for start in range(0, len(value), 500):
            yield start, value[start : start + 500]
    elif isinstance(value, dict) and len(value) > 500:
        names = list(value)
        for start in range(0, len(names), 500):
            yield 0, {name: value[name] for name in names[start : start + 500]}
    else:
        yield 0, value


def _worded(kind: str, path: Path, text: str, data: dict[str, Any]) -> RequestRefusedError:
    """One violation in words: what was got, what was expected, how to mend it."""
    field = field_path(path)
    value = _at(data, path)
    if kind == "missing":
        return RequestRefusedError(422, f"{field} is missing", field=field, hint="see /docs.json")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1])[:60], PredictRequest.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else "unknown fields are refused; see /docs.json"
        return RequestRefusedError(422, f"{field} is not a field of the request", field=field, hint=hint)
    if kind == "too_long":
        rule = text.partition(" at most ")[2].partition(" ")[0]
        return RequestRefusedError(
            422, f"{field} has {len(value):,} values, expected at most {int(rule):,}", field=field
        )
    if kind == "value_error":
        words = text.removeprefix("Value error, ")
        subject = words.partition(" ")[0]
        named = field_path((*path, subject)) if subject in PredictRequest.model_fields else field
        return RequestRefusedError(422, words, field=named)
    expected = text.replace("Input should be", "expected", 1) if "Input should be" in text else text
    return RequestRefusedError(422, f"{field} is {_shown(value)}: {expected}", field=field)


def _at(data: Any, path: Path) -> Any:
    """Value at a path, ``None`` where the path leads nowhere."""
    for part in path:
        inside = part < len(data) if isinstance(part, int) and isinstance(data, list) else False
        if inside or (isinstance(data, dict) and part in data):
            data = data[part]
        elif part == "[key]":
            return path[path.index(part) - 1]
        else:
            return None
    return data


def _shown(value: Any) -> str:
    """A value as JSON, cut short; lists and objects only by kind."""
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    if isinstance(value, dict):
        return "an object"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _not_json(why: str, hint: str | None = None) -> RequestRefusedError:
    return RequestRefusedError(400, f"the body is not JSON: {why[:200]}", code="not_json", hint=hint)
