"""The Crypto Fear & Greed Index of alternative.me: one value a day, for all coins.

The publisher asks to be named beside the data (https://alternative.me/crypto/fear-and-greed-index/).
Values and times arrive as text. The time is the day's start; the value is made during the day and
counts as known at its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import orjson
import pandas as pd
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from features.errors import BearmodeError, DataError, UsageError
from features.raw import LedgerEntry

__all__ = ["ATTRIBUTION", "FEAR_GREED_URL", "fetch_fear_greed"]

FEAR_GREED_URL = "https://api.alternative.me/fng/?limit=0&format=json"
ATTRIBUTION = "Fear & greed index: alternative.me"
ATTEMPTS = 4
TIMEOUT_SECONDS = 20.0
LARGEST = 16 << 20
"""Bytes; ten years are half a million."""
_FIRST = pd.Timestamp("2010-01-01", tz="UTC")


class _AgainError(Exception):
    """An answer that may be better the next time."""


def fetch_fear_greed(
    url: str | None = None,
    *,
    client: httpx.Client | None = None,
    now: pd.Timestamp | None = None,
    backoff_seconds: float = 0.5,
) -> tuple[pd.DataFrame, tuple[LedgerEntry, ...]]:
    """All days that are over.

    Parameters
    ----------
    url : str, optional
        http or https; :data:`FEAR_GREED_URL` by default.
    client : httpx.Client, optional
        To use and not to close.
    now : pandas.Timestamp, optional
        A day that ends later is not over and is left out.
    backoff_seconds : float
        First pause before another attempt; it doubles.

    Returns
    -------
    pandas.DataFrame
        ``time`` (UTC, end of the day: when the value was known), ``fear_greed`` (0 to 100),
        oldest first.
    tuple of LedgerEntry
        Days that are missing or doubled.

    Raises
    ------
    BearmodeError
        ``fear_greed_unreachable``, after some attempts.
    DataError
        ``not_json``, ``unexpected_shape`` or ``bad_value``, with the place.
    """
    url = url or FEAR_GREED_URL
    if not re.fullmatch(r"https?://[^\s/]+\S*", url):
        raise UsageError(f"{_shown(url)!r} is no http address", field="fear_greed_url")
    own = client or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=True)
    try:
        body = _body(url, own, backoff_seconds)
    finally:
        if client is None:
            own.close()
    return _table(_rows(body, _shown(url)), now or pd.Timestamp.now(tz="UTC"))


def _shown(url: str) -> str:
    """The address without what may be secret: user, password, query."""
    return re.sub(r"//[^/@]*@", "//", url).partition("?")[0][:200]


def _body(url: str, client: httpx.Client, backoff_seconds: float) -> bytes:
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=backoff_seconds, max=20) + wait_random(0, backoff_seconds),
        retry=retry_if_exception_type((httpx.TransportError, _AgainError)),
    )
    try:
        return retrying(_once, url, client)
    except RetryError as error:
        cause = error.last_attempt.exception()
        raise _unreachable(
            url, f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
        ) from cause
    except httpx.HTTPError as error:
        raise _unreachable(url, f"{type(error).__name__}: {error}") from error


def _unreachable(url: str, why: str) -> BearmodeError:
    return BearmodeError(
        f"{_shown(url)} does not answer: {why[:200].removeprefix('_AgainError: ')}",
        code="fear_greed_unreachable",
        hint="try again later, or go without the fear & greed index",
    )


def _once(url: str, client: httpx.Client) -> bytes:
    with client.stream("GET", url, headers={"Accept": "application/json"}) as response:
        if response.status_code == 429 or response.status_code >= 500:
            raise _AgainError(f"status {response.status_code}")
        if response.status_code != 200:
            raise _unreachable(url, f"status {response.status_code}")
        body = b""
        for piece in response.iter_bytes():
            body += piece
            if len(body) > LARGEST:
                raise DataError(
                    f"{_shown(url)} sends more than {LARGEST:,} bytes", code="unexpected_shape", field="data"
                )
        return body


def _rows(body: bytes, where: str) -> list[Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        begins = body[:60].decode("utf-8", "replace")
        raise DataError(
            f"{where} sends no JSON: {error}; it begins {begins!r}", code="not_json", field="data"
        ) from error
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not rows:
        said = answer.get("metadata") if isinstance(answer, dict) else None
        words = f"; it says {str(said)[:120]}" if said else ""
        raise DataError(
            f"{where} sends no list of days in 'data'{words}", code="unexpected_shape", field="data"
        )
    return rows


def _table(rows: list[Any], now: pd.Timestamp) -> tuple[pd.DataFrame, tuple[LedgerEntry, ...]]:
    values = np.array(
        [_number(row, number, "value", lambda x: 0 <= x <= 100) for number, row in enumerate(rows)]
    )
    seconds = [
        _number(row, number, "timestamp", lambda x: _FIRST.timestamp() <= x < 4_102_444_800)
        for number, row in enumerate(rows)
    ]
    day = pd.to_datetime(np.array(seconds), unit="s", utc=True).as_unit("ms").floor("D")
    table = pd.DataFrame({"time": (day + pd.Timedelta(days=1)).as_unit("ms"), "fear_greed": values})
    table = table.loc[table["time"] <= now].sort_values("time", kind="stable")
    # The newest is sent first: of two of one day the first one counts.
    doubled = table["time"].duplicated(keep="first")
    kept = table.loc[~doubled].reset_index(drop=True)
    ledger = []
    if doubled.any():
        ledger.append(_entry("double_rows", table.loc[doubled, "time"], "the newest one is kept"))
    if len(kept):
        days = pd.date_range(kept["time"].iloc[0], kept["time"].iloc[-1], freq="D")
        missing = pd.Series(days.difference(pd.DatetimeIndex(kept["time"])))
        if len(missing):
            ledger.append(_entry("missing_rows", missing, "days without a value"))
    return kept, tuple(ledger)


def _entry(kind: str, touched: pd.Series, words: str) -> LedgerEntry:
    return LedgerEntry(kind, "fear_greed", touched.iloc[0], touched.iloc[-1], len(touched), words)


def _number(row: Any, number: int, name: str, good: Callable[[float], bool]) -> float:
    value = row.get(name) if isinstance(row, dict) else None
    where = f"data[{number}].{name}"
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise DataError(
            f"{where} is {str(value)[:60]!r}, expected a number", code="unexpected_shape", field=where
        )
    try:
        found = float(value)
    except ValueError as error:
        raise DataError(
            f"{where} is {str(value)[:60]!r}, expected a number", code="bad_value", field=where
        ) from error
    if not good(found):
        words = "0 to 100" if name == "value" else "seconds since 1970"
        raise DataError(f"{where} is {str(value)[:60]!r}, expected {words}", code="bad_value", field=where)
    return found
