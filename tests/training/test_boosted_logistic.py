"""The model: exact in single precision, four columns whatever the classes, the same bits again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pytest
from small_training import LONG

from features.errors import TrainingError
from training.models import boosted_logistic
from training.models.boosted_logistic import (
    LEAF_STEP,
    BoostedLogistic,
    BoostingSettings,
    exact_in_single,
    softmax,
)

SETTINGS = BoostingSettings(base_columns=(0, 2), rounds=12, leaves=7, min_rows=10, learning_rate=0.1)
Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]


def rows(classes: tuple[int, ...] = (0, 1, 2, 3), n: int = 600, seed: int = 1) -> Rows:
    """Features that tell the classes, one column with holes, one that is all holes."""
    rng = np.random.default_rng(seed)
    y = rng.choice(np.array(classes, dtype=np.int8), size=n)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    X[:, 0] += y
    X[:, 2] -= y
    X[rng.random(n) < 0.2, 2] = np.nan
    X[:, 4] = np.nan
    return X, y


def fitted(classes: tuple[int, ...] = (0, 1, 2, 3)) -> tuple[BoostedLogistic, Rows]:
    X, y = rows(classes)
    return BoostedLogistic(SETTINGS).fit(X, y, np.ones(len(y))), (X, y)


def numbers(booster: lgb.Booster, name: str) -> npt.NDArray[np.float64]:
    lines = re.findall(rf"(?m)^{name}=(.+)$", booster.model_to_string())
    return np.array([float(text) for line in lines for text in line.split()])


def test_thresholds_and_leaves_are_exact_in_single_precision() -> None:
    model, (X, _) = fitted()
    thresholds, leaves = numbers(model.booster, "threshold"), numbers(model.booster, "leaf_value")
    assert len(thresholds) > 50
    assert (thresholds == thresholds.astype(np.float32)).all()
    assert (leaves / LEAF_STEP == np.round(leaves / LEAF_STEP)).all()
    assert np.abs(leaves).max() > 100 * LEAF_STEP
    per_tree = np.stack(
        [model.booster.predict(X, raw_score=True, start_iteration=i, num_iteration=1) for i in range(12)]
    )
    total = np.asarray(model.booster.predict(X, raw_score=True))
    single = per_tree.astype(np.float32)
    for order in (np.arange(12), np.arange(12)[::-1], np.random.default_rng(0).permutation(12)):
        added = np.zeros(single.shape[1:], dtype=np.float32)
        for tree in order:
            added = added + single[tree]
        assert np.array_equal(added.astype(np.float64), total)


def test_flooring_moves_no_row_and_rounding_leaves_moves_little() -> None:
    X, y = rows()
    raw = lgb.train(SETTINGS.boosting(), lgb.Dataset(X, y), 12)
    exact = exact_in_single(raw, X)
    assert not (numbers(raw, "threshold") == numbers(raw, "threshold").astype(np.float32)).all()
    # Rows on both float32 sides of every threshold go the way they went.
    thresholds = numbers(raw, "threshold")
    below = thresholds.astype(np.float32)
    edges = np.concatenate([below, np.nextafter(below, np.float32(9)), np.nextafter(below, np.float32(-9))])
    odd = np.repeat(edges[:, None], 5, axis=1)
    before = np.asarray(raw.predict(odd, pred_leaf=True))
    assert np.array_equal(before, np.asarray(exact.predict(odd, pred_leaf=True)))
    difference = np.abs(
        np.asarray(raw.predict(odd, raw_score=True)) - np.asarray(exact.predict(odd, raw_score=True))
    )
    assert 0 < difference.max() <= 12 * LEAF_STEP / 2


def test_leaves_that_could_add_up_too_far_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = rows()
    raw = lgb.train(SETTINGS.boosting(), lgb.Dataset(X, y), 12)
    monkeypatch.setattr(boosted_logistic, "LARGEST_SUM", 0.01)
    with pytest.raises(TrainingError, match="no exact sum in single precision"):
        exact_in_single(raw, X)


@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (0, 1, 3), (1, 2), (0, 3), (2, 3)])
def test_a_missing_class_keeps_its_column_and_gets_next_to_nothing(classes: tuple[int, ...]) -> None:
    model, (X, y) = fitted(classes)
    for log_odds in (model.log_odds(X), model.base_log_odds(X)):
        p = softmax(log_odds)
        assert p.shape == (len(X), 4)
        assert p.sum(axis=1) == pytest.approx(np.ones(len(X)))
        absent = [k for k in range(4) if k not in classes]
        assert p[:, absent].max(initial=0.0) < 0.02
        # The columns are in the fixed order: each class is likeliest where it is the truth.
        for k in classes:
            others = [one for one in classes if one != k]
            assert p[y == k, k].mean() > max(p[y == one, k].mean() for one in others)
        assert (p.argmax(axis=1) == y).mean() > 0.6


def test_two_classes_have_the_logistic_odds_that_scikit_learn_gives() -> None:
    from sklearn.linear_model import LogisticRegression

    model, (X, y) = fitted((1, 3))
    base = LogisticRegression(C=SETTINGS.C, max_iter=1000).fit(model._scaled(X), y)
    found = softmax(model.base_log_odds(X))[:, [1, 3]]
    found /= found.sum(axis=1, keepdims=True)
    assert found == pytest.approx(base.predict_proba(model._scaled(X)), abs=1e-12)


def test_one_class_is_refused_by_name() -> None:
    X, y = rows((2,))
    with pytest.raises(TrainingError, match=r"1 regime \(relief_rally\)"):
        BoostedLogistic(SETTINGS).fit(X, y, np.ones(len(y)))


def test_missing_features_are_filled_with_the_median_of_the_training_rows() -> None:
    model, (X, _) = fitted()
    holes = np.isnan(X[:, 2])
    filled = X.copy()
    filled[holes, 2] = np.float32(np.nanmedian(X[:, 2]))
    assert model.fill[1] == np.nanmedian(X[:, 2])
    assert np.array_equal(model.base_log_odds(X), model.base_log_odds(filled))
    nothing = np.full((1, 5), np.nan, dtype=np.float32)
    assert np.isfinite(model.log_odds(nothing)).all()


def test_weights_count() -> None:
    X, y = rows()
    heavy = np.where(y == 2, 20.0, 1.0)
    even = softmax(BoostedLogistic(SETTINGS).fit(X, y, np.ones(len(y))).log_odds(X))
    tilted = softmax(BoostedLogistic(SETTINGS).fit(X, y, heavy).log_odds(X))
    assert tilted[:, 2].mean() > even[:, 2].mean() + 0.1


def test_two_fits_give_the_same_bits() -> None:
    (one, (X, _)), (two, _) = fitted(), fitted()
    assert one.booster.model_to_string() == two.booster.model_to_string()
    assert np.array_equal(one.log_odds(X), two.log_odds(X))


SIDE_BY_SIDE = """
from concurrent.futures import ThreadPoolExecutor
import lightgbm as lgb
from test_boosted_logistic import SETTINGS, exact_in_single, rows

