"""The commands around the champion: what they print, write and return."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_variants import install_variants
from small_training import Trained

import bearmode
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked
from training.settings import Places

Run = Callable[..., tuple[int, str, str]]
CHECKS = [
    {"name": "ece", "value": 0.2, "bound": 0.15, "passed": False, "words": "too [high]"},
    {"name": "golden", "value": None, "bound": None, "passed": True, "words": "as proven"},
]


@pytest.fixture
def places(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    found, _ = install_variants(trained, tmp_path / "place", 3)
    monkeypatch.chdir(tmp_path)
    for name in ("bundles", "mlruns"):
        monkeypatch.setenv(f"BEARMODE_{name.upper()}", str(getattr(found, name)))
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bearmode", *map(str, arguments)])
        capfd.readouterr()
        try:
            bearmode.main()
        except SystemExit as stop:
            return (int(stop.code or 0), *capfd.readouterr())
        return (0, *capfd.readouterr())

    return command


def content(file: str) -> Any:
    return json.loads(Path(file).read_bytes())


def test_the_journal_shows_every_decision(places: Places, run: Run) -> None:
    window = {"start": "2024-01-01T00:00", "end": "2024-07-01T00:00", "rows": 7000, "spells": 44}
    refused = {"action": "refusal", "reason": "ece: too [high]", "checks": CHECKS, "window": window}
    Journal(places.bundles).append(refused)
    code, out, _ = run("journal", "--json", "j.json")
    assert code == 0
    assert out.count("promotion") == 3
    assert "ece: too [high]" in out
    assert [entry["number"] for entry in content("j.json")["entries"]] == [1, 2, 3, 4]
    code, out, _ = run("journal", "--last", 1, "--json", "j.json")
    assert code == 0
    assert "promotion" not in out
    assert [entry["number"] for entry in content("j.json")["entries"]] == [4]
    code, out, _ = run("journal", "--entry", 4)
    assert code == 0
    for words in ("FAILED", "too [high]", "0.15", "44 independent spells"):
        assert words in out
    code, _, error = run("journal", "--entry", 9)
    assert code == 2
    assert error.strip() == "bearmode: the journal has no entry 9"


def test_nothing_decided_yet_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("BEARMODE_BUNDLES", str(tmp_path / "none"))
    code, out, _ = run("journal", "--json", tmp_path / "j.json")
    assert (code, "nothing has been decided" in out) == (0, True)
    assert content(str(tmp_path / "j.json")) == {"entries": []}
    assert not (tmp_path / "none").exists()


def test_rollback_says_where_it_went_and_where_the_next_would_go(places: Places, run: Run) -> None:
    code, out, _ = run("rollback", "--json", "r.json")
    assert code == 0
    done = content("r.json")
    assert f"{done['version']} is the champion again, in place of {done['before']}" in out
    assert f"the next rollback would go back to {done['previous']}" in out
    assert run("rollback")[0] == 0
    code, _, error = run("rollback")
    assert code == 1
    assert "is the only champion there has been" in error
    assert error.count("\n") == 1
    with bundles_locked(places.bundles, "retrain"):
        code, _, error = run("rollback", done["before"])
    assert code == 5
    assert "is locked by retrain" in error


def test_prune_says_what_goes_and_what_stays(places: Places, run: Run) -> None:
    code, out, _ = run("prune", "--keep", 0, "--dry-run")
    assert code == 0
    assert "1 bundles would be removed" in out
    assert "kept: previous champion" in out
    code, out, _ = run("prune", "--keep", 0, "--json", "p.json")
    assert "1 bundles removed" in out
    assert len(content("p.json")["removed"]) == 1
    assert len(list(places.bundles.glob("*/manifest.json"))) == 2
    assert run("prune")[0] == 2
    assert run("prune", "--keep", -1)[0] == 2


def test_backup_and_restore(places: Places, run: Run) -> None:
    code, out, _ = run("backup", "monday.tar.zst", "--json", "b.json")
    assert code == 0
    assert "3 bundles" in out
    assert "without a tracking database" in out
    code, out, _ = run("restore", "monday.tar.zst", "--into", "there", "--json", "s.json")
    assert code == 0
    assert f"champion {content('b.json')['champion']}, proven by its golden rows" in out
    assert f"BEARMODE_BUNDLES={content('s.json')['bundles']}" in out
    for arguments in (("restore", "monday.tar.zst", "--into", "there"), ("backup", "monday.tar.zst")):
        code, _, error = run(*arguments)
        assert code == 2
        assert error.count("\n") == 1
