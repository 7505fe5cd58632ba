"""The report of a walk: the same rows for all, skill and differences, tables, JSON; and its figures."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from training.bootstrap import Interval
from training.console import print_report
from training.dataset import Dataset
from training.description import describe, table
from training.evaluation import scores
from training.excursion import Excursions
from training.export import Parity
from training.packaging import Packaged
from training.report import Report, evaluate
from training.run_figures import run_figures
from training.score_rows import difference_rows, interval_rows, score_rows, turn_rows
from training.walk_forward import Walk


@pytest.fixture(scope="module")
def report(dataset: Dataset, walk: Walk, excursions: Excursions) -> Report:
    return evaluate(dataset, walk, excursions)


def test_all_models_are_scored_on_the_same_rows(report: Report, dataset: Dataset, walk: Walk) -> None:
    rows = walk.scored_rows(dataset)
    assert list(report.models) == [
        *("model", "base", "climatology", "last_confirmed_label", "moving_average_rule")
    ]
    assert {values["rows"] for values in report.models.values()} == {len(rows)}
    plain = scores(walk.probabilities[rows], dataset.y[rows], walk.regime[rows])
    assert {name: report.models["model"][name] for name in plain} == pytest.approx(plain, nan_ok=True)
    assert report.spells == len(np.unique(dataset.spell[rows]))
    assert {one.spells for one in report.scores.values()} == {report.spells}


def test_skill_is_against_climatology_and_persistence(report: Report) -> None:
    models = report.models
    assert models["climatology"]["log_loss_skill"] == 0.0
    assert models["last_confirmed_label"]["brier_skill_over_persistence"] == 0.0
    expected = 1 - models["model"]["log_loss"] / models["climatology"]["log_loss"]
    assert models["model"]["log_loss_skill"] == pytest.approx(expected)


def test_differences_are_of_the_model(report: Report) -> None:
    for name, found in report.differences.items():
        gap = report.models["model"]["log_loss"] - report.models[name]["log_loss"]
        assert found.interval.estimate == pytest.approx(gap)
        assert (found.name, found.against) == ("model", name)
    assert set(report.differences) == set(report.models) - {"model"}
    assert {found.interval.blocks for found in report.differences.values()} == {report.spells}


def test_metrics_keep_their_names_and_are_finite(report: Report) -> None:
    flat = report.metrics()
    assert all(isinstance(value, float) and np.isfinite(value) for value in flat.values())
    assert {
        *("oos/log_loss", "oos/macro_f1", "oos/ece", "oos/spells", "oos/switches_per_year", "oos/rows"),
        *("oos/log_loss_over_rule", "truth/switches_per_year", "excursion/coverage_short"),
        *("baseline/climatology/log_loss", "symbol/SIMBTC/f1_relief_rally"),
        *("oos/log_loss_low", "oos/f1_relief_rally_high", "oos/missed_turns", "oos/log_loss_skill"),
        *("squeeze/coverage_short_7d_0.995", "squeeze/pinball_long_7d_0.99_over_trailing_year"),
        *("difference/climatology/high", "sets/coverage", "oos/recall_bear", "oos/delay_median_days"),
    } <= set(flat)
    assert flat["oos/log_loss_low"] < flat["oos/log_loss"] < flat["oos/log_loss_high"]


def test_the_whole_is_json_even_where_something_is_not_defined(report: Report) -> None:
    lone = Interval(0.5, float("nan"), float("nan"), 1, 10)
    score = replace(report.score, intervals=dict.fromkeys(report.score.intervals, lone))
    odd = replace(
        report,
        scores={**report.scores, "model": score},
        excursion_coverage={"short": float("nan"), "long": 0.99},
    )
    for one in (report, odd):
        found = json.loads(json.dumps(one.as_dict(), allow_nan=False))
        assert found["models"]["model"]["log_loss"] == report.models["model"]["log_loss"]
        assert found["spells"] == report.spells
        assert {"symbols", "folds", "years", "intervals", "market_intervals", "turns"} <= set(found)
    assert odd.as_dict()["excursion_coverage"]["short"] is None
    assert "oos/log_loss_low" not in odd.metrics()
    assert interval_rows(odd)[0][2] == "- (1)"


def test_tables_say_what_the_report_says(report: Report) -> None:
    rows = score_rows(report.models, ("log_loss", "spells", "switches_per_year"))
    model = report.models["model"]
    assert rows[0] == ("model", f"{model['log_loss']:.3f}", "-", f"{model['switches_per_year']:.1f}")
    interval = report.score.intervals["log_loss"]
    assert interval_rows(report)[0][:3] == (
        "log loss",
        f"{model['log_loss']:.3f}",
        f"{interval.low:.3f} to {interval.high:.3f}",
    )
    assert turn_rows(report)[0][0] == "relief rally"
    assert turn_rows(report)[-1][1] == str(report.score.turns.turns)
    assert len(difference_rows(report)) == 4


def test_print_and_description(
    report: Report, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = io.StringIO()
    monkeypatch.setattr("training.console.Console", lambda width: Console(width=width, file=out))
    print_report(report)
    parity = Parity(rows=10, largest_difference=1e-7, differing_regimes=0)
    words = describe(report, dataset, Packaged(tmp_path, "abc" * 20, b"", parity, parity))
    for text in (out.getvalue(), words):
        assert f"{report.spells} independent spells" in text
        assert "by market spell" in text
        assert "Diebold-Mariano" in text
        assert f"{report.models['model']['log_loss']:.3f}" in text
        assert "nan" not in text.replace("finance", "")
        assert "None" not in text
    tables = [line for line in words.splitlines() if line.startswith("|")]
    assert all(line.count("|") > 3 for line in tables)
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_figures_of_a_run(report: Report, dataset: Dataset, walk: Walk) -> None:
    found = dict(run_figures(dataset, walk, report))
    assert list(found) == [
        *("confusion", "reliability", "delay", "parts", "sets", "squeezes"),
        *(f"regimes_{name}" for name in dataset.symbols),
    ]
    delay = found["delay"]
    turns = report.score.turns
    for name, curve in zip(
        [name for name, one in turns.by_class.items() if one.turns], delay.data, strict=True
    ):
        one = turns.by_class[name]
        assert curve.y[-1] == pytest.approx((one.turns - one.missed) / one.turns)
        assert re.search(rf"{one.turns} turns, {one.missed} missed", curve.name)
    shares = np.array(found["confusion"].data[0].z)
    assert shares.sum(axis=1) == pytest.approx(np.ones(4))
