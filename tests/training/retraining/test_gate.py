"""The gate: what is not worse passes, what is worse is refused by the check that is meant for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gate_cases import SETTINGS, WINDOW, Case, check, shuffled_before
from small_training import (
    LONG,
    Trained,
    replaced_after,
    small_histories,
    small_markets,
    small_recipe,
    snapshot,
)

from features.history import History
from serving.predictor import Predictor
from training.dataset import Dataset, build_dataset
from training.excursion import Excursions
from training.export import Parity
from training.models.boosted_logistic import BoostingSettings
from training.retraining.gate_proof import past_checks, proof_checks, source_of
from training.retraining.gate_reference import frozen_reference, standing_champion
from training.retraining.gate_window import gate_rows, latest_start, training_rows
from training.retraining.verdict import Verdict


@pytest.fixture
def case(trained: Trained, dataset: Dataset, excursions: Excursions) -> Case:
    return Case(trained, dataset, excursions, trained.places.bundles)


@pytest.fixture(scope="module")
def same(trained: Trained, dataset: Dataset, excursions: Excursions) -> Verdict:
    """The same recipe on the same data; to judge it changes nothing."""
    before = snapshot(trained.places.bundles)
    verdict = Case(trained, dataset, excursions, trained.places.bundles).verdict()
    assert snapshot(trained.places.bundles) == before
    return verdict


def names(verdict: Verdict) -> set[str]:
    return {one.name for one in verdict.failed}


def test_the_same_recipe_on_the_same_data_is_not_worse(same: Verdict, trained: Trained) -> None:
    assert same.promote, same.reason
    assert same.mode == "same_recipe"
    assert same.champion == trained.result["version"]
    assert same.recipe == same.champion_recipe
    assert "as it walked into 2022-07" in same.reference
    assert same.window is not None
    assert pd.Timestamp(same.window.start) == WINDOW
    difference = check(same, "not_worse_than_champion").value
    assert difference is not None
    assert abs(difference) < 1e-6, "the champion's kept model and the refit are one and the same"
    assert same.scores["challenger"]["log_loss"] == pytest.approx(
        same.scores["champion"]["log_loss"], abs=1e-6
    )


def test_every_number_can_be_written_down(same: Verdict) -> None:
    found = json.loads(json.dumps(same.as_dict(), allow_nan=False))
    assert found["promote"] is True
    assert {"name", "value", "bound", "passed", "words"} == set(found["checks"][0])
    assert len({one.name for one in same.checks}) == len(same.checks)
    assert all(one.words for one in same.checks)


def test_labels_in_which_there_is_nothing_to_learn_are_refused(case: Case) -> None:
    verdict = replace(case, dataset=shuffled_before(case.dataset)).verdict()
    assert not verdict.promote
    assert verdict.mode == "same_recipe"
    assert "not_worse_than_champion" in names(verdict)
    assert "log loss +0." in check(verdict, "not_worse_than_champion").words
    assert verdict.reason.startswith(f"{verdict.failed[0].name}: ")


def test_another_recipe_has_to_be_better(case: Case) -> None:
    one = BoostingSettings(base_columns=(0,), C=1e-9, rounds=1)
    worse = replace(case.recipe, boosting=one, features=("return_1d",))
    verdict = replace(case, recipe=worse).verdict()
    assert verdict.mode == "new_recipe"
    assert {"better_than_champion", "not_worse_than_champion", "made_of"} <= names(verdict)
    assert set(verdict.scores) >= {"challenger", "champion", "champion_recipe"}
    assert verdict.recipe != verdict.champion_recipe
    assert "another recipe" in check(verdict, "made_of").words


def test_another_recipe_that_is_no_better_stays_outside(case: Case) -> None:
    alike = replace(case.recipe, spell_power=0.2501)
    strict = SETTINGS.model_copy(update={"ece": 1e-9, "ece_rise": -1.0})
    verdict = replace(case, recipe=alike, settings=strict).verdict()
    assert verdict.mode == "new_recipe"
    assert names(verdict) == {"better_than_champion", "made_of", "ece"}


LOW = SETTINGS.model_copy(update={"floor_macro_f1": 0.0, "floor_recall": 0.0})


def test_without_a_champion_there_is_a_floor(case: Case, tmp_path: Path) -> None:
    bare = replace(case, bundles=tmp_path, settings=LOW)
    verdict = bare.verdict()
    assert verdict.promote, verdict.reason
    assert verdict.mode == "first"
    assert "there is no champion" in verdict.reason
    assert {"log_loss_rule", "macro_f1", "log_loss_climatology"} <= {one.name for one in verdict.checks}
    if LONG:
        high = LOW.model_copy(update={"floor_macro_f1": 0.99})
        assert names(replace(bare, settings=high).verdict()) == {"macro_f1"}


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("model.onnx", lambda content: content + b"x", "model.onnx has SHA-256"),
        ("manifest.json", lambda content: content.replace(b'_version": "', b'_version": "x'), "by labels x"),
        (
            "manifest.json",
            lambda content: content.replace(b'"rounds": 8', b'"rounds": 9'),
            "champion.json names",
        ),
        ("../champion.json", lambda _content: b"{", "does not name a champion"),
    ],
)
def test_a_champion_that_does_not_answer_is_none(
    case: Case, tmp_path: Path, file: str, change: Callable[[bytes], bytes], words: str
) -> None:
    bundles = tmp_path / "bundles"
    shutil.copytree(case.bundles, bundles)
    path = bundles / case.trained.result["version"] / file
    path.write_bytes(change(path.read_bytes()))
    standing = standing_champion(bundles, simulated=True, interval="4h")
    assert standing.predictor is None
    assert "the champion does not load" in standing.why
    assert words in standing.why


def test_the_same_recipe_without_a_kept_model_is_not_waved_through(case: Case, tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    shutil.copytree(case.bundles, bundles)
    shutil.rmtree(bundles / f"{case.trained.result['version']}.walk-forward")
    verdict = replace(case, bundles=bundles, dataset=shuffled_before(case.dataset), settings=LOW).verdict()
    assert verdict.mode == "first"
    assert "keeps no model from before the window" in verdict.reference
    assert "log_loss_rule" in {one.name for one in verdict.checks}
    assert not verdict.promote


@pytest.mark.parametrize("parity", [Parity(10, 2e-6, 0), Parity(10, 0.0, 1), Parity(10, float("nan"), 0)])
def test_a_graph_that_is_not_the_model_is_refused(case: Case, parity: Parity) -> None:
    proven = proof_checks(case.trained.bundle, parity, case.dataset, case.recipe, SETTINGS)
    assert [one.name for one in proven.checks if not one.passed] == ["parity"]


def test_a_bundle_that_does_not_load_or_is_of_other_things_is_refused(case: Case, tmp_path: Path) -> None:
    good = Parity(10, 1e-9, 0)
    proven = proof_checks(tmp_path / "nothing", good, case.dataset, case.recipe, SETTINGS)
    assert proven.predictor is None
    assert [one.name for one in proven.checks if not one.passed] == ["golden"]
    other = replace(case.dataset, histories=case.dataset.histories[::-1])
    for dataset, recipe, words in (
        (other, case.recipe, "other data"),
        (case.dataset, replace(case.recipe, spell_power=0.3), "another recipe"),
    ):
        proven = proof_checks(case.trained.bundle, good, dataset, recipe, SETTINGS)
        (failed,) = [one for one in proven.checks if not one.passed]
        assert failed.name == "made_of"
        assert words in failed.words


@pytest.mark.parametrize(
    ("update", "failed"),
    [({"min_train_days": 5000.0}, "training_days"), ({"min_spells": 5000}, "window_spells")],
)
def test_too_little_history_is_refused(case: Case, update: dict[str, float], failed: str) -> None:
    verdict = replace(case, settings=SETTINGS.model_copy(update=update)).verdict()
    assert names(verdict) == {failed}
    assert not verdict.promote
    assert verdict.reason.startswith(f"{failed}: ")


def test_a_history_without_a_label_is_refused_in_words(case: Case) -> None:
    empty = replace(case.dataset, y=np.full_like(case.dataset.y, -1))
    verdict = replace(case, dataset=empty).verdict()
    assert names(verdict) == {"window_spells"}
    assert verdict.window is None


def test_real_and_simulated_champions(case: Case, trained: Trained, dataset: Dataset) -> None:
    assert source_of(dataset) == "simulated"
    standing = standing_champion(case.bundles, simulated=False, interval="4h")
    assert standing.predictor is None
    assert "learned from simulated data" in standing.why
    standing = standing_champion(case.bundles, simulated=True, interval="1h")
    assert "reads bars of 4h, the challenger 1h" in standing.why
    real = Predictor.load(trained.bundle)
    real.bundle.manifest = real.manifest.model_copy(update={"data_source": "files"})
    failed = {one.name for one in past_checks(dataset, real, SETTINGS) if not one.passed}
    assert failed == {"data_source"}, (
        "what learned from a simulation never replaces what learned from a market"
    )


def test_a_past_that_was_rewritten_lost_symbols_and_older_data(trained: Trained, dataset: Dataset) -> None:
    predictor = Predictor.load(trained.bundle)

    def failed(histories: list[History]) -> set[str]:
        found = build_dataset(histories, dataset.features)
        return {one.name for one in past_checks(found, predictor, SETTINGS) if not one.passed}

    assert failed(small_histories()) == set()
    assert failed(small_histories()[:1]) == {"symbols"}
    older = [one.between(None, pd.Timestamp("2023-03-01", tz="UTC")) for one in small_histories()]
    assert failed(older) == {"data_age", "revised_past"}, "a bar that is not there any more is another bar"
    moment = pd.Timestamp("2023-02-20", tz="UTC")
    rewritten = [History.from_raw(replaced_after(market, moment)) for market in small_markets()]
    assert failed(rewritten) == {"revised_past"}
    flipped = [
        replace(one, frame=one.frame.assign(funding_rate=-one.frame["funding_rate"]))
        for one in small_histories()
    ]
    assert failed(flipped) == {"revised_past"}


def test_the_refit_learns_only_from_what_was_known_before_the_window(dataset: Dataset) -> None:
    recipe = small_recipe()
    start = latest_start(dataset, SETTINGS)
    assert start is not None
    window = gate_rows(dataset, start)
    assert window.spells >= SETTINGS.min_spells
    assert (dataset.time[window.bars] >= start).all()
    assert dataset.usable[window.rows].all()
    rows = training_rows(dataset, recipe, start)
    assert (dataset.confirmed_at.iloc[rows] < start - pd.Timedelta(days=5)).all()
    assert dataset.confirmed_at.iloc[rows].max() > start - pd.Timedelta(days=12), "and from all of it"
    assert not set(rows) & set(window.rows)
    rolling = replace(recipe, splits=replace(recipe.splits, window_days=160.0))
    later = training_rows(dataset, rolling, start)
    assert set(later) < set(rows)
    assert (dataset.time[later] >= start - pd.Timedelta(days=160)).all()


def test_the_reference_never_knew_the_window(case: Case, trained: Trained) -> None:
    predictor = Predictor.load(trained.bundle)
    for latest, expected in (
        ("2022-06-30", "2022-01-01"),
        ("2022-07-01", "2022-07-01"),
        ("2022-12-31", "2022-07-01"),
        ("2023-02-01", "2023-01-01"),
        ("2023-04-01", "2023-04-01"),
    ):
        moment = pd.Timestamp(latest, tz="UTC")
        found = frozen_reference(case.bundles, predictor, moment, 5.0)
        assert found is not None
        assert found.start == pd.Timestamp(expected, tz="UTC")
        until = pd.Timestamp(found.predictor.manifest.training.trained_until)
        assert until + pd.Timedelta(days=5) <= found.start
    assert frozen_reference(case.bundles, predictor, pd.Timestamp("2021-12-31", tz="UTC"), 5.0) is None
    assert frozen_reference(case.bundles, predictor, pd.Timestamp("2022-12-31", tz="UTC"), 9.0) is None
