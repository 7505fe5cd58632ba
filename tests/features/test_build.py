"""The job ``features.build``: a Parquet file of the catalogue, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from histories import history, raw_market

from features.build import build_features
from features.catalog import feature_names
from features.errors import UsageError
from features.parquet import write_parquet
from features.pipeline import feature_table
from features.regimes import REGIMES, hindsight_regimes
from features.sources.files import load_files
from features.store import Store


def store(root: Path, n: int = 300) -> Path:
    Store(root).write(raw_market(n, "1d"))
    return root


def test_the_table_is_the_catalogue_beside_symbol_and_time(tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    built = build_features("TESTUSDT", out, store=store(tmp_path / "store"), interval="1d")
    frame = pd.read_parquet(out)
    assert (built.rows, built.symbols, dict(built.failed)) == (len(frame), ("TESTUSDT",), {})
    assert tuple(frame.columns) == ("symbol", "time", *feature_names())
    assert set(frame["symbol"]) == {"TESTUSDT"}
    assert str(frame["time"].dt.tz) == "UTC"
    assert set(frame.dtypes[2:]) == {np.dtype(np.float32)}
    expected = feature_table(history(300, "1d"))
    assert frame["time"].tolist() == expected.index.tolist()
    assert frame.iloc[:, 2:].to_numpy().tobytes() == expected.to_numpy().tobytes()


def test_labels_are_called_hindsight_and_null_where_not_confirmed(tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    build_features("", out, store=store(tmp_path / "store"), interval="1d", labels=True)
    frame = pd.read_parquet(out)
    found = hindsight_regimes(history(300, "1d"))
    assert tuple(frame.columns[-2:]) == ("hindsight_regime", "confirmed_at")
    names = [None if pd.isna(index) else REGIMES[int(index)] for index in found["regime"]]
    assert (
        frame["hindsight_regime"].astype("object").where(frame["hindsight_regime"].notna(), None).tolist()
        == names
    )
    assert frame["hindsight_regime"].notna().sum() > 50
    pd.testing.assert_series_equal(
        frame["confirmed_at"], found["confirmed_at"].reset_index(drop=True), check_exact=True
    )


def test_a_cut_build_is_rows_of_the_whole_only_where_the_look_back_fits(tmp_path: Path) -> None:
    root = store(tmp_path / "store")
    build_features("", tmp_path / "a.parquet", store=root, interval="1d")
    build_features("", tmp_path / "b.parquet", store=root, interval="1d", until="2022-09-01")
    whole, cut = pd.read_parquet(tmp_path / "a.parquet"), pd.read_parquet(tmp_path / "b.parquet")
    assert len(cut) == int((whole["time"] < "2022-09-01").sum())
    pd.testing.assert_frame_equal(cut, whole.iloc[: len(cut)], check_exact=True)


def test_nothing_is_written_where_the_options_make_no_sense(tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    root = store(tmp_path / "store")
    for options in (
        {"since": "soon"},
        {"since": "2022-02-01", "until": "2022-02-01"},
        {"source": "files"},
        {"source": "files", "path": tmp_path / "nowhere"},
        {"source": "simulated", "path": tmp_path},
        {"source": "nothing"},
        {"interval": "3h"},
        {"interval": "1h"},
        {"symbols": "TESTUSDT,TESTUSDT"},
        {"workers": 0},
        {"workers": 2, "scheduler": "tcp://127.0.0.1:1"},
    ):
        given: dict[str, Any] = {"store": root, "interval": "1d", "symbols": ""} | options
        with pytest.raises(UsageError):
            build_features(out=out, **given)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "f.parquet"
    write_parquet(pd.DataFrame({"a": [1]}), out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_parquet(pd.DataFrame({"a": [2]}), out)
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]
    assert pd.read_parquet(out)["a"].tolist() == [1]


@pytest.mark.parametrize("place", ["nowhere/f.parquet", "a_file/f.parquet", "a_folder"])
def test_a_place_that_cannot_be_written_is_wrong_usage(tmp_path: Path, place: str) -> None:
    (tmp_path / "a_file").write_text("")
    (tmp_path / "a_folder").mkdir()
    with pytest.raises(UsageError) as caught:
        write_parquet(pd.DataFrame({"a": [1]}), tmp_path / place)
    assert caught.value.field == "out"
    assert place in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_file", "a_folder"]


def test_the_job_runs_as_a_module_from_a_folder_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "market" / "TESTUSDT"
    folder.mkdir(parents=True)
    raw_market(200, "1d").bars.to_csv(folder / "bars_1d.csv", index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    out = tmp_path / "f.parquet"
    command = [sys.executable, "-m", "features.build", "--source", "files", "--interval", "1d"]
    done = subprocess.run(
        [*command, "--path", str(tmp_path / "market"), "--symbols", "TESTUSDT", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"200 rows, {len(feature_names())} features" in done.stdout
    (market,) = load_files(tmp_path / "market", [], interval="1d")
    assert pd.read_parquet(out)["time"].iloc[-1] == market.bars["open_time"].iloc[-1] + pd.Timedelta(days=1)
    wrong = subprocess.run(
        [*command, "--path", str(tmp_path / "nowhere"), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "is not a folder" in wrong.stderr
