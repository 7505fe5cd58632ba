"""Backup and restoration: the same answer from the restored place, and nothing hostile gets out."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from bundle_variants import install_variants
from small_training import Trained, copy_places, new_places, small_histories, snapshot

from features.errors import BearmodeError, BundleError, UsageError
from serving.predictor import Predictor
from training.promotion import load_champion
from training.retraining.backup import backup
from training.retraining.journal import Journal
from training.retraining.registry import disagreement
from training.retraining.restore import restore
from training.settings import Places
from training.tracking import MODEL, open_tracker


def answer(predictor: Predictor) -> str:
    history = small_histories()[0]
    return predictor.answer(history, as_of=history.time[-1]).model_dump_json()


@pytest.mark.parametrize("name", ["monday.tar.zst", "monday.tar.gz"])
def test_the_restored_place_answers_the_same(trained: Trained, tmp_path: Path, name: str) -> None:
    places = copy_places(trained.places, tmp_path / "here")
    Journal(places.bundles).append({"action": "refusal", "reason": "kept"})
    done = backup(places, tmp_path / name)
    assert (done.champion, done.bundles, done.database) == (trained.result["version"], 1, True)
    restored = restore(tmp_path / name, tmp_path / "there")
    assert restored.champion == trained.result["version"]
    moved = Places(bundles=Path(restored.bundles), mlruns=Path(restored.mlruns))
    assert answer(load_champion(moved.bundles)) == answer(load_champion(places.bundles))
    bundle = trained.result["version"]
    assert snapshot(moved.bundles / bundle) == snapshot(places.bundles / bundle)
    folds = f"{bundle}.walk-forward"
    assert snapshot(moved.bundles / folds) == snapshot(places.bundles / folds)
    entries = Journal(moved.bundles).entries()
    assert entries[:-1] == Journal(places.bundles).entries()
    assert entries[-1]["action"] == "restore"
    assert disagreement(moved) is None
    client = open_tracker(moved).client
    experiment = client.get_experiment_by_name("bearmode")
    assert experiment is not None
    assert experiment.artifact_location == (Path(restored.mlruns) / "artifacts").as_uri()
    run = client.get_run(trained.result["run_id"])
    assert run.data.metrics
    assert str(client.get_model_version_by_alias(MODEL, "champion").version)


PAIRS = """
import sqlite3, sys
from pathlib import Path
database = sqlite3.connect(sys.argv[1], timeout=60)
database.execute("CREATE TABLE pairs (half INTEGER)")
while not Path(sys.argv[2]).exists():
    with database:
        database.executemany("INSERT INTO pairs VALUES (?)", [(1,), (2,)])
    print("written", flush=True)
