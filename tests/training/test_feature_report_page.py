"""The page of the report on features: one file, safe whatever the texts say; its small pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feature_samples import PageReader, planted, small_sample

from training.bootstrap import Interval
from training.feature_study.ablation import Ablated, Ablation, Difference
from training.feature_study.ablation_variants import Variant
from training.feature_study.feature_drift import coverage, drift
from training.feature_study.feature_findings import FeatureReport
from training.feature_study.feature_pictures import bars_path, correlation_map, forest_of
from training.feature_study.feature_relations import relations, stability
from training.feature_study.feature_report_page import render_page, write_page
from training.feature_study.feature_report_tables import ablation_table, report_json, report_tables
from training.feature_study.feature_sample import FeatureSample

HOSTILE = '<script>alert("x")</script> {{ 7*7 }} & more'
NAN = float("nan")


def difference(name: str, estimate: float, half: float, against: str = "default") -> Difference:
    return Difference(
        variant=name,
        against=against,
        spells=Interval(estimate, estimate - half, estimate + half, 34, 5000),
        calendar=Interval(estimate, NAN, NAN, 1, 5000),
        folds={"2022-01": estimate, "2022-07": -estimate},
        symbols={"SIMBTC": estimate},
    )


def model(name: str, kind: str, features: Sequence[str], against: str | None = "default") -> Ablated:
    scores = {"log_loss": 0.65, "macro_f1": 0.6, "ece": 0.02}
    gain = {feature: 1 / len(features) for feature in features}
    return Ablated(Variant(name, kind, None, tuple(features), against), np.ones(3), scores, {}, gain)


def report_on(sample: FeatureSample, ablation: Ablation | None = None) -> FeatureReport:
    return FeatureReport(
        sample,
        sample.names[:1],
        coverage(sample),
        drift(sample),
        stability(sample),
        relations(sample),
        ablation,
        "run-1",
    )


@pytest.fixture(scope="module")
def report() -> FeatureReport:
    """Three features, one of them never there, one with hostile texts; and models that never were."""
    rng = np.random.default_rng(1)
    n = len(small_sample().rows)
    one = rng.normal(size=n)
    sample = planted({"one": one, "twin": -one, "never": np.full(n, NAN)}, alone=True)
    first, *others = sample.features
    sample = replace(sample, features=(replace(first, words=HOSTILE), *others))
    ablation = Ablation(
        models=(
            model("default", "default", ("one",), None),
            model("default, seed +1", "reseeded", ("one",)),
            model("default - trend", "without", ("twin",)),
            model(f"default + {HOSTILE}", "added", ("one", "twin")),
        ),
        differences=(
            difference("default, seed +1", 0.0013, 0.002),
            difference("default - trend", 0.5, 0.1),
            difference(f"default + {HOSTILE}", -0.004, 0.001),
        ),
        folds=("2022-01", "2022-07"),
        rows=5000,
        spells=34,
        calendar_blocks=1,
        seeds=1,
        draws=2000,
        skipped_folds=(f"2021-07: too little history of {HOSTILE}",),
    )
    return report_on(sample, ablation)


def test_the_page_needs_nothing_from_anywhere(report: FeatureReport) -> None:
    text = render_page(report)
    page = PageReader(text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "img", "iframe", "object"}
        assert not {"src", "href"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S).lower()


def test_texts_stay_texts(report: FeatureReport) -> None:
    text = render_page(report)
    assert "<script>" not in text
    page = PageReader(text)
    assert page.words.count(HOSTILE) == 3  # the fold left out, the model in two tables
    assert any(attributes.get("title") == HOSTILE for _, attributes in page.tags)


def test_the_page_says_what_was_measured(report: FeatureReport) -> None:
    words = PageReader(render_page(report)).words
    for text in ("34 spells", "+0.5000", "-0.0050 to -0.0030", "1/2", "another seed alone moves it by up to"):
        assert text in words
    assert "up to 0.0013" in words
    assert re.findall(r"\d/1 (better|worse|cannot tell)", words) == ["worse", "better", "cannot tell"]
    assert "100 %" in words
    assert "Run run-1" in words
    assert "● one, ○ twin" in words  # one cluster, of which the default model reads one


def test_without_models_the_tables_stand_alone(report: FeatureReport) -> None:
    page = PageReader(render_page(replace(report, ablation=None)))
    assert "What each group adds" not in page.words
    assert "The features" in page.words


def test_the_page_is_written_whole(report: FeatureReport, tmp_path: Path) -> None:
    target = tmp_path / "new" / "page.html"
    write_page(target, report)
    assert target.read_text(encoding="utf-8") == render_page(report)
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]
    folder = tmp_path / "folder.html"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_page(folder, report)
    assert not list(folder.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "new"]


def test_tables_and_json_hold_the_same(report: FeatureReport) -> None:
    tables = report_tables(report)
    assert report.ablation is not None
    models = ablation_table(report.ablation).set_index("model")
    assert models.loc["default - trend", "verdict"] == "worse"
    assert models.loc[f"default + {HOSTILE}", "verdict"] == "better"
    assert models.loc["default, seed +1", "spells_high"] == pytest.approx(0.0033)
    assert list(tables["gain"].columns[:2]) == ["feature", "default"]
    features = tables["features"].set_index("feature")
    assert features.loc["never", "coverage"] == 0
    assert features.loc["one", "nearest"] == "twin"
    assert list(features["in_default"]) == [True, False, False]
    content = report_json(report)
    assert content["features"][2]["nearest_correlation"] is None
    assert content["ablation"]["models"][2]["calendar_low"] is None
    assert content["ablation"]["seed_noise"] == pytest.approx(0.0013)
    assert content["ablation"]["models"][0]["against"] is None
    assert content["clusters"][0]["features"] == ["one", "twin"]


def test_an_outlier_does_not_flatten_the_others() -> None:
    small = [difference(str(index), 0.001 * index, 0.002) for index in range(1, 5)]
    forest = forest_of([*small, difference("big", 0.6, 0.05)])
    assert forest.reach < 0.03
    assert forest.beyond(0.6)
    assert forest.place(0.6) == 100.0
    assert forest.place(0.0) == 50.0
    assert forest.place(-forest.reach) == 0.0
    assert forest_of(small).reach == pytest.approx(0.006)
    assert forest_of([difference("alone", 0.0, 0.0)]).reach == 1.0
    assert forest_of([difference("one block", 0.2, NAN)]).reach == 0.2


def test_the_map_draws_each_cell_below_the_diagonal_once() -> None:
    rng = np.random.default_rng(3)
    n = len(small_sample().rows)
    shared = rng.normal(size=n)
    sample = planted(
        {f"f{k}": shared + rng.normal(size=n) * scale for k, scale in enumerate((0, 0.1, 0.4, 0.8, 9))},
        alone=True,
    )
    found = relations(sample)
    drawn = correlation_map(found, sample.features)
    cells = {
        (int(row), int(first) + step): name
        for name, path in drawn.paths
        for first, row, width in re.findall(r"M(\d+) (\d+)h(\d+)", path)
        for step in range(int(width))
    }
    rho = found.rho.abs().to_numpy()
    for row in range(5):
        for column in range(5):
            level = sum(rho[row, column] > limit for limit in (0.5, 0.7, 0.85, 0.95))
            expected = f"c{level}" if column < row and level else None
            assert cells.get((row, column)) == expected
    assert drawn.groups == (("volume", 0, 5),)


def test_bars_end_at_the_edge_of_their_box() -> None:
    assert bars_path([9.0, -9.0]) == "M0 10v-10h5v10zM6 10v10h5v-10z"
    assert bars_path([]) == ""


def test_only_the_years_that_turned_are_red() -> None:
    sample = small_sample()
    bull = (sample.y == 3).astype(np.float64)
    turned = np.where(sample.years == 2022, -bull, bull) + 0.3 * np.random.default_rng(4).normal(
        size=len(bull)
    )
    page = PageReader(render_page(report_on(planted({"turned": turned}, alone=True))))
    red = [
        dict(attributes)["d"] or "" for tag, attributes in page.tags if attributes.get("class") == "turned"
    ]
    assert len(red) == 4
    (places,) = {tuple(re.findall(r"M(\d+) ", path)) for path in red[3:]}  # the bull's
    assert places == ("6",)  # the second of three years
