"""All the pictures of one training run, by the name that they have in MLflow."""

from __future__ import annotations

from collections.abc import Iterator

import plotly.graph_objects as go

from training.dataset import Dataset
from training.evaluation import set_coverage
from training.figures import confusion_figure, regime_figure, reliability_figure
from training.report import Report
from training.score_figures import delay_figure, parts_figure, set_coverage_figure
from training.squeeze.pictures import squeeze_coverage_figure
from training.walk_forward import Walk

__all__ = ["run_figures"]


def run_figures(dataset: Dataset, walk: Walk, report: Report) -> Iterator[tuple[str, go.Figure]]:
    """Draw one picture after the other: a page each is large, all of them at once are too much."""
    rows = walk.scored_rows(dataset)
    y = dataset.y[rows]
    yield "confusion", confusion_figure(y, walk.regime[rows])
    yield "reliability", reliability_figure(walk.probabilities[rows], y)
    yield "delay", delay_figure(report.score.turns)
    yield "parts", parts_figure(report.score)
    sets = set_coverage(walk.sets[rows], y, dataset.time[rows])
    yield "sets", set_coverage_figure(sets, walk.models[-1].decision.sets.level)
    if report.squeeze_coverage:
        yield "squeezes", squeeze_coverage_figure(report.squeeze_coverage)
    for index, name in enumerate(dataset.symbols):
        yield f"regimes_{name}", regime_figure(dataset, index, walk.regime)
