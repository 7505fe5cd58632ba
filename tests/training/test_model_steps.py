"""The study of steps: what is added has to earn its strength, and starts from the log shares."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from small_training import small_histories

from benchmarks.bayes_filter import share
from benchmarks.model_steps import Study, calibrated
from benchmarks.step_models import BASE, StepFit, StepTable, heads, linear, trees
from features.catalog import select
from features.default_set import DEFAULT_FEATURES
from features.regimes import REGIMES
from training.feature_study.ablation_fit import fold_rows
from training.feature_study.feature_sample import sample_features
from training.models.boosted_logistic import softmax
from training.pipeline import default_features, default_recipe


@cache
def study() -> Study:
    sample = sample_features(small_histories(), select(DEFAULT_FEATURES))
    recipe = default_recipe(default_features())
    return Study(fold_rows(sample, recipe)[-1:], StepTable(sample, recipe))


def last_fit() -> StepFit:
    one = study().folds[0]
    return StepFit(study().table, one.fold.train, one.test)


@pytest.mark.parametrize("spells", [50, 5000])
def test_what_says_nothing_gets_no_strength_and_what_is_true_gets_much(spells: int) -> None:
    rng = np.random.default_rng(1)
    evidence = rng.normal(size=(6000, 4))
    y = np.array([rng.choice(4, p=p) for p in softmax(evidence)], dtype=np.int8)
    nothing = np.zeros_like(evidence)
    noise = rng.normal(size=evidence.shape)
    temperature, strength = calibrated(nothing, evidence, y, spells)
    assert strength / temperature > (0.5 if spells == 50 else 0.9)
    assert abs(calibrated(evidence, noise, y, spells)[1]) < 0.05


@pytest.mark.parametrize(
    "model",
    [
        linear(BASE, 1e-3),
        trees(rounds=3),
        heads(rounds=3),
        heads(ordinal=True, rounds=3),
        heads(monotone=True, rounds=3),
    ],
    ids=["linear", "trees", "heads", "ordinal", "monotone"],
)
def test_a_step_adds_something_finite_to_the_log_shares(model: object) -> None:
    fit = last_fit()
    added = model(fit)  # type: ignore[operator]
    assert added.shape == (len(fit.test), len(REGIMES))
    assert np.isfinite(added).all()
    p, q = softmax(fit.table.log_shares(fit.test)), softmax(fit.table.log_shares(fit.test) + added)
    assert 0 < np.abs(p - q).max() < 0.9


def test_a_step_held_down_adds_next_to_nothing() -> None:
    assert np.abs(linear(BASE, 1e-9)(last_fit())).max() < 1e-3


def test_nothing_added_is_the_log_shares() -> None:
    full, _ = study().judge(lambda fit: np.zeros((len(fit.test), len(REGIMES))), alone=False)
    p = softmax(study().table.log_shares(study().folds[0].test))
    expected = -np.log(p[np.arange(len(p)), study().y])
    assert full.loss == pytest.approx(expected, abs=1e-12)


def test_the_filter_itself_has_all_of_its_skill_and_climatology_none() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, size=500).astype(np.int8)
    filtered = softmax(np.eye(4)[y] + rng.normal(size=(500, 4)))
    assert share(y, y, filtered, filtered)["share"] == pytest.approx(1.0)
    climate = np.tile((np.bincount(y, minlength=4) + 0.5) / 502, (500, 1))
    assert share(y, y, climate, filtered)["share"] == pytest.approx(0.0, abs=1e-9)
