"""The table, the command and its files, and the route that serves them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pandas as pd
import pytest
from small_training import LONG, Trained, small_histories
from starlette.applications import Starlette
from survival_files import late_answers, market, write_files

import bearmode
from features.errors import BundleError, DataError, NothingUsableError, UsageError
from features.history import History
from features.regimes import REGIMES
from serving.openapi import openapi_document
from serving.routes.survival import SURVIVAL_ROUTES
from serving.survival import SurvivalTable, read_survival, survival_file
from serving.web_errors import RequestRefusedError
from training.survival.online import online_regime, online_source, read_replay, replay_online
from training.survival.outcomes import Outcomes
from training.survival.picture import cell_at
from training.survival.prices import prices_of
from training.survival.survival_command import hindsight_index
from training.survival.table import DAYS, LEVERAGES, NAMES, survival_table


@cache
def table() -> SurvivalTable:
    raw = market()
    history = History.from_raw(raw)
    rows = late_answers(raw)
    return survival_table(
        Outcomes(prices_of(raw, history)),
        hindsight_index(history),
        online_regime(rows[rows["regime"].notna()], "BTCUSDT", history.time),
        source="files",
        walk=online_source(rows[rows["regime"].notna()], "BTCUSDT"),
        draws=200,
    )


# --- the table --------------------------------------------------------------------------------


def test_the_table_names_the_regimes_in_their_order() -> None:
    assert list(NAMES) == ["any", *REGIMES]


def test_every_cell_is_there_and_its_interval_holds_it() -> None:
    found = table()
    assert len(found.cells) == 2 * len(NAMES) * 2 * len(LEVERAGES) * len(DAYS)
    assert found.not_allowed == []
    for cell in found.cells:
        if cell.probability is None:
            assert (cell.entries, cell.low, cell.high) == (0, None, None)
            continue
        assert cell.probability == pytest.approx(cell.liquidated / cell.entries, abs=1e-6)
        assert cell.blocks <= cell.weeks <= cell.entries
        if cell.low is not None and cell.high is not None:
            assert cell.low <= cell.probability <= cell.high
            assert cell.high > 0  # nothing was seen is not nothing can happen


def test_more_leverage_and_more_days_never_save_anybody() -> None:
    found = table()
    for view in ("online", "hindsight"):
        for side in ("short", "long"):
            for days in DAYS:
                cells = [cell_at(found, view, "any", side, leverage, days) for leverage in LEVERAGES]
                dead = [cell.probability for cell in cells if cell and cell.probability is not None]
                assert dead == sorted(dead)
                assert dead[-1] > dead[0]
            first, last = (cell_at(found, view, "any", side, 20.0, days) for days in (1, 7))
            assert first is not None
            assert last is not None
            assert (first.probability or 0) < (last.probability or 0)


def test_any_hour_is_the_sum_of_the_regimes() -> None:
    found = table()
    for leverage in (5.0, 50.0):
        whole = cell_at(found, "hindsight", "any", "short", leverage, 7)
        parts = [cell_at(found, "hindsight", name, "short", leverage, 7) for name in REGIMES]
        assert whole
        assert whole.entries == sum(one.entries for one in parts if one)
        assert whole.liquidated == sum(one.liquidated for one in parts if one)


def test_what_the_tier_does_not_allow_is_said() -> None:
    raw = market("NEWUSDT", days=190)
    history = History.from_raw(raw)
    outcomes = Outcomes(prices_of(raw, history))
    found = survival_table(outcomes, hindsight_index(history), None, source="files", draws=50)
    assert found.not_allowed == [50.0, 100.0]
    assert found.tiers_as_of is None
    assert "50x, 100x: the exchange allows at most 20x on NEWUSDT" in found.notes
    assert {cell.view for cell in found.cells} == {"hindsight"}
    nowhere = np.full(len(history), -1)
    with pytest.raises(NothingUsableError, match="no position's end is known"):
        survival_table(outcomes, nowhere, None, source="files", draws=50)


# --- online regimes ---------------------------------------------------------------------------


def test_a_replay_file_gives_no_row_that_was_in_sample(tmp_path: Path) -> None:
    raw = market()
    rows = late_answers(raw)
    rows["in_sample"] = rows["time"] < pd.Timestamp("2022-07-01", tz="UTC")
    rows.to_parquet(tmp_path / "r.parquet")
    found = read_replay(tmp_path / "r.parquet")
    time = History.from_raw(raw).time
    regime = online_regime(found, "BTCUSDT", time)
    assert (regime[time < pd.Timestamp("2022-07-01", tz="UTC")] == -1).all()
    answered = rows["regime"].notna() & ~rows["in_sample"]
    assert (regime >= 0).sum() == answered.sum() > 0
    assert (online_regime(found, "ETHUSDT", time) == -1).all()
    with pytest.raises(DataError, match="answers BTCUSDT twice"):
        online_regime(pd.concat([found, found]), "BTCUSDT", time)


def test_files_that_are_no_replay_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_replay(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(UsageError, match="cannot be read"):
        read_replay(tmp_path / "text.parquet")
    pd.DataFrame({"time": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="it is no replay file"):
        read_replay(tmp_path / "other.parquet")


@pytest.mark.skipif(not LONG, reason="replays a walk: full counts only")
def test_the_walk_forward_models_answer_where_no_file_is_given(trained: Trained) -> None:
    first = small_histories()[0]
    rows = replay_online([first], trained.places, None, None, lambda _name: None)
    assert (online_regime(rows, first.symbol, first.time) >= 0).sum() == len(rows) > 100
    hourly = replace(first, interval="1h")
    with pytest.raises(BundleError, match="the champion reads 4h bars, these are of 1h"):
        replay_online([hourly], trained.places, None, None, lambda _name: None)


# --- the command ------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bearmode", "survival", *arguments])
        capfd.readouterr()
        code = 0
        try:
            bearmode.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return (code, *capfd.readouterr())

    return command


FILES = ("--source", "files", "--path", "market", "--interval", "4h")


def test_the_command_writes_what_the_service_sends(run: Run, tmp_path: Path) -> None:
    raw = market()
    write_files(raw, tmp_path / "market")
    late_answers(raw).to_parquet(tmp_path / "replay.parquet")
    code, out, err = run(
        "BTCUSDT", *FILES, "--replay", "replay.parquet", "--json", "t.json", "--page", "t.html",
        "--picture", "t.svg", "--days", "3",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "shorts, regime at entry: walk-forward" in out
    assert "within 3 days" in out
    assert "not financial advice" in out
    content = (tmp_path / "t.json").read_bytes()
    assert read_survival(tmp_path / "bundles", "BTCUSDT") == content
    found = SurvivalTable.model_validate_json(content)
    assert found.online is not None
    assert found.online.models == ["late"]
    ElementTree.fromstring((tmp_path / "t.svg").read_text())
    page = (tmp_path / "t.html").read_text()
    assert "Regime as answered then, walk-forward" in page
    assert "http-equiv" in page
    assert "src=" not in page.split("</script>")[-1]


def test_without_a_champion_it_measures_hindsight_and_says_so(run: Run, tmp_path: Path) -> None:
    write_files(market("NEWUSDT", days=190), tmp_path / "market")
    code, out, _ = run("NEWUSDT", *FILES)
    assert code == 0
    assert "no online regimes: no model has been promoted" in out
    assert "walk-forward" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("BTCUSDT", "--exchange", "mtgox"), 2, "--exchange is 'mtgox'"),
        (("BTCUSDT", "--notional", "0"), 2, "--notional is 0"),
        (("BTCUSDT", "--notional", "nan"), 2, "--notional is nan"),
        (("DOGEUSDT", "--notional", "900000000"), 2, "binance allows at most 80,000,000 in DOGEUSDT"),
        (("BTCUSDT", "--days", "4"), 2, "--days is 4"),
        (("BTCUSDT,ETHUSDT",), 2, "names 2 symbols"),
        (("../../etc",), 2, "is no symbol"),
        (("BTCUSDT", "--page", "."), 2, "--page . cannot be written"),
        (("BTCUSDT", "--replay", "none.parquet"), 2, "cannot be read"),
        (("BTCUSDT", "--until", "2022-02-01", "--replay", "replay.parquet"), 3, "no position's end is known"),
    ],
)
def test_bad_input_is_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    raw = market(days=60)
    write_files(raw, tmp_path / "market")
    late_answers(raw).to_parquet(tmp_path / "replay.parquet")
    ended, _, err = run(*arguments, *FILES)
    assert ended == code
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "bundles").exists()


# --- the route --------------------------------------------------------------------------------


def ask(path: str) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=Starlette(routes=SURVIVAL_ROUTES))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(get())


def error_of(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    assert list(found) == ["code", "message", "field", "hint"]
    return found


def test_the_route_sends_the_file_or_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEARMODE_BUNDLES", str(tmp_path / "b"))
    missing = ask("/v1/survival/BTCUSDT")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "no_survival_table")
    assert error_of(missing)["hint"] == "bearmode survival BTCUSDT writes it"
    for name in ("btcusdt", "..%5c..%5csecret", "A", "B" * 25, "BTCUSDT.json", "%00%00"):
        bad = ask(f"/v1/survival/{name}")
        assert (bad.status_code, error_of(bad)["code"]) == (422, "bad_symbol")
    file = survival_file(tmp_path / "b", "BTCUSDT")
    file.parent.mkdir(parents=True)
    file.write_text(table().model_dump_json())
    good = ask("/v1/survival/BTCUSDT")
    assert (good.status_code, good.headers["content-type"]) == (200, "application/json")
    assert SurvivalTable.model_validate(good.json()) == table()
    survival_file(tmp_path / "b", "ETHUSDT").write_bytes(file.read_bytes())  # of another symbol
    content = json.loads(file.read_text())
    content["cells"][0]["probability"] = 1.5
    survival_file(tmp_path / "b", "SOLUSDT").write_text(json.dumps(content))
    survival_file(tmp_path / "b", "BNBUSDT").write_text("{")
    survival_file(tmp_path / "b", "XRPUSDT").mkdir()
    for name in ("ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"):
        broken = ask(f"/v1/survival/{name}")
        assert (broken.status_code, error_of(broken)["code"]) == (503, "bad_survival_table")
        assert str(tmp_path) not in broken.text


def test_it_reads_only_beside_the_bundles(tmp_path: Path) -> None:
    for name in ("../BTCUSDT", "BTC/USDT", "BTCUSDT\n", ""):
        with pytest.raises(RequestRefusedError, match="is no symbol"):
            read_survival(tmp_path, name)


def test_the_document_has_the_route() -> None:
    document = openapi_document()
    route = document["paths"]["/v1/survival/{symbol}"]["get"]
    assert set(route["responses"]) >= {"200", "404", "422", "503"}
    assert "cells" in document["components"]["schemas"]["SurvivalTable"]["properties"]
