"""Single checks: at the bound, beyond it, and where a number says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.bootstrap import BlockBootstrap, Interval
from training.retraining import gate_checks
from training.retraining.gate_settings import GateSettings

SETTINGS = GateSettings(recall_rows=10)


def interval(high: float, estimate: float = 0.0) -> Interval:
    return Interval(estimate, -1.0, high, 30, 1000)


@pytest.mark.parametrize(
    ("high", "worse", "better"),
    [
        (0.01, True, False),
        (0.0100001, False, False),
        (0.0, True, False),
        (-1e-9, True, True),
        (math.nan, False, False),
        (math.inf, False, False),
    ],
)
def test_the_upper_end_decides(high: float, worse: bool, better: bool) -> None:
    assert gate_checks.not_worse(interval(high), SETTINGS, "x").passed is worse
    assert gate_checks.better(interval(high), SETTINGS, "x").passed is better


def test_one_spell_is_no_evidence_however_good_it_looks() -> None:
    rows = np.zeros(500, dtype=np.int64)
    difference = BlockBootstrap(rows).mean_difference(np.zeros(500), np.ones(500))
    assert not gate_checks.better(difference, SETTINGS, "x").passed
    assert not gate_checks.not_worse(difference, SETTINGS, "x").passed


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(-5, 5))
def test_a_number_that_is_none_never_passes(value: float, bound: float) -> None:
    high, low = gate_checks.at_most("a", value, bound, "b"), gate_checks.at_least("a", value, bound, "b")
    assert high.passed is (value <= bound)
    assert low.passed is (value >= bound)
    if math.isnan(value):
        assert not high.passed
        assert not low.passed
        assert not gate_checks.below("a", value, bound, "b").passed


def test_equal_to_a_simple_rule_is_not_below_it() -> None:
    assert not gate_checks.below("a", 1.0, 1.0, "the rule").passed
    assert gate_checks.below("a", 0.999, 1.0, "the rule").passed


def test_recall_falls_only_where_a_class_comes_often_enough() -> None:
    y = np.array([0] * 20 + [2] * 9 + [3] * 10)
    theirs = y.copy()
    mine = y.copy()
    mine[:1] = 3  # 5 % of the bears
    mine[20:29] = 0  # every relief rally, of which there are too few to judge
    found = {one.name: one for one in gate_checks.recall_falls(y, mine, theirs, SETTINGS, "x")}
    assert set(found) == {"recall_bear", "recall_bull"}
    assert found["recall_bear"].passed, "at the margin"
    assert found["recall_bear"].value == pytest.approx(0.05)
    mine[:2] = 3
    again = {one.name: one.passed for one in gate_checks.recall_falls(y, mine, theirs, SETTINGS, "x")}
    assert again == {"recall_bear": False, "recall_bull": True}
    back = {one.name: one.passed for one in gate_checks.recall_falls(y, theirs, mine, SETTINGS, "x")}
    assert back == {"recall_bear": True, "recall_bull": True}, "it may rise by any amount"


def test_a_class_that_is_never_answered_does_not_reach_the_floor() -> None:
    y = np.repeat([0, 3], 10)
    found = {one.name: one.passed for one in gate_checks.recall_floors(y, np.zeros(20, np.int64), SETTINGS)}
    assert found == {"recall_bear": True, "recall_bull": False}


def test_the_worst_symbol_is_named() -> None:
    symbol = np.repeat([0, 1, 2], 10)
    theirs = np.ones(30)
    mine = theirs - 0.2
    mine[symbol == 1] = 1.2
    check = gate_checks.worst_symbol(symbol, ("A", "B", "C"), mine, theirs, SETTINGS)
    assert not check.passed
    assert check.value == pytest.approx(0.2)
    assert "(B)" in check.words
    assert mine.mean() < theirs.mean(), "the mean over all rows would have hidden it"
