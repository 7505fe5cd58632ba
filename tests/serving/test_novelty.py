"""The novelty of a row: bit for bit alone and in a batch, high for what was never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features.bars import FloatArray
from serving.novelty import (
    DISTANCE_LEVELS,
    KNOT_LEVELS,
    LARGEST_SCORE,
    NORMAL_SCORES,
    NoveltyParameters,
    NoveltyScorer,
    normal_scores,
    whitened_distance,
)

FEATURES = 5


def seen(rows: int = 4000) -> FloatArray:
    """Correlated features, one of them a flag, one with heavy tails, as float32."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(rows, FEATURES))
    X[:, 1] += 3 * X[:, 0]
    X[:, 2] = X[:, 2] > 1.2
    X[:, 3] = X[:, 3] ** 3
    return X.astype(np.float32).astype(np.float64)


def parameters(**changes: Any) -> NoveltyParameters:
    X = seen()
    knots = np.quantile(X, KNOT_LEVELS, axis=0, method="inverted_cdf").T
    scores = normal_scores(X, knots, X.std(axis=0))
    whitening = np.linalg.cholesky(np.linalg.inv(scores.T @ scores / len(X) + 0.01 * np.eye(FEATURES)))
    distances = np.quantile(whitened_distance(scores, whitening), DISTANCE_LEVELS)
    content: dict[str, Any] = {
        "knots": knots.tolist(),
        "unit": X.std(axis=0).tolist(),
        "whitening": [row[: index + 1].tolist() for index, row in enumerate(whitening)],
        "distances": distances.tolist(),
    }
    return NoveltyParameters.model_validate(content | changes)


@pytest.fixture(scope="module")
def scorer() -> NoveltyScorer:
    return NoveltyScorer(parameters())


values = st.one_of(
    st.floats(-8, 8, width=32), st.sampled_from([np.nan, 0.0, 1.0, 3.4e38, -3.4e38, float("inf"), 1e-45])
)


@given(rows=st.lists(st.lists(values, min_size=FEATURES, max_size=FEATURES), min_size=1, max_size=9))
def test_a_row_gets_the_same_bits_alone_and_in_a_batch(
    scorer: NoveltyScorer, rows: list[list[float]]
) -> None:
    X = np.array(rows, dtype=np.float32)
    alone = [(scorer.distance(X[i : i + 1])[0], scorer.percentile(X[i : i + 1])[0]) for i in range(len(X))]
    assert np.array_equal(scorer.distance(X), [one for one, _ in alone])
    assert np.array_equal(scorer.percentile(X), [one for _, one in alone], equal_nan=True)
    found = scorer.percentile(X)
    known = np.isfinite(X).sum(axis=1)
    assert np.array_equal(np.isnan(found), known < FEATURES / 2)
    assert ((found >= 0) & (found <= 1) | np.isnan(found)).all()


def test_a_batch_longer_than_a_chunk_has_the_bits_of_its_parts(scorer: NoveltyScorer) -> None:
    X = np.tile(seen(700).astype(np.float32), (4, 1))
    assert np.array_equal(scorer.distance(X), np.tile(scorer.distance(X[:700]), 4))
    assert scorer.percentile(X[:0]).shape == (0,)


def test_parameters_survive_json_to_the_bit(scorer: NoveltyScorer) -> None:
    again = NoveltyScorer(NoveltyParameters.model_validate_json(parameters().model_dump_json()))
    X = seen(300)
    assert np.array_equal(again.distance(X), scorer.distance(X))


def test_scores_are_those_of_interpolation_where_no_value_repeats() -> None:
    X = seen()[:, [0, 1, 3]]
    knots = np.quantile(X, KNOT_LEVELS, axis=0, method="inverted_cdf").T
    found = normal_scores(X, knots, X.std(axis=0))
    for column in range(3):
        inside = (X[:, column] > knots[column, 0]) & (X[:, column] < knots[column, -1])
        expected = np.interp(X[inside, column], knots[column], NORMAL_SCORES)
        assert found[inside, column] == pytest.approx(expected, abs=1e-12)
    assert np.abs(found.mean(axis=0)).max() < 0.02
    assert np.abs(found.std(axis=0) - 1).max() < 0.05


