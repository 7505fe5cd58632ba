"""Performance before and after confirmation, and by which model each bar was answered."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from small_training import Trained, small_histories

from features.regimes import REGIMES
from serving.predictor import Predictor
from training.health.performance import by_month, entropy, last_confirmed
from training.health.recent_answers import RecentAnswers, answering_models, recent_answers
from training.replay import replay, replay_models

SINCE = pd.Timestamp("2022-05-01", tz="UTC")


def drawn(rows: int, *, sharpen: float = 1.0, seed: int = 0) -> RecentAnswers:
    """Labels that come as often as the probabilities say; the stated ones are sharpened."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.ones(4), size=rows)
    y = np.array([rng.choice(4, p=p) for p in true])
    stated = true**sharpen
    stated /= stated.sum(axis=1, keepdims=True)
    return RecentAnswers(
        time=pd.date_range("2022-01-01", periods=rows, freq="6h", tz="UTC"),
        symbol=np.zeros(rows, dtype=np.int64),
        probabilities=stated,
        regime=stated.argmax(axis=1),
        sets=stated > 0.1,
        novelty=np.zeros(rows),
        y=y,
        spell=np.cumsum(np.diff(y, prepend=-1) != 0),
        model=np.zeros(rows, dtype=np.int64),
        models=("fold",),
    )


def test_the_expected_loss_is_met_by_calibrated_answers_and_missed_by_sure_ones() -> None:
    honest, sure = last_confirmed(drawn(6000), 10_000), last_confirmed(drawn(6000, sharpen=3), 10_000)
    assert honest is not None
    assert sure is not None
    assert abs(honest.gap) < 0.03
    assert sure.gap > 0.5
    assert honest.expected_log_loss == pytest.approx(entropy(drawn(6000).probabilities).mean())
    assert honest.rows == 6000


def test_a_month_without_labels_has_an_expectation_and_nothing_else() -> None:
    answers = drawn(300)
    known = np.asarray(answers.time < pd.Timestamp("2022-02-10", tz="UTC"))
    answers = replace(answers, y=np.where(known, answers.y, -1), spell=np.where(known, answers.spell, -1))
    january, february, march = by_month(answers)
    assert [january.month, february.month, march.month] == ["2022-01", "2022-02", "2022-03"]
    assert january.confirmed == 1.0
    assert 0 < february.confirmed < 1
    assert march.confirmed == 0.0
    assert np.isfinite([march.expected_log_loss, march.expected_accuracy]).all()
    assert np.isnan([march.realised_log_loss, march.realised_accuracy, march.gap]).all()
    assert march.spells == 0
    inside = known & np.asarray(answers.time.month == 2)
    y, p = answers.y[inside], answers.probabilities[inside]
    losses = -np.log(p[np.arange(len(y)), y])
    assert february.realised_log_loss == pytest.approx(losses.mean())
    assert february.gap == pytest.approx(losses.mean() - entropy(p).mean())
    assert february.realised_accuracy == pytest.approx((answers.regime[inside] == y).mean())


def test_the_last_days_are_counted_from_the_newest_confirmed_label() -> None:
    answers = drawn(800)
    answers = replace(answers, y=np.where(np.arange(800) < 600, answers.y, -1))
    found = last_confirmed(answers, 30)
    assert found is not None
    assert found.until == answers.time[599]
    assert found.since == answers.time[480]
    assert found.rows == 120
    y, sets = answers.y[480:600], answers.sets[480:600]
    assert found.coverage == pytest.approx(
        np.mean([held[label] for held, label in zip(sets, y, strict=True)])
    )
    for index, name in enumerate(REGIMES):
        mine = y == index
        assert found.recall[name] == pytest.approx((answers.regime[480:600][mine] == index).mean())
    assert last_confirmed(replace(answers, y=np.full(800, -1)), 30) is None


def test_each_bar_is_answered_by_a_model_that_had_not_seen_its_label(
    trained: Trained, predictor: Predictor
) -> None:
    until = pd.Timestamp("2024-01-01", tz="UTC")
    models = answering_models(predictor, SINCE, until)
    assert models[0].start == SINCE
    assert models[-1].name == "champion"
    assert models[-1].end == until
    for one, following in pairwise(models):
        assert one.end == following.start
    for one in models:
        assert one.start > pd.Timestamp(one.predictor.manifest.training.trained_until)
    folder = trained.bundle.with_name(f"{trained.bundle.name}.walk-forward")
    assert {one.predictor.bundle.folder for one in models[:-1]} <= set(folder.iterdir())


def test_answers_are_those_of_the_replay(trained: Trained, predictor: Predictor) -> None:
    end = pd.Timestamp("2022-07-10", tz="UTC")
    histories = [history.part(0, int((history.time < end).sum())) for history in small_histories()]
    answers = recent_answers(histories, answering_models(predictor, SINCE, end))
    frame = replay(
        histories, replay_models(trained.places.bundles, walk_forward=True), since=SINCE, until=end
    )
    frame = frame[frame["regime"].notna()].reset_index(drop=True)
    assert len(frame) == len(answers) > 500
    assert frame["regime"].tolist() == [REGIMES[index] for index in answers.regime]
    assert np.array_equal(frame[[f"p_{name}" for name in REGIMES]].to_numpy(), answers.probabilities)
    told = [set(text.split(",")) for text in frame["prediction_set"]]
    mine = [{REGIMES[i] for i in np.flatnonzero(row)} for row in answers.sets]
    assert all(one <= other for one, other in zip(mine, told, strict=True))
    assert answers.confirmed[: len(answers) // 2].any()
    newest = np.asarray(answers.time > end - pd.Timedelta(days=20))
    assert not answers.confirmed[newest].any()


def test_a_champion_without_its_folds_answers_only_what_came_after(predictor: Predictor) -> None:
    trained_until = pd.Timestamp(predictor.manifest.training.trained_until)
    models = answering_models(predictor, trained_until, trained_until + pd.Timedelta(days=3))
    assert [one.name for one in models] == ["fold 2023-01", "champion"]
    assert models[1].start == trained_until + pd.Timedelta(hours=4)
    assert answering_models(predictor, SINCE, SINCE) == []
    assert len(recent_answers(small_histories(), [])) == 0
