"""Dates, numbers and symbols as they come in a query."""

from __future__ import annotations

import pandas as pd
import pytest
from starlette.requests import Request

from serving.routes.query import MAX_SYMBOLS, moment, symbols_of, whole_number
from serving.web_errors import RequestRefusedError


def query(text: str) -> Request:
    return Request(
        {"type": "http", "query_string": text.encode(), "headers": [], "path": "/", "method": "GET"}
    )


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("since=2024-01", "2024-01-01T00:00Z"),
        ("since=2024-01-31", "2024-01-31T00:00Z"),
        ("since=2024-01-31T12:00", "2024-01-31T12:00Z"),
        ("since=2024-01-31%2012:00:05Z", "2024-01-31T12:00:05Z"),
        ("since=2024-01-31T12:00:00+02:00", "2024-01-31T10:00Z"),  # the plus arrives as a space
        ("since=2024-01-31T12:00:00%2B02:00", "2024-01-31T10:00Z"),
        ("since=1706702400000", "2024-01-31T12:00Z"),
    ],
)
def test_moments(text: str, time: str) -> None:
    assert moment(query(text), "since") == pd.Timestamp(time)


def test_what_is_not_given_is_not_there() -> None:
    assert moment(query(""), "since") is None
    assert symbols_of(query("")) is None
    assert whole_number(query(""), "days", 90, 365) == 90


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "now",
        "2024",
        "2024-13-01",
        "2024-02-30",
        "2024-01-31T25:00",
        "1e12",
        "-1",
        "NaT",
        "1999-01-01",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        moment(query(f"since={text}"), "since")
    assert (refused.value.status, refused.value.field) == (422, "since")


def test_symbols_each_once_and_not_too_many() -> None:
    assert symbols_of(query("symbols=BTCUSDT,%20ETHUSDT,BTCUSDT")) == ["BTCUSDT", "ETHUSDT"]
    many = ",".join(f"A{number}" for number in range(MAX_SYMBOLS + 1))
    for text in ("", ",", "btc", "A" * 25, many):
        with pytest.raises(RequestRefusedError):
            symbols_of(query(f"symbols={text}"))