"""


def test_taken_while_others_write_it_is_whole(trained: Trained, tmp_path: Path) -> None:
    places = copy_places(trained.places, tmp_path / "here")
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", PAIRS, str(places.mlruns / "mlflow.db"), str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        reader = threading.Thread(target=writer.stdout.read)
        reader.start()
        try:
            backup(places, tmp_path / "busy.tar.zst")
            assert writer.poll() is None
        finally:
            stop.touch()
            reader.join(60)
    restored = restore(tmp_path / "busy.tar.zst", tmp_path / "there")
    with closing(sqlite3.connect(Path(restored.mlruns) / "mlflow.db")) as found:
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count, halves = found.execute("SELECT COUNT(*), SUM(half) FROM pairs").fetchone()
    assert count > 0
    assert halves == 1.5 * count, "no transaction is torn"


def test_what_cannot_be_backed_up_says_why_and_leaves_no_file(trained: Trained, tmp_path: Path) -> None:
    places, versions = install_variants(trained, tmp_path / "here", 2)
    with pytest.raises(UsageError, match=r"ends in none of \.tar\.gz"):
        backup(places, tmp_path / "x.zip")
    with pytest.raises(UsageError, match="is not a folder"):
        backup(places, tmp_path / "no" / "x.tar.gz")
    with pytest.raises(BundleError, match="nothing to back up"):
        backup(new_places(tmp_path / "empty"), tmp_path / "x.tar.gz")
    (places.bundles / versions[1]).rename(tmp_path / "away")
    with pytest.raises(BundleError, match=f"names {versions[1]}, which is not in"):
        backup(places, tmp_path / "x.tar.gz")
    (tmp_path / "away").rename(places.bundles / versions[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]
    assert not backup(places, tmp_path / "x.tar.gz").database
    before = (tmp_path / "x.tar.gz").read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        backup(places, tmp_path / "x.tar.gz")
    assert (tmp_path / "x.tar.gz").read_bytes() == before


def test_a_server_of_its_own_is_not_backed_up(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = copy_places(trained.places, tmp_path / "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert not backup(places, tmp_path / "x.tar.gz").database


def test_nothing_is_overwritten(trained: Trained, tmp_path: Path) -> None:
    places, _ = install_variants(trained, tmp_path / "here", 1)
    backup(places, tmp_path / "x.tar.gz")
    into = tmp_path / "there"
    into.mkdir()
    (into / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        restore(tmp_path / "x.tar.gz", into)
    with pytest.raises(UsageError, match="is not empty"):
        restore(tmp_path / "x.tar.gz", into / "mine")
    with pytest.raises(UsageError, match="is not a file"):
        restore(tmp_path / "y.tar.gz", tmp_path / "new")
    assert snapshot(into) == {"mine": b"mine"}
    (into / "mine").unlink()
    assert restore(tmp_path / "x.tar.gz", into).champion
    assert load_champion(into / "bundles")


def written(file: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with (
        file.open("wb") as raw,
        pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "gzip") as stream,
        tarfile.open(fileobj=stream, mode="w|") as archive,
    ):
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


INDEX = (tarfile.TarInfo("backup.json"), json.dumps({"files": {}, "made_at": "x"}).encode())


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/tmp/outside"),
        tarfile.TarInfo("bundles/../../outside"),
        tarfile.TarInfo("bundles"),
        tarfile.TarInfo("outside"),
        link("bundles/a", "/etc/passwd", tarfile.SYMTYPE),
        link("bundles/a", "../../outside", tarfile.SYMTYPE),
        link("bundles/a", "backup.json", tarfile.LNKTYPE),
        link("bundles/a", "", tarfile.FIFOTYPE),
        link("bundles/a", "", tarfile.CHRTYPE),
        link("bundles/a", "", tarfile.DIRTYPE),
    ],
    ids=lambda member: f"{member.name} {member.type!r} {member.linkname}",
)
def test_an_archive_that_wants_out_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    file = tmp_path / "x.tar.gz"
    written(file, [(member, b"" if member.linkname or not member.isreg() else b"bad"), INDEX])
    with pytest.raises(BearmodeError) as refused:
        restore(file, tmp_path / "there")
    assert refused.value.code == "bad_backup"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tar.gz"]


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [_cut, _flipped, lambda _content: b"", lambda _content: b"no archive" * 99]
)
@pytest.mark.parametrize("name", ["x.tar.zst", "x.tar.gz"])
def test_a_damaged_file_restores_nothing(
    trained: Trained, tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    places, _ = install_variants(trained, tmp_path / "here", 1)
    file = tmp_path / name
    backup(places, file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(BearmodeError) as refused:
        restore(file, tmp_path / "there")
    assert refused.value.code == "bad_backup"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", name]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([(tarfile.TarInfo("bundles/a"), b"x")], "ends without backup.json"),
        ([(tarfile.TarInfo("bundles/a"), b"x"), INDEX], "bundles/a is not what was backed up"),
        (
            [(tarfile.TarInfo("backup.json"), b'{"files": {"bundles/b": "0"}, "made_at": ""}')],
            "bundles/b is not what was backed up",
        ),
        ([(tarfile.TarInfo("backup.json"), b"[]")], "ends without backup.json"),
        (
            [(tarfile.TarInfo("bundles/a"), b"x"), (tarfile.TarInfo("bundles/a"), b"y"), INDEX],
            "does not belong",
        ),
    ],
)
def test_an_archive_of_another_making_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], words: str
) -> None:
    written(tmp_path / "x.tar.gz", members)
    with pytest.raises(BearmodeError, match=words):
        restore(tmp_path / "x.tar.gz", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_champion_that_does_not_prove_itself_is_not_restored(trained: Trained, tmp_path: Path) -> None:
    places, versions = install_variants(trained, tmp_path / "here", 1)
    (places.bundles / versions[0] / "model.onnx").write_bytes(b"damaged before the backup")
    backup(places, tmp_path / "x.tar.gz")
    with pytest.raises(BundleError, match="has SHA-256"):
        restore(tmp_path / "x.tar.gz", tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "x.tar.gz"]


def test_a_journal_is_taken_up_to_its_last_whole_line(trained: Trained, tmp_path: Path) -> None:
    places, _ = install_variants(trained, tmp_path / "here", 1)
    journal = Journal(places.bundles)
    with journal.path.open("ab") as file:
        file.write(b'{"number": 2, "action": "promo')
    backup(places, tmp_path / "x.tar.gz")
    restore(tmp_path / "x.tar.gz", tmp_path / "there")
    actions = [entry["action"] for entry in Journal(tmp_path / "there" / "bundles").entries()]
    assert actions == ["promotion", "restore"]
    assert pd.Timestamp(journal.entries()[0]["at"]).tzinfo is not None
