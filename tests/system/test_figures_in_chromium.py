"""The figures of a run, drawn by a real browser: no script error, and the marks that should be there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from features.history import History
from features.sources import load_simulated
from training.dataset import Dataset, build_dataset
from training.evaluation import Answers, score, set_coverage
from training.figures import confusion_figure, regime_figure, reliability_figure
from training.pipeline import default_features
from training.score_figures import delay_figure, parts_figure, set_coverage_figure

pytestmark = pytest.mark.system

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    (raw,) = load_simulated(["SIMBTC"], interval="1d")
    return build_dataset([History.from_raw(raw)], default_features())


def drawn(figure: go.Figure, folder: Path) -> str:
    """Document after its scripts ran; fails on any script error."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; make test-system installs it where it may")
    page = folder / "figure.html"
    page.write_text(figure.to_html(include_plotlyjs=True, full_html=True), encoding="utf-8")
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=15000"),
            *("--enable-logging=stderr", "--dump-dom", page.as_uri()),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "Uncaught" in line]
    assert not errors, errors[0]
    return done.stdout


def test_regimes_over_price(dataset: Dataset, tmp_path: Path) -> None:
    regime = np.where(dataset.y >= 0, dataset.y, -1).astype(np.int64)
    page = drawn(regime_figure(dataset, 0, regime), tmp_path)
    assert "SIMBTC: regimes over price" in page
    assert re.search(r'<g class="hm"><image', page), "the ribbons are missing"
    assert page.count('class="legendtext"') == 4
    several = {"model": regime, "moving_average_rule": np.where(regime >= 0, 3 - regime, -1)}
    page = drawn(regime_figure(dataset, 0, several), tmp_path)
    assert all(f">{name}<" in page for name in ("model", "moving average rule", "hindsight"))


def test_reliability_and_confusion(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=2000)
    y = np.array([rng.choice(4, p=row) for row in p])
    page = drawn(reliability_figure(p, y), tmp_path)
    assert all(f">{name}: ECE 0.0" in page for name in ("bear", "ranging", "relief rally", "bull"))
    assert page.count('class="trace scatter') == 8  # a curve and a diagonal for each class
    assert page.count('class="trace bars') == 4
    page = drawn(confusion_figure(y, p.argmax(axis=1)), tmp_path)
    assert page.count('class="heatmap-label"') == 16 or len(re.findall(r"\d+%", page)) >= 16


def test_delays_parts_and_sets(dataset: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    late = np.roll(dataset.y, 5).clip(0)
    p = 0.2 * rng.dirichlet(np.ones(4), size=len(late)) + 0.8 * np.eye(4)[late]
    found = score(dataset, Answers("model", p, late.astype(np.int64)))
    page = drawn(delay_figure(found.turns), tmp_path)
    assert page.count('class="legendtext"') == sum(one.turns > 0 for one in found.turns.by_class.values())
    assert "missed" in page
    page = drawn(parts_figure(found), tmp_path)
    assert page.count('class="trace bars') == 12
    assert ">SIMBTC<" in page
    rows = np.flatnonzero(dataset.usable)
    page = drawn(
        set_coverage_figure(set_coverage(p[rows] > 0.1, dataset.y[rows], dataset.time[rows]), 0.9), tmp_path
    )
    assert page.count('class="trace scatter') == 2
    assert "Prediction sets over the last 90 days" in page
