"""The command: what it writes, what it logs, and what it refuses before any work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_comparison import CHEAP, small_comparison
from small_training import Trained, copy_places, new_places

from features.errors import TrainingError, UsageError
from training.compare.compare_command import compare_command
from training.compare.compare_log import CompareLog
from training.compare.compare_page import render_page
from training.compare.comparison import Comparison
from training.compare.recipe_choice import champions_recipe
from training.models.counted_rules import MovingAverageRule
from training.settings import Places
from training.tracking import open_tracker

MARKET: dict[str, Any] = {"interval": "4h", "until": "2023-03-15"}


@pytest.fixture
def places(trained: Trained, tmp_path: Path) -> Places:
    """The store and the champion of the small training, runs of their own."""
    copied = copy_places(trained.places, tmp_path)
    return copied.model_copy(update={"store": trained.places.store})


def runs_of(places: Places, parent: str) -> dict[str, Any]:
    tracker = open_tracker(places)
    found = tracker.client.search_runs(
        [tracker.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{parent}'"
    )
    return {run.info.run_name: run for run in found}


def artifacts(places: Places, run_id: str) -> set[str]:
    return {one.path for one in open_tracker(places).client.list_artifacts(run_id)}


def test_leaderboard_runs_page_and_file(
    places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry fails on purpose: the others stand, in the runs and in the files, and the end is exit 1."""

    def broken(self: MovingAverageRule, *_: object) -> object:
        raise ValueError("no price")

    monkeypatch.setattr(MovingAverageRule, "says", broken)
    page, out = tmp_path / "deep" / "page.html", tmp_path / "board.json"
    names = "climatology,last_confirmed_label,moving_average_rule"
    with pytest.raises(TrainingError, match="1 of 3 entries failed: moving_average_rule") as raised:
        compare_command("", places, models=names, workers=1, page=page, json=out, **MARKET)
    assert raised.value.exit_code == 1
    shown = capsys.readouterr()
    assert "last confirmed label" in shown.out
    assert "independent spells" in shown.out
    assert "recipe of champion" in shown.err
    content = json.loads(out.read_text())
    assert [one["name"] for one in content["entries"]] == ["last_confirmed_label", "climatology"]
    runs = runs_of(places, content["run_id"])
    assert {name: run.info.status for name, run in runs.items()} == {
        "last_confirmed_label": "FINISHED",
        "climatology": "FINISHED",
        "moving_average_rule": "FAILED",
    }
    assert "no price" in runs["moving_average_rule"].data.tags["bearmode/error"]
    metrics = [set(runs[name].data.metrics) for name in ("climatology", "last_confirmed_label")]
    assert {
        "oos/log_loss",
        "interval/log_loss_low",
        "turns/missed_turns",
        "oos/macro_f1",
        "oos/log_loss_skill",
    } <= metrics[0]
    assert metrics[0] - metrics[1] <= {name for name in metrics[0] if "delay" in name or "ece" in name}
    assert runs["climatology"].data.metrics["oos/log_loss"] == pytest.approx(
        content["entries"][1]["scores"]["log_loss"]
    )
    assert runs["climatology"].data.tags["bearmode/axis"] == "time"
    assert artifacts(places, runs["climatology"].info.run_id) == {"figures.html"}
    assert {"compare.html", "leaderboard.json", "leaderboard.md"} <= artifacts(places, content["run_id"])
    assert "<b>moving average rule</b> failed" in page.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": "magic"}, "--models names 'magic'"),
        ({"models": " , "}, "--models names no entry"),
        ({"axis": "space"}, "--axis is 'space', expected one of time, symbols, both"),
        ({"rolling": 30.0}, "--rolling is 30: a rolling window of 30 days cannot hold"),
        ({"rolling": float("nan")}, "--rolling is nan"),
        ({"since": "2023-01-01", "until": "2022-01-01"}, "is not before"),
        ({"workers": 0}, "--workers is 0"),
        ({"page": Path("/tmp")}, "--page /tmp cannot be written"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "give one of them"),
        ({"page": Path("x.out"), "json": Path("x.out")}, "--json and --page both name"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    places = new_places(tmp_path)
    with pytest.raises(UsageError) as error:
        compare_command("", places, source="simulated", **{"interval": "1d", **options})
    assert words in error.value.message
    assert not places.mlruns.exists()


def test_one_line_and_exit_status_on_the_command_line(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, root / "bearmode.py", "compare", "--source", "simulated", "--models", "magic"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bearmode: --models names 'magic' (expected some of model, ")
    assert done.stderr.count("\n") == 1


def test_whose_recipe_is_said(trained: Trained, tmp_path: Path) -> None:
    recipe, whose = champions_recipe(trained.places.bundles)
    assert recipe.boosting.rounds == 8
    assert re.fullmatch(r"the recipe of champion [0-9a-f]{12}, not the default one", whose)
    default, whose = champions_recipe(tmp_path)
    assert whose == "the default recipe (there is no champion)"
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text('{"schema_version": 1}')
    (tmp_path / "champion.json").write_text('{"version": "old", "path": "old", "hash": "0"}')
    again, whose = champions_recipe(tmp_path)
    assert again == default
    assert "the champion's cannot be followed: KeyError" in whose


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return small_comparison()


def test_the_page_needs_no_network_and_escapes_what_it_shows(comparison: Comparison) -> None:
    comparison.failed["<script>alert(1)</script>"] = TrainingError("<img src=x>")
    try:
        page = render_page(comparison, whose="the <i>default</i> recipe", run_id="abc")
    finally:
        comparison.failed.clear()
    assert "<script>alert(1)" not in page
    assert "<img src=x>" not in page
    assert "<i>default" not in page
    body = page[page.index("</head>") :]
    assert not re.search(r'(src|href)="?(https?:)?//', body)
    assert "default-src 'none'" in page
    for name in CHEAP:
        assert name.replace("_", " ") in body
    for title in ("Leaderboard", "Regimes over price", "Reliability", "Switches", "Macro F1 by year"):
        assert f"<h2>{title}" in body
    assert body.count("plotly-graph-div") == 2 + 6, "a picture of each symbol, and six of all"


def test_entries_are_logged_with_the_same_metric_names(
    comparison: Comparison, trained: Trained, tmp_path: Path
) -> None:
    """So that the compare view of the UI has a whole row for each."""
    places = copy_places(trained.places, tmp_path)
    tracker = open_tracker(places)
    with tracker.run("compare") as run:
        CompareLog(tracker, run).comparison(comparison, "")
    runs = runs_of(places, run.info.run_id)
    assert set(runs) == set(CHEAP)
    headline = {"oos/log_loss", "oos/macro_f1", "oos/f1_relief_rally", "oos/ece", "oos/switches_per_year"}
    for name, one in runs.items():
        assert headline <= set(one.data.metrics)
        assert (one.data.metrics["difference/log_loss"] == 0) == (name == "model")
        assert ("difference/low" in one.data.metrics) == (name != "model")
        assert not [key for key in one.data.params if key.startswith("temperature")]
        assert one.data.tags["bearmode/spells"] == str(comparison.entries[0].score.spells)
