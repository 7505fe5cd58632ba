"""What a run says of the code and the machine that made it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from training import environment
from training.environment import code_hash, environment_tags, lock_hash, revision


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in place of this one."""
    for room in ("features", "serving", "training"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "code.py").write_text(f"# {room}\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    return tmp_path


def fresh() -> str:
    """Hash of the code as it is now; in one process it is asked for once."""
    return code_hash.__wrapped__()


def test_the_code_hash_follows_sources_and_nothing_else(checkout: Path) -> None:
    before = fresh()
    (checkout / "features" / "__pycache__").mkdir()
    (checkout / "features" / "__pycache__" / "code.py").write_text("x")
    (checkout / "features" / "notes.md").write_text("x")
    (checkout / "README.md").write_text("x")
    assert fresh() == before
    (checkout / "serving" / "tiers.json").write_text("{}")
    with_json = fresh()
    assert with_json != before
    (checkout / "features" / "code.py").write_text("# other\n")
    changed = fresh()
    assert changed not in {before, with_json}
    (checkout / "features" / "code.py").rename(checkout / "features" / "moved.py")
    assert fresh() not in {before, with_json, changed}


def test_the_revision_tells_a_changed_checkout_from_a_clean_one(checkout: Path) -> None:
    assert revision() is None
    assert lock_hash() is None
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")

    def run(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            [git, "-C", str(checkout), *identity, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    run("init", "-q")
    assert revision() is None, "nothing was committed yet"
    run("add", ".")
    run("commit", "-q", "-m", "first")
    commit = run("rev-parse", "HEAD")
    assert revision() == commit
    (checkout / "README.md").write_text("not a source")
    assert revision() == commit
    (checkout / "training" / "code.py").write_text("# other\n")
    assert revision() == f"{commit}+"
    (checkout / "requirements.lock").write_text("numpy==2.4.6\n")
    tags = environment_tags("retrain")
    assert tags["bearmode/job"] == "retrain"
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["bearmode/changed_since_commit"] == "true"
    assert len(tags["bearmode/lock_sha256"]) == len(tags["bearmode/environment_sha256"]) == 64
