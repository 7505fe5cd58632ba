"""The job from histories to page, tables and runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feature_samples import PageReader
from small_training import Trained, copy_places, small_histories, small_recipe

from features.catalog import CATALOG
from features.errors import NothingUsableError, TrainingError, UsageError
from training.feature_study.feature_findings import FeatureReport
from training.feature_study.feature_report import report_features
from training.feature_study.feature_report_command import feature_report
from training.feature_study.feature_report_tables import report_json
from training.settings import Places
from training.tracking import Tracker, open_tracker

DEFAULT = ("return_5d", "return_20d", "return_60d", "funding_level_7d", "interest_change_7d")
"""A default set small enough for tests; its linear base reads the first three."""
_NAMES = {*DEFAULT, "time_to_settlement", "settlement_interval"}
FEW = tuple(feature for feature in CATALOG if feature.name in _NAMES)
_SMALL = small_recipe(rounds=4)
RECIPE = replace(
    _SMALL, inner_blocks=2, boosting=replace(_SMALL.boosting, base_columns=(0, 1, 2), prior=False)
)
OPTIONS: dict[str, Any] = {
    "groups": ["calendar"],
    "draws": 50,
    "recipe": RECIPE,
    "catalogue": FEW,
    "default": DEFAULT,
}


class PlugPulledError(Exception):
    """Somebody pulls the plug."""


@pytest.fixture
def places(trained: Trained, tmp_path: Path) -> Places:
    return copy_places(trained.places, tmp_path)


@pytest.fixture(scope="module")
def made(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Places, FeatureReport, list[tuple[str, int]]]:
    places = copy_places(trained.places, tmp_path_factory.mktemp("report"))
    steps: list[tuple[str, int]] = []
    report = report_features(
        small_histories(),
        places,
        reseeded=1,
        **OPTIONS,
        progress=lambda name, total: steps.append((name, total)),
    )
    return places, report, steps


def runs_of(tracker: Tracker, parent: str) -> Iterator[Any]:
    nested = tracker.client.search_runs(
        [tracker.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=100
    )
    return iter(sorted(nested, key=lambda run: run.info.start_time))


def test_every_model_is_a_run_in_the_run_of_the_report(
    made: tuple[Places, FeatureReport, list[tuple[str, int]]],
) -> None:
    places, report, _ = made
    assert report.ablation is not None
    tracker = open_tracker(places)
    parent = tracker.client.get_run(report.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["bearmode/job"] == "features report"
    assert parent.data.params["groups"] == "calendar"
    nested = {run.info.run_name: run for run in runs_of(tracker, report.run_id)}
    assert set(nested) == {one.variant.name for one in report.ablation.models}
    added = nested["default + calendar"]
    (_, gap) = report.ablation.of_kind("added")[0]
    assert added.data.metrics["difference/log_loss"] == pytest.approx(gap.spells.estimate)
    assert added.data.metrics["difference/high"] == pytest.approx(gap.spells.high)
    assert added.data.tags["bearmode/verdict"] == gap.verdict
    assert added.data.params["features"] == str(len(DEFAULT) + 2)
    assert parent.data.metrics["difference/default plus calendar"] == pytest.approx(gap.spells.estimate)
    assert parent.data.metrics["difference/seed_noise"] == pytest.approx(report.ablation.seed_noise)
    kept = {item.path for item in tracker.client.list_artifacts(report.run_id)}
    assert {"features.html", "tables", "environment.txt"} <= kept
    tables = {item.path for item in tracker.client.list_artifacts(report.run_id, "tables")}
    assert {"tables/ablation.csv", "tables/drift.csv", "tables/correlation.csv"} <= tables


def test_the_report_of_a_group(made: tuple[Places, FeatureReport, list[tuple[str, int]]]) -> None:
    _, report, steps = made
    assert report.ablation is not None
    kinds = [one.variant.kind for one in report.ablation.models]
    assert kinds == ["default", "reseeded", "added", "everything", "base", "alone"]
    assert report.ablation.folds == ("2022-01", "2022-07", "2023-01")
    assert all(len(one.loss) == report.ablation.rows for one in report.ablation.models)
    names = [name for name, _ in steps]
    assert names[:3] == ["features of SIMBTC", "features of SIMETH", "tables"]
    assert names[-1] == "page"
    assert steps[-1][1] == len(steps)  # the bar ends where it said
    content = report_json(report)
    json.dumps(content, allow_nan=False)
    (settled,) = (row for row in content["features"] if row["feature"] == "settlement_interval")
    assert settled["coverage"] > 0.9
    assert not settled["in_default"]


def test_the_same_history_gives_the_same_figures(
    made: tuple[Places, FeatureReport, list[tuple[str, int]]], places: Places
) -> None:
    _, report, _ = made
    again = report_features(small_histories(), places, reseeded=0, **OPTIONS)
    assert report.ablation is not None
    assert again.ablation is not None
    losses = {one.variant.name: one.loss for one in again.ablation.models}
    for one in report.ablation.models:
        if one.variant.kind != "reseeded":
            assert np.array_equal(one.loss, losses[one.variant.name])
    pd.testing.assert_frame_equal(report.drift, again.drift)
    pd.testing.assert_frame_equal(report.stability, again.stability)


def test_a_run_that_is_stopped_keeps_what_was_done_and_says_so(places: Places) -> None:
    def stop(name: str, _total: int) -> None:
        if name == "everything":
            raise PlugPulledError

    with pytest.raises(PlugPulledError):
        report_features(
            small_histories(),
            places,
            reseeded=0,
            **OPTIONS,
            progress=stop,
        )
    tracker = open_tracker(places)
    (failed,) = tracker.client.search_runs([tracker.experiment_id], "attributes.status = 'FAILED'")
    assert failed.data.tags["bearmode/job"] == "features report"
    done = [(run.info.run_name, run.info.status) for run in runs_of(tracker, failed.info.run_id)]
    assert sorted(done) == [("default", "FINISHED"), ("default + calendar", "FINISHED")]


def test_the_command_writes_page_and_json(
    places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "new" / "page.html", tmp_path / "report.json"
    feature_report(
        "SIMBTC",
        places,
        out=out,
        source="simulated",
        interval="1d",
        until="2022-06",
        ablation=False,
        json=table,
    )
    assert "Features of SIMBTC" in PageReader(out.read_text(encoding="utf-8")).words
    content = json.loads(table.read_text())
    assert content["symbols"] == ["SIMBTC"]
    assert content["ablation"] is None
    assert len(content["features"]) == len(CATALOG)
    printed = capsys.readouterr().out
    assert f"{len(CATALOG)} features over" in printed
    assert "without any value here: " in printed
    assert "put_call_rank_90d" in printed


def test_wrong_options_are_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    places = Places(store=tmp_path / "none", bundles=tmp_path / "b", mlruns=tmp_path / "m")
    wrong: dict[str, dict[str, Any]] = {
        "no such group of features: 'bogus'": {"groups": "volume,bogus"},
        "none was named": {"groups": " , "},
        "--seeds is 0": {"seeds": 0},
        "is not before": {"since": "2024-01", "until": "2023-01"},
        "is a folder": {"out": tmp_path},
        "both name": {"out": tmp_path / "a", "json": tmp_path / "a"},
        "cannot be written": {"out": tmp_path / "file" / "page.html"},
        "needs --path DIR": {"source": "files"},
    }
    for message, options in wrong.items():
        with pytest.raises(UsageError, match=message):
            feature_report("", places, **options)
    assert not (tmp_path / "m").exists()
    assert not capsys.readouterr().out


def test_history_that_carries_no_report_is_refused(places: Places) -> None:
    first, second = small_histories()
    with pytest.raises(NothingUsableError, match="not one feature has a value"):
        report_features(
            [first.between(None, pd.Timestamp("2021-01-01 08:00", tz="UTC"))], places, ablation=False
        )
    with pytest.raises(NothingUsableError, match="no history"):
        report_features([], places)
    short = [one.between(None, pd.Timestamp("2021-08-01", tz="UTC")) for one in (first, second)]
    with pytest.raises(TrainingError):
        report_features(short, places, **OPTIONS)
    mixed = [first, replace(second, source="files")]
    with pytest.raises(TrainingError, match="more than one source"):
        report_features(mixed, places)
