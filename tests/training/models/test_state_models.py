"""Hidden Markov and jump model: online, never by the libraries' methods of hindsight."""

from __future__ import annotations

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from jumpmodels.jump import JumpModel
from quick_entries import small_fold
from scipy.stats import multivariate_normal

from features.bars import FloatArray
from features.errors import TrainingError
from training.dataset import Dataset
from training.models.daily_closes import drift_and_volatility, midnight_days, risk_and_reward
from training.models.state_models import (
    GaussianHiddenMarkov,
    StateModel,
    StatisticalJump,
    _log_density,
)

HINDSIGHT = {
    GaussianHMM: ("predict", "predict_proba", "decode", "score", "score_samples"),
    JumpModel: ("predict", "predict_proba"),
}


@pytest.mark.parametrize("kind", [GaussianHiddenMarkov, StatisticalJump])
def test_no_method_of_hindsight_is_called(
    kind: type[StateModel], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a method that has seen the future was called")

    for library, names in HINDSIGHT.items():
        for name in names:
            assert hasattr(library, name)
            monkeypatch.setattr(library, name, forbidden)
    case = small_fold(dataset, "2022-07")
    model = kind()
    model.fit(dataset, case.fold.train, case.fold.cut)
    p = model.answer(dataset, case.fold.test)
    assert np.allclose(p.sum(axis=1), 1.0)
    assert len(np.unique(p.round(9), axis=0)) > 1


def two_kinds_of_days(n: int, seed: int) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Days of two states far apart that change every 40 days."""
    rng = np.random.default_rng(seed)
    truth = (np.arange(n) // 40) % 2
    return rng.normal(np.where(truth, 2.0, -2.0)[:, None], 0.5, size=(n, 2)), truth


@pytest.mark.parametrize("kind", [GaussianHiddenMarkov, StatisticalJump])
def test_states_that_are_far_apart_are_found_online(kind: type[StateModel]) -> None:
    days, truth = two_kinds_of_days(800, 1)
    model = kind(states=2)
    model.learn(days, [400, 400])
    later, expected = two_kinds_of_days(400, 2)
    found = model.follow(later[:, None])[:, 0, :2].argmax(axis=1)
    agree = (found == expected).mean()
    assert max(agree, 1 - agree) > 0.97
    assert truth.any()


@pytest.mark.parametrize("kind", [GaussianHiddenMarkov, StatisticalJump])
def test_a_day_does_not_depend_on_later_days_and_a_missing_one_changes_little(kind: type[StateModel]) -> None:
    days, _ = two_kinds_of_days(300, 3)
    model = kind(states=3)
    model.learn(days, [300])
    days[[0, 100, 101]] = np.nan
    whole = model.follow(days[:, None])
    for end in (1, 2, 99, 102, 250):
        assert np.array_equal(model.follow(days[:end, None]), whole[:end])
    if kind is StatisticalJump:
        assert whole[0, 0].argmax() == 3, "before the first observation no state is known"
        assert np.array_equal(whole[101], whole[99]), "a missing day keeps the state"
    else:
        known = model.follow(days[2:, None])
        assert np.allclose(whole[-1], known[-1], atol=1e-6)


def test_density_is_that_of_the_normal_law() -> None:
    rng = np.random.default_rng(11)
    root = rng.normal(size=(3, 3))
    mean, covariance, values = rng.normal(size=3), root @ root.T + 0.1 * np.eye(3), rng.normal(size=(50, 3))
    expected = multivariate_normal(mean, covariance).logpdf(values)
    assert np.allclose(_log_density(values, mean, covariance), expected)


def test_too_few_days_are_refused(dataset: Dataset) -> None:
    rows = np.flatnonzero(dataset.usable)[:100]
    for model in (GaussianHiddenMarkov(), StatisticalJump()):
        with pytest.raises(TrainingError, match="days of training rows, at least 120 are needed"):
            model.fit(dataset, rows, dataset.time.max())


def test_days_are_midnight_closes_held_until_the_next(dataset: Dataset) -> None:
    days = midnight_days(dataset.histories)
    first = min(history.time[history.time.hour == 0][0] for history in dataset.histories)
    for index in range(len(dataset.symbols)):
        mine = np.flatnonzero(dataset.symbol == index)
        close = dataset.histories[index].column("close")
        for place in (0, 5, 6, 7, 1000, len(mine) - 1):
            midnight = dataset.time[mine[place]].floor("D")
            found = days.latest[mine[place]]
            if midnight < dataset.time[mine[0]]:
                assert found == -1
                continue
            assert found == (midnight - first).days
            held = close[dataset.histories[index].time.get_loc(midnight)]
            assert days.close[found, index] == held or (np.isnan(held) and np.isnan(days.close[found, index]))


def test_observations_of_a_day_use_no_later_day() -> None:
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.03, size=(400, 2)), axis=0))
    close[200, 0] = np.nan
    for observe in (drift_and_volatility, risk_and_reward):
        whole = observe(close)
        assert np.isnan(whole[[200, 201], 0]).all(), "a missing close spoils its day and the next"
        assert np.isfinite(whole[202:]).all()
        assert np.isnan(whole[:60]).all()
        for end in (61, 203, 399):
            assert np.array_equal(observe(close[:end]), whole[:end], equal_nan=True)
