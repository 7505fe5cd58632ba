"""Values of query parameters."""

from __future__ import annotations

import re

import pandas as pd
from starlette.requests import Request

from serving.request_symbol import check_symbol
from serving.web_errors import RequestRefusedError

__all__ = ["MAX_SYMBOLS", "moment", "symbols_of", "whole_number"]

MAX_SYMBOLS = 200
_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[ +-]\d{2}:\d{2})?)?)?")
_GAP = re.compile(r"([T ]\d{2}:\d{2}\S*) (\d{2}:\d{2})$")
_EARLIEST = pd.Timestamp("2009-01-01", tz="UTC")
_LATEST = pd.Timestamp("2100-01-01", tz="UTC")


def moment(request: Request, name: str) -> pd.Timestamp | None:
    """ISO date or time, UTC, or integer Unix milliseconds; ``None`` where it is not given.

    Raises
    ------
    RequestRefusedError
        422 for anything else.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 14 and len(text) > 8:
        found: pd.Timestamp | None = pd.Timestamp(int(text), unit="ms", tz="UTC")
    else:
        found = _iso(text)
    if found is None or not _EARLIEST <= found <= _LATEST:
        raise RequestRefusedError(
            422,
            f"{name} is {text[:40]!r}, expected a date or time from 2009 to 2100",
            code="bad_parameter",
            field=name,
            hint="ISO 8601 in UTC (2024-01-31 or 2024-01-31T12:00:00Z) or Unix milliseconds",
        )
    return found.as_unit("ms")


def _iso(text: str) -> pd.Timestamp | None:
    """Time of an ISO 8601 text, UTC where it names no zone; ``None`` for anything else."""
    if not _ISO.fullmatch(text):
        return None
    try:
        # In a query a plus sign is a space: 00:00+00:00 arrives with a gap.
        found = pd.Timestamp(_GAP.sub(r"\1+\2", text))
    except ValueError:
        return None
    return found.tz_localize("UTC") if found.tz is None else found.tz_convert("UTC")


def whole_number(request: Request, name: str, default: int, largest: int) -> int:
    """Whole number from 1 to `largest`.

    Raises
    ------
    RequestRefusedError
        422 for anything else.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= largest:
        return int(text)
    raise RequestRefusedError(
        422,
        f"{name} is {text[:40]!r}, expected a whole number from 1 to {largest:,}",
        code="bad_parameter",
        field=name,
    )


def symbols_of(request: Request) -> list[str] | None:
    """Comma-separated symbols, each once; ``None`` where none are given.

    Raises
    ------
    RequestRefusedError
        422 for what is no symbol, or too many of them.
    """
    text = request.query_params.get("symbols")
    if text is None:
        return None
    names = list(dict.fromkeys(check_symbol(name.strip(), "symbols") for name in text.split(",")[:1_000]))
    if len(names) > MAX_SYMBOLS:
        raise RequestRefusedError(
            422, f"{len(names)} symbols are asked for, at most {MAX_SYMBOLS} are answered", field="symbols"
        )
    return names
