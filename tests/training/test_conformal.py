"""Thresholds of prediction sets: the stated share where it can be promised, and the way they adapt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_training import LONG

from features.regimes import REGIMES
from serving.prediction_sets import SetParameters, likelier_mass, prediction_sets
from training.conformal import (
    GAIN,
    HALF_LIFE_DAYS,
    LEVEL,
    LEVELS,
    PRIOR_SPELLS,
    Achieved,
    achieved_coverage,
    fit_sets,
)
from training.dataset import Dataset
from training.walk_forward import Walk, last_sets

ROWS = 40_000 if LONG else 8_000
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


def market(seed: int, n: int, sureness: float = 1.0) -> tuple[Floats, Labels]:
    """Stated probabilities, and labels drawn from true ones that are surer or less sure than stated."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((0.4, 0.3, 0.1, 0.5), size=n).clip(1e-6)
    true = p**sureness
    cumulated = np.cumsum(true / true.sum(axis=1, keepdims=True), axis=1)
    y = (rng.random(n)[:, None] > cumulated).sum(axis=1)
    return p / p.sum(axis=1, keepdims=True), np.minimum(y, 3).astype(np.int8)


def held(p: Floats, y: Labels, parameters: SetParameters) -> npt.NDArray[np.bool_]:
    return np.asarray(prediction_sets(p, parameters)[np.arange(len(y)), y])


@pytest.mark.parametrize("sureness", [0.5, 1.0, 1.6])
def test_rows_that_could_come_in_any_order_are_held_as_often_as_stated(sureness: float) -> None:
    """Also where the probabilities are stated wrongly, in all and in each regime."""
    p, y = market(1, 2 * ROWS, sureness)
    early, late = slice(0, ROWS), slice(ROWS, None)
    fitted = fit_sets(p[early], y[early], np.arange(ROWS), np.zeros(ROWS))
    found = held(p[late], y[late], fitted)
    # a likeliest regime is never left out, so that surer labels are held more often than asked for
    assert found.mean() >= LEVEL - 0.015
    if sureness <= 1:
        assert found.mean() <= LEVEL + 0.02
        for index in range(len(REGIMES)):
            assert found[y[late] == index].mean() == pytest.approx(LEVEL, abs=0.04)
    naive = held(p[late], y[late], SetParameters())
    assert abs(naive.mean() - LEVEL) > abs(found.mean() - LEVEL)


