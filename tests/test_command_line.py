"""The commands: what they write, how they end, and that an error is one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from small_training import SYMBOLS, Trained, small_histories, small_markets

import bearmode
from features.regimes import REGIMES, hindsight_regimes
from features.store import Store
from serving.predictor import Predictor
from serving.schemas import Answer
from training.replay import replay, replay_models


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in an empty folder, with its own store, bundles and runs."""
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
def at_home(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Commands read the trained store and champion."""
    for name in ("store", "bundles", "mlruns"):
        monkeypatch.setenv(f"BEARMODE_{name.upper()}", str(getattr(trained.places, name)))
    return trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The markets as a folder of files."""
    root = tmp_path_factory.mktemp("files")
    for market in small_markets():
        own = root / market.symbol
        own.mkdir()
        market.bars.to_parquet(own / "bars_4h.parquet", index=False)
        for name in ("funding", "open_interest"):
            getattr(market, name).to_parquet(own / f"{name}.parquet", index=False)
    return root


FILES = ("--source", "files", "--path", "FOLDER", "--interval", "4h")
SIMULATED = ("--source", "simulated", "--interval", "1d")
BAD: list[tuple[int, tuple[str, ...], str]] = [
    (2, ("history", "btcusdt", "--out", "x.parquet", *SIMULATED), "'btcusdt' is no symbol"),
    (2, ("fetch", *SIMULATED, "--symbols", "SIMBTC,SIMBTC"), "a symbol is named twice"),
    (2, ("fetch", *SIMULATED, "--since", "yesterday"), "'yesterday'"),
    (
        2,
        ("fetch", *SIMULATED, "--symbols", "SIMBTC", "--since", "2022-02-01", "--until", "2022-01-01"),
        "not before",
    ),
    (
        2,
        ("history", "SIMBTC", "--out", "x", *SIMULATED, "--since", "2022-02-01", "--until", "2022-01-01"),
        "not before",
    ),
    (2, ("replay", "--out", "x", "--since", "2022-02-01", "--until", "2022-02-01"), "not before"),
    (
        2,
        ("history", "SIMBTC", "--out", "x", "--source", "files", "--path", "nowhere"),
        "nowhere is not a folder",
    ),
    (2, ("history", "SIMBTC", "--out", "x", "--source", "files"), "--source files needs --path"),
    (2, ("history", "SIMBTC", "--out", "x", "--source", "simulated", "--path", "."), "--path belongs to"),
    (2, ("fetch", "--source", "gossip"), "--source is 'gossip'"),
    (2, ("fetch", "--source", "simulated", "--interval", "5m"), "'5m'"),
    (2, ("history", "SIMBTC", "--out", "no/such/x.parquet", *SIMULATED), "cannot be written"),
    (2, ("history", "SIMBTC,SIMETH", "--out", "x", *SIMULATED), "names 2 symbols, expected one"),
    (2, ("regimes", "", "--out", "x", *SIMULATED), "names 0 symbols, expected one"),
    (2, ("train",), "holds no 1h bars"),
    (2, ("train", "--until", "31/12/2022"), "'31/12/2022'"),
    (3, ("history", "NOSUCH", "--out", "x", *FILES), "NOSUCH: "),
    (3, ("regimes", "NOSUCH", "--out", "x"), "NOSUCH: "),
    (
        3,
        ("history", "SIMBTC", "--out", "x", *SIMULATED, "--since", "2030-01-01"),
        "no bar closes from 2030-01-01",
    ),
    (1, ("predict", "SIMBTC"), "no model has been promoted"),
    (1, ("replay", "--out", "x", "--since", "2022-01-01"), "no model has been promoted"),
    (1, ("predict", "SIMBTC", "--bundle", "nowhere"), "manifest.json cannot be read"),
]


@pytest.mark.parametrize(("code", "arguments", "words"), BAD, ids=[" ".join(one[1])[:60] for one in BAD])
def test_an_error_is_one_line_and_a_documented_status(
    run: Run, folder: Path, tmp_path: Path, code: int, arguments: tuple[str, ...], words: str
) -> None:
    ended = run(*(str(folder) if one == "FOLDER" else one for one in arguments))
    assert ended.code == code, ended
    lines = [line for line in ended.err.splitlines() if line.startswith("bearmode: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in ended.err
    if arguments[0] != "train":  # which shows its progress on stderr
        assert ended.err.splitlines() == lines
    assert not list(tmp_path.iterdir())  # nothing is left behind


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("history",), ("fetch", "--source"), ("serve", "--port", "x")]
)
def test_wrong_usage_is_two(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_a_locked_store_is_five_and_left_as_it_is(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "held"
    with Store(store).writing():
        ended = run("fetch", *SIMULATED, "--symbols", "SIMBTC", "--store", store)
        assert [path.name for path in store.iterdir()] == [".lock"]
    assert ended.code == 5
    hint = "wait until it has ended, or use another --store"
    assert ended.err == f"bearmode: another process is writing to {store} ({hint})\n"
    assert run("fetch", *SIMULATED, "--symbols", "SIMBTC", "--store", store).code == 0


def test_too_little_history_to_train_on_is_one_line(run: Run, folder: Path, tmp_path: Path) -> None:
    ended = run("train", *(str(folder) if one == "FOLDER" else one for one in FILES), "--until", "2021-04-01")
    assert ended.code == 1
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith("bearmode: no label is confirmed: the longest history has 90 days")
    assert not list(tmp_path.iterdir())


def test_an_unforeseen_error_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("training.data.history_command.write_history", broken)
    ended = run("history", "SIMBTC", "--out", "x")
    assert ended.code == 1
    assert ended.err == (
        "bearmode: internal error: ZeroDivisionError: of all things (again with --debug shows where)\n"
    )
    with pytest.raises(ZeroDivisionError):
        run("history", "SIMBTC", "--out", "x", "--debug")


def process(root: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_as_a_process_an_error_is_one_line_and_debug_shows_the_traceback(root: Path, tmp_path: Path) -> None:
    plain = process(root, tmp_path, "-m", "bearmode", "predict", "SIMBTC")
    assert plain.returncode == 1
    assert plain.stdout == ""
    assert plain.stderr.startswith("bearmode: no model has been promoted in ")
    assert plain.stderr.count("\n") == 1
    debug = process(root, tmp_path, "-m", "bearmode", "predict", "SIMBTC", "--debug")
    assert debug.returncode == 1
    assert "Traceback (most recent call last)" in debug.stderr
    assert "no model has been promoted" in debug.stderr


def test_the_steps_are_scripts_too(root: Path, tmp_path: Path, folder: Path) -> None:
    shown = process(root, tmp_path, "-m", "training.train", "--help")
    assert shown.returncode == 0
    for option in ("--source", "--symbols", "--until", "--no-promote", "--store"):
        assert option in shown.stdout
    arguments = ("--source", "files", "--path", str(folder), "--interval", "4h", "--symbols", "SIMETH")
    built = process(root, tmp_path, "-m", "features.build", *arguments, "--out", "f.parquet", "--labels")
    assert built.returncode == 0, built.stderr
    frame = pd.read_parquet(tmp_path / "f.parquet")
    history = small_histories()[1]
    assert list(frame["time"]) == list(history.time)
    assert list(frame.columns[:2]) == ["symbol", "time"]
    assert list(frame.columns[-2:]) == ["hindsight_regime", "confirmed_at"]
    assert frame["return_1d"].dtype == "float32"
    assert frame["hindsight_regime"].notna().sum() == hindsight_regimes(history)["regime"].notna().sum()
    failed = process(root, tmp_path, "-m", "features.build", "--symbols", "nosuch")
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)


def test_fetch_history_and_regimes(run: Run, tmp_path: Path) -> None:
    until = ("--until", "2021-12-01")
    fetched = run(
        "fetch",
        *SIMULATED,
        "--symbols",
        "SIMBTC,SIMSOL",
        *until,
        "--json",
        "fetched.json",
        "--store",
        "store",
    )
    assert fetched.code == 0, fetched.err
    report = json.loads((tmp_path / "fetched.json").read_text())
    assert {name: one["bars"] for name, one in report.items()} == {"SIMBTC": 333, "SIMSOL": 333}
    assert Store(tmp_path / "store").symbols("1d") == ["SIMBTC", "SIMSOL"]

    written = run("history", "SIMSOL", "--out", "h.parquet", "--store", "store", "--interval", "1d")
    assert written.code == 0, written.err
    frame = pd.read_parquet(tmp_path / "h.parquet")
    assert frame.columns[0] == "time"
    assert len(frame) == 333
    assert frame["time"].iloc[-1] == pd.Timestamp("2021-11-30", tz="UTC")

    labelled = run("regimes", "SIMSOL", "--out", "r.parquet", "--store", "store", "--interval", "1d")
    assert labelled.code == 0, labelled.err
    labels = pd.read_parquet(tmp_path / "r.parquet")
    assert list(labels.columns) == ["time", "regime", "confirmed_at"]
    assert list(labels["time"]) == list(frame["time"])
    assert (labels["regime"].isna() == labels["confirmed_at"].isna()).all()
    assert labels["regime"].isna().any()
    assert set(labels["regime"].dropna()) <= set(REGIMES)
    assert labels["regime"].notna().sum() > 100
    assert f"{labels['regime'].notna().sum():,} with a confirmed regime" in labelled.out


def test_history_cut_is_inclusive_of_since_and_exclusive_of_until(run: Run, tmp_path: Path) -> None:
    ended = run(
        "history", "SIMBTC", "--out", "h", *SIMULATED, "--since", "2022-01-01", "--until", "2022-01-04"
    )
    assert ended.code == 0
    assert [f"{day:%m-%d}" for day in pd.read_parquet(tmp_path / "h")["time"]] == ["01-01", "01-02", "01-03"]


def test_history_json_names_what_is_missing(run: Run, folder: Path, tmp_path: Path) -> None:
    arguments = [str(folder) if one == "FOLDER" else one for one in FILES]
    ended = run("history", "SIMETH", "--out", "h", *arguments, "--json", "h.json")
    assert ended.code == 0
    ledger = json.loads((tmp_path / "h.json").read_text())["ledger"]
    (missing,) = [one for one in ledger if one["kind"] == "missing_bars"]
    assert (missing["start"], missing["end"], missing["count"]) == (
        "2023-02-01T00:00:00Z",
        "2023-02-01T08:00:00Z",
        3,
    )
    assert "missing_bars" in ended.out


def test_replay_writes_the_contract_s_columns(run: Run, at_home: Trained, tmp_path: Path) -> None:
    since, until = "2022-06-28", "2022-07-03"
    ended = run("replay", "--out", "r", "--since", since, "--until", until, "--walk-forward")
    assert ended.code == 0, ended.err
    frame = pd.read_parquet(tmp_path / "r")
    expected = replay(
        small_histories(),
        replay_models(at_home.places.bundles, walk_forward=True),
        since=pd.Timestamp(since, tz="UTC"),
        until=pd.Timestamp(until, tz="UTC"),
    )
    pd.testing.assert_frame_equal(frame, expected)
    assert frame["symbol"].value_counts().to_dict() == dict.fromkeys(SYMBOLS, 30)
    assert "60 bars, 60 answered, 0 in sample" in ended.out


def test_replay_outside_the_data_is_a_warning_and_three(run: Run, at_home: Trained) -> None:
    ended = run("replay", "--out", "r", "--since", "2030-01-01", "--symbols", "SIMETH")
    assert ended.code == 3
    warning, error = ended.err.splitlines()
    assert warning.startswith("warning: SIMETH has no bars in the span; it has 2021-01-01 to 2023-03-14")
    assert error == "bearmode: no symbol has a bar in the span"


def test_replay_of_another_bundle(run: Run, at_home: Trained, tmp_path: Path) -> None:
    fold = at_home.bundle.with_name(f"{at_home.bundle.name}.walk-forward") / "2022-07"
    ended = run("replay", "--out", "r", "--since", "2023-03-01", "--symbols", "SIMBTC", "--bundle", fold)
    assert ended.code == 0, ended.err
    assert set(pd.read_parquet(tmp_path / "r")["model_version"]) == {Predictor.load(fold).version}


def test_predict_answers_in_json_on_stdout_and_in_words_beside_it(
    run: Run, at_home: Trained, predictor: Predictor, tmp_path: Path
) -> None:
    ended = run("predict", "SIMBTC", "--as-of", "2023-03-14T20:00:00Z", "--json", "answer.json")
    assert ended.code == 0, ended.err
    body = json.loads(ended.out)
    assert json.loads((tmp_path / "answer.json").read_text()) == body
    answer = predictor.answer(small_histories()[0])
    assert Answer.model_validate(body) == answer
    assert ended.err.startswith("SIMBTC at 2023-03-14 20:00 UTC: ")
    assert answer.disclaimer in ended.err
    now = json.loads(run("predict", "SIMBTC").out)
    assert {"stale_window", "model_expired"} <= set(now["degraded"])
    assert now["advice"]["leverage"] <= 1


def test_predict_as_of_knows_nothing_later(run: Run, at_home: Trained, predictor: Predictor) -> None:
    ended = run("predict", "SIMBTC", "--as-of", "2022-08-01T13:00:00Z")
    assert ended.code == 0, ended.err
    history = small_histories()[0].between(None, pd.Timestamp("2022-08-01T12:00:01", tz="UTC"))
    moment = pd.Timestamp("2022-08-01T13:00", tz="UTC")
    assert Answer.model_validate_json(ended.out) == predictor.answer(history, as_of=moment)
    several = run("predict", "SIMBTC,SIMETH", "--as-of", "2022-08-01", "--equity", "1000")
    assert several.code == 0, several.err
    assert [one["symbol"] for one in json.loads(several.out)["answers"]] == ["SIMBTC", "SIMETH"]
    for wrong in (("",), ("SIMBTC,SIMBTC",), ("SIMBTC", "--equity", "-1"), ("SIMBTC", "--exchange", "okx")):
        refused = run("predict", *wrong)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
    early = run("predict", "SIMBTC", "--as-of", "2021-02-01")
    assert early.code == 1
    assert "this model needs" in early.err
    never = run("predict", "SIMBTC", "--as-of", "2020-02-01")
    assert never.code == 3
    assert never.err.startswith("bearmode: SIMBTC: no bar closes by 2020-02-01 ")
    assert never.err.count("\n") == 1


def test_a_damaged_champion_is_refused(
    run: Run, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARMODE_STORE", str(trained.places.store))
    monkeypatch.setenv("BEARMODE_BUNDLES", str(tmp_path / "bundles"))
    shutil.copytree(trained.places.bundles, tmp_path / "bundles")
    manifest = tmp_path / "bundles" / trained.bundle.name / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    ended = run("predict", "SIMBTC")
    assert ended.code == 1
    assert ended.err.startswith("bearmode: champion.json names manifest ")
