"""The pictures of a comparison: what one model does beside the others.

They are drawn without background and in colours that stand on light and dark; the page's style sheet
gives text and grid theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from features.regimes import REGIMES
from training.compare.comparison import Compared, Comparison
from training.compare.entries import ENTRIES
from training.compare.leaderboard import shown
from training.evaluation import confusion, reliability, scored_rows
from training.figures import regime_figure

__all__ = [
    "SHOWN",
    "confusion_panels",
    "delay_panels",
    "parts_map",
    "reliability_panels",
    "ribbons",
    "switch_bars",
]

SHOWN = 6
"""Entries that a picture shows at first; the others are a click away in its legend."""
ALWAYS = ("model", "label_path_prior", "multinomial_logistic", "lightgbm", "moving_average_rule")
LEAST_ROWS = 20
DELAY_DAYS = 20.0
_PALETTE = (
    *("#d1495b", "#2b7bba", "#3d9a68", "#8fb339", "#c7912b", "#8e6bbf", "#c46a9f"),
    *("#1fa3a3", "#a0765b", "#6b8ea8", "#b8b03a", "#d98268", "#7f8c8d", "#98a2ab", "#5b6fd1"),
)
COLOURS = {entry.name: colour for entry, colour in zip(ENTRIES, _PALETTE, strict=True)}
PARTS = {"by_year": "year", "by_symbol": "symbol", "by_fold": "half-year"}
_NEUTRAL = "#8a949c"
_CLEAR = "rgba(0,0,0,0)"


def ribbons(comparison: Comparison) -> Iterator[tuple[str, go.Figure]]:
    """Price of each symbol with the ribbons of hindsight, the model and the best of the others."""
    picked = shown(comparison.entries, ALWAYS, SHOWN)
    answers = {one.name: one.answers.regime for one in sorted(picked, key=lambda one: one.name != "model")}
    for index, symbol in enumerate(comparison.dataset.symbols):
        if not any((regime[comparison.dataset.symbol == index] >= 0).any() for regime in answers.values()):
            continue  # along the axis of symbols one may have no test row
        figure = regime_figure(comparison.dataset, index, answers)
        figure.update_traces(line={"color": _NEUTRAL, "width": 1}, selector={"name": "close"})
        figure.update_layout(title=None, margin={"t": 40, "l": 130, "r": 20, "b": 30})
        figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
        yield symbol, _plain(figure, 380 + 36 * len(answers))


def reliability_panels(comparison: Comparison) -> go.Figure:
    """Stated probability against how often it came true, a panel a class and a line an entry."""
    figure = make_subplots(
        rows=2, cols=2, subplot_titles=_titles(), vertical_spacing=0.12, horizontal_spacing=0.08
    )
    first = {one.name for one in shown(comparison.entries, ALWAYS, SHOWN)}
    for k in range(len(REGIMES)):
        row, column = 1 + k // 2, 1 + k % 2
        perfect = go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"dash": "dot", "color": _NEUTRAL},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_trace(perfect, row=row, col=column)
        for one in comparison.entries:
            rows = scored_rows(comparison.dataset, one.answers)
            table = reliability(one.answers.probabilities[rows, k], comparison.dataset.y[rows] == k)
            used = table.rows >= LEAST_ROWS
            line = go.Scatter(
                x=table.stated[used].round(4),
                y=table.came_true[used].round(4),
                text=[f"{count:,} rows" for count in table.rows[used]],
                mode="lines+markers",
                marker={"size": 5},
                **_legend(one, first, first_panel=k == 0),
            )
            figure.add_trace(line, row=row, col=column)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[0, 1])
    figure.update_xaxes(title="stated probability", row=2)
    figure.update_yaxes(title="came true", col=1)
    return _plain(figure, 720)


def confusion_panels(comparison: Comparison) -> go.Figure:
    """Share of each true regime that was answered as each, a panel an entry."""
    picked = shown(comparison.entries, ALWAYS, SHOWN)
    columns = min(3, len(picked))
    rows = -(-len(picked) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[_words(one.name) for one in picked],
        shared_yaxes=True,
        vertical_spacing=0.16,
        horizontal_spacing=0.03,
    )
    names = [_words(name) for name in REGIMES]
    for place, one in enumerate(picked):
        at = scored_rows(comparison.dataset, one.answers)
        counts = confusion(comparison.dataset.y[at], one.answers.regime[at])
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        panel = go.Heatmap(
            z=share.round(4),
            x=names,
            y=names,
            text=[[f"{value:.0%}" for value in line] for line in share],
            customdata=counts,
            texttemplate="%{text}",
            hovertemplate="%{y} answered %{x}: %{text}, %{customdata:,} rows<extra></extra>",
            colorscale=[[0, "rgba(66,133,180,0.04)"], [1, "rgba(66,133,180,0.95)"]],
            zmin=0,
            zmax=1,
            showscale=False,
        )
        figure.add_trace(panel, row=1 + place // columns, col=1 + place % columns)
    figure.update_yaxes(autorange="reversed")
    figure.update_yaxes(title="hindsight", col=1)
    return _plain(figure, 60 + 300 * rows, grid=False)


def delay_panels(comparison: Comparison) -> go.Figure:
    """Share of the turns to each regime that was answered within so many days; a line an entry."""
    titles = []
    for name in REGIMES:
        turns = max((one.score.turns.by_class[name].turns for one in comparison.entries), default=0)
        titles.append(f"to {_words(name)}: {turns} turns")
    figure = make_subplots(
        rows=2, cols=2, subplot_titles=titles, vertical_spacing=0.12, horizontal_spacing=0.08
    )
    first = {one.name for one in shown(comparison.entries, ALWAYS, SHOWN)}
    for k, name in enumerate(REGIMES):
        for one in comparison.entries:
            delay = one.score.turns.by_class[name]
            if not delay.turns:
                continue
            days = np.sort(np.asarray(one.score.turns.delays[name], dtype=np.float64))
            share = np.arange(1, len(days) + 1) / delay.turns
            last = float(share[-1]) if len(days) else 0.0
            line = go.Scatter(
                x=[0.0, *days.round(3).tolist(), max(DELAY_DAYS, *days, 0.0)],
                y=[0.0, *share.round(4).tolist(), last],
                mode="lines",
                line_shape="hv",
                text=f"{delay.missed} of {delay.turns} missed",
                **_legend(one, first, first_panel=k == 0),
            )
            figure.add_trace(line, row=1 + k // 2, col=1 + k % 2)
    figure.update_xaxes(range=[0, DELAY_DAYS])
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    figure.update_xaxes(title="days since the turn", row=2)
    figure.update_yaxes(title="answered", col=1)
    return _plain(figure, 720)


def parts_map(comparison: Comparison, metric: str, *, best_is_low: bool) -> go.Figure:
    """One score by year, symbol and half-year: a line an entry, darker is better in its column."""
    entries = list(reversed(comparison.entries))  # the best on top
    kinds = {kind: list(getattr(entries[0].score, kind)) for kind in PARTS}
    figure = make_subplots(
        rows=1,
        cols=len(PARTS),
        column_titles=list(PARTS.values()),
        column_widths=[max(2, len(parts)) for parts in kinds.values()],
        shared_yaxes=True,
        horizontal_spacing=0.02,
    )
    for column, (kind, parts) in enumerate(kinds.items(), start=1):
        table = np.array(
            [[getattr(one.score, kind)[part][metric] for part in parts] for one in entries], dtype=np.float64
        )
        spells = [[int(getattr(one.score, kind)[part]["spells"]) for part in parts] for one in entries]
        low, high = table.min(axis=0), table.max(axis=0)
        good = (table - low) / np.where(high > low, high - low, 1.0)
        good = 1 - good if best_is_low else good
        panel = go.Heatmap(
            z=good.round(4),
            x=parts,
            y=[_words(one.name) for one in entries],
            text=[[f"{value:.2f}" for value in line] for line in table],
            customdata=spells,
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertemplate="%{y}, %{x}: %{text}, %{customdata} spells<extra></extra>",
            colorscale=[[0, "rgba(61,154,104,0.02)"], [1, "rgba(61,154,104,0.75)"]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=1,
        )
        figure.add_trace(panel, row=1, col=column)
    figure.update_xaxes(type="category")
    figure.update_layout(margin={"l": 250})
    return _plain(figure, 110 + 26 * len(entries), legend=False, grid=False)


def switch_bars(comparison: Comparison) -> go.Figure:
    """Switches a year, and how many of them to a regime that the truth is nowhere near."""
    entries = list(reversed(comparison.entries))
    names = [_words(one.name) for one in entries]
    turns = [one.score.turns for one in entries]
    figure = go.Figure()
    every = [one.switches_per_year for one in turns]
    false = [one.false_switches_per_year for one in turns]
    figure.add_bar(y=names, x=every, orientation="h", name="switches a year", marker={"color": "#6b8ea8"})
    figure.add_bar(
        y=names, x=false, orientation="h", name="false ones", marker={"color": "#d1495b"}, width=0.35
    )
    true = turns[0].true_switches_per_year if turns else None
    if true is not None:
        figure.add_vline(
            x=true,
            line={"dash": "dot", "color": _NEUTRAL},
            annotation={"text": f"hindsight {true:.1f}", "yref": "paper", "y": 1.0, "yanchor": "bottom"},
        )
    figure.update_layout(barmode="overlay", margin={"l": 250})
    figure.update_xaxes(title="a year and symbol")
    return _plain(figure, 140 + 26 * len(entries))


def _legend(one: Compared, first: set[str], *, first_panel: bool) -> dict[str, object]:
    colour = COLOURS.get(one.name, _NEUTRAL)
    width = 3 if one.name == "model" else 1.6
    return {
        "name": _words(one.name),
        "legendgroup": one.name,
        "showlegend": first_panel,
        "visible": True if one.name in first else "legendonly",
        "line": {"color": colour, "width": width},
    }


def _plain(figure: go.Figure, height: int, *, legend: bool = True, grid: bool = True) -> go.Figure:
    figure.update_layout(
        height=height,
        autosize=True,
        modebar={"bgcolor": _CLEAR, "color": _NEUTRAL, "activecolor": _NEUTRAL},
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        font={"family": "system-ui, Segoe UI, Roboto, sans-serif", "size": 12},
        hoverlabel={"font": {"size": 12}},
        showlegend=legend,
    )
    if figure.layout.margin.t is None:
        figure.update_layout(margin={"t": 50, "r": 20, "b": 50})
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(gridcolor="rgba(128,128,128,0.2)", zeroline=False, showgrid=grid)
    return figure


def _titles() -> Sequence[str]:
    return [_words(name) for name in REGIMES]


def _words(name: str) -> str:
    return name.replace("_", " ")
