"""What a run was made with: code revision, lock, installed versions."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from importlib.metadata import distributions
from pathlib import Path

__all__ = ["environment", "environment_tags"]

ROOT = Path(__file__).resolve().parents[1]


def environment() -> str:
    """Installed distributions, one ``name==version`` a line, under the Python version."""
    found = {f"{one.metadata['Name']}=={one.version}" for one in distributions()}
    return "\n".join([f"# Python {platform.python_version()} on {platform.machine()}", *sorted(found)]) + "\n"


def environment_tags() -> dict[str, str]:
    """Tags of a run: job, revision of the code where it is a checkout, hash of the lock where it is there."""
    tags = {"bearmode/job": "train", "mlflow.source.name": "bearmode train"}
    lock = ROOT / "requirements.lock"
    if lock.is_file():
        tags["bearmode/lock_sha256"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        command = [git, "-C", str(ROOT), "rev-parse", "HEAD"]
        revision = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed words
        if revision.returncode == 0:
            tags["mlflow.source.git.commit"] = revision.stdout.strip()
    return tags
