"""``tiers update`` and ``tiers list``: what is kept, what counts, and that nothing gets worse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_training import Trained, new_places

from features.errors import BearmodeError, DataError, UsageError
from features.sources.exchange.brackets import Bracket
from serving.predictor import Predictor
from serving.tiers import (
    TIERS_SETTING,
    forget_tiers,
    newer_tables,
    shipped_tiers,
    shipped_tiers_only,
    tiers,
    tiers_as_of,
    tiers_file,
)
from training.data import tiers_update
from training.data.tiers_list import list_command
from training.data.tiers_update import new_tiers, update_command, with_new
from training.settings import Places

DAY = "2026-11-23"
Brackets = dict[str, list[Bracket]]
TODAY: Brackets = {
    "BTCUSDT": [Bracket(0, 300_000, 150, 0.004, 0.0), Bracket(300_000, 800_000, 100, 0.005, 300.0)],
    "PEPEUSDT": [Bracket(0, 5_000, 75, 0.01, 0.0)],
    "JUMPUSDT": [Bracket(0, 5_000, 75, 0.01, 0.0), Bracket(5_000, 9_000, 50, 0.02, 7.0)],
    "GAPUSDT": [Bracket(0, 5_000, 75, 0.01, 0.0), Bracket(6_000, 9_000, 50, 0.02, 50.0)],
}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """With a key in the environment, and a file of newer tiers that counts in this process."""
    found = new_places(tmp_path).model_copy(update={"tiers": tmp_path / "deep" / "margin-tiers.json"})
    monkeypatch.setenv(TIERS_SETTING, str(found.tiers))
    monkeypatch.setenv("BEARMODE_EXCHANGE_KEY", "k")
    monkeypatch.setenv("BEARMODE_EXCHANGE_SECRET", "s")
    forget_tiers()
    yield found
    forget_tiers()


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Callable[[Brackets], None]:
    """What the exchange answers."""

    def answer(brackets: Brackets) -> None:
        monkeypatch.setattr(tiers_update, "fetch_brackets", lambda _key, **_options: brackets)

    return answer


def test_an_update_counts_is_dated_and_leaves_out_what_cannot_be(
    places: Places,
    exchange: Callable[[Brackets], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exchange(TODAY)
    update_command(places, tmp_path / "result.json", day=DAY)
    printed = capsys.readouterr()
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["as_of"], result["symbols"], result["changed"]) == (DAY, 2, ["BTCUSDT"])
    assert set(result["refused"]) == {"JUMPUSDT", "GAPUSDT"}
    assert result["missing"] == ["BNBUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT"]
    assert "leverageBracket of Binance" in result["source"]
    assert "JUMPUSDT left out, as before: " in printed.err
    assert tiers_as_of("binance", "BTCUSDT") == DAY
    assert tuple(tiers("binance", "BTCUSDT")[0])[:4] == (0, 300_000, 150, 0.004)
    assert tiers_as_of("binance", "PEPEUSDT") == DAY
    assert tiers_as_of("binance", "ETHUSDT") == "2024-09"
    assert not tiers("binance", "JUMPUSDT")[0].known
    with shipped_tiers_only():
        assert tiers_as_of("binance", "BTCUSDT") == "2024-09"
        assert not tiers("binance", "PEPEUSDT")[0].known


@pytest.mark.parametrize("brackets", [{}, {"JUMPUSDT": TODAY["JUMPUSDT"]}, {"NONEUSDT": []}])
def test_an_answer_without_any_use_changes_nothing(
    brackets: Brackets, places: Places, exchange: Callable[[Brackets], None]
) -> None:
    exchange(TODAY)
    update_command(places, day=DAY)
    before = places.tiers.read_bytes()
    exchange(brackets)
    with pytest.raises(DataError, match="tiers that can be") as caught:
        update_command(places, day="2026-12-24")
    assert (caught.value.code, caught.value.exit_code) == ("no_tiers", 1)
    assert places.tiers.read_bytes() == before
    assert [one.name for one in places.tiers.parent.iterdir()] == [places.tiers.name]


def test_an_older_table_is_never_in_the_way_of_what_ships(
    places: Places, exchange: Callable[[Brackets], None]
) -> None:
    """A file that has been lying about since before a release loses against it, symbol by symbol."""
    exchange(TODAY)
    update_command(places, day="2023-01-05")
    assert tiers_as_of("binance", "BTCUSDT") == "2024-09"
    assert tiers_as_of("binance", "PEPEUSDT") == "2023-01-05"


def test_each_change_is_kept_once() -> None:
    first = new_tiers(TODAY, "2026-01-01", []).table
    same = new_tiers(TODAY, "2026-02-01", [first])
    assert same.changed == []
    assert [one.as_of for one in with_new([first], same.table)] == ["2026-02-01"]
    other = new_tiers({**TODAY, "PEPEUSDT": [Bracket(0, 5_000, 20, 0.03, 0.0)]}, "2026-03-01", [same.table])
    assert other.changed == ["PEPEUSDT"]
    kept = with_new([same.table], other.table)
    assert [(one.as_of, sorted(one.symbols)) for one in kept] == [
        ("2026-02-01", ["PEPEUSDT"]),
        ("2026-03-01", ["BTCUSDT", "PEPEUSDT"]),
    ]
    data = shipped_tiers().joined(kept)
    assert data.ladder("binance", "PEPEUSDT", "2026-02-14")[0].rate == 0.01
    assert data.ladder("binance", "PEPEUSDT")[0].rate == 0.03
    again = new_tiers(TODAY, "2026-03-01", kept).table  # twice on one day: the later one counts
    assert [one.as_of for one in with_new(kept, again)] == ["2026-03-01"]


def test_a_file_that_is_none_is_refused_by_name(places: Places) -> None:
    places.tiers.parent.mkdir()
    for content in ("{", '{"tables": [{"exchange": "binance"}]}', '{"tables": [], "more": 1}'):
        places.tiers.write_text(content)
        forget_tiers()
        with pytest.raises(DataError, match="holds no margin tiers") as caught:
            tiers("binance", "BTCUSDT")
        assert caught.value.code == "bad_tiers"
        with pytest.raises(DataError):
            update_command(places, day=DAY)
        assert places.tiers.read_text() == content


def test_without_a_key_nothing_is_asked(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEARMODE_EXCHANGE_SECRET")
    with pytest.raises(BearmodeError, match="not set: BEARMODE_EXCHANGE_SECRET") as caught:
        update_command(places)
    assert caught.value.exit_code == 1
    assert not places.tiers.exists()


def test_the_file_is_named_by_variable_settings_or_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(TIERS_SETTING, raising=False)
    assert tiers_file() == Places.load().tiers == tmp_path / "margin-tiers.json"
    (tmp_path / "bearmode.toml").write_text('tiers = "kept/tiers.json"\n')
    assert tiers_file() == Places.load().tiers == tmp_path / "kept" / "tiers.json"
    monkeypatch.setenv(TIERS_SETTING, "other.json")
    assert tiers_file() == Places.load().tiers == tmp_path / "other.json"
    assert newer_tables(tiers_file()) == []


def test_a_bundle_is_proven_whatever_the_newer_tiers_are(
    places: Places, exchange: Callable[[Brackets], None], trained: Trained
) -> None:
    symbols = json.loads((trained.bundle / "golden.json").read_text())["windows"]
    name = symbols[0]["request"]["symbol"]
    exchange({name: [Bracket(0, 9_000, 10, 0.05, 0.0)]})
    update_command(places, day=DAY)
    assert tiers("binance", name)[0].rate == 0.05
    assert Predictor.load(trained.bundle).version


def test_the_list_names_dates_sources_and_what_is_assumed(
    places: Places, exchange: Callable[[Brackets], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange(TODAY)
    update_command(places, day=DAY)
    capsys.readouterr()
    list_command("", None, None, tmp_path / "list.json")
    printed = capsys.readouterr().out
    rows: list[dict[str, Any]] = json.loads((tmp_path / "list.json").read_text())["symbols"]
    dates = {row["symbol"]: row["as_of"] for row in rows}
    assert dates["BTCUSDT"] == dates["PEPEUSDT"] == DAY
    assert dates["SOLUSDT"] == "2024-09"
    assert {row["exchange"] for row in rows} == {"binance"}
    assert "Of OKX there is no table" in printed
    assert "3% maintenance and 20x are assumed" in printed
    assert printed.count("source: ") == 2
    list_command("BTCUSDT", "okx", "2024-12")
    assert "assumed" in capsys.readouterr().out.splitlines()[1]
    list_command("BTCUSDT", "binance", "2024-12")
    assert len(capsys.readouterr().out.splitlines()) == 1 + 12 + 2
    for exchange_name, on in (("kraken", None), (None, "yesterday")):
        with pytest.raises(UsageError):
            list_command("", exchange_name, on)
