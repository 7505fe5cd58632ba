from __future__ import annotations

import os
from pathlib import Path

import pytest

from features.errors import UsageError
from serving.settings import ServingSettings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BEARMODE_")]:
        monkeypatch.delenv(name)


def test_defaults_are_loopback_and_the_machine() -> None:
    settings = ServingSettings.load()
    assert (settings.host, settings.port, settings.bundle) == ("127.0.0.1", 3000, None)
    assert settings.threads == os.cpu_count()


def test_file_then_environment_then_options(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bearmode.toml").write_text(
        "[serving]\nport = 4001\nthreads = 3\nworkers = 2\n[store]\npath = 'x'\n"
    )
    monkeypatch.setenv("BEARMODE_PORT", "4002")
    monkeypatch.setenv("BEARMODE_THREADS", "5")
    monkeypatch.setenv("BEARMODE_BUNDLE", "")
    settings = ServingSettings.load(port=4003, host=None)
    assert (settings.port, settings.threads, settings.workers) == (4003, 5, 2)
    assert (settings.host, settings.bundle) == ("127.0.0.1", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serving]\nprot = 1\n", "prot"),
        ("[serving]\nport = 99999\n", "port"),
        ("[serving]\nbody_limit = 5000000\n", "body_limit"),
        ("serving = 3\n", "expected a table"),
        ("[serving\n", "not TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(text: str, words: str) -> None:
    Path("bearmode.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        ServingSettings.load()


def test_every_field_is_described() -> None:
    assert [name for name, field in ServingSettings.model_fields.items() if not field.description] == []
