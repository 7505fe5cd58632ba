"""The systemd units: accepted by systemd's own checker where it is, and confined."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = (
    "bearmode.service",
    "bearmode-retrain.service",
    "bearmode-retrain.timer",
    "bearmode-retrain-loop.service",
)


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    found = root / "deploy" / "systemd"
    assert sorted(path.name for path in found.iterdir()) == sorted(UNITS)
    return found


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", UNITS)
def test_systemd_knows_every_line(folder: Path, name: str) -> None:
    done = analyze("verify", "--man=no", str(folder / name))
    # The program and the user are not on this machine; everything else would be a mistake of ours.
    told = [line for line in done.stderr.splitlines() if line.startswith((name, str(folder)))]
    assert not [line for line in told if "is not executable: No such file" not in line], done.stderr


def test_the_service_is_confined(folder: Path) -> None:
    done = analyze("security", "--offline=true", str(folder / "bearmode.service"))
    found = re.search(r"Overall exposure level for bearmode.service: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot look at files: {done.stderr.strip()[:200]}")
    assert float(found.group(1)) <= 2.0


def test_the_service_has_time_to_drain_and_is_not_restarted_for_nothing(folder: Path) -> None:
    lines = (folder / "bearmode.service").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))
    assert int(values["TimeoutStopSec"]) > 15
    assert values["RestartPreventExitStatus"] == "2"
    assert values["ExecStart"] == "/srv/bearmode/.venv/bin/bearmode serve"
    assert not re.search("PASSWORD|SECRET|KEY=", "\n".join(lines))
