"""The pictures people look at: confusion, reliability, and regimes over price."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from features.bars import FloatArray
from features.regimes import REGIMES
from training.dataset import Dataset
from training.evaluation import BINS, IntArray, calibration_error, confusion, reliability

__all__ = ["REGIME_COLOURS", "confusion_figure", "regime_figure", "reliability_figure"]

LEAST_ROWS = 20
REGIME_COLOURS = {"bear": "#c0392b", "ranging": "#7f8c8d", "relief_rally": "#e08e0b", "bull": "#1e8449"}


def confusion_figure(y: IntArray, regime: IntArray) -> go.Figure:
    """Share of each true regime that was answered as each; rows add up to 1."""
    counts = confusion(y, regime)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    text = [[f"{share[i, j]:.0%}<br>{counts[i, j]:,}" for j in range(4)] for i in range(4)]
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=[_words(name) for name in REGIMES],
            y=[_words(name) for name in REGIMES],
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
    """Stated probability against how often it came true: a panel a class, and the share of rows below it."""
    figure = make_subplots(
        rows=4,
        cols=2,
        row_heights=[0.38, 0.12, 0.38, 0.12],
        vertical_spacing=0.07,
        horizontal_spacing=0.09,
        subplot_titles=[
            _reliability_title(probabilities, y, k) for k in (0, 1, None, None, 2, 3, None, None)
        ],
    )
    for k, name in enumerate(REGIMES):
        row, column = 1 + 2 * (k // 2), 1 + k % 2
        table = reliability(probabilities[:, k], np.asarray(y == k))
        used = table.rows >= LEAST_ROWS
        perfect = go.Scatter(
            x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": "#888"}, showlegend=False
        )
        figure.add_trace(perfect, row=row, col=column)
        line = go.Scatter(
            x=table.stated[used],
            y=table.came_true[used],
            text=[f"{count:,} rows" for count in table.rows[used]],
            mode="lines+markers",
            name=_words(name),
            line={"color": REGIME_COLOURS[name]},
        )
        figure.add_trace(line, row=row, col=column)
        counts = go.Bar(
            x=(np.arange(BINS) + 0.5) / BINS,
            y=table.rows / table.rows.sum(),
            marker={"color": REGIME_COLOURS[name]},
            showlegend=False,
        )
        figure.add_trace(counts, row=row + 1, col=column)
        figure.update_yaxes(range=[0, 1], row=row, col=column)
        figure.update_yaxes(tickformat=".0%", nticks=3, row=row + 1, col=column)
    figure.update_xaxes(range=[0, 1])
    figure.update_xaxes(title="stated probability", row=4)
    for row in (1, 3):
        figure.update_yaxes(title="came true", row=row, col=1)
        figure.update_yaxes(title="rows", row=row + 1, col=1)
    figure.update_layout(
        title=f"Reliability out of fold (bins with {LEAST_ROWS} rows or more)",
        showlegend=False,
        width=860,
        height=860,
    )
    return figure


def _reliability_title(probabilities: FloatArray, y: IntArray, k: int | None) -> str:
    if k is None:
        return ""
    error = calibration_error(probabilities[:, k], np.asarray(y == k))
    return f"{_words(REGIMES[k])}: ECE {error:.3f}"


def regime_figure(
    dataset: Dataset, index: int, regime: npt.NDArray[np.int64] | Mapping[str, npt.NDArray[np.int64]]
) -> go.Figure:
    """Price of one symbol with ribbons of regimes: what was answered out of fold, and hindsight.

    Parameters
    ----------
    dataset : Dataset
    index : int
        Of the symbol.
    regime : ndarray of int, shape (n_bars,), or mapping of them
        Class index; -1 where not answered. A mapping gives a ribbon by name, from top to bottom.
    """
    answers = dict(regime) if isinstance(regime, Mapping) else {"answered": regime}
    start = min(_first(dataset, index, one) for one in answers.values())
    rows = np.flatnonzero(
        (dataset.symbol == index) & (dataset.time.hour % 6 == 0) & np.asarray(dataset.time >= start)
    )
    history = dataset.histories[index]
    close = history.frame["close"].reindex(dataset.time[rows])
    ribbons: dict[str, IntArray] = {**dict(reversed(answers.items())), "hindsight": dataset.y}
    share = min(0.6, 0.11 * len(ribbons))
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[1 - share, share], vertical_spacing=0.04)
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
            x=[None],
            y=[None],
            mode="markers",
            marker={"color": REGIME_COLOURS[name], "size": 11},
            name=_words(name),
        )
        figure.add_trace(key, row=1, col=1)
    scale = [[edge, REGIME_COLOURS[name]] for k, name in enumerate(REGIMES) for edge in (k / 4, (k + 1) / 4)]
    ribbon = go.Heatmap(
        x=stamps,
        y=[_words(name) for name in ribbons],
        z=[[int(value) if value >= 0 else None for value in values[rows]] for values in ribbons.values()],
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
        title=f"{history.symbol}: regimes over price; answered out of fold against hindsight",
        height=480 + 40 * len(ribbons),
    )
    return figure


def _first(dataset: Dataset, index: int, regime: npt.NDArray[np.int64]) -> pd.Timestamp:
    answered = np.flatnonzero((dataset.symbol == index) & (regime >= 0))
    row = answered[0] if len(answered) else np.flatnonzero(dataset.symbol == index)[0]
    return pd.Timestamp(dataset.time[row])


def _words(name: str) -> str:
    return name.replace("_", " ")
