"""The command ``audit``: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from audit_stores import HOSTILE, NOW, market, places_at, spoilt, store_with

import bearmode
from features.audit import CHECKS
from features.errors import DataError, NothingUsableError, UsageError
from training.data.audit_command import audit


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three symbols, one of them spoilt; read it, never change it."""
    root = tmp_path_factory.mktemp("audit") / "store"
    store_with(root, market("AAAUSDT"), spoilt("BADUSDT"), market("CCCUSDT", 3))
    return root


def result(store: Path, file: Path, symbols: str = "", **options: Any) -> dict[str, Any]:
    audit(symbols, places_at(store), json=file, now=NOW, **{"workers": 1, **options})
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_what_is_wrong_is_in_the_json_and_nothing_else(store: Path, tmp_path: Path) -> None:
    found = result(store, tmp_path / "a.json")
    assert list(found["symbols"]) == ["AAAUSDT", "BADUSDT", "CCCUSDT"]
    kinds = {
        symbol: [(one["kind"], one["start"], one["count"], one["severity"]) for one in audit["findings"]]
        for symbol, audit in found["symbols"].items()
    }
    assert kinds["AAAUSDT"] == []
    assert kinds["BADUSDT"] == [
        ("missing_bars", "2024-01-13T13:00:00Z", 10, "warning"),
        ("outlier_bar", "2024-01-30T05:00:00Z", 1, "error"),
        ("refused_file", "2024-01-01T00:00:00Z", 24, "error"),
    ]
    bars = found["symbols"]["BADUSDT"]["coverage"][0]
    assert (bars["expected"], bars["present"]) == (1440, 1430)
    assert set(found["checks"]) == set(CHECKS)
    assert (found["now"], found["interval"], found["failed"]) == ("2024-03-01T00:05:00Z", "1h", {})


def test_the_terminal_names_symbols_kinds_and_texts_as_they_are(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result(store, tmp_path / "a.json")
    out = capsys.readouterr().out
    for words in ("AAAUSDT", "BADUSDT", "99.30 %", "missing_bars", "outlier_bar", "[red]markup[/red]"):
        assert words in out, words
    assert max(map(len, out.splitlines())) <= 118


def test_processes_give_the_same_bytes(store: Path, tmp_path: Path) -> None:
    result(store, tmp_path / "one.json", workers=1)
    result(store, tmp_path / "two.json", workers=2)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_one_symbol_alone(store: Path, tmp_path: Path) -> None:
    assert list(result(store, tmp_path / "a.json", "CCCUSDT")["symbols"]) == ["CCCUSDT"]


@pytest.mark.parametrize("symbols", ["NONEUSDT", "AAAUSDT,NONEUSDT"])
def test_a_symbol_that_is_not_there(store: Path, tmp_path: Path, symbols: str) -> None:
    with pytest.raises(NothingUsableError, match="does not hold 1h bars of NONEUSDT"):
        result(store, tmp_path / "a.json", symbols)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_and_an_interval_it_lacks(store: Path, tmp_path: Path) -> None:
    for root, interval in ((tmp_path / "none", "1h"), (store, "4h")):
        with pytest.raises(NothingUsableError, match="any") as caught:
            audit("", places_at(root), interval=interval, now=NOW)
        assert caught.value.exit_code == 3
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval": "5m"}, "--interval"),
        ({"against": "files"}, "--path DIR"),
        ({"against": "files", "path": Path("not/there")}, "is none"),
        ({"path": Path()}, "--path belongs"),
        ({"against": "simulated", "path": Path()}, "--path belongs"),
        ({"against": "okx"}, "--against is 'okx'"),
        ({"json": Path()}, "is a folder"),
        ({"json": Path("same"), "html": Path("same")}, "both name"),
    ],
)
def test_options_that_make_no_sense(store: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        audit("", places_at(store), now=NOW, **options)


def test_a_file_that_cannot_be_written(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for option in ("json", "html"):
        target: dict[str, Any] = {option: tmp_path / "file" / "below"}
        with pytest.raises(UsageError, match="cannot be written"):
            audit("AAAUSDT", places_at(store), now=NOW, **target)


def test_another_store_to_compare_with(store: Path, tmp_path: Path) -> None:
    other = market("AAAUSDT")
    bars = other.bars.copy()
    bars.loc[100, ["high", "close"]] *= 1.01
    store_with(tmp_path / "other", type(other)("AAAUSDT", "1h", bars, other.funding, other.open_interest))
    found = result(store, tmp_path / "a.json", "AAAUSDT", against=str(tmp_path / "other"))
    told = [(one["kind"], one["count"], one["start"]) for one in found["symbols"]["AAAUSDT"]["findings"]]
    assert told == [("disagreement", 1, "2024-01-05T05:00:00Z")] * 2
    beyond = {one["column"]: one["beyond"] for one in found["symbols"]["AAAUSDT"]["agreement"]}
    assert beyond == {
        **dict.fromkeys(("open", "low", "volume", "funding_rate", "open_interest_value"), 0),
        **dict.fromkeys(("high", "close"), 1),
    }


def test_files_to_compare_with_and_a_symbol_that_they_lack(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files" / "AAAUSDT"
    folder.mkdir(parents=True)
    market("AAAUSDT").bars.to_parquet(folder / "bars_1h.parquet")
    found = result(store, tmp_path / "a.json", "AAAUSDT,CCCUSDT", against="files", path=tmp_path / "files")
    assert found["symbols"]["AAAUSDT"]["findings"] == []
    (missing,) = found["symbols"]["CCCUSDT"]["findings"]
    assert missing["kind"] == "not_comparable"
    assert "cannot be read" in missing["detail"]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A store with a manifest that is not JSON."""
    root = tmp_path / "store"
    store_with(root, market("AAAUSDT"), market("BROKEN", 2))
    (root / "BROKEN" / "manifest.json").write_text("{")
    return root


def test_a_symbol_that_cannot_be_read_does_not_hide_the_others(damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged") as caught:
        result(damaged, tmp_path / "a.json", html=tmp_path / "a.html")
    assert caught.value.exit_code == 1
    found = json.loads((tmp_path / "a.json").read_text())
    assert list(found["symbols"]) == ["AAAUSDT"]
    assert "damaged" in found["failed"]["BROKEN"]
    assert "could not be read" in (tmp_path / "a.html").read_text()


def test_the_command_line_ends_with_its_status(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["bearmode", "audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            bearmode.main()
        return int(caught.value.code or 0)

    assert run("BADUSDT", "--store", store, "--html", tmp_path / "a.html", "--json", tmp_path / "a.json") == 0
    assert run("--store", tmp_path / "none") == 3
    assert run("bad symbol", "--store", store) == 2
    assert "no symbol" in capsys.readouterr().err
    assert json.loads((tmp_path / "a.json").read_text())["symbols"]["BADUSDT"]["counts"]["error"] == 2


def test_the_store_is_only_read(store: Path, tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted(store.rglob("*")) if file.is_file()}

    before = content()
    result(store, tmp_path / "a.json", html=tmp_path / "a.html")
    assert content() == before


def test_a_hostile_text_stays_as_it_is(store: Path, tmp_path: Path) -> None:
    assert result(store, tmp_path / "a.json")["symbols"]["BADUSDT"]["findings"][-1]["detail"] == HOSTILE
