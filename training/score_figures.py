"""Pictures of what a model scored: delays of its answers, scores by part, coverage of its sets over time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from features.regimes import REGIMES
from training.evaluation import Score, SetCoverage, Turns
from training.figures import REGIME_COLOURS

__all__ = ["delay_figure", "parts_figure", "set_coverage_figure"]

PARTS = {"log_loss": "log loss", "macro_f1": "macro F1", "f1_relief_rally": "relief rally F1", "ece": "ECE"}
COLOURS = {"by_year": "#34618f", "by_symbol": "#4f8f6b", "by_fold": "#8a6d9c"}
TITLES = {"by_year": "year", "by_symbol": "symbol", "by_fold": "half-year"}
SHOWN_DAYS = 30.0


def delay_figure(turns: Turns) -> go.Figure:
    """Share of the turns to each regime that was answered within so many days.

    A curve ends below 1 where turns were missed; it starts above 0 where the answer was the new regime
    already.
    """
    figure = go.Figure()
    for name in REGIMES:
        delay = turns.by_class[name]
        if not delay.turns:
            continue
        days = np.sort(np.asarray(turns.delays[name], dtype=np.float64))
        share = np.arange(1, len(days) + 1) / delay.turns
        last = share[-1] if len(days) else 0.0
        figure.add_scatter(
            x=[0.0, *days, max(SHOWN_DAYS, *days, 0.0)],
            y=[0.0, *share, last],
            mode="lines",
            line={"shape": "hv", "color": REGIME_COLOURS[name], "width": 2},
            name=f"{name.replace('_', ' ')}: {delay.turns} turns, {delay.missed} missed",
        )
    figure.update_layout(
        title="How soon a turn of the hindsight regime is answered",
        xaxis={"title": "days since the turn", "range": [0, SHOWN_DAYS]},
        yaxis={"title": "share of the turns answered", "range": [0, 1.02], "tickformat": ".0%"},
        legend={"yanchor": "bottom", "y": 0.02, "xanchor": "right", "x": 0.98},
        width=860,
        height=560,
    )
    return figure


def parts_figure(score: Score) -> go.Figure:
    """Scores by year, symbol and half-year, with the pooled score as a line and the spells in each bar."""
    kinds: Mapping[str, Mapping[str, Mapping[str, float]]] = {
        "by_year": score.by_year,
        "by_symbol": score.by_symbol,
        "by_fold": score.by_fold,
    }
    figure = make_subplots(
        rows=len(PARTS),
        cols=len(kinds),
        column_titles=[TITLES[kind] for kind in kinds],
        row_titles=list(PARTS.values()),
        column_widths=[max(2, len(parts)) for parts in kinds.values()],
        shared_yaxes=True,
        vertical_spacing=0.06,
        horizontal_spacing=0.03,
    )
    for column, (kind, parts) in enumerate(kinds.items(), start=1):
        for row, name in enumerate(PARTS, start=1):
            bars = go.Bar(
                x=list(parts),
                y=[values[name] for values in parts.values()],
                text=[f"{values[name]:.2f}" for values in parts.values()],
                customdata=[values["spells"] for values in parts.values()],
                hovertemplate="%{x}: %{y:.3f}, %{customdata} spells<extra></extra>",
                textposition="inside",
                insidetextanchor="start",
                marker={"color": COLOURS[kind]},
                showlegend=False,
            )
            figure.add_trace(bars, row=row, col=column)
            figure.add_hline(y=score.values[name], line={"dash": "dot", "color": "#555"}, row=row, col=column)
    figure.update_xaxes(type="category")
    figure.update_layout(
        title=f"{score.name.replace('_', ' ')}: scores of parts; the dotted line is all of them pooled",
        width=1100,
        height=900,
    )
    return figure


def set_coverage_figure(coverage: SetCoverage, level: float) -> go.Figure:
    """Coverage and size of the prediction sets over the last days up to each midnight."""
    rolling = coverage.rolling
    stamps = pd.DatetimeIndex(rolling.index).strftime("%Y-%m-%d").tolist()
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.06)
    for row, name in enumerate(("coverage", "size"), start=1):
        line = go.Scatter(x=stamps, y=rolling[name], mode="lines", line={"color": "#34618f"}, name=name)
        figure.add_trace(line, row=row, col=1)
    figure.add_hline(y=level, line={"dash": "dot", "color": "#555"}, row=1, col=1)
    figure.update_yaxes(title="holds the truth", tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title="regimes in a set", row=2, col=1)
    figure.update_layout(
        title=f"Prediction sets over the last {coverage.rolling_days:g} days: {coverage.coverage:.1%} of all "
        f"rows held, {coverage.mean_size:.2f} regimes",
        showlegend=False,
        width=1000,
        height=560,
    )
    return figure
