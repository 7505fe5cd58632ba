"""One retraining after another: what is decided, what is kept, what happens twice and what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from retrain_places import LENIENT, REQUEST, Start, lenient, serving_version
from small_training import small_recipe

from features.errors import DataError, LockedError, TrainingError
from training.models.boosted_logistic import BoostedLogistic
from training.retraining import challenger as challenger_module
from training.retraining import market_data
from training.retraining.current import FOLDER, read_current
from training.retraining.gate_settings import GateSettings
from training.retraining.job import retrain
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked, lock_holder
from training.retraining.outcome import Outcome
from training.retraining.request import Request
from training.tracking import EXPERIMENT, MODEL


def go(start: Start, request: Request = REQUEST, **options: Any) -> Outcome:
    return retrain(request, start.places, **{"gate_settings": lenient(), **options})


def entries(start: Start, action: str) -> list[dict[str, Any]]:
    return [entry for entry in Journal(start.places.bundles).entries() if entry["action"] == action]


def client(start: Start) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(start.places.tracking_uri, start.places.tracking_uri)


@pytest.fixture
def no_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts fits, so that a test can ask that none was made."""
    made: list[str] = []
    fit = BoostedLogistic.fit

    def counted(self: BoostedLogistic, *args: Any) -> BoostedLogistic:
        made.append("fit")
        return fit(self, *args)

    monkeypatch.setattr(BoostedLogistic, "fit", counted)
    return made


