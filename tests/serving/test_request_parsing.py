from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_fixtures import request_body

from serving.request_parsing import MAX_MEMBERS, PredictRequestBody
from serving.schemas import VALUE_COLUMNS


def parsed(body: bytes | dict[str, Any]) -> PredictRequestBody:
    return PredictRequestBody.model_validate_json(
        json.dumps(body).encode() if isinstance(body, dict) else body
    )


def refused(body: bytes | dict[str, Any]) -> tuple[int, str, str | None, str]:
    refusal = parsed(body).refusal
    assert refusal is not None
    return refusal.status, refusal.code, refusal.field, refusal.message


def test_a_right_body_keeps_its_values() -> None:
    request = parsed(request_body(close=[1, None, 3.5]))
    assert request.refusal is None
    assert request.close[0] == 1.0
    assert request.close[1] != request.close[1]
    assert request.close[2] == 3.5


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"symbol": "BTC',
        b"nonsense",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"close": [NaN]}',
        b'{"close": [Infinity]}',
        b'{"close": [-Infinity]}',
        b'{"symbol": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
        b"{} {}",
    ],
)
def test_what_is_not_json_is_a_400(body: bytes) -> None:
    status, code, field, _ = refused(body)
    assert (status, code, field) == (400, "not_json", None)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"symbol": "btc-usdt"}, "symbol", '"btc-usdt"'),
        ({"symbol": "NaN"}, "symbol", '"NaN"'),
        ({"symbol": 7}, "symbol", "7"),
        ({"interval": "5m"}, "interval", "'1h'"),
        ({"close": [1.0, "x", 2.0]}, "close[1]", '"x"'),
        ({"close": [1.0, 2.0]}, "close", "close has 2 values, time has 3"),
        ({"close": 5}, "close", "expected a valid array"),
        ({"open_interest": [[], 1, 2]}, "open_interest[0]", "a list of 0"),
        ({"time": [1.5, 2, 3]}, "time[0]", "1.5"),
        ({"time": [-1, 2, 3]}, "time[0]", "greater than or equal to 0"),
        ({"as_of": "2024-01-01"}, "as_of", "integer"),
        ({"closes": [1]}, "closes", "not a field"),
        ({"account": {"equity": 1, "leverage_cap": 6}}, "account.leverage_cap", "less than or equal to 5"),
        ({"account": {"equity": "NaN"}}, "account.equity", "NaN"),
        ({"context": {"eth": {"time": [], "close": []}}}, "context.eth", '"eth"'),
        ({"context": {"ETH": {"time": [1], "close": []}}}, "context.ETH.time", "time has 1 values, close 0"),
        ({"context": {"ETH": {"time": [1], "close": ["x"]}}}, "context.ETH.close[0]", '"x"'),
    ],
)
def test_a_broken_rule_is_a_422_that_names_the_value(changes: dict[str, Any], field: str, words: str) -> None:
    status, code, found, message = refused(request_body(**changes))
    assert (status, code, found) == (422, "invalid_request", field)
    assert words in message


def test_a_missing_field_and_a_wrong_root_are_named() -> None:
    body = request_body()
    del body["low"]
    assert refused(body)[2:] == ("low", "low is missing")
    assert refused(b"[1]") == (422, "invalid_request", None, "the body is a list of 1, expected an object")


def test_a_typo_gets_the_right_name_as_hint() -> None:
    refusal = parsed(request_body(funding_rates=[0, 0, 0])).refusal
    assert refusal is not None
    assert refusal.hint == "did you mean funding_rate?"


def test_too_many_bars_are_counted() -> None:
    status, _, field, message = refused(request_body(bars=20_001))
    assert (status, field) == (422, "time")
    assert "20,001" in message
    assert "20,000" in message
    assert parsed(request_body(bars=20_000)).refusal is None


def test_the_first_of_very_many_violations_is_found_where_it_is() -> None:
    close: list[Any] = [1.0] * 15_000 + ["x"] * 5_000
    status, _, field, message = refused(request_body(bars=20_000, close=close))
    assert (status, field) == (422, "close[15000]")
    assert "4,999 more" in message


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({name: ["a"] * 20_000 for name in ("time", *VALUE_COLUMNS)}).encode(),
        json.dumps({f"x{i}": 1 for i in range(300_000)}).encode(),
        json.dumps({"context": {f"AB{i}": {"time": ["a"], "close": ["a"]} for i in range(80_000)}}).encode(),
    ],
    ids=["cells", "names", "context"],
)
def test_a_hostile_body_costs_little_and_gets_a_small_answer(body: bytes) -> None:
    began = time.process_time()
    status, _, _, message = refused(body)
    assert time.process_time() - began < 1.5
    assert status == 422
    assert len(message) < 500


def test_the_limit_of_names_is_where_it_says() -> None:
    body = request_body()
    have = json.dumps(body).count(":")
    context: dict[str, Any] = {
        f"C{i}": {"time": [], "close": []} for i in range((MAX_MEMBERS - have) // 3 - 1)
    }
    assert parsed(body | {"context": context}).refusal is None
    context |= {f"D{i}": {"time": [], "close": []} for i in range(3)}
    assert "names" in refused(body | {"context": context})[3]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    name=st.sampled_from([*request_body(), "context", "account", "as_of", "fear_greed"]), value=json_values
)
def test_any_value_in_any_field_is_taken_or_refused_by_name(name: str, value: Any) -> None:
    refusal = parsed(orjson.dumps(request_body() | {name: value}, default=str)).refusal
    if refusal is not None:
        assert refusal.status == 422
        assert refusal.field is not None
        assert refusal.message


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_without_an_exception(body: bytes) -> None:
    assert refused(body)[0] in {400, 422}


@pytest.mark.parametrize("name", ['"', "\\", "\n", "\u2028", "BTC\tUSDT"])
def test_a_symbol_of_the_context_with_an_escape_is_refused_by_name(name: str) -> None:
    refusal = parsed(orjson.dumps(request_body() | {"context": {name: {"time": [], "close": []}}})).refusal
    assert refusal is not None
    assert refusal.field is not None
    assert refusal.field.startswith("context")
