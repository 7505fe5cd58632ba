"""The pictures people look at: confusion, reliability, and regimes over price."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from features.bars import FloatArray
from features.regimes import REGIMES
from training.dataset import Dataset
from training.evaluation import BINS, IntArray, confusion

__all__ = ["REGIME_COLOURS", "confusion_figure", "regime_figure", "reliability_figure"]

REGIME_COLOURS = {"bear": "#c0392b", "ranging": "#7f8c8d", "relief_rally": "#e08e0b", "bull": "#1e8449"}


def confusion_figure(y: IntArray, regime: IntArray) -> go.Figure:
    """Share of each true regime that was answered as each; rows add up to 1."""
    counts = confusion(y, regime)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    text = [[f"{share[i, j]:.0%}<br>{counts[i, j]:,}" for j in range(4)] for i in range(4)]
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=list(REGIMES),
            y=list(REGIMES),
            text=text,
            texttemplate="%{text}",
            colorscale="Blues",
            zmin=0,
            zmax=1,
        )
    )
    figure.update_layout(
        title="Out of fold: truth (rows) against answer (columns)",
        xaxis_title="answer",
        yaxis_title="hindsight regime",
        yaxis_autorange="reversed",
        width=720,
        height=620,
    )
    return figure


def reliability_figure(probabilities: FloatArray, y: IntArray) -> go.Figure:
    """Stated probability against how often it came true, each class in its colour."""
    figure = go.Figure(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": "#444"}, name="perfect")
    )
    for k, name in enumerate(REGIMES):
        p = probabilities[:, k]
        bin_ = np.minimum((p * BINS).astype(int), BINS - 1)
        used = [b for b in range(BINS) if (bin_ == b).sum() >= 20]
        figure.add_scatter(
            x=[float(p[bin_ == b].mean()) for b in used],
            y=[float((y[bin_ == b] == k).mean()) for b in used],
            text=[f"{int((bin_ == b).sum()):,} rows" for b in used],
            mode="lines+markers",
            name=name,
            line={"color": REGIME_COLOURS[name]},
        )
    figure.update_layout(
        title="Reliability out of fold (bins with 20 rows or more)",
        xaxis={"title": "stated probability", "range": [0, 1]},
        yaxis={"title": "share that came true", "range": [0, 1]},
        width=720,
        height=620,
    )
    return figure


def regime_figure(dataset: Dataset, index: int, regime: npt.NDArray[np.int64]) -> go.Figure:
    """Price of one symbol with two ribbons: what was answered out of fold, and what it was in hindsight."""
    start = _first(dataset, index, regime)
    rows = np.flatnonzero(
        (dataset.symbol == index) & (dataset.time.hour % 6 == 0) & np.asarray(dataset.time >= start)
    )
    history = dataset.histories[index]
    close = history.frame["close"].reindex(dataset.time[rows])
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.04)
    stamps = pd.DatetimeIndex(close.index).strftime("%Y-%m-%d %H:%M").tolist()
    price = go.Scatter(
        x=stamps,
        y=close.to_numpy(),
        mode="lines",
        line={"color": "#222", "width": 1},
        name="close",
        showlegend=False,
    )
    figure.add_trace(price, row=1, col=1)
    for name in REGIMES:  # the legend of the ribbons
        key = go.Scatter(
            x=[None], y=[None], mode="markers", marker={"color": REGIME_COLOURS[name], "size": 11}, name=name
        )
        figure.add_trace(key, row=1, col=1)
    ribbons = [
        [int(value) if value >= 0 else None for value in values] for values in (dataset.y[rows], regime[rows])
    ]
    scale = [[edge, REGIME_COLOURS[name]] for k, name in enumerate(REGIMES) for edge in (k / 4, (k + 1) / 4)]
    ribbon = go.Heatmap(
        x=stamps,
        y=["hindsight", "answered"],
        z=ribbons,
        colorscale=scale,
        zmin=-0.5,
        zmax=3.5,
        showscale=False,
        ygap=3,
        hovertemplate="%{x} %{y}<extra></extra>",
    )
    figure.add_trace(ribbon, row=2, col=1)
    figure.update_yaxes(type="log", title="close", row=1, col=1)
    figure.update_xaxes(range=[stamps[0], stamps[-1]])
    figure.update_layout(
        title=f"{history.symbol}: regimes over price; answered out of fold against hindsight", height=560
    )
    return figure


def _first(dataset: Dataset, index: int, regime: npt.NDArray[np.int64]) -> pd.Timestamp:
    answered = np.flatnonzero((dataset.symbol == index) & (regime >= 0))
    row = answered[0] if len(answered) else np.flatnonzero(dataset.symbol == index)[0]
    return pd.Timestamp(dataset.time[row])