def test_better_becomes_champion_and_the_record_says_why(retrained: Start) -> None:
    """What the fixture did: same recipe, newer data, promoted by the gate."""
    (entry,) = entries(retrained, "promotion")[1:]
    version = serving_version(retrained.places)
    assert entry["version"] == version
    assert entry["previous"] not in {None, version}
    assert entry["mode"] == "same_recipe"
    assert entry["reason"].startswith("same recipe on newer data")
    assert {check["passed"] for check in entry["checks"]} == {True}
    assert entry["run_id"]
    run = client(retrained).get_run(entry["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["bearmode/decision"] == "promotion"
    assert run.data.tags["bearmode/job"] == "retrain"
    for name in ("data", "feature", "recipe", "code", "environment"):
        assert len(run.data.tags[f"bearmode/{name}_sha256"]) == 64
    alias = client(retrained).get_model_version_by_alias(MODEL, "champion")
    assert str(alias.version) == entry["registered_version"]
    nested = [
        one.info.run_name
        for one in client(retrained).search_runs([run.info.experiment_id])
        if one.data.tags.get("mlflow.parentRunId") == entry["run_id"]
    ]
    assert nested == ["fold 2022-01"]


def test_again_on_the_same_does_nothing(retrained: Start, no_fits: list[str]) -> None:
    before = Journal(retrained.places.bundles).entries()
    serving = serving_version(retrained.places)
    outcome = go(retrained)
    assert outcome.outcome == "unchanged"
    assert outcome.reason == f"nothing new: {serving} was promoted on the same data, recipe and code"
    assert no_fits == []
    assert Journal(retrained.places.bundles).entries() == before


def test_what_was_rolled_back_is_not_promoted_again(retrained: Start) -> None:
    from training.retraining.rollback import rollback

    serving = serving_version(retrained.places)
    rollback(retrained.places)
    back = serving_version(retrained.places)
    assert back != serving
    outcome = go(retrained)
    assert outcome.outcome == "unchanged"
    assert f"{back} was put in its place since" in outcome.reason
    assert serving_version(retrained.places) == back


def test_refused_stays_refused_until_something_changes(retrained: Start, no_fits: list[str]) -> None:
    """Another gate judges what is kept, without fitting the folds anew; twice the same says the same."""
    recipe = retrained.places.bundles / "recipe.json"
    worse = small_recipe(1)
    recipe.write_text(json.dumps(replace(worse, boosting=replace(worse.boosting, C=1e-7)).as_dict()))
    request = replace(REQUEST, recipe=str(recipe))
    serving = serving_version(retrained.places)
    outcome = go(retrained, request)
    assert (outcome.outcome, outcome.champion) == ("refused", serving)
    assert outcome.reason.startswith("better_than_champion: ")
    (entry,) = entries(retrained, "refusal")
    assert entry["mode"] == "new_recipe"
    assert not next(one for one in entry["checks"] if one["name"] == "better_than_champion")["passed"]
    assert client(retrained).get_run(entry["run_id"]).data.tags["bearmode/decision"] == "refusal"
    assert client(retrained).get_run(entry["run_id"]).info.status == "FINISHED"
    assert (retrained.places.bundles / entry["version"]).is_dir()
    no_fits.clear()
    outcome = go(retrained, request)
    assert outcome.outcome == "refused"
    assert outcome.reason.startswith("nothing new: it was refused on the same data, recipe and code: better")
    assert no_fits == []
    assert len(entries(retrained, "refusal")) == 1
    stricter = GateSettings.model_validate({**LENIENT, "min_spells": 1000})
    assert "window_spells" in go(retrained, request, gate_settings=stricter).reason
    assert no_fits == []  # the gate had nothing to fit, the folds are kept
    assert len(entries(retrained, "refusal")) == 2
    assert serving_version(retrained.places) == serving


@pytest.mark.long
def test_without_promotion_the_verdict_is_on_record_and_promotion_can_follow(
    retrained: Start, no_fits: list[str]
) -> None:
    serving = serving_version(retrained.places)
    request = replace(REQUEST, until="2022-06-02", promote=False)
    outcome = go(retrained, request)
    assert outcome.outcome == "held_back"
    assert outcome.verdict is not None
    assert outcome.verdict.promote
    assert serving_version(retrained.places) == serving
    assert len(entries(retrained, "held_back")) == 1
    no_fits.clear()
    outcome = go(retrained, replace(request, promote=True))
    assert outcome.outcome == "promoted"
    assert no_fits == []
    assert serving_version(retrained.places) == outcome.version


class KilledError(BaseException):
    """As if the process had ended here."""


def test_killed_between_champion_and_journal_the_next_run_completes_the_journal(
    start: Start, monkeypatch: pytest.MonkeyPatch, no_fits: list[str]
) -> None:
    def killed(_self: Journal, _entry: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(KilledError):
            go(start)
    serving = serving_version(start.places)
    assert serving != start.champion
    assert len(entries(start, "promotion")) == 1
    no_fits.clear()
    outcome = go(start)
    assert (outcome.outcome, outcome.version) == ("unchanged", serving)
    assert no_fits == []
    entry = entries(start, "promotion")[-1]
    assert (entry["version"], entry["previous"]) == (serving, start.champion)
    assert entry["checks"], "the gate's numbers are not lost"
    alias = client(start).get_model_version_by_alias(MODEL, "champion")
    assert str(alias.version) == entry["registered_version"]
    assert go(start).reason.startswith("nothing new")


def test_a_failure_is_journaled_with_its_step_and_the_run_goes_on_from_there(
    start: Start, monkeypatch: pytest.MonkeyPatch, no_fits: list[str]
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise TrainingError("the disk is made of cheese", code="cheese")

    with monkeypatch.context() as patch:
        patch.setattr(challenger_module, "publish", broken)
        with pytest.raises(TrainingError, match="cheese"):
            go(start)
    (entry,) = entries(start, "failure")
    assert (entry["step"], entry["error"]) == ("registry", "cheese")
    assert (entry["reason"], entry["champion"]) == ("the disk is made of cheese", start.champion)
    assert client(start).get_run(entry["run_id"]).info.status == "FAILED"
    assert serving_version(start.places) == start.champion
    first = len(no_fits)
    said: list[str] = []
    outcome = go(start, say=said.append)
    assert outcome.outcome == "promoted"
    assert any(line.startswith("continuing the run of") for line in said)
    assert len(no_fits) - first < first  # the gate's refits alone
    assert outcome.run_id == entry["run_id"], "the same run in MLflow goes on"
    assert client(start).get_run(entry["run_id"]).info.status == "FINISHED"
    found = client(start).get_experiment_by_name(EXPERIMENT)
    assert found is not None
    folds = [
        run
        for run in client(start).search_runs([found.experiment_id])
        if run.data.tags.get("mlflow.parentRunId") == entry["run_id"]
    ]
    assert len(folds) == 1


@pytest.mark.long
def test_an_interrupted_run_keeps_its_last_bar_while_the_market_moves_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has later bars when the run is continued: they wait for the next one."""
    until = "2022-05-31"

    def killed(*_args: object, **_kwargs: object) -> None:
        raise KilledError

    def older(request: Request, *args: Any, until: str | None, **options: Any) -> market_data.MarketData:
        return load(request, *args, until=until or "2022-05-31", **options)

    load = market_data.load_market
    open_ended = replace(REQUEST, until=None)
    with monkeypatch.context() as patch:
        patch.setattr("training.retraining.job.load_market", older)
        patch.setattr(challenger_module, "publish", killed)
        with pytest.raises(KilledError):
            go(start, open_ended)
    current = read_current(start.places.bundles)
    assert current is not None
    assert current.until.startswith(until)
    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(challenger_module, "publish", killed)
        with pytest.raises(KilledError):
            go(start, open_ended, say=said.append)
    again = read_current(start.places.bundles)
    assert again is not None
    assert (again.key, again.token) == (current.key, current.token)
    assert any(f"on bars before {current.until}" in line for line in said)


@pytest.mark.long
def test_fresh_throws_away_what_was_kept(retrained: Start, no_fits: list[str]) -> None:
    serving = serving_version(retrained.places)
    outcome = go(retrained, replace(REQUEST, fresh=True))
    assert len(no_fits) > 0
    assert (outcome.outcome, outcome.version) == ("unchanged", serving), "the same bytes from scratch"
    assert len([one for one in (retrained.places.bundles / FOLDER).iterdir() if one.is_dir()]) == 1


def test_two_at_once_the_second_is_told_who_is_first(start: Start) -> None:
    assert lock_holder(start.places.bundles) is None
    with bundles_locked(start.places.bundles, "prune"):
        with pytest.raises(LockedError, match=r"is locked by prune \(pid \d+ on .+, since 2") as refused:
            go(start)
        assert "prune (pid" in str(lock_holder(start.places.bundles))
    assert refused.value.exit_code == 5
    assert entries(start, "failure") == []
    assert lock_holder(start.places.bundles) is None
    assert not (start.places.bundles / ".lock.json").exists()


def test_a_late_symbol_stops_the_run_only_where_its_venue_could_be_asked(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ended = replace(REQUEST, until=None)
    market = market_data.load_market(open_ended, start.places, until=None, updated=True)
    assert list(market.late) == ["SIMBTC"]  # simulated: nobody to ask, but said
    monkeypatch.setattr(market_data, "_can_be_updated", lambda _places, _name: True)
    with pytest.raises(DataError, match=r"newest bar is too old: SIMBTC \d+\.\d days \(at most 3") as refused:
        market_data.load_market(open_ended, start.places, until=None, updated=True)
    assert refused.value.code == "stale_data"
    assert market_data.load_market(REQUEST, start.places, until=None, updated=True).late == {}


def test_a_broken_note_or_a_foreign_one_is_a_new_run(start: Start, tmp_path: Path) -> None:
    folder = start.places.bundles / FOLDER
    folder.mkdir()
    for content in ("", "[]", '{"key": "x"}', "null"):
        (folder / "current.json").write_text(content)
        assert read_current(start.places.bundles) is None
