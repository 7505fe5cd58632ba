"""Scores against slow oracles and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.metrics import f1_score, log_loss

from training.evaluation import (
    calibration_error,
    classwise_calibration_error,
    confusion,
    scores,
    switches_per_year,
)


def drawn(n: int = 400) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    rng = np.random.default_rng(11)
    p = rng.dirichlet((1.0, 1.0, 0.3, 2.0), size=n)
    y = np.array([rng.choice(4, p=row) for row in p], dtype=np.int8)
    return p, y


def test_scores_are_those_of_scikit_learn_and_of_plain_loops() -> None:
    p, y = drawn()
    found = scores(p, y)
    best = [max(range(4), key=lambda k: row[k]) for row in p.tolist()]
    assert found["log_loss"] == pytest.approx(log_loss(y, p, labels=range(4)))
    brier = sum(
        sum((row[k] - (k == truth)) ** 2 for k in range(4)) for row, truth in zip(p, y, strict=True)
    ) / len(y)
    assert found["brier"] == pytest.approx(brier)
    assert found["accuracy"] == pytest.approx(sum(a == b for a, b in zip(best, y, strict=True)) / len(y))
    assert found["macro_f1"] == pytest.approx(f1_score(y, best, average="macro"))
    for k, name in enumerate(("bear", "ranging", "relief_rally", "bull")):
        hits = sum(a == b == k for a, b in zip(best, y, strict=True))
        answered, true = best.count(k), int((y == k).sum())
        assert found[f"f1_{name}"] == pytest.approx(2 * hits / (answered + true))
    assert found["rows"] == len(y)


def test_a_decided_regime_is_what_f1_counts_and_not_what_ece_counts() -> None:
    p, y = drawn()
    decided = scores(p, y, y.astype(np.int64))
    assert decided["macro_f1"] == decided["accuracy"] == 1.0
    assert decided["ece"] == scores(p, y)["ece"]
    assert decided["log_loss"] == scores(p, y)["log_loss"]


def test_a_class_that_never_comes_counts_as_nought_in_macro_f1() -> None:
    p = np.array([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0]])
    assert scores(p, np.array([0, 1], dtype=np.int8))["macro_f1"] == 0.5


def test_calibration_error_by_hand() -> None:
    """Bins of 1/15: 0.30 and 0.32 share one, 0.90 and 0.91 another, 1.0 is in the last."""
    confidence = np.array([0.30, 0.32, 0.90, 0.91, 1.0])
    hit = np.array([True, False, True, True, False])
    low = abs((0.30 + 0.32) / 2 - 0.5) * 2
    high = abs((0.90 + 0.91) / 2 - 1.0) * 2
    last = abs(1.0 - 0.0) * 1
    assert calibration_error(confidence, hit) == pytest.approx((low + high + last) / 5)
    assert math.isnan(calibration_error(np.zeros(0), np.zeros(0, dtype=bool)))


def test_calibration_error_against_a_loop() -> None:
    p, y = drawn(3000)
    top = p.max(axis=1)
    hit = p.argmax(axis=1) == y
    total = 0.0
    for one in range(15):
        inside = [
            i for i in range(len(y)) if one / 15 <= top[i] < (one + 1) / 15 or (one == 14 and top[i] == 1)
        ]
        if inside:
            total += abs(np.mean(top[inside]) - np.mean(hit[inside])) * len(inside) / len(y)
    assert scores(p, y)["ece"] == pytest.approx(total)
    by_class = [calibration_error(p[:, k], np.asarray(y == k)) for k in range(4)]
    assert classwise_calibration_error(p, y) == pytest.approx(sum(by_class) / 4)
    assert total < 0.05  # these probabilities are the truth
    assert scores(p**3 / (p**3).sum(axis=1, keepdims=True), y)["ece"] > 0.1


def test_switches_a_year_do_not_count_gaps_folds_or_symbols() -> None:
    hour = pd.Timedelta(hours=1)
    start = pd.Timestamp("2022-01-01", tz="UTC")
    time = [start + i * hour for i in range(10)]
    time += [start + 100 * hour + i * hour for i in range(5)]  # after a gap, another regime: no switch
    time += [start + i * hour for i in range(5)]  # another symbol, another regime: no switch
    regime = np.array([0] * 5 + [1] * 5 + [2] * 5 + [3] * 4 + [0])
    symbol = np.array([0] * 15 + [1] * 5)
    found = switches_per_year(regime, symbol, pd.DatetimeIndex(time))
    assert found == pytest.approx(2 / ((9 + 4 + 4) / 8766))
    # A day's step is a step, one hour more is a gap.
    for hours, expected in ((24, 1 / (24 / 8766)), (25, float("nan"))):
        pair = pd.DatetimeIndex([start, start + hours * hour])
        assert switches_per_year(np.array([0, 1]), np.array([0, 0]), pair) == pytest.approx(
            expected, nan_ok=True
        )


def test_confusion_rows_are_the_truth() -> None:
    found = confusion(np.array([0, 0, 2], dtype=np.int8), np.array([0, 1, 3]))
    assert found.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
