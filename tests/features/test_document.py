"""The page of the catalogue is what the catalogue says, and the command that writes it can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.catalog import CATALOG
from features.declaration import GROUPS
from features.default_set import DEFAULT_FEATURES
from features.document import catalogue_page, main
from features.errors import DataError
from features.signals import SIGNALS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"


def test_the_page_in_the_repository_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == catalogue_page(), "run: python -m features.document"


def test_it_holds_every_feature_group_and_signal_and_marks_the_default_set() -> None:
    page = catalogue_page()
    for feature in CATALOG:
        mark = " \\*" if feature.name in DEFAULT_FEATURES else ""
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{feature.name}`")]
        assert line.startswith(f"| `{feature.name}`{mark} | {feature.words} | {feature.unit} | ")
        assert feature.tells in page
        assert feature.source in page
    assert page.count("\n## ") == len(GROUPS) + 1
    assert all(f"| `{signal.name}` |" in page for signal in SIGNALS)


def test_every_table_row_has_the_columns_of_its_head() -> None:
    lines = catalogue_page().splitlines()
    width = 0
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|---"):
            width = line.count("|")
            assert before.count("|") == width
        elif line.startswith("| `"):
            assert line.count("|") == width


def run(*arguments: str) -> tuple[int, str, BaseException | None]:
    import typer

    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output, result.exception


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    out = tmp_path / "docs" / "features.md"
    code, _, error = run("--out", str(out), "--check")
    assert code
    assert isinstance(error, DataError)
    assert run("--out", str(out))[:2] == (0, f"{out}: {len(CATALOG)} features, {len(SIGNALS)} signals\n")
    assert run("--out", str(out), "--check")[0] == 0
    out.write_text(out.read_text() + "\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        raise run("--out", str(out), "--check")[2] or AssertionError
    assert caught.value.code == "stale_page"
