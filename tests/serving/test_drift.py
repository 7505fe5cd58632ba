"""The stability index and what an answer says of drift and age."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_training import small_histories

from serving.drift import (
    BINS,
    DriftParameters,
    answer_metrics,
    bin_counts,
    bin_edges,
    bin_of,
    population_stability,
    smoothed_shares,
)
from serving.predictor import Predictor


def test_each_value_falls_into_one_bin_and_missing_ones_into_their_own() -> None:
    edges = np.array([np.arange(1.0, 10.0)])
    X = np.array([[0.5], [1.0], [9.0], [99.0], [np.nan]], dtype=np.float32)
    assert bin_of(X, edges)[:, 0].tolist() == [0, 1, 9, 9, 10]
    assert bin_counts(bin_of(X, edges))[0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1]


def test_a_value_that_many_rows_share_has_one_bin_on_both_sides() -> None:
    edges = np.array([[0.0] * 8 + [1.0]])
    X = np.zeros((5000, 1))
    reference = smoothed_shares(bin_counts(bin_of(X, edges)))
    assert population_stability(bin_counts(bin_of(X[:30], edges)), reference)[0] == pytest.approx(0, abs=0.01)


@given(counts=st.lists(st.integers(0, 400), min_size=BINS, max_size=BINS))
def test_the_index_is_never_negative_and_zero_only_where_nothing_moved(counts: list[int]) -> None:
    rng = np.random.default_rng(3)
    reference = smoothed_shares(rng.integers(0, 900, size=(1, BINS)).astype(float))
    found = population_stability(np.array([counts], dtype=float), reference)[0]
    assert found >= 0
    assert population_stability(np.round(reference * 1e6), reference)[0] < 1e-6


def test_missing_values_are_drift_too() -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(3000, 1))
    edges = np.quantile(X, np.arange(0.1, 1.0, 0.1), axis=0).T
    reference = smoothed_shares(bin_counts(bin_of(X, edges)))
    holes = X[:300].copy()
    holes[::2] = np.nan
    whole = population_stability(bin_counts(bin_of(X[:300], edges)), reference)[0]
    assert population_stability(bin_counts(bin_of(holes, edges)), reference)[0] > 20 * whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["shares"].pop(), "shares must be 11 for each of"),
        (lambda d: d["shares"][0].pop(), "shares must be 11"),
        (lambda d: d["windows"][0]["limits"].append(1.0), r"30 days: \d+ limits for \d+ features"),
        (lambda d: d.update(rows=0), "greater than or equal to 1"),
        (lambda d: d["shares"][0].__setitem__(0, 0.0), "greater than 0"),
        (lambda d: d["windows"][0].update(usual_share=2.0), "less than or equal to 1"),
    ],
)
def test_a_reference_that_cannot_be_is_refused(predictor: Predictor, change: Any, words: str) -> None:
    content = predictor.manifest.drift.model_dump()
    change(content)
    with pytest.raises(ValidationError, match=words):
        DriftParameters.model_validate(content)


def test_the_bins_are_the_deciles_of_the_knots(predictor: Predictor) -> None:
    drift = predictor.manifest.drift
    edges = bin_edges(drift.novelty.knot_table())
    assert edges.shape == (len(predictor.manifest.features), 9)
    shares = np.array(drift.shares)
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(shares)), abs=1e-6)


def test_a_broken_feed_is_named_cut_and_explained(predictor: Predictor) -> None:
    """Prices that jump by a thousand within the window, as when the unit of a feed changes."""
    history = small_histories()[0]
    row = int((history.time < pd.Timestamp("2023-01-10", tz="UTC")).sum()) - 1
    window = history.window(row, predictor.manifest.window_bars)
    before = predictor.answer(window)
    assert "unusual_market" not in before.degraded
    frame = window.frame.copy()
    late = frame.index[-30:]
    frame.loc[late, ["open", "high", "low", "close"]] *= 1000
    after = predictor.answer(replace(window, frame=frame))
    assert "unusual_market" in after.degraded
    assert before.novelty is not None
    assert after.novelty is not None
    assert after.novelty.percentile > 0.995 > before.novelty.percentile
    assert after.novelty.distance > before.novelty.distance
    assert ("unusual_market", 0.85) in [(cut.name, cut.factor) for cut in after.advice.haircuts]
    assert any("like nothing the model has learned from" in reason for reason in after.reasons)


def test_nothing_is_said_of_a_bar_without_features(predictor: Predictor) -> None:
    history = small_histories()[0]
    row = int((history.time < pd.Timestamp("2023-01-10", tz="UTC")).sum()) - 1
    window = history.window(row, predictor.manifest.window_bars)
    frame = window.frame.copy()
    frame.iloc[-8:-1] = (
        np.nan
    )  # within the 1 % that a window may miss: whoever looks back over it has nothing
    answer = predictor.answer(replace(window, frame=frame))
    assert answer.novelty is None
    assert "unusual_market" not in answer.degraded
    assert "bearmode_novelty_percentile" not in answer_metrics(answer)


def test_an_answer_has_age_and_novelty_as_numbers(predictor: Predictor) -> None:
    history = small_histories()[0]
    as_of = history.time[-1] + pd.Timedelta(days=100)
    answer = predictor.answer(history, as_of=as_of)
    found = answer_metrics(answer)
    assert found["bearmode_model_age_days"] == pytest.approx(
        (as_of - pd.Timestamp(predictor.manifest.training.trained_until)) / pd.Timedelta(days=1)
    )
    assert found["bearmode_model_state"] == 1.0
    assert found["bearmode_degraded"] == len(answer.degraded)
    assert answer.novelty is not None
    assert found["bearmode_novelty_percentile"] == answer.novelty.percentile


def test_states_follow_the_manifest(predictor: Predictor) -> None:
    advice = predictor.manifest.advice
    assert (advice.stale_after_days, advice.expires_after_days) == (65, 190)
    assert [advice.model_state(age) for age in (0.0, 65.0, 65.1, 190.0, 190.1)] == [
        "fresh",
        "fresh",
        "stale",
        "stale",
        "expired",
    ]
