"""The alert rules in Prometheus' own eyes: that they are rules, and when they fire."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROMTOOL = shutil.which("promtool")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here (Debian package prometheus)"),
]


def promtool(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_rules_and_fire_when_they_should(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "deploy/prometheus/alerts.yml", tmp_path)
    shutil.copy(root / "tests/system/alerts_unit.yml", tmp_path)
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml", folder=tmp_path)
    assert "SUCCESS" in promtool("test", "rules", "alerts_unit.yml", folder=tmp_path)
