"""Rules that are counted, each against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from quick_entries import small_fold
from small_training import small_histories

from features.signals import SignalState, readings, signal_table
from training.dataset import Dataset
from training.models.counted_rules import (
    Climatology,
    LastConfirmedLabel,
    Majority,
    MovingAverageRule,
    SignalsRule,
    VolatilityThreshold,
    signals_rule,
)

CORE = ("moving_average_cross", "funding", "price_and_open_interest", "fear_greed")


def test_signals_rule_counts_three_of_four() -> None:
    history = small_histories()[0]
    found = signals_rule(history)
    table = signal_table(history)
    seen = set()
    for t in range(0, len(history), 37):
        states = [one.state for one in readings(table, t) if one.name in CORE]
        bearish, bullish = states.count(SignalState.BEARISH), states.count(SignalState.BULLISH)
        known = 4 - states.count(SignalState.MISSING)
        expected = 4 if known < 3 else 0 if bearish >= 3 else 3 if bullish >= 3 else 1
        assert found[t] == expected
        seen.add(expected)
    assert {1, 4} <= seen


def test_a_rule_answers_what_it_says_likely_or_not(dataset: Dataset) -> None:
    case = small_fold(dataset, "2023-01")
    bars = np.arange(len(dataset.y))
    for rule in (LastConfirmedLabel(), MovingAverageRule(), SignalsRule()):
        rule.fit(dataset, case.fold.train, case.fold.cut)
        said, p = rule.says(dataset, bars), rule.answer(dataset, bars)
        found = rule.decide(dataset, bars, p)
        assert np.array_equal(found[said < 4], said[said < 4])
        assert np.array_equal(found[said == 4], p[said == 4].argmax(axis=1))
        assert not np.array_equal(found, p.argmax(axis=1)), "the answer is not the likeliest"
    other = Climatology()
    other.fit(dataset, case.fold.train, case.fold.cut)
    p = other.answer(dataset, bars)
    assert np.array_equal(other.decide(dataset, bars, p), p.argmax(axis=1))


def test_climatology_says_the_shares_of_the_training_rows(dataset: Dataset) -> None:
    case = small_fold(dataset, "2023-01")
    model = Climatology()
    model.fit(dataset, case.fold.train, case.fold.cut)
    shares = np.bincount(dataset.y[case.fold.train], minlength=4) / len(case.fold.train)
    assert model.answer(dataset, case.fold.test[:1])[0] == pytest.approx(shares)


def test_majority_is_of_the_symbol_and_of_all_where_it_was_not_seen(dataset: Dataset) -> None:
    case = small_fold(dataset, "2023-01")
    rows = case.fold.train
    y = np.where(dataset.symbol == 0, 0, 3).astype(np.int8)
    y[rows[dataset.symbol[rows] == 1][:40]] = 1
    marked = replace(dataset, y=y)
    model = Majority()
    model.fit(marked, rows, case.fold.cut)
    said = model.says(marked, case.fold.test)
    assert (said[dataset.symbol[case.fold.test] == 0] == 0).all()
    assert (said[dataset.symbol[case.fold.test] == 1] == 3).all()
    model.fit(marked, rows[dataset.symbol[rows] == 0], case.fold.cut)
    assert (model.says(marked, case.fold.test) == 0).all()


def test_volatility_threshold_finds_where_labels_part(dataset: Dataset) -> None:
    """Labels made from the ratio itself: the threshold must come out, and gaps are a kind of their own."""
    case = small_fold(dataset, "2023-01")
    model = VolatilityThreshold()
    ratio = model._ratio(dataset)
    made = replace(dataset, y=np.where(ratio > 0.9, 0, 3).astype(np.int8))
    model.fit(made, case.fold.train, case.fold.cut)
    seen = ratio[case.fold.train]
    near = np.nanquantile(seen, np.linspace(0.05, 0.95, 19))
    assert abs(model.threshold - 0.9) <= np.diff(near).max()
    kinds = model.says(dataset, case.fold.test)
    assert np.array_equal(kinds == 2, ~np.isfinite(ratio[case.fold.test]))
    assert {0, 1} <= set(kinds.tolist())
