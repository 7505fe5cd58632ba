"""The columns of a request as arrays, straight from its bytes.

A window of some thousand bars is hundreds of kilobytes of numbers; as Python objects, checked one by
one, they take longer than all that is computed from them. Here they go from the parser to arrays, and
rules are checked a column at a time. Whatever is unusual is left to the slow way
(:mod:`serving.request_parsing`), which gives the same values and says in words what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import simdjson
from pydantic import BaseModel, ConfigDict, ValidationError

from serving.schemas import MAX_BARS, VALUE_COLUMNS, Account, Context, PredictRequest, UnixMilliseconds

__all__ = ["request_fields"]

LATEST = 4_102_444_800_000
"""Largest time in milliseconds; see :data:`serving.schemas.UnixMilliseconds`."""
MAX_CONTEXT = 100
"""More symbols than any model looks across: read the slow way."""

_SYMBOL = re.compile(r"[A-Z0-9]{2,24}")
_FIELDS = frozenset(PredictRequest.model_fields)
_REQUIRED = frozenset(name for name, field in PredictRequest.model_fields.items() if field.is_required())
_COLUMNS = frozenset(VALUE_COLUMNS)


class _UnusualError(Exception):
    """The slow way has to look at it."""


class _Head(BaseModel):
    """What is no column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: str
    interval: Literal["1h", "4h", "1d"] = "1h"
    as_of: UnixMilliseconds | None = None
    account: Account | None = None


def request_fields(body: bytes) -> dict[str, Any] | None:
    """Fields of a valid request, its columns as arrays of float64, its times of int64.

    Parameters
    ----------
    body : bytes
        JSON.

    Returns
    -------
    dict or None
        For ``PredictRequest.model_construct``; ``None`` where the slow way has to look.

    Examples
    --------
    >>> request_fields(b'{"symbol": "BTCUSDT"}') is None
    True
    """
    if not body[:64].lstrip(b" \n\r\t").startswith(b"{"):
        return None
    try:
        document = simdjson.Parser().parse(body)
        return _fields(document, body.count(b"["))
    except (_UnusualError, ValidationError, ValueError, TypeError, RuntimeError, KeyError):
        return None  # KeyError: a name with an escape in it, which this parser cannot look up


def _fields(document: Any, arrays: int) -> dict[str, Any]:
    names = list(document.keys())
    there = frozenset(names)
    if len(there) != len(names) or not there <= _FIELDS or not there >= _REQUIRED:
        raise _UnusualError
    bars = len(_array(document["time"]))
    fields: dict[str, Any] = {"time": _times(document["time"])}
    read = 1
    for name in names:
        if name in _COLUMNS:
            value = document[name]
            if value is None and name not in _REQUIRED:
                continue
            fields[name] = _column(value, bars)
            read += 1
    if "context" in there:
        fields["context"], inside = _context(document["context"])
        read += inside
    if read != arrays:  # a list within a list would be flattened
        raise _UnusualError
    head = {
        name: _plain(document[name]) for name in ("symbol", "interval", "as_of", "account") if name in there
    }
    checked = _Head.model_validate(head)
    if not _SYMBOL.fullmatch(checked.symbol):
        raise _UnusualError
    return {**dict(checked), **fields}


def _array(value: Any) -> simdjson.Array:
    if not isinstance(value, simdjson.Array) or len(value) > MAX_BARS:
        raise _UnusualError
    return value


def _plain(value: Any) -> Any:
    """A small value as Python objects."""
    return value.as_dict() if isinstance(value, simdjson.Object) else value


def _times(value: Any) -> npt.NDArray[np.int64]:
    times = np.frombuffer(_array(value).as_buffer(of_type="i"), dtype=np.int64)
    if len(times) == 0 or times.min() < 0 or times.max() > LATEST:
        raise _UnusualError
    return times


def _column(value: Any, bars: int) -> npt.NDArray[np.float64]:
    """One value a bar; null is NaN."""
    array = _array(value)
    if len(array) != bars:
        raise _UnusualError
    try:
        return np.frombuffer(array.as_buffer(of_type="d"), dtype=np.float64)
    except TypeError:  # a null, or what is no number
        values = array.as_list()
    if not set(map(type, values)) <= {float, int, type(None)}:
        raise _UnusualError
    column = np.array(values, dtype=np.float64)
    column.flags.writeable = False
    return column


def _context(value: Any) -> tuple[Mapping[str, Context] | None, int]:
    """Closes of other symbols, and how many lists they were."""
    if value is None:
        return None, 0
    if not isinstance(value, simdjson.Object) or len(value) > MAX_CONTEXT:
        raise _UnusualError
    context: dict[str, Context] = {}
    for name in value.keys():  # noqa: SIM118 - not a dict
        if not _SYMBOL.fullmatch(name) or name in context:
            raise _UnusualError
        one = value[name]
        if not isinstance(one, simdjson.Object):
            raise _UnusualError
        if sorted(one.keys()) != ["close", "time"]:
            raise _UnusualError
        times = _array(one["time"])
        construct: Any = Context.model_construct
        context[name] = construct(
            time=_times(times) if len(times) else np.zeros(0, np.int64),
            close=_column(one["close"], len(times)),
        )
    return context, 2 * len(context)
