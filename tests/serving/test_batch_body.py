"""A batch taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batch_answer import read_batch
from serving.batch_body import MAX_STRUCTURE, MAX_WINDOWS, split_batch
from serving.web_errors import RequestRefusedError

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=6), st.booleans())
def test_windows_come_back_as_they_were_sent(windows: list[dict[str, Any]], plain: bool) -> None:
    body = json.dumps({"windows": windows}, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    found = split_batch(body)
    assert [json.loads(one) if isinstance(one, bytes) else None for one in found] == windows


def test_what_is_no_object_is_named_in_its_place() -> None:
    found = split_batch(b'{"windows": [{"a": 1}, 5, null, [{"windows": []}], "}{", {"b": {"c": {}}}]}')
    assert [one if isinstance(one, bytes) else one.message for one in found] == [
        b'{"a": 1}',
        "windows[1] is no object but of type int",
        "windows[2] is no object but of type null",
        "windows[3] is no object but of type list",
        "windows[4] is no object but of type str",
        b'{"b": {"c": {}}}',
    ]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b'{"windows": [{}', 400, None),
        (b'{"windows": [{]}', 400, None),
        (b'{"windows": [{}]} x', 400, None),
        (b'{"windows": [{}}]', 400, None),
        (b'{"windows": [NaN]}', 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 100_000, 400, None),
        (b"[]", 422, None),
        (b"{}", 422, "windows"),
        (b'{"windows": {}}', 422, "windows"),
        (b'{"windows": null}', 422, "windows"),
        (b'{"windows": []}', 422, "windows"),
        (b'{"windows": [{}], "windows": [{}]}', 422, "windows"),
        (b'{"windows": [{}], "windows": 1}', 422, "windows"),
        (b'{"windows": [{}], "account": {}}', 422, "account"),
        (b'{"wind\\u006fws": [{}]}', 422, "windows"),
        (json.dumps({"windows": [{}] * (MAX_WINDOWS + 1)}).encode(), 422, "windows"),
        (b'{"windows": [' + b"1," * 600_000 + b"1]}", 422, "windows"),
        (b'{"windows": [' + b"{}," * (MAX_STRUCTURE // 2) + b"{}]}", 422, None),
    ],
    ids=range(21),
)
def test_what_is_no_batch_is_refused(body: bytes, status: int, field: str | None) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        split_batch(body)
    assert (refused.value.status, refused.value.field) == (status, field)


def test_each_window_has_the_limits_of_a_single_request() -> None:
    large = b'{"symbol": "' + b"A" * 5_000 + b'"}'
    found = read_batch(b'{"windows": [' + large + b', {"symbol": "BTCUSDT"}]}', 4_000)
    assert [getattr(one, "code", None) for one in found] == ["body_too_large", "invalid_request"]
    assert getattr(found[1], "field", None) == "time"
