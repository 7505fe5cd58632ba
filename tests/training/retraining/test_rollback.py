"""Rollback: back and further back, only to what proves itself, and the champion stays where it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from bundle_variants import install_variants
from small_training import Trained, copy_places, new_places

from features.errors import BundleError, LockedError
from serving.bundle import champion
from serving.predictor import Predictor
from training.promotion import promote
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked
from training.retraining.registry import disagreement
from training.retraining.rollback import rollback
from training.retraining.succession import reconcile


def test_back_and_further_back_until_nothing_is_older(trained: Trained, tmp_path: Path) -> None:
    places, (a, b, c) = install_variants(trained, tmp_path, 3)
    first = rollback(places)
    assert (first.version, first.before, first.previous, first.alias) == (b, c, a, False)
    assert champion(places.bundles) is not None
    assert Predictor.load(places.bundles / b).version == b
    second = rollback(places)
    assert (second.version, second.before, second.previous) == (a, b, None)
    with pytest.raises(BundleError, match=f"{a} is the only champion there has been") as refused:
        rollback(places)
    assert refused.value.code == "nothing_to_roll_back"
    assert refused.value.exit_code == 1
    actions = [(entry["action"], entry["version"]) for entry in Journal(places.bundles).entries()]
    assert actions == [("promotion", v) for v in (a, b, c)] + [("rollback", b), ("rollback", a)]
    promote(places.bundles, _hash(places.bundles, c))
    assert rollback(places).version == a, "what was rolled back does not come back by itself"


def _hash(bundles: Path, version: str) -> str:
    return Predictor.load(bundles / version).bundle.hash


def test_a_named_bundle_and_the_head_of_its_name(trained: Trained, tmp_path: Path) -> None:
    places, (a, b, c) = install_variants(trained, tmp_path, 3)
    assert rollback(places, a[:6]).version == a
    done = rollback(places, c)
    assert (done.version, done.previous) == (c, a)
    for name, words in (
        (c, "is the champion already"),
        ("nosuch", "no installed bundle"),
        ("../x", "no installed"),
    ):
        with pytest.raises(BundleError, match=words):
            rollback(places, name)
    assert rollback(places, b).previous == c


def test_a_broken_bundle_is_not_gone_back_to(trained: Trained, tmp_path: Path) -> None:
    places, (a, b, _) = install_variants(trained, tmp_path, 3)
    before = (places.bundles / "champion.json").read_bytes()
    with (places.bundles / b / "model.onnx").open("ab") as graph:
        graph.write(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx has SHA-256"):
        rollback(places)
    shutil.rmtree(places.bundles / b)
    with pytest.raises(BundleError, match="is not installed any more") as refused:
        rollback(places)
    assert a in str(refused.value.hint)
    assert (places.bundles / "champion.json").read_bytes() == before
    (places.bundles / a).rename(places.bundles / b)
    with pytest.raises(BundleError, match=f"holds bundle {a}"):
        rollback(places, b)
    assert (places.bundles / "champion.json").read_bytes() == before
    assert [entry["action"] for entry in Journal(places.bundles).entries()] == ["promotion"] * 3


def test_nothing_promoted_and_somebody_at_work(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model has been promoted"):
        rollback(new_places(tmp_path / "empty"))
    places, _ = install_variants(trained, tmp_path, 2)
    with bundles_locked(places.bundles, "retrain"), pytest.raises(LockedError, match="retrain") as locked:
        rollback(places)
    assert locked.value.exit_code == 5
    assert rollback(places).version


def test_a_promotion_that_was_killed_before_its_journal_entry_is_undone_too(
    trained: Trained, tmp_path: Path
) -> None:
    places, (_, b, c) = install_variants(trained, tmp_path, 3)
    journal = places.bundles / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))
    assert rollback(places).version == b
    actions = [(entry["action"], entry["version"]) for entry in Journal(places.bundles).entries()]
    assert actions[-2:] == [("promotion", c), ("rollback", b)]


def test_a_broken_champion_file_is_put_right(trained: Trained, tmp_path: Path) -> None:
    places, (a, b, c) = install_variants(trained, tmp_path, 3)
    file = places.bundles / "champion.json"
    file.write_text("{")
    assert "'bearmode rollback' puts back" in str(reconcile(places.bundles))
    done = rollback(places)
    assert (done.version, done.before, done.previous) == (c, None, b)
    file.write_text("{")
    assert rollback(places, a).version == a
    file.write_text("{")
    promoted = promote(places.bundles, _hash(places.bundles, b))
    assert promoted.previous == a
    file.write_text("{")
    (places.bundles / "journal.jsonl").unlink()
    with pytest.raises(BundleError, match="the journal names no champion"):
        rollback(places)
    assert rollback(places, c).previous is None


def test_the_alias_follows_and_the_run_is_told(trained: Trained, tmp_path: Path) -> None:
    from bundle_variants import variant

    from training.tracking import MODEL, open_tracker

    places = copy_places(trained.places, tmp_path)
    newer = variant(trained.bundle, places.bundles, 1)
    promote(places.bundles, newer)
    client = open_tracker(places).client
    client.delete_registered_model_alias(MODEL, "champion")
    done = rollback(places)
    assert done.version == trained.result["version"]
    assert done.alias
    named = client.get_model_version_by_alias(MODEL, "champion")
    assert str(named.version) == trained.result["registered_version"]
    assert disagreement(places) is None
    tags = client.get_run(trained.result["run_id"]).data.tags
    assert tags["bearmode/decision"] == "rollback"
    json.dumps(done.as_dict())
