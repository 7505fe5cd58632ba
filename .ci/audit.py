"""Looks every locked version up among the known vulnerabilities (pip-audit); says so where it cannot.

Exit status 1 only for a vulnerability that was found: a machine without network, or a package index
that knows none, is told about and fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LOCKS = ("requirements.lock", "requirements-serving.lock")
ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that do not concern us: id and reason. Each is looked at again with every lock."""
SECONDS = 60


def main() -> int:
    """Audit the locks beside the project."""
    root = Path(__file__).resolve().parent.parent
    return max(audit(root / name) for name in LOCKS if (root / name).is_file())


def audit(lock: Path) -> int:
    """Audit one lock and print the outcome."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "audit.json"
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip"]
        command += ["--require-hashes", "--format", "json", "--output", str(out), "--progress-spinner", "off"]
        command += ["--timeout", "5"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
            found = json.loads(out.read_text())["dependencies"]
        except subprocess.TimeoutExpired:
            return not_run(lock, f"no answer within {SECONDS} s")
        except (OSError, ValueError, KeyError):
            return not_run(lock, (done.stderr.strip().splitlines() or ["no result"])[-1])
    return told(lock, found)


def told(lock: Path, found: list[dict[str, object]]) -> int:
    """Print what was found."""
    skipped = [one for one in found if "skip_reason" in one]
    if len(skipped) == len(found):
        return not_run(lock, str(skipped[0]["skip_reason"]) if skipped else "the lock is empty")
    looked_up = len(found) - len(skipped)
    print(f"audit: {lock.name}: {looked_up} versions looked up, {len(skipped)} not known there")
    status = 0
    for one in found:
        for hole in one.get("vulns", []):  # type: ignore[attr-defined]
            why = ACCEPTED.get(hole["id"])
            fix = ", ".join(hole["fix_versions"]) or "none yet"
            accepted = f"; accepted: {why}" if why else ""
            print(f"  {hole['id']} in {one['name']} {one['version']}, mended in {fix}{accepted}")
            status = status if why else 1
    return status


def not_run(lock: Path, why: str) -> int:
    """Say why nothing was looked up."""
    print(f"audit: {lock.name}: NOT looked up: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
