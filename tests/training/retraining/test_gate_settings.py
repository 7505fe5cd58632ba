"""Settings of the gate: file, environment, options, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import UsageError
from training.retraining.gate_settings import GateSettings
from training.settings import Places


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_file_then_environment_then_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert GateSettings.load() == GateSettings()
    (tmp_path / "bearmode.toml").write_text(
        'store = "x"\n[gate]\nwindow_days = 240\nece = 0.2\nmin_spells = 20\n'
    )
    monkeypatch.setenv("BEARMODE_GATE_ECE", "0.3")
    found = GateSettings.load(min_spells=10, draws=None)
    assert (found.window_days, found.ece, found.min_spells, found.draws) == (240.0, 0.3, 10, 2000)
    assert Places.load().store == tmp_path / "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gate]\nwindow = 3", "setting gate.window: Extra inputs"),
        ("[gate]\nece = 2", "setting gate.ece: .*less than or equal to 1"),
        ("[gate]\nwindow_days = nan", "setting gate.window_days: "),
        ("[gate]\nmin_spells = 1", "setting gate.min_spells: "),
        ("gate = 3", "gate is 3, expected a table"),
        ("[gate", "is not readable"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bearmode.toml").write_text(text)
    with pytest.raises(UsageError, match=words) as refused:
        GateSettings.load()
    assert refused.value.exit_code == 2


def test_every_setting_says_what_it_does() -> None:
    assert all(field.description for field in GateSettings.model_fields.values())
