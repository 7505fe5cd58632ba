"""The feature table of many symbols: one file whatever made it, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from histories import LONG, raw_market

from features.build import build_features
from features.catalog import CATALOG, feature_names
from features.context import with_context
from features.errors import BearmodeError, NothingUsableError, UsageError
from features.history import History
from features.parallel.outcomes import SymbolsFailedError
from features.parquet import appended_parquet
from features.pipeline import feature_matrix
from features.store import Store
from features.store_setting import store_setting

NAMES = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("many") / "store"
    store = Store(found)
    with store.writing():
        for seed, name in enumerate(NAMES):
            store.write(replace(raw_market(200, "1d", seed=seed), symbol=name))
        store.write(replace(raw_market(200, "4h"), symbol="OTHERUSDT"))
    return found


def test_the_bytes_do_not_depend_on_how_many_work(root: Path, tmp_path: Path) -> None:
    made = []
    for workers in (1, 3) if LONG else (1, 2):
        out = tmp_path / f"{workers}.parquet"
        built = build_features(out=out, store=root, interval="1d", labels=True, workers=workers)
        assert built.symbols == NAMES
        made.append(out.read_bytes())
    assert len(set(made)) == 1
    file = pq.ParquetFile(tmp_path / "1.parquet")
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [200] * 4
    assert [file.read_row_group(index, ["symbol"])["symbol"][0].as_py() for index in range(4)] == list(NAMES)


def test_the_order_of_the_symbols_is_that_of_the_option(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    build_features("CCCUSDT,AAAUSDT", out, store=root, interval="1d", workers=2)
    assert pq.read_table(out, columns=["symbol"])["symbol"].unique().to_pylist() == ["CCCUSDT", "AAAUSDT"]


def test_simulated_symbols_are_the_same_alone_and_together_but_for_what_looks_across(tmp_path: Path) -> None:
    given: dict[str, Any] = {"source": "simulated", "interval": "1d", "until": "2021-05-01", "workers": 1}
    build_features("SIMETH", tmp_path / "alone.parquet", **given)
    build_features("SIMBTC,SIMETH", tmp_path / "both.parquet", **given)
    both, alone = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("both", "alone"))
    together = both.iloc[-len(alone) :].reset_index(drop=True)
    across = [feature.name for feature in CATALOG if feature.group == "cross_market"]
    assert alone[across].isna().all(axis=None)
    assert not together[["leader_beta_30d", "breadth_20d"]].iloc[-1].isna().any()
    pd.testing.assert_frame_equal(together.drop(columns=across), alone.drop(columns=across), check_exact=True)


def test_features_across_markets_see_the_symbols_of_the_table(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    build_features(out=out, store=root, interval="1d", workers=2)
    frame = pd.read_parquet(out)
    store = Store(root)
    expected = with_context([History.from_raw(store.read(name, "1d")) for name in NAMES])
    for history in expected:
        mine = frame[frame["symbol"] == history.symbol].drop(columns=["symbol", "time"])
        assert mine.to_numpy().tobytes() == feature_matrix(history).tobytes()
    assert frame["breadth_20d"].iloc[-1] == frame["breadth_20d"].iloc[199]
    assert np.isfinite(frame["breadth_20d"].iloc[-1])


def test_a_symbol_that_fails_means_no_file_and_every_failure_is_named(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    out.write_text("the old one")
    with pytest.raises(SymbolsFailedError) as caught:
        build_features("GONEUSDT,AAAUSDT,OTHERUSDT,BBBUSDT", out, store=root, interval="1d", workers=1)
    error = caught.value
    assert (error.code, error.exit_code) == ("symbols_failed", NothingUsableError.exit_code)
    assert error.message.startswith("2 of 4 symbols failed: GONEUSDT: ")
    assert "OTHERUSDT: " in error.message
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]
    assert out.read_text() == "the old one"


def test_a_single_failure_is_its_own_error(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingUsableError, match="GONEUSDT"):
        build_features("AAAUSDT,GONEUSDT", tmp_path / "f.parquet", store=root, interval="1d", workers=2)
    assert list(tmp_path.iterdir()) == []


def test_failed_symbols_are_left_out_where_that_is_asked_for(root: Path, tmp_path: Path) -> None:
    some, whole = tmp_path / "some.parquet", tmp_path / "whole.parquet"
    given: dict[str, Any] = {"store": root, "interval": "1d", "workers": 1}
    built = build_features("GONEUSDT,AAAUSDT,OTHERUSDT,BBBUSDT", some, skip_failed=True, **given)
    assert built.symbols == ("AAAUSDT", "BBBUSDT")
    assert list(built.failed) == ["GONEUSDT", "OTHERUSDT"]
    build_features("AAAUSDT,BBBUSDT", whole, **given)
    assert some.read_bytes() == whole.read_bytes()
    with pytest.raises(NothingUsableError):
        build_features("GONEUSDT", tmp_path / "none.parquet", skip_failed=True, **given)
    assert not (tmp_path / "none.parquet").exists()


def test_many_failures_are_cut_short() -> None:
    failed = {f"S{number}": BearmodeError("gone") for number in range(30)}
    message = SymbolsFailedError.of(failed, 40).message
    assert message.startswith("30 of 40 symbols failed: S0: gone; S1: gone; ")
    assert message.endswith("; and 22 more")


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "features.build", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_the_command_in_processes_with_the_store_of_the_settings(root: Path, tmp_path: Path) -> None:
    (tmp_path / "bearmode.toml").write_text(f'store = "{root}"\n[serving]\nport = 1\n')
    options = ["--interval", "1d", "--symbols", "AAAUSDT,GONEUSDT,BBBUSDT", "--workers", "2"]
    done = command(*options, "--skip-failed", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"features.parquet: 400 rows, {len(feature_names())} features, 2 symbols\n"
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("left out: GONEUSDT: ")
    (tmp_path / "features.parquet").unlink()
    failed = command(*options[:-1], "1", cwd=tmp_path)
    assert failed.returncode == NothingUsableError.exit_code
    assert failed.stdout == ""
    assert failed.stderr.startswith("bearmode: GONEUSDT: ")
    assert failed.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bearmode.toml"]


def test_the_store_is_that_of_the_option_else_the_environment_else_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BEARMODE_STORE", raising=False)
    assert store_setting() == tmp_path / "data"
    (tmp_path / "bearmode.toml").write_text('store = "from/file"\nmlruns = "elsewhere"')
    assert store_setting() == tmp_path / "from" / "file"
    monkeypatch.setenv("BEARMODE_STORE", "memory://of/environment")
    assert store_setting() == "memory://of/environment"
    assert store_setting("option") == tmp_path / "option"


@pytest.mark.parametrize("content", [b"store = 3", b"store = ", b"\xff", b'store = ["a"]'])
def test_a_settings_file_that_makes_no_sense_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BEARMODE_STORE", raising=False)
    (tmp_path / "bearmode.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"bearmode\.toml"):
        store_setting()


@pytest.mark.parametrize("place", ["nowhere/f.parquet", "a_file/f.parquet", "a_folder"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_computed(
    root: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a_file").touch()
    (tmp_path / "a_folder").mkdir()
    told: list[object] = []
    with pytest.raises(UsageError) as caught:
        build_features(
            out=tmp_path / place, store=root, interval="1d", workers=1, tell=lambda *step: told.append(step)
        )
    assert caught.value.field == "out"
    assert told == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_file", "a_folder"]


def test_an_error_of_the_work_is_not_taken_for_one_of_the_file(tmp_path: Path) -> None:
    schema = pq.read_schema(_small(tmp_path / "small.parquet"))
    with pytest.raises(ConnectionResetError), appended_parquet(tmp_path / "f.parquet", schema):
        raise ConnectionResetError
    assert [path.name for path in tmp_path.iterdir()] == ["small.parquet"]


def _small(path: Path) -> Path:
    raw_market(3, "1d").bars.to_parquet(path)
    return path
