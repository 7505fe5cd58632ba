"""What a run was made with: code, revision, lock, installed versions."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

__all__ = ["code_hash", "environment", "environment_tags", "lock_hash", "revision"]

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "serving", "training")
SOURCES = {".py", ".json"}
"""What an answer can depend on; pages and templates are not among it."""


@cache
def environment() -> str:
    """Installed distributions, one ``name==version`` a line, under the Python version."""
    found = {f"{one.metadata['Name']}=={one.version}" for one in distributions()}
    return "\n".join([f"# Python {platform.python_version()} on {platform.machine()}", *sorted(found)]) + "\n"


@cache
def code_hash() -> str:
    """SHA-256 over the project's own sources: equal where the same code would run.

    Of the sources as they were when it was first asked for.

    A revision says what was checked in, not what ran; this says what ran, also where there is no checkout.
    """
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in SOURCES and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def lock_hash() -> str | None:
    """SHA-256 of ``requirements.lock``; ``None`` where it is not there."""
    lock = ROOT / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None


def revision() -> str | None:
    """Commit of the checkout, with ``+`` where files have changed since; ``None`` where it is none."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return None

    def ask(*words: str) -> str | None:
        done = subprocess.run([git, "-C", str(ROOT), *words], check=False, capture_output=True, text=True)  # noqa: S603 - fixed words
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}+" if ask("status", "--porcelain", "--", *ROOMS) else commit


def environment_tags(job: str = "train") -> dict[str, str]:
    """Tags of a run: job, code, lock, environment, platform; the commit where the code is a checkout."""
    tags = {
        "bearmode/job": job,
        "mlflow.source.name": f"bearmode {job}",
        "bearmode/code_sha256": code_hash(),
        "bearmode/environment_sha256": hashlib.sha256(environment().encode()).hexdigest(),
        "bearmode/platform": platform.platform(),
    }
    lock, commit = lock_hash(), revision()
    if lock is not None:
        tags["bearmode/lock_sha256"] = lock
    if commit is not None:
        tags["mlflow.source.git.commit"] = commit.rstrip("+")
        tags["bearmode/changed_since_commit"] = str(commit.endswith("+")).lower()
    return tags
