"""Classifiers off the shelf: what they read, and the temperature that is put to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from quick_entries import fitted, small_fold

from training.dataset import Dataset
from training.models.learned import (
    LearnedBaseline,
    LogOdds,
    MultinomialLogistic,
    PriceLightGBM,
    inner_fits,
)
from training.models.own_last_answer import NOTHING, OwnLastAnswer, day_before


def test_price_lightgbm_reads_neither_funding_nor_open_interest(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small_fold(dataset, "2022-07")
    money = [place for place, one in enumerate(dataset.features) if one.group in {"funding", "open_interest"}]
    assert len(money) > 10
    X = dataset.X.copy()
    X[:, money] = 1e6
    other = replace(dataset, X=X)
    for name, same in (("lightgbm_price", True), ("lightgbm", False)):
        baseline = fitted(name, case, monkeypatch)
        answers = [baseline.answer(one, case.fold.test) for one in (dataset, other)]
        assert np.array_equal(answers[0], answers[1]) == same
    assert not set(PriceLightGBM().columns(dataset)) & set(money)


def test_logistic_reads_what_is_nearly_linear(dataset: Dataset) -> None:
    names = [dataset.features[place].name for place in MultinomialLogistic().columns(dataset)]
    assert "return_1d" in names
    assert all(name.startswith(("return_", "above_mean_", "mean_", "path_log_share_")) for name in names)


class _Boaster(LearnedBaseline):
    """Says class 3 with the utmost confidence, whatever it learned."""

    name = "boaster"
    words = "For the test."

    def learn(self, X: object, y: object) -> LogOdds:  # noqa: ARG002
        return lambda rows: np.tile([0.0, 0.0, 0.0, 9.0], (len(rows), 1))


def test_boasting_is_cooled_down(dataset: Dataset) -> None:
    case = small_fold(dataset, "2022-07")
    assert (dataset.y[case.fold.train] != 3).mean() > 0.1
    model = _Boaster(inner_blocks=3)
    model.fit(dataset, case.fold.train, case.fold.cut)
    assert model.temperature > 1.1
    assert model.answer(dataset, case.fold.test[:1])[0, 3] < 0.9997


def test_inner_fits_are_purged(dataset: Dataset) -> None:
    case = small_fold(dataset, "2023-01")
    pairs = inner_fits(dataset, case.fold.train, 4, 5.0)
    assert len(pairs) >= 3
    confirmed = dataset.confirmed_at
    for train, test in pairs:
        assert not set(train) & set(test)
        start, settled = dataset.time[test].min(), confirmed.iloc[test].max()
        before = np.asarray(dataset.time[train] < start)
        assert (confirmed.iloc[train[before]] < start).all()
        assert (dataset.time[train[~before]] > settled).all()


def test_day_before_is_the_same_hour_of_the_same_symbol(dataset: Dataset) -> None:
    bars = np.arange(len(dataset.y))
    before = day_before(dataset, bars)
    for bar in (*range(0, 9), *range(len(bars) - 3, len(bars)), int(np.argmax(dataset.symbol)), 3000):
        if before[bar] < 0:
            assert (bars[: bar + 1][dataset.symbol[: bar + 1] == dataset.symbol[bar]]).size <= 6
            continue
        assert dataset.symbol[before[bar]] == dataset.symbol[bar]
        assert (dataset.time[bar] - dataset.time[before[bar]]).total_seconds() == 86_400


def test_own_last_answer_repeats_yesterdays(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    case = small_fold(dataset, "2023-01")
    model = fitted("own_last_answer", case, monkeypatch)
    assert isinstance(model, OwnLastAnswer)
    found = model.answer(dataset, case.fold.test)
    before = day_before(dataset, case.fold.test)
    said = model._latest.log_odds(dataset.X[before]).argmax(axis=1)
    said[~dataset.present[before]] = NOTHING
    assert np.array_equal(found, model._counted.probabilities(said))
    assert (said == NOTHING).any(), "the fold has missing bars"
