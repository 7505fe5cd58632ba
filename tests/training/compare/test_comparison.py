"""All entries on the same folds and bars, wherever they are worked out; a failure stops no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dask_cluster import cluster
from small_comparison import CHEAP, compared, small_comparison, small_plan
from small_training import LONG, SYMBOLS

from features.errors import DataError, TrainingError, UsageError
from training.compare.comparison import Comparison, compare
from training.compare.entries import ENTRIES, chosen
from training.compare.fold_job import answer_fold
from training.compare.leaderboard import as_dict, headline, leaderboard_rows, markdown
from training.compare.plan import Workbench, workbench
from training.dataset import Dataset
from training.evaluation import scored_rows
from training.models.counted_rules import MovingAverageRule
from training.report import evaluate
from training.splits import AXES, Axis
from training.walk_forward import Walk, concatenated_excursions


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return small_comparison()


def test_the_model_answers_what_training_walks(comparison: Comparison, walk: Walk) -> None:
    """Same folds, same fits, same decisions: the leaderboard is of the model that training makes."""
    model = comparison.model
    assert model is not None
    assert np.array_equal(model.answers.probabilities, walk.probabilities, equal_nan=True)
    assert np.array_equal(model.answers.regime, walk.regime)


PROBABILITIES = ("log_loss", "brier", "ece", "ece_classwise", "rows")
"""Scores that do not depend on the regime that is answered."""


def test_scores_are_those_of_the_training_report(
    comparison: Comparison, walk: Walk, dataset: Dataset
) -> None:
    report = evaluate(dataset, walk, concatenated_excursions(dataset, None))
    for name in ("model", "moving_average_rule", "last_confirmed_label", "climatology"):
        found, expected = comparison.by_name(name).score, report.scores[name]
        for score in expected.values if name == "model" else PROBABILITIES:
            assert found.values[score] == pytest.approx(expected.values[score], nan_ok=True), (name, score)
        interval = expected.intervals["log_loss"]
        assert found.intervals["log_loss"].low == pytest.approx(interval.low)
        assert found.intervals["log_loss"].high == pytest.approx(interval.high)
    against = comparison.by_name("climatology").against
    assert against is not None
    assert against.interval.estimate == pytest.approx(-report.differences["climatology"].interval.estimate)


def test_every_entry_answers_the_same_bars(comparison: Comparison) -> None:
    rows = [scored_rows(comparison.dataset, one.answers) for one in comparison.entries]
    assert {one.name for one in comparison.entries} == set(CHEAP)
    assert all(np.array_equal(one, rows[0]) for one in rows)
    losses = [one.score.values["log_loss"] for one in comparison.entries]
    assert losses == sorted(losses)


UNSEEN: tuple[Axis, ...] = ("symbols", "both")


@pytest.mark.parametrize("axis", UNSEEN)
def test_no_label_of_an_unseen_symbol_is_learned_from(axis: Axis) -> None:
    """Other labels of the symbol that is left out change no answer of any entry that fits."""
    plan = small_plan(axis)
    bench = Workbench.of(plan)
    fold = [one for one in bench.folds.values() if one.unseen == 1][-1]
    assert set(bench.dataset.symbol[fold.test].tolist()) == {1}
    assert 1 not in bench.dataset.symbol[fold.train]
    mine = bench.dataset.symbol == 1
    y = np.where(mine & (bench.dataset.y >= 0), (bench.dataset.y + 1) % 4, bench.dataset.y).astype(np.int8)
    other = replace(bench, dataset=replace(bench.dataset, y=y))
    for name in ("model", "label_path_prior", "climatology"):
        answers = [answer_fold(name, one, fold) for one in (bench, other)]
        assert np.array_equal(answers[0].probabilities, answers[1].probabilities), name
        assert np.array_equal(answers[0].regime, answers[1].regime), name


def test_axes_test_the_same_rows_in_more_folds() -> None:
    names = {axis: list(workbench(small_plan(axis)).folds) for axis in AXES}
    assert names["both"] == [f"{fold} {symbol}" for fold in names["time"] for symbol in SYMBOLS]
    assert names["symbols"] == list(SYMBOLS)


def test_processes_give_the_same_bits(comparison: Comparison) -> None:
    """Histories travel to two processes, answers come back."""
    names = CHEAP if LONG else ("label_path_prior", "moving_average_rule")
    there = compared(small_plan(), names, workers=2)
    for name in names:
        one, other = comparison.by_name(name), there.by_name(name)
        assert np.array_equal(one.answers.probabilities, other.answers.probabilities, equal_nan=True)
        assert one.score.values == pytest.approx(other.score.values, nan_ok=True)


def test_an_entry_that_fails_is_named_and_the_others_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: MovingAverageRule, dataset: Dataset, bars: object) -> object:
        raise ValueError("no price\nto speak of")

    monkeypatch.setattr(MovingAverageRule, "says", broken)
    found = compared(small_plan(), ("moving_average_rule", "climatology", "last_confirmed_label"))
    assert [one.name for one in found.entries] == ["last_confirmed_label", "climatology"]
    assert all(one.against is None for one in found.entries)
    error = found.failed["moving_average_rule"]
    assert error.message.startswith("2023-01: ValueError: no price to speak of"), "the fold it ended at"
    with pytest.raises(TrainingError, match="1 of 3 entries failed: moving_average_rule: ") as raised:
        found.raise_failures()
    assert raised.value.exit_code == 1
    assert "Failed: moving_average_rule" in markdown(found)
    assert "moving_average_rule" in as_dict(found)["failed"]


def test_answers_that_are_no_probabilities_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def nonsense(self: MovingAverageRule, dataset: Dataset, bars: np.ndarray[tuple[int]]) -> object:
        return np.full((len(bars), 4), 0.3)

    monkeypatch.setattr(MovingAverageRule, "answer", nonsense)
    found = compared(small_plan(), ("moving_average_rule",))
    assert "are no probabilities" in found.failed["moving_average_rule"].message
    assert found.entries == ()
    assert headline(found) == "No entry could be scored."
    assert leaderboard_rows(found) == []


def test_data_that_changed_are_refused() -> None:
    plan = replace(small_plan(), data_hash="0" * 64)
    with pytest.raises(DataError, match="the data changed while models were compared"):
        Workbench.of(plan)


def test_leaderboard_says_how_much_evidence_there_is(comparison: Comparison) -> None:
    assert f"only {comparison.entries[0].score.spells} independent spells" in headline(comparison)
    content = as_dict(comparison)
    by_name = {one["name"]: one for one in content["entries"]}
    assert by_name["model"]["against_model"] is None
    assert by_name["climatology"]["against_model"]["verdict"] in {"better", "worse", "cannot tell"}
    assert content["data_hash"] == comparison.dataset.data_hash()
    assert pd.Timestamp(content["folds"][0]["start"]) == comparison.folds[0].start
    assert markdown(comparison).count("\n| ") == len(CHEAP)


def test_entries_are_chosen_by_name() -> None:
    assert [entry.name for entry in chosen(["climatology", "model"])] == ["model", "climatology"]
    assert chosen() == ENTRIES
    without = chosen((), ["return_1d"])
    assert {entry.name for entry in ENTRIES} - {entry.name for entry in without} == {"label_path_prior"}
    for names, words in ((["magic"], "'magic'"), (["model", "model"], "twice")):
        with pytest.raises(UsageError, match=words):
            chosen(names)


@pytest.mark.skipif(not LONG, reason="starts a cluster; part of the long tier")
def test_a_cluster_gives_the_same_bits(comparison: Comparison, tmp_path: Path) -> None:
    names = ("label_path_prior", "moving_average_rule", "climatology")
    with cluster(tmp_path) as dask:
        there = compare(small_plan(), chosen(names), scheduler=dask.address)
    for name in names:
        one, other = comparison.by_name(name), there.by_name(name)
        assert np.array_equal(one.answers.probabilities, other.answers.probabilities, equal_nan=True)
