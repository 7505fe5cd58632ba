"""Golden rows and windows: what they hold, and what counts as a difference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.golden import TOLERANCE, comparable, differences, replay_golden
from serving.predictor import Predictor

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert differences(value, value) == []


@pytest.mark.parametrize(
    ("expected", "found", "paths"),
    [
        ({"a": 1.0}, {"a": 1.0 + TOLERANCE / 2}, []),
        ({"a": 1.0}, {"a": 1.0 + TOLERANCE * 3}, ["a"]),
        ({"a": 1e6}, {"a": 1e6 + 0.5}, []),
        ({"a": {"b": [1, {"c": "x"}]}}, {"a": {"b": [1, {"c": "y"}]}}, ["a.b[1].c"]),
        ({"a": 1}, {"a": 1, "b": None}, ["b"]),
        ({"a": None}, {}, ["a"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a"]),
        ({"a": True}, {"a": False}, ["a"]),
        ({"a": True}, {"a": 1.5}, ["a"]),
        ({"a": None}, {"a": 0.0}, ["a"]),
        ({"a": "1"}, {"a": 1}, ["a"]),
        ({"a": float("nan")}, {"a": float("nan")}, ["a"]),
    ],
)
def test_what_counts_as_a_difference(expected: Any, found: Any, paths: list[str]) -> None:
    assert differences(expected, found) == paths


def test_golden_holds_rows_windows_and_full_answers(predictor: Predictor) -> None:
    golden = predictor.bundle.golden
    rows = golden["rows"]["features"]
    assert len(rows) == len(golden["rows"]["probabilities"]) >= 50
    assert {len(row) for row in rows} == {len(predictor.manifest.features)}
    flat = [value for row in rows for value in row]
    assert None in flat  # a missing feature
    assert len(golden["windows"]) == 3
    for window in golden["windows"]:
        assert len(window["request"]["time"]) == predictor.manifest.window_bars
        assert set(window["answer"]) >= {"regime", "probabilities", "advice", "signals", "reasons"}
        assert "run_id" not in window["answer"]["model"]
    assert "funding_rate" not in golden["windows"][2]["request"]
    assert "funding_missing" in golden["windows"][2]["answer"]["degraded"]


def test_replaying_looks_at_rows_and_windows(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("probabilities", "predict"):
        original = getattr(Predictor, name)

        def counted(
            self: Predictor, *args: Any, _name: str = name, _original: Any = original, **kw: Any
        ) -> Any:
            asked.append(_name)
            return _original(self, *args, **kw)

        monkeypatch.setattr(Predictor, name, counted)
    replay_golden(predictor)
    assert asked.count("predict") == 3
    assert asked[0] == "probabilities"


def test_comparable_leaves_out_run_and_version_alone() -> None:
    answer = {"regime": "bear", "model": {"run_id": "r", "version": "v", "state": "fresh"}}
    assert comparable(answer) == {"regime": "bear", "model": {"state": "fresh"}}
    assert answer["model"] == {"run_id": "r", "version": "v", "state": "fresh"}
