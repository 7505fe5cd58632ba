"""Pruning: what stays is what may still be asked for, whatever else goes on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from bundle_variants import install_variants, variant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_training import LONG, Trained, copy_places, new_places, snapshot

from features.errors import BundleError, LockedError, UsageError
from serving.bundle import champion
from training.promotion import load_champion, promote
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked
from training.retraining.prune import prune
from training.retraining.rollback import rollback
from training.tracking import open_tracker


def installed(bundles: Path) -> set[str]:
    return {path.parent.name for path in bundles.glob("*/manifest.json")}


def test_champion_previous_and_the_newest_stay(trained: Trained, tmp_path: Path) -> None:
    places, versions = install_variants(trained, tmp_path, 6)
    rollback(places, versions[1])
    before = snapshot(places.bundles)
    said = prune(places, 2, dry_run=True)
    assert snapshot(places.bundles) == {**before, **{name: b"" for name in (".lock",) if name not in before}}
    done = prune(places, 2)
    assert (said.removed, said.kept, said.freed_bytes) == (done.removed, done.kept, done.freed_bytes)
    assert done.why == {
        versions[1]: "champion",
        versions[0]: "previous champion",
        versions[5]: "one of the newest 2",
        versions[4]: "one of the newest 2",
    }
    assert set(done.removed) == {versions[2], versions[3]}
    assert installed(places.bundles) == set(done.kept)
    folds = {path.name.removesuffix(".walk-forward") for path in places.bundles.glob("*.walk-forward")}
    assert folds == set(done.kept)
    assert done.freed_bytes > 2000
    assert load_champion(places.bundles).version == versions[1]
    entry = Journal(places.bundles).entries()[-1]
    assert (entry["action"], set(entry["removed"])) == ("prune", set(done.removed))
    assert prune(places, 2).removed == ()
    assert Journal(places.bundles).entries()[-1] == entry, "nothing removed, nothing to tell"
    json.dumps(done.as_dict())


@settings(
    max_examples=60 if LONG else 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.integers(0, 4), min_size=1, max_size=6), keep=st.integers(0, 3))
def test_whatever_was_promoted_the_champion_and_the_one_before_survive(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory, steps: list[int], keep: int
) -> None:
    places, _ = install_variants(trained, tmp_path_factory.mktemp("prune"), 5, promoted=False)
    hashes = sorted(
        hashlib.sha256(path.read_bytes()).hexdigest() for path in places.bundles.glob("*/manifest.json")
    )
    for step in steps:
        promote(places.bundles, hashes[step])
    prune(places, keep)
    named = champion(places.bundles)
    assert named is not None
    assert load_champion(places.bundles).version == hashes[steps[-1]][:12]
    if named.previous is not None:
        assert rollback(places).version == named.previous


def test_what_is_no_bundle_is_left_and_what_was_never_finished_goes(trained: Trained, tmp_path: Path) -> None:
    places, versions = install_variants(trained, tmp_path, 1)
    own = places.bundles / "my-notes"
    own.mkdir()
    (places.bundles / "0123456789ab.txt").write_text("mine")
    for name in (".incoming-abc", ".removed-0123456789ab", "0123456789ab.walk-forward"):
        (places.bundles / name).mkdir()
        (places.bundles / name / "part").write_bytes(b"x")
    done = prune(places, 0)
    assert set(done.strays) == {".incoming-abc", ".removed-0123456789ab", "0123456789ab.walk-forward"}
    left = {path.name for path in places.bundles.iterdir()}
    expected = {versions[0], f"{versions[0]}.walk-forward", "my-notes", "0123456789ab.txt", "champion.json"}
    assert left - {".lock", ".journal.lock"} == {*expected, "journal.jsonl"}


def test_nothing_is_removed_where_the_champion_is_in_doubt(trained: Trained, tmp_path: Path) -> None:
    places, versions = install_variants(trained, tmp_path, 3)
    (places.bundles / "champion.json").write_text("{")
    with pytest.raises(BundleError, match="does not name a champion"):
        prune(places, 0)
    promoted = {"version": "f" * 12, "path": "f" * 12, "hash": "f" * 64, "previous": None}
    (places.bundles / "champion.json").write_text(json.dumps(promoted))
    with pytest.raises(BundleError, match="which is not there"):
        prune(places, 0)
    assert installed(places.bundles) == set(versions)


def test_without_a_champion_only_the_number_counts(trained: Trained, tmp_path: Path) -> None:
    places, versions = install_variants(trained, tmp_path, 3, promoted=False)
    assert prune(places, 1).kept == (versions[2],)
    assert prune(places, 0).removed == (versions[2],)
    assert prune(new_places(tmp_path / "none"), 0).removed == ()
    with pytest.raises(UsageError, match="--keep is -1"):
        prune(places, -1)


def test_a_job_at_work_is_not_disturbed(trained: Trained, tmp_path: Path) -> None:
    places, versions = install_variants(trained, tmp_path, 3)
    with bundles_locked(places.bundles, "retrain"), pytest.raises(LockedError, match="retrain"):
        prune(places, 0)
    assert installed(places.bundles) == set(versions)


def test_runs_are_marked_deleted_only_if_asked(trained: Trained, tmp_path: Path) -> None:
    places = copy_places(trained.places, tmp_path)
    run_id = trained.result["run_id"]
    other = variant(trained.bundle, places.bundles, 1)
    client = open_tracker(places).client
    for path in (places.bundles / other[:12]).glob("run.json"):
        path.write_text(json.dumps({"run_id": run_id}))
    promote(places.bundles, other)
    promote(places.bundles, variant(trained.bundle, places.bundles, 2))
    assert prune(places, 0, runs=True).runs == 0, "the run of a bundle that stays is not touched"
    promote(places.bundles, variant(trained.bundle, places.bundles, 3))
    stayed = prune(places, 0)
    assert other[:12] in stayed.removed
    assert client.get_run(run_id).info.lifecycle_stage == "active"
