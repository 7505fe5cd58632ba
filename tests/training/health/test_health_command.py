"""The command: what it prints and writes, and how it ends where something is wrong."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_training import SYMBOLS, UNTIL, Trained, copy_places, small_histories, small_markets

import bearmode
from features.errors import BearmodeError, BundleError, NothingUsableError, UsageError
from features.store import Store
from serving.predictor import Predictor
from training.health import examine
from training.health.health_command import health_command
from training.retraining.registry import disagreement

METRIC = re.compile(r'^bearmode_[a-z_]+(\{([a-z]+="[A-Za-z0-9_]+",?)+\})?$')


def test_a_healthy_champion_on_its_simulated_market(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "health.json"
    report = health_command("", trained.places, json=file)
    shown = capsys.readouterr().out
    content = json.loads(file.read_text())
    assert content["version"] == trained.result["version"]
    assert content["state"] == report.state != "bad"
    assert content["now"] == report.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert report.now < UNTIL  # a simulated market has no now: its last bar
    names = [check["name"] for check in content["checks"]]
    assert names == [
        "model_age",
        "registry",
        *(f"data_{name}" for name in SYMBOLS),
        "drift_30d",
        "drift_90d",
        "unusual_7d",
        "unusual_30d",
        "log_loss",
        "coverage",
        "recall",
    ]
    for check in content["checks"]:
        assert check["name"] in shown
        assert check["words"]
    assert [month["month"] for month in content["months"]][-1] == "2023-03"
    assert content["months"][-1]["realised_log_loss"] is None
    for name, value in content["metrics"].items():
        assert METRIC.match(name), name
        assert np.isfinite(value)
    assert content["metrics"]["bearmode_model_state"] == 0.0
    assert f'bearmode_feature_drift_share{{symbol="{SYMBOLS[0]}",days="30"}}' in content["metrics"]


def test_bad_data_end_with_status_1_after_the_page_and_the_file(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "health.json"
    with pytest.raises(BearmodeError, match="data_SIMBTC, data_SIMETH") as caught:
        health_command("", trained.places, as_of="2023-07-01", json=file)
    assert (caught.value.exit_code, caught.value.code) == (1, "unhealthy")
    assert "bearmode update" in str(caught.value.hint)
    content = json.loads(file.read_text())
    assert content["state"] == "bad"
    states = {check["name"]: check["state"] for check in content["checks"]}
    assert states["model_age"] == "warn"  # 108 days
    assert "BAD" in capsys.readouterr().out


def test_an_expired_model_is_bad(trained: Trained) -> None:
    with pytest.raises(BearmodeError, match="model_age"):
        health_command("SIMBTC", trained.places, as_of="2024-07-01")


def test_a_moment_of_the_past_sees_nothing_later(trained: Trained, predictor: Predictor) -> None:
    report = health_command("", trained.places, as_of="2022-12-01")
    assert {one.last_bar for one in report.symbols} == {pd.Timestamp("2022-12-01", tz="UTC")}
    assert report.months[-1].month <= "2022-12"
    moment = pd.Timestamp("2022-12-01", tz="UTC")
    cut = [history.part(0, int((history.time <= moment).sum())) for history in small_histories()]
    again = examine(predictor, cut, moment)
    assert again.metrics == report.metrics
    assert {check.state for check in report.checks if check.name == "model_age"} == {"warn"}


def test_a_feed_that_changes_its_unit_is_seen(predictor: Predictor) -> None:
    histories = []
    for history in small_histories():
        frame = history.frame.copy()
        late = frame.index >= frame.index[-1] - pd.Timedelta(days=6)
        frame.loc[late, ["open", "high", "low", "close"]] /= 1000
        histories.append(replace(history, frame=frame))
    now = max(history.time[-1] for history in histories)
    sound, broken = (examine(predictor, list(some), now) for some in (small_histories(), histories))
    before, after = (
        {check.name: check for check in report.checks}["unusual_7d"] for report in (sound, broken)
    )
    assert before.state == "ok"
    assert after.state == "bad"
    assert "SIM" in after.words


def test_a_champion_that_the_alias_does_not_name_is_a_warning(trained: Trained, tmp_path: Path) -> None:
    places = copy_places(trained.places, tmp_path)
    assert disagreement(places) is None
    shutil.rmtree(places.mlruns)
    report = health_command("", places.model_copy(update={"store": trained.places.store}))
    (check,) = [check for check in report.checks if check.name == "registry"]
    assert check.state == "warn"
    assert "registry" in check.words


def test_a_symbol_that_the_store_lacks_is_named(trained: Trained, tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    with store.writing():
        store.write(small_markets()[0])
    report = health_command("", trained.places.model_copy(update={"store": tmp_path / "data"}))
    (check,) = [check for check in report.checks if check.name == "data_SIMETH"]
    assert check.state == "warn"
    assert [one.symbol for one in report.symbols] == ["SIMBTC"]


def test_what_cannot_be_examined_is_one_clear_error(trained: Trained, tmp_path: Path) -> None:
    empty = trained.places.model_copy(update={"store": tmp_path / "data"})
    with pytest.raises(NothingUsableError, match="holds none of SIMBTC, SIMETH") as nothing:
        health_command("", empty)
    assert nothing.value.exit_code == 3
    with pytest.raises(BundleError) as none:
        health_command("", trained.places.model_copy(update={"bundles": tmp_path / "bundles"}))
    assert none.value.code == "no_champion"
    with pytest.raises(NothingUsableError, match="no bar closes by 2019"):
        health_command("", trained.places, as_of="2019-01-01")
    with pytest.raises(UsageError):
        health_command("", trained.places, as_of="yesterday")
    with pytest.raises(UsageError):
        health_command("btc", trained.places)


def test_a_history_shorter_than_a_window_is_unknown_not_wrong(predictor: Predictor) -> None:
    short = [history.part(0, 100) for history in small_histories()]
    report = examine(predictor, short, max(history.time[-1] for history in short))
    states = {check.name: check.state for check in report.checks}
    assert states["drift_30d"] == states["unusual_7d"] == states["log_loss"] == "unknown"
    assert report.months == ()
    json.dumps(report.as_dict(), allow_nan=False)


def test_the_command_line_prints_the_page_and_ends_by_its_state(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("store", "bundles", "mlruns"):
        monkeypatch.setenv(f"BEARMODE_{name.upper()}", str(getattr(trained.places, name)))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bearmode", "health", *arguments])
        capfd.readouterr()
        try:
            bearmode.main()
        except SystemExit as stop:
            return (int(stop.code or 0), *capfd.readouterr())
        return (0, *capfd.readouterr())

    code, out, err = run("--json", "h.json")
    assert (code, err) == (0, "")
    assert f"champion {trained.result['version']}" in out
    assert json.loads((tmp_path / "h.json").read_text())["metrics"]["bearmode_health_state"] < 2
    code, out, err = run("SIMBTC", "--as-of", "2024-07-01")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "the champion is not healthy: model_age, data_SIMBTC" in err
    assert "expired" in out
    monkeypatch.setenv("BEARMODE_BUNDLES", str(tmp_path / "none"))
    code, out, err = run()
    assert (code, out) == (1, "")
    assert "no model has been promoted" in err
