"""What has to hold for every baseline: no look at the future, whole probabilities, gaps, missing classes."""

from __future__ import annotations

import numpy as np
import pytest
from quick_entries import MOMENT, NAMES, fitted, other_future, small_fold

from features.errors import TrainingError
from features.regimes import REGIMES
from training.dataset import Dataset

MOVED_BY_NOTHING = {"climatology", "majority"}
"""Baselines whose answer depends on the training rows alone."""
LEARNED = (
    "label_path_prior",
    "multinomial_logistic",
    "lightgbm",
    "lightgbm_price",
    "histogram_boosting",
    "own_last_answer",
)


def proper(probabilities: np.ndarray[tuple[int, int], np.dtype[np.float64]], rows: int) -> bool:
    return bool(
        probabilities.shape == (rows, len(REGIMES))
        and (probabilities >= 0).all()
        and np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-9)
    )


@pytest.mark.parametrize("name", NAMES)
def test_another_future_changes_no_earlier_answer(
    name: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fitted and answered again where everything from a moment on is made up anew."""
    case, other = small_fold(dataset, "2022-07"), other_future("2022-07")
    assert np.array_equal(case.fold.train, other.fold.train)
    answers, decided = [], []
    for one in (case, other):
        baseline = fitted(name, one, monkeypatch)
        answers.append(baseline.answer(one.dataset, one.fold.test))
        decided.append(baseline.decide(one.dataset, one.fold.test, answers[-1]))
    early = np.asarray(dataset.time[case.fold.test] < MOMENT)
    assert 100 < early.sum() < len(early) - 100
    assert np.array_equal(answers[0][early], answers[1][early])
    assert np.array_equal(decided[0][early], decided[1][early])
    assert proper(answers[0], len(early))
    assert np.array_equal(answers[0], answers[1]) == (name in MOVED_BY_NOTHING)


@pytest.mark.parametrize("name", NAMES)
def test_other_data_before_the_cut_change_what_is_fitted(
    name: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: a market that differs before the cut is answered otherwise."""
    case = small_fold(dataset, "2022-07")
    half = case.fold.train[dataset.y[case.fold.train] != 1]
    answers = [fitted(name, case, monkeypatch, rows).answer(dataset, case.fold.test) for rows in (None, half)]
    assert not np.array_equal(answers[0], answers[1])


@pytest.mark.parametrize("name", NAMES)
def test_missing_bars_are_answered_and_a_class_may_be_missing(
    name: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fold of 2023-01 has three bars of one symbol missing; the training rows show no relief rally."""
    case = small_fold(dataset, "2023-01")
    assert not dataset.present[case.fold.test].all()
    rows = case.fold.train[dataset.y[case.fold.train] != 2]
    p = fitted(name, case, monkeypatch, rows).answer(dataset, case.fold.test)
    assert proper(p, len(case.fold.test))
    assert (p[:, 2] > 0).all(), "one bar of a class that was not seen would cost everything"
    if name != "label_path_prior":  # it knows the regimes without having seen them
        assert p[:, 2].mean() < 0.05


@pytest.mark.parametrize("name", LEARNED)
def test_one_class_is_nothing_to_learn_from(
    name: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small_fold(dataset, "2022-07")
    rows = case.fold.train[dataset.y[case.fold.train] == 3]
    with pytest.raises(TrainingError, match=r"1 regime \(bull\), at least 2"):
        fitted(name, case, monkeypatch, rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_answers_bars_one_by_one_as_all_at_once(
    name: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small_fold(dataset, "2022-07")
    baseline = fitted(name, case, monkeypatch)
    some = case.fold.test[::301]
    whole = baseline.answer(dataset, some)
    for place in (0, 2, len(some) - 1):
        assert np.allclose(baseline.answer(dataset, some[place : place + 1])[0], whole[place], atol=1e-12)