@given(seed=st.integers(0, 9999), n=st.integers(1, 60), kinds=st.integers(1, 4))
def test_thresholds_are_weighted_quantiles_drawn_to_that_of_all(seed: int, n: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((0.5,) * 4, size=n)
    y = rng.integers(kinds, size=n).astype(np.int8)
    spell, age = rng.integers(8, size=n), rng.uniform(0, 2000, size=n)
    score = likelier_mass(p)

    def quantile(rows: list[int]) -> float:
        ranked = sorted((float(score[row, y[row]]), 0.5 ** (age[row] / HALF_LIFE_DAYS)) for row in rows)
        whole, sofar = sum(weight for _, weight in ranked), 0.0
        for value, weight in ranked:
            sofar += weight
            if sofar >= LEVEL * whole - 1e-12:
                return value
        return ranked[-1][0]

    expected = []
    for index in range(4):
        mine = [row for row in range(n) if y[row] == index]
        spells = len({int(spell[row]) for row in mine})
        pooled = quantile(list(range(n)))
        own = quantile(mine) if mine else pooled
        expected.append((spells * own + PRIOR_SPELLS * pooled) / (spells + PRIOR_SPELLS))
    found = fit_sets(p, y, spell, age)
    assert found.thresholds == pytest.approx(expected, abs=2e-6)
    assert (found.level, found.levels) == (LEVEL, (LEVEL,) * 4)


def test_recent_labels_count_for_more() -> None:
    p, y = market(3, ROWS, 1.0)
    old, new = market(4, ROWS, 0.3)
    pooled, labels = np.vstack((p, old)), np.concatenate((y, new))
    age = np.repeat([4 * HALF_LIFE_DAYS, 0.0], ROWS)
    drifted = fit_sets(pooled, labels, np.arange(2 * ROWS), age)
    blind = fit_sets(pooled, labels, np.arange(2 * ROWS), np.zeros(2 * ROWS))
    later, truth = market(5, ROWS, 0.3)
    assert abs(held(later, truth, drifted).mean() - LEVEL) < abs(held(later, truth, blind).mean() - LEVEL)


def achieved(coverage: list[float], spells: list[int], levels: tuple[float, ...] = (LEVEL,) * 4) -> Achieved:
    return Achieved(SetParameters.model_validate({"levels": levels}), np.array(coverage), np.array(spells))


def test_a_shortfall_raises_the_level_by_what_the_spells_bear_out() -> None:
    p, y = market(6, 500)
    former = achieved([0.70, 0.90, np.nan, 1.0], [20, 5, 0, 60])
    found = fit_sets(p, y, np.arange(500), np.zeros(500), former)
    assert found.levels == pytest.approx(
        (LEVEL + GAIN * 0.5 * 0.2, LEVEL, LEVEL, LEVEL - GAIN * 0.75 * 0.1), abs=1e-6
    )
    plain = fit_sets(p, y, np.arange(500), np.zeros(500))
    assert found.thresholds[0] > plain.thresholds[0]
    assert found.thresholds[1] == plain.thresholds[1]
    assert found.thresholds[3] < plain.thresholds[3]


def test_levels_stay_in_their_bounds() -> None:
    p, y = market(6, 500)
    low, high = LEVELS
    for coverage, start, end in ((0.0, 0.95, high), (1.0, 0.81, low)):
        former = achieved([coverage] * 4, [10_000] * 4, (start,) * 4)
        assert fit_sets(p, y, np.arange(500), np.zeros(500), former).levels == (end,) * 4


def test_adapting_makes_up_for_a_model_that_gets_too_sure() -> None:
    """Folds whose own labels are easier than those to come: the level climbs until they are held."""
    former = None
    shares = []
    for fold in range(8):
        p, y = market(10 + fold, ROWS // 4, 1.0)
        fitted = fit_sets(p, y, np.arange(len(y)), np.zeros(len(y)), former)
        later, truth = market(50 + fold, ROWS // 4, 0.45)
        former = achieved_coverage(fitted, prediction_sets(later, fitted), truth, np.arange(len(truth)))
        shares.append(float(held(later, truth, fitted).mean()))
    assert shares[0] < LEVEL - 0.05
    assert np.mean(shares[-3:]) > shares[0] + 0.03


def test_nothing_to_learn_from_gives_sets_that_add_up_to_the_level() -> None:
    none = fit_sets(np.zeros((0, 4)), np.zeros(0, np.int8), np.zeros(0, np.int64), np.zeros(0))
    assert none == SetParameters(level=LEVEL, levels=(LEVEL,) * 4, thresholds=(LEVEL,) * 4)


def test_the_walk_answers_with_the_sets_of_its_models(walk: Walk, dataset: Dataset) -> None:
    assert not walk.sets[walk.fold < 0].any()
    for index, (fold, fitted) in enumerate(zip(walk.folds, walk.models, strict=True)):
        expected = prediction_sets(walk.probabilities[fold.test], fitted.decision.sets)
        assert np.array_equal(walk.sets[fold.test], expected)
        assert (fitted.decision.sets.levels == (LEVEL,) * 4) == (index == 0)


def test_only_labels_known_by_then_tell_what_was_achieved(walk: Walk, dataset: Dataset) -> None:
    cut = walk.models[-1].trained_until
    before = Walk(**{**vars(walk), "folds": walk.folds[:-1], "models": walk.models[:-1]})
    found = last_sets(dataset, before, cut)
    assert found is not None
    fold = walk.folds[-2]
    rows = [row for row in fold.test.tolist() if dataset.usable[row] and dataset.confirmed_at.iloc[row] < cut]
    share = [
        np.mean([walk.sets[row, index] for row in rows if dataset.y[row] == index] or [np.nan])
        for index in range(4)
    ]
    assert found.coverage == pytest.approx(share, nan_ok=True)
    assert found.spells.sum() == len({int(dataset.spell[row]) for row in rows})
    assert len(rows) < dataset.usable[fold.test].sum()
    assert last_sets(dataset, walk, walk.folds[0].start) is None
    assert last_sets(dataset, before, cut, unseen=1) is None