def test_a_value_shared_by_many_rows_scores_their_middle() -> None:
    flag = np.array([[0.0] * 12 + [1.0] * 3])  # 0 up to the 90 % quantile
    zero, one = normal_scores(np.array([[0.0], [1.0]]), flag, np.ones(1))[:, 0]
    assert zero == pytest.approx((NORMAL_SCORES[0] + NORMAL_SCORES[11]) / 2)
    assert one == pytest.approx((NORMAL_SCORES[12] + NORMAL_SCORES[-1]) / 2)
    constant = np.zeros((1, len(KNOT_LEVELS)))
    assert normal_scores(np.array([[0.0], [9.0], [-9.0]]), constant, np.ones(1))[:, 0].tolist() == [
        0,
        LARGEST_SCORE,
        -LARGEST_SCORE,
    ]


def test_scores_rise_with_the_value_and_stop_at_the_limit() -> None:
    knots = np.quantile(seen(), KNOT_LEVELS, axis=0, method="inverted_cdf").T[:1]
    line = np.linspace(-40, 40, 4001)[:, None]
    found = normal_scores(line, knots, np.ones(1))[:, 0]
    assert (np.diff(found) >= 0).all()
    assert found[0] == -LARGEST_SCORE
    assert found[-1] == LARGEST_SCORE


def test_ordinary_rows_are_ordinary_and_broken_ones_are_not(scorer: NoveltyScorer) -> None:
    X = seen(2000)
    assert (scorer.percentile(X) > scorer.limit).mean() == pytest.approx(0.005, abs=0.004)
    against = X.copy()
    against[:, 1] *= -1  # each value is ordinary, together they are not
    assert (scorer.percentile(against) > scorer.limit).mean() > 0.3
    scaled = X.copy()
    scaled[:, 3] *= 1000
    assert (scorer.percentile(scaled) > scorer.limit).mean() > 0.5
    assert scorer.percentile(np.full((1, FEATURES), np.inf))[0] != scorer.percentile(X[:1])[0]
    assert scorer.percentile(np.full((1, FEATURES), 3e38))[0] == 1.0


def test_a_missing_feature_counts_as_the_median(scorer: NoveltyScorer) -> None:
    X = seen(50)
    X[:, 0] = np.nan
    filled = X.copy()
    filled[:, 0] = parameters().knots[0][KNOT_LEVELS.index(0.5)]
    assert scorer.distance(X) == pytest.approx(scorer.distance(filled))


def test_a_feature_that_training_never_saw_says_nothing() -> None:
    content = parameters().model_dump()
    content["knots"][4] = [0.0] * len(KNOT_LEVELS)
    content["whitening"][4] = [0.0] * FEATURES
    scorer = NoveltyScorer(NoveltyParameters.model_validate(content))
    X = seen(20)
    other = X.copy()
    other[:, 4] = 1e6
    assert np.array_equal(scorer.distance(X), scorer.distance(other))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit": [1.0]}, "unit of 1"),
        ({"unit": [0.0] * FEATURES}, "greater than 0"),
        ({"knots": [[0.0] * 3] * FEATURES}, r"knots\[0\] must be 15 numbers"),
        ({"knots": [list(range(15, 0, -1))] * FEATURES}, "do not fall"),
        ({"knots": [[float("nan")] * 15] * FEATURES}, "finite"),
        ({"whitening": [[1.0]] * FEATURES}, "lower triangular"),
        ({"distances": [1.0]}, "distances must be 16"),
        ({"distances": [float(16 - i) for i in range(16)]}, "do not fall"),
        ({"limit": 1.0}, "less than 1"),
        ({"more": 1}, "Extra inputs"),
    ],
)
def test_parameters_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        parameters(**changes)