X, y = rows(n=3000)

def fit(_):
    raw = lgb.train(SETTINGS.boosting(), lgb.Dataset(X, y), 2)
    return {exact_in_single(raw, X).model_to_string() for _ in range(6)}

alone = fit(0)
with ThreadPoolExecutor(4) as pool:
    print({one == alone for one in pool.map(fit, range(COUNT))})
"""


def test_fits_side_by_side_give_the_bits_of_one_alone() -> None:
    """In a process of its own: a number of threads that differs between calls crashes LightGBM."""
    code = SIDE_BY_SIDE.replace("COUNT", "4000" if LONG else "60")
    here = Path(__file__).parent
    path = os.pathsep.join(map(str, (here.parents[1], here.parent, here)))
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "{True}\n"), found.stderr


def test_a_fit_asks_for_one_number_of_threads_throughout(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the crash above comes from, seen every time."""
    asked: list[object] = []
    original = lgb.Booster.predict

    def watched(booster: lgb.Booster, *arguments: object, **options: object) -> object:
        asked.append(options.get("num_threads"))
        return original(booster, *arguments, **options)

    monkeypatch.setattr(lgb.Booster, "predict", watched)
    fitted()
    assert asked == [SETTINGS.threads] * 2
    assert SETTINGS.boosting()["num_threads"] == SETTINGS.threads
