"""A venue that refuses, stumbles or talks nonsense: one clear error, or a named defect, never a guess."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from itertools import cycle, product
from typing import Any

import pandas as pd
import pytest
from exchange_trials import (
    BARS,
    FUNDING,
    INTEREST,
    LIST,
    LONG,
    NOW,
    QUICK,
    RATIO,
    SINCE,
    VENUES,
    assert_same,
    entry_of,
    fetched,
    market,
    utc,
)
from fake_exchange import Fake, Fault, start_fake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import BearmodeError, NothingUsableError
from features.sources.exchange import Exchange, Patience

PATHS = {"bars": BARS, "funding": FUNDING, "interest": INTEREST, "ratio": RATIO, "list": LIST}
USELESS = [
    "<html>Please log in to the hotel network</html>",
    "",
    "pong",
    "null",
    "[[[[]]]]",
    '{"data": 7, "result": 7, "symbols": 7, "code": "0", "retCode": 0}',
    '{"\x1b[31mred": "\x07"}',
    "[" * 40_000,
]
"""A page, nothing, words, no rows, rows of nothing, numbers for rows, control characters, depth."""


def each_with_a_venue(cases: list[Any]) -> list[Any]:
    """Each case with each venue; in the quick tier with one venue in turn."""
    pairs = list(product(cases, VENUES)) if LONG else list(zip(cases, cycle(VENUES), strict=False))
    return [pytest.param(*pair, id=f"{at}-{pair[1]}") for at, pair in enumerate(pairs)]


@pytest.fixture
def fake() -> Iterator[Fake]:
    with start_fake(market(), now=NOW) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Fake]:
    """For what Hypothesis runs many times; its faults are set anew each time."""
    with start_fake(market(), now=NOW) as running:
        yield running


def failure(fake: Fake, exchange: str, *faults: Fault, patience: Patience = QUICK) -> BearmodeError:
    """The error of a fetch under faults; one line that a terminal can show, naming the venue."""
    fake.faults = list(faults)
    with pytest.raises(BearmodeError) as caught:
        fetched(fake, exchange, SINCE, patience=patience)
    line = caught.value.one_line()
    assert exchange in line
    assert line.isprintable()
    assert len(line) < 420
    return caught.value


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (451, '{"code":0,"msg":"Service unavailable from a restricted location according to terms."}'),
        (403, "<HTML><H1>403 ERROR</H1>configured to block access from your country.</HTML>"),
        (451, ""),
    ],
)
def test_a_venue_that_does_not_serve_this_place_is_asked_once(
    fake: Fake, exchange: str, status: int, body: str
) -> None:
    error = failure(fake, exchange, Fault("", status=status, body=body))
    assert error.code == "exchange_restricted"
    assert f"HTTP {status}" in error.message
    assert "--source archive" in error.one_line()
    assert len(fake.asked) == 1


@pytest.mark.parametrize(("where", "exchange"), each_with_a_venue([LIST, BARS, FUNDING, INTEREST, RATIO]))
def test_an_outage_that_ends_is_waited_for(fake: Fake, where: dict[str, str], exchange: str) -> None:
    true = fetched(fake, exchange, SINCE)
    path = where[exchange]
    fake.faults = [
        Fault(path, times=1, status=503, body="<html>busy</html>"),
        Fault(path, times=1, drop=True),
    ]
    assert_same(fetched(fake, exchange, SINCE), true)
    assert not any(fault.times for fault in fake.faults)


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize("status", [429, 418, 403])
def test_a_rate_limit_is_waited_for_as_long_as_the_venue_asks(fake: Fake, exchange: str, status: int) -> None:
    headers = {"Retry-After": "0.1"}
    body = '{"retCode":10006,"code":"50011","msg":"Too Many Requests","retMsg":"access too frequent"}'
    fake.faults = [Fault(BARS[exchange], times=2, status=status, body=body, headers=headers)]
    began = pd.Timestamp.now()
    result = fetched(fake, exchange, {"bars": SINCE["bars"]})
    assert pd.Timestamp.now() - began > pd.Timedelta(seconds=0.2)
    assert len(result.tables["bars_1h"]) > 200


def test_a_ban_is_not_sat_out(fake: Fake) -> None:
    ban = Fault("klines", status=418, body='{"code":-1003,"msg":"Way too many requests; IP banned"}')
    ban.headers = {"Retry-After": "7200"}
    error = failure(fake, "binanceusdm", ban)
    assert error.code == "exchange_unreachable"
    assert "7200 s" in error.message
    assert fake.paths().count("/fapi/v1/klines") == 1


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("", status=502, body="<html>Bad gateway</html>"),
        Fault("", status=500, body="\x1b[31mred"),
        Fault("", drop=True),
        Fault("", hang=True),
    ],
    ids=["502", "500", "drop", "hang"],
)
def test_an_outage_that_lasts_is_one_error(fake: Fake, exchange: str, fault: Fault) -> None:
    patience = Patience(attempts=2, first_wait=0.001, timeout=0.15, pace=0.0)
    assert failure(fake, exchange, fault, patience=patience).code == "exchange_unreachable"
    assert len(fake.asked) == 2


def test_a_host_that_is_not_there_is_one_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        Exchange("okx", url=f"http://127.0.0.1:{port}", now=lambda: NOW, patience=QUICK) as exchange,
        pytest.raises(BearmodeError, match=f"127.0.0.1:{port}") as caught,
    ):
        exchange.fetch("BTCUSDT", "1h", since=SINCE, until=NOW)
    assert caught.value.code == "exchange_unreachable"


@pytest.mark.parametrize("where", [LIST, BARS, FUNDING], ids=["list", "bars", "funding"])
@pytest.mark.parametrize(("body", "exchange"), each_with_a_venue(USELESS))
def test_an_answer_of_no_use_is_one_error(
    fake: Fake, exchange: str, where: dict[str, str], body: str
) -> None:
    fault = Fault(where[exchange], status=200, body=body)
    if body == "[[[[]]]]" and where is FUNDING and exchange == "binanceusdm":
        # A list of one row that is not this contract's: it gave none.
        fake.faults = [fault]
        assert entry_of(fetched(fake, exchange, SINCE), "no_data", "funding").count == 0
        return
    assert failure(fake, exchange, fault).code == "exchange_refused"


@pytest.mark.parametrize(
    ("exchange", "status", "body", "code"),
    [
        ("binanceusdm", 400, {"code": -1121, "msg": "Invalid symbol."}, "unknown_symbol"),
        ("okx", 400, {"code": "51001", "msg": "Instrument ID doesn't exist", "data": []}, "unknown_symbol"),
        ("bybit", 200, {"retCode": 10001, "retMsg": "params error: Symbol Is Invalid"}, "exchange_refused"),
        ("binanceusdm", 400, {"code": -1102, "msg": "Mandatory parameter"}, "exchange_refused"),
        ("okx", 503, {"code": "50001", "msg": "Service temporarily unavailable"}, "exchange_unreachable"),
        ("bybit", 200, {"retCode": 10006, "retMsg": "Too many visits!"}, "exchange_unreachable"),
        ("binanceusdm", 404, {"path": "/x"}, "exchange_refused"),
    ],
)
def test_errors_in_the_venues_own_form(
    fake: Fake, exchange: str, status: int, body: dict[str, Any], code: str
) -> None:
    error = failure(fake, exchange, Fault(BARS[exchange], status=status, body=json.dumps(body)))
    assert error.code == code
    assert isinstance(error, NothingUsableError) == (code == "unknown_symbol")


@pytest.mark.parametrize("exchange", VENUES)
def test_a_statistic_that_is_refused_is_a_named_gap(fake: Fake, exchange: str) -> None:
    refused = {
        "binanceusdm": (400, {"code": -1130, "msg": "parameter 'startTime' is invalid."}),
        "okx": (400, {"code": "51000", "msg": "Parameter instId error", "data": []}),
        "bybit": (200, {"retCode": 10001, "retMsg": "params error"}),
    }
    status, body = refused[exchange]
    fake.faults = [Fault(INTEREST[exchange], status=status, body=json.dumps(body))]
    result = fetched(fake, exchange, SINCE)
    assert "open_interest" not in result.tables
    assert {"bars_1h", "funding", "positioning"} <= set(result.tables)
    assert "error" in (detail := entry_of(result, "no_data", "open_interest").detail) or "invalid" in detail


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize("where", [BARS, FUNDING, INTEREST])
def test_pages_that_repeat_end_in_an_error(fake: Fake, exchange: str, where: dict[str, str]) -> None:
    kept: list[Any] = []

    def always_the_first(answer: Any) -> Any:
        kept[1:] = []
        kept.append(answer)
        return kept[0]

    fake.faults = [Fault(where[exchange], change=always_the_first)]
    since = dict.fromkeys(SINCE, utc("2024-03-20"))
    with pytest.raises(BearmodeError, match="answer to") as caught:
        fetched(fake, exchange, since)
    assert caught.value.code == "exchange_refused"
    assert len(fake.asked) < 30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["data", "result", "list", "code", "msg", "0"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("exchange", VENUES)
@settings(
    max_examples=200 if LONG else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(answer=JSON, where=st.sampled_from(sorted(PATHS)))
def test_whatever_json_comes_it_is_rows_or_one_error(
    shared: Fake, exchange: str, answer: Any, where: str
) -> None:
    shared.faults = [Fault(PATHS[where][exchange], change=lambda _true: answer)]
    shared.asked.clear()
    patience = Patience(attempts=2, first_wait=0.0, pace=0.0)
    with contextlib.suppress(BearmodeError):
        result = fetched(shared, exchange, SINCE, patience=patience)
        assert all(len(table) for table in result.tables.values())
