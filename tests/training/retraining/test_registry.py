"""The registry's alias is a record: where it disagrees with the file that serves, the file is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_variants import install_variants
from small_training import Trained, copy_places, new_places

from training.retraining.registry import delete_runs, disagreement, mirror_entry, move_alias, repair
from training.retraining.rollback import rollback
from training.tracking import MODEL, Tracker, open_tracker


@pytest.fixture
def tracker(trained: Trained, tmp_path: Path) -> Tracker:
    return open_tracker(copy_places(trained.places, tmp_path))


def test_a_missing_and_a_wrong_alias_are_found_and_repaired(trained: Trained, tmp_path: Path) -> None:
    places = copy_places(trained.places, tmp_path)
    client = open_tracker(places).client
    assert disagreement(places) is None
    assert repair(places) is None
    client.delete_registered_model_alias(MODEL, "champion")
    assert "the alias names nothing" in str(disagreement(places))
    assert "the alias was moved" in str(repair(places))
    assert disagreement(places) is None
    other = client.create_model_version(MODEL, source="file:///nowhere", run_id=None).version
    client.set_registered_model_alias(MODEL, "champion", other)
    assert f"the alias names version {other}" in str(disagreement(places))
    assert "the alias was moved" in str(repair(places))
    assert (
        str(client.get_model_version_by_alias(MODEL, "champion").version)
        == trained.result["registered_version"]
    )


def test_a_run_that_was_killed_before_it_noted_its_version_is_found_by_the_registry(
    trained: Trained, tmp_path: Path
) -> None:
    places = copy_places(trained.places, tmp_path)
    note = places.bundles / trained.result["version"] / "run.json"
    note.write_text(f'{{"run_id": "{trained.result["run_id"]}"}}')
    assert disagreement(places) is None
    note.unlink()
    assert "is not in the registry" in str(disagreement(places))
    assert "left as it is" in str(repair(places))


def test_without_a_registry_nothing_is_made_by_looking(trained: Trained, tmp_path: Path) -> None:
    empty = new_places(tmp_path / "empty")
    assert disagreement(empty) is None
    assert repair(empty) is None
    places, _ = install_variants(trained, tmp_path, 1)
    assert "the registry does not exist" in str(disagreement(places))
    assert "left as it is" in str(repair(places))
    assert not move_alias(places, places.bundles)
    assert not mirror_entry(places, "a" * 32, {"action": "refusal"})
    assert delete_runs(places, ["a" * 32]) == 0
    assert not places.mlruns.exists()
    assert not empty.mlruns.exists()


def test_a_registry_that_cannot_be_asked_stops_nothing(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, (older, _) = install_variants(trained, tmp_path, 2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert "cannot be asked" in str(disagreement(places))
    assert "left as it is" in str(repair(places))
    assert not mirror_entry(places, "a" * 32, {"action": "refusal"})
    done = rollback(places)
    assert (done.version, done.alias) == (older, False)


def test_a_broken_or_missing_champion_file(trained: Trained, tmp_path: Path) -> None:
    places = copy_places(trained.places, tmp_path)
    named = places.bundles / "champion.json"
    content = named.read_bytes()
    named.unlink()
    assert "there is no champion.json" in str(disagreement(places))
    assert "left as it is" in str(repair(places))
    named.write_text("{")
    assert "does not name a champion" in str(disagreement(places))
    assert "left as it is" in str(repair(places))
    named.write_bytes(content)
    assert disagreement(places) is None


def test_a_decision_becomes_tags_of_its_run(trained: Trained, tmp_path: Path) -> None:
    places = copy_places(trained.places, tmp_path)
    run_id = trained.result["run_id"]
    checks = [{"name": "ece", "value": 0.2, "bound": 0.1, "passed": False, "words": "too high" * 2000}]
    entry = {"action": "refusal", "reason": "not better", "number": 7, "checks": checks}
    assert mirror_entry(places, run_id, entry)
    tags = open_tracker(places).client.get_run(run_id).data.tags
    assert tags["bearmode/decision"] == "refusal"
    assert tags["bearmode/decision_reason"] == "not better"
    assert tags["bearmode/gate/ece"].startswith("failed: too high")
    assert not mirror_entry(places, "0" * 32, entry)


def test_deleted_runs_take_their_folds_with_them(trained: Trained, tmp_path: Path) -> None:
    places = copy_places(trained.places, tmp_path)
    run_id = trained.result["run_id"]
    assert delete_runs(places, [run_id, "0" * 32]) == 4
    assert open_tracker(places).client.get_run(run_id).info.lifecycle_stage == "deleted"
