"""How often the quantiles of the adverse excursion held, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from training.squeeze.evaluation import Coverage

__all__ = ["squeeze_coverage_figure"]

COLOURS = ("#34618f", "#b3472f")
GOALS = {0.99: (0.985, 0.995), 0.995: (0.992, 0.998)}
"""Band that the share of all rows is to lie in."""


def squeeze_coverage_figure(found: Sequence[Coverage]) -> go.Figure:
    """Share held, with its weekly interval, of all rows, by symbol and by answered regime."""
    levels = sorted({one.level for one in found})
    sides = list(dict.fromkeys(one.side for one in found))
    figure = make_subplots(
        rows=1,
        cols=len(levels),
        subplot_titles=[f"{level:.1%} over {found[0].days} days" for level in levels],
    )
    for column, level in enumerate(levels, start=1):
        for colour, side in zip(COLOURS, sides, strict=False):
            mine = [one for one in found if one.level == level and one.side == side]
            figure.add_trace(
                go.Scatter(
                    x=[one.part.replace("_", " ") for one in mine],
                    y=[one.share for one in mine],
                    error_y={
                        "array": [one.high - one.share for one in mine],
                        "arrayminus": [one.share - one.low for one in mine],
                    },
                    customdata=[one.weeks for one in mine],
                    hovertemplate="%{x}: %{y:.2%}, %{customdata} weeks<extra>" + side + "</extra>",
                    mode="markers",
                    marker={"color": colour, "size": 8},
                    name=side,
                    showlegend=column == 1,
                ),
                row=1,
                col=column,
            )
        if level in GOALS:
            low, high = GOALS[level]
            figure.add_hrect(y0=low, y1=high, fillcolor="#7a7a7a", opacity=0.15, row=1, col=column)
        figure.add_hline(y=level, line={"dash": "dot", "color": "#555"}, row=1, col=column)
    figure.update_yaxes(tickformat=".1%")
    figure.update_layout(
        title="Outcomes within the quantile, out of fold; 95 % intervals by calendar weeks",
        width=1200,
        height=520,
    )
    return figure
