"""The fast way from bytes to arrays: it says what the slow way says, or leaves it to it."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from service_fixtures import request_body

from serving.request_columns import request_fields
from serving.schemas import VALUE_COLUMNS, PredictRequest

LONG = 4_000
TAKEN: list[dict[str, Any]] = [
    {},
    {"close": [1, None, 3.5], "open_interest": [None, None, None]},
    {"open_interest": None, "context": None, "account": None, "as_of": None},
    {"open": [1, 2, 3], "volume": [0, -0.0, 1e300], "funding_rate": [1e-320, -1e-9, 9007199254740993]},
    {"as_of": 1_704_074_400_000, "interval": "4h"},
    {"account": {"equity": 1000, "position": {"side": "long", "notional": 1, "entry": 2.5, "leverage": 3}}},
    {"context": {"ETHUSDT": {"time": [1, 2], "close": [1.5, None]}, "AB": {"time": [], "close": []}}},
]
LEFT: list[dict[str, Any]] = [
    {"close": [1, True, 2]},
    {"close": [1, "2", 3]},
    {"close": [[1], 2, 3]},
    {"close": [[1, 2, 3]]},
    {"close": [1, 2]},
    {"close": None},
    {"close": 5},
    {"time": []},
    {"time": [1.0, 2, 3]},
    {"time": [-1, 2, 3]},
    {"time": [1, 2, 4_102_444_800_001]},
    {"time": [[1], 2, 3]},
    {"symbol": "btc"},
    {"symbol": "BTC\n"},
    {"symbol": 7},
    {"interval": "5m"},
    {"as_of": 1.5},
    {"closes": [1]},
    {"account": {"equity": 0}},
    {"account": []},
    {"context": {"eth": {"time": [], "close": []}}},
    {"context": {"ETH": {"time": [1], "close": []}}},
    {"context": {"ETH": {"time": [1], "close": [1], "open": [1]}}},
    {"context": {"ETH": [1]}},
]


def slow(body: bytes) -> PredictRequest | None:
    try:
        return PredictRequest.model_validate_json(body)
    except ValidationError:
        return None


def same(fields: dict[str, Any], request: PredictRequest) -> None:
    """Every value, to the bit; and nothing that the slow way does not have."""
    made = PredictRequest.model_construct(**fields)
    for name in PredictRequest.model_fields:
        fast, true = getattr(made, name), getattr(request, name)
        if name == "context" and true is not None:
            assert fast.keys() == true.keys()
            for symbol in true:
                assert list(fast[symbol].time) == true[symbol].time
                assert np.asarray(fast[symbol].close).tobytes() == np.array(true[symbol].close).tobytes()
        elif name in VALUE_COLUMNS and true is not None:
            assert fast.dtype == np.float64
            assert np.isnan(fast).tolist() == np.isnan(true).tolist()
            there = ~np.isnan(fast)
            assert fast[there].tobytes() == np.array(true)[there].tobytes()
        elif name == "time":
            assert fast.tolist() == true
        else:
            assert fast == true


@pytest.mark.parametrize("changes", TAKEN, ids=range(len(TAKEN)))
def test_right_bodies_are_read_to_the_bit(changes: dict[str, Any]) -> None:
    body = json.dumps(request_body(**changes), indent=1).encode()
    fields = request_fields(body)
    request = slow(body)
    assert fields is not None
    assert request is not None
    same(fields, request)


@pytest.mark.parametrize("changes", LEFT, ids=range(len(LEFT)))
def test_what_breaks_a_rule_is_left_to_the_slow_way(changes: dict[str, Any]) -> None:
    body = json.dumps(request_body(**changes)).encode()
    assert slow(body) is None
    assert request_fields(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xef\xbb\xbf" + json.dumps(request_body()).encode(),
        json.dumps(request_body()).encode() + b" {}",
        json.dumps(request_body()).encode()[:-1] + b', "symbol": "ETHUSDT"}',
        json.dumps(request_body(close=[1.0, float("nan"), 2.0])).encode(),
        json.dumps(request_body()).encode().replace(b"BTCUSDT", b"BTC\xff"),
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=range(8),
)
def test_bytes_that_are_no_plain_object_are_left(body: bytes) -> None:
    assert request_fields(body) is None


cells = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**70), 2**70),
    st.none(),
    st.booleans(),
    st.sampled_from(["1", [], [1.0], {}]),
)


@given(
    column=st.sampled_from(["time", *VALUE_COLUMNS]),
    values=st.lists(cells, min_size=0, max_size=4),
    bars=st.integers(0, 4),
)
def test_any_column_is_read_as_the_slow_way_reads_it_or_left(
    column: str, values: list[Any], bars: int
) -> None:
    body = json.dumps(request_body(bars=bars) | {column: values}).encode()
    fields = request_fields(body)
    if fields is not None:
        request = slow(body)
        assert request is not None
        same(fields, request)


def test_a_long_window_is_read_several_times_as_fast() -> None:
    rng = np.random.default_rng(7)
    columns = {name: rng.normal(4e4, 1e3, LONG).tolist() for name in VALUE_COLUMNS[:8]}
    body = orjson.dumps(request_body(bars=LONG) | columns)

    def cost(work: Any) -> float:
        times = []
        for _ in range(7):
            began = time.thread_time()
            work(body)
            times.append(time.thread_time() - began)
        return min(times)

    assert cost(request_fields) < cost(slow) / 2
