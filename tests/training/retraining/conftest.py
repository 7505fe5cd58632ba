"""The prepared place of the retraining tests is made once a session, and once for all workers."""

from __future__ import annotations

from pathlib import Path

import filelock
import pytest
from retrain_places import REQUEST, Start, lenient, make_start, start_at
from small_training import Trained

from training.retraining.job import retrain


def _once(factory: pytest.TempPathFactory, worker_id: str, name: str) -> tuple[Path, filelock.FileLock]:
    base = factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / name
    return root, filelock.FileLock(f"{root}.lock")


@pytest.fixture(scope="session")
def _champion_place(tmp_path_factory: pytest.TempPathFactory, worker_id: str, trained: Trained) -> Path:
    root, lock = _once(tmp_path_factory, worker_id, "retraining-champion")
    with lock:
        if not (root / "ready").is_file():
            root.mkdir()
            make_start(trained, root)
            (root / "ready").touch()
    return root


@pytest.fixture(scope="session")
def _retrained_place(tmp_path_factory: pytest.TempPathFactory, worker_id: str, _champion_place: Path) -> Path:
    root, lock = _once(tmp_path_factory, worker_id, "retraining-done")
    with lock:
        if not (root / "ready").is_file():
            start = start_at(_champion_place, root)
            outcome = retrain(REQUEST, start.places, gate_settings=lenient())
            (root / "ready").write_text(f"{start.champion} {outcome.version} {outcome.outcome}")
    return root


@pytest.fixture
def start(_champion_place: Path, tmp_path: Path) -> Start:
    """A champion, and newer data in the store."""
    return start_at(_champion_place, tmp_path / "start")


@pytest.fixture
def retrained(_retrained_place: Path, tmp_path: Path) -> Start:
    """The same after one retraining that promoted; its work is still there."""
    found = start_at(_retrained_place, tmp_path / "retrained")
    store = (_retrained_place.parent / "retraining-champion") / "data"
    return Start(found.places.model_copy(update={"store": store}), found.champion)
