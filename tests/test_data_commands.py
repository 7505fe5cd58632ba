"""``fetch``, ``update`` and ``audit`` as a user types them: what they print, write and refuse."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pandas as pd
import pytest

import bearmode
from features.history import History
from features.store import Store


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bearmode", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            bearmode.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Ended(code, *capfd.readouterr())

    return command


@pytest.fixture
def filled(run: Run) -> Run:
    """The command line, with a simulated market of daily bars in the store."""
    assert run("fetch", "--source", "simulated", "--symbols", "SIMBTC,SIMETH", "--interval", "1d").code == 0
    return run


BAD: list[tuple[int, tuple[str, ...], str]] = [
    (2, ("fetch",), "name a --source"),
    (2, ("fetch", "--source", "archive"), "name symbols"),
    (2, ("fetch", "--source", "archive", "--symbols", "X1", "--archive-url", "ftp://x"), "ftp://x"),
    (2, ("fetch", "--source", "archive", "--symbols", "X1", "--path", "."), "--path belongs to"),
    (
        2,
        ("fetch", "--source", "archive", "--symbols", "X1", "--since", "2024-02", "--until", "2024-01"),
        "before",
    ),
    (2, ("fetch", "--source", "exchange", "--exchange", "mtgox", "--symbols", "BTCUSDT"), "'mtgox'"),
    (2, ("fetch", "--source", "files", "--exchange", "okx"), "--exchange belongs to"),
    (2, ("fetch", "--source", "simulated", "--columns", "bars.close=x"), "--columns belongs to"),
    (2, ("fetch", "--signal", "gossip"), "'gossip'"),
    (2, ("fetch", "--signal", "gossip=x.csv"), "--available-after"),
    (2, ("fetch", "--source", "simulated", "--available-after", "1d"), "--available-after belongs to"),
    (2, ("fetch", "--source", "simulated", "--stale-after", "1d"), "--stale-after belongs to"),
    (2, ("fetch", "--signal", "fear_greed", "--available-after", "1d"), "--available-after belongs to"),
    (2, ("fetch", "--source", "exchange", "--symbols", "X1", "--recheck"), "--recheck belongs to"),
    (2, ("fetch", "--source", "simulated", "--workers", "2"), "--workers belongs to"),
    (2, ("fetch", "--source", "files", "--scheduler", "tcp://x:1"), "--scheduler belongs to"),
    (2, ("fetch", "--signal", "close=x.csv", "--available-after", "1d"), "close"),
    (2, ("fetch", "--signal", "mine=nowhere.csv", "--available-after", "soon"), "soon"),
    (2, ("fetch", "--source", "simulated", "--store", "nosuch://x"), "nosuch"),
    (3, ("update",), "does not hold any symbol"),
    (3, ("audit",), "hold"),
    (2, ("update", "--until", "tomorrow"), "'tomorrow'"),
]


@pytest.mark.parametrize(("code", "arguments", "words"), BAD, ids=[" ".join(one[1])[:70] for one in BAD])
def test_an_error_is_one_line_and_a_documented_status(
    run: Run, tmp_path: Path, code: int, arguments: tuple[str, ...], words: str
) -> None:
    ended = run(*arguments)
    assert ended.code == code, ended
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("bearmode: ")
    assert words in lines[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_series_of_the_user_s_own_becomes_a_column_that_is_late_by_its_delay(
    filled: Run, tmp_path: Path
) -> None:
    days = pd.date_range("2022-01-01", periods=60, tz="UTC")
    pd.DataFrame({"date": days, "flows": range(60)}).to_csv(tmp_path / "flows.csv", index=False)
    ended = filled("fetch", "--signal", "flows=flows.csv", "--available-after", "1d", "--json", "out.json")
    assert ended.code == 0, ended
    assert "flows: 60 values" in ended.out
    assert "for all symbols" in ended.out
    assert json.loads((tmp_path / "out.json").read_text())["signal_flows"]["rows"] == 60
    for symbol in ("SIMBTC", "SIMETH"):
        history = History.from_raw(Store(tmp_path / "data").read(symbol, "1d"))
        at = history.frame["flows"]
        assert at.loc["2022-01-10"] == 8.0  # the row of the 9th, known when that day was over
        assert pd.isna(at.loc["2021-12-31"])
        assert pd.isna(at.loc["2022-03-10"])  # the last one is too old by then
    assert filled("history", "SIMBTC", "--interval", "1d", "--out", "h.parquet").code == 0
    assert "flows" in pd.read_parquet(tmp_path / "h.parquet").columns


def test_a_series_of_one_symbol_stays_with_it(filled: Run, tmp_path: Path) -> None:
    days = pd.date_range("2022-01-01", periods=5, tz="UTC")
    pd.DataFrame({"time": days, "value": 1.5}).to_parquet(tmp_path / "pc.parquet")
    options = ("--signal", "put_call=pc.parquet", "--available-after", "0h")
    assert filled("fetch", *options, "--symbols", "SIMETH").code == 0
    store = Store(tmp_path / "data")
    assert "put_call" in store.read("SIMETH", "1d").extras
    assert "put_call" not in store.read("SIMBTC", "1d").extras
    ended = filled("fetch", *options, "--symbols", "NOSUCH")
    assert ended.code == 2
    assert "NOSUCH" in ended.err


class Mood(BaseHTTPRequestHandler):
    """alternative.me, with numbers as strings."""

    def do_GET(self) -> None:
        day = int(pd.Timestamp("2022-01-02", tz="UTC").timestamp())
        data = [{"value": str(20 + n), "timestamp": str(day + 86400 * n)} for n in range(3)]
        body = json.dumps({"name": "Fear and Greed Index", "data": data[::-1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def test_fear_and_greed_is_fetched_with_its_attribution(
    filled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mood)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        monkeypatch.setenv("BEARMODE_FEAR_GREED_URL", f"http://127.0.0.1:{server.server_address[1]}/fng/")
        ended = filled("fetch", "--signal", "fear_greed")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert ended.code == 0, ended
    assert "alternative.me" in ended.out
    table = Store(tmp_path / "data").table("_market", "fear_greed")
    assert table is not None
    assert [f"{time:%m-%d} {value:.0f}" for time, value in table.itertuples(index=False)] == [
        "01-03 20",
        "01-04 21",
        "01-05 22",
    ]
    ended = filled("fetch", "--signal", "fear_greed")  # the server is gone
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1


def test_what_was_simulated_is_not_brought_up_to_date(filled: Run) -> None:
    ended = filled("update")
    assert ended.code == 0
    assert "from 'simulated', not brought up to date" in ended.out
    assert ended.out.splitlines()[-1] == "nothing new"
    assert ended.err == ""


def test_the_audit_writes_table_json_and_page(filled: Run, tmp_path: Path) -> None:
    ended = filled("audit", "--interval", "1d", "--json", "a.json", "--html", "a.html")
    assert ended.code == 0, ended
    assert "SIMBTC" in ended.out
    assert set(json.loads((tmp_path / "a.json").read_text())["symbols"]) == {"SIMBTC", "SIMETH"}
    page = (tmp_path / "a.html").read_text()
    assert "SIMETH" in page
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")  # nothing from elsewhere


def test_a_symbol_that_a_folder_lacks_is_named_and_the_others_are_kept(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "BTCUSDT"
    folder.mkdir(parents=True)
    opens = pd.date_range("2024-01-01", periods=48, freq="h", tz="UTC")
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.5)
    pd.DataFrame({"open_time": opens, **prices}).to_parquet(folder / "bars_1h.parquet")
    ended = run("fetch", "--source", "files", "--path", "mine", "--symbols", "BTCUSDT,NOPEUSDT")
    assert ended.code == 3
    assert "NOPEUSDT" in ended.err
    assert Store(tmp_path / "data").symbols() == ["BTCUSDT"]


def test_a_result_that_cannot_be_written_is_refused_before_the_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (("fetch", "--source", "simulated"), ("update",)):
        ended = run(*command, "--json", "file/out.json")
        assert ended.code == 2
        assert "cannot be written" in ended.err
    assert not (tmp_path / "data").exists()


def test_one_damaged_symbol_does_not_stop_the_update_of_the_others(filled: Run, tmp_path: Path) -> None:
    (tmp_path / "data" / "SIMETH" / "manifest.json").write_text("{")
    ended = filled("update")
    assert ended.code == 1
    assert "SIMETH" in ended.err
    assert "SIMBTC: from 'simulated'" in ended.out
