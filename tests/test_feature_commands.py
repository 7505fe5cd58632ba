"""``bearmode features``: the catalogue from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import bearmode
from features.catalog import CATALOG
from features.default_set import DEFAULT_FEATURES


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bearmode", "features", *arguments])
    try:
        bearmode.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_list_names_each_feature_once_and_marks_the_model_s(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "list") == 0
    lines = capsys.readouterr().out.splitlines()[:-1]
    assert [line.split()[1 + line.startswith("*")] for line in lines] == [one.name for one in CATALOG]
    assert sum(line.startswith("*") for line in lines) == len(DEFAULT_FEATURES)
    assert ended(monkeypatch, "list", "--group", "volume") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + sum(one.group == "volume" for one in CATALOG)
    assert ended(monkeypatch, "list", "--group", "gossip") == 2


def test_plot_writes_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--source", "simulated", "--symbols", "SIMBTC", "--interval", "1d", "--out", "plots")
    assert ended(monkeypatch, "plot", "return_1d", *options) == 0
    assert (tmp_path / "plots" / "SIMBTC-return_1d.html").stat().st_size > 10_000
    assert ended(monkeypatch, "plot", "nosuch", *options) == 2
