"""Pictures of a backtest: equity, drawdown, distance to liquidation, survival."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from features.bars import FloatArray
from training.backtesting.study import Backtest

__all__ = ["distance_figure", "drawdown_figure", "equity_figure", "pictures", "survival_figure"]

_SHOWN = frozenset(
    {"advice", "advice_full_size", "regimes_5x", "buy_and_hold", "short_5x", "volatility_targeted"}
)
"""Drawn at first; the others are a click in the legend away."""
_COLOURS = (
    *("#1f77b4", "#6baed6", "#08519c", "#2f7d5b", "#74c476", "#e6550d", "#7f7f7f", "#c5a5cf"),
    *("#9467bd", "#d62728", "#a50f15", "#67000d", "#bcbd22", "#8c564b", "#e377c2", "#17becf"),
)


def _daily(done: Backtest, values: FloatArray) -> tuple[list[str], FloatArray]:
    days = np.flatnonzero(np.asarray(done.time.hour == 0))
    return list(done.time[days].strftime("%Y-%m-%d")), values[days]


def _lines(
    done: Backtest, values: FloatArray, title: str, *, log: bool = False, form: str = ".2f"
) -> go.Figure:
    days, daily = _daily(done, values)
    figure = go.Figure()
    for place, one in enumerate(done.results):
        figure.add_scatter(
            x=days,
            y=np.round(daily[:, place], 5),
            name=one.name.replace("_", " "),
            line={"width": 2.4 if one.name == "advice" else 1.4, "color": _COLOURS[place % len(_COLOURS)]},
            visible=True if one.name in _SHOWN or len(done.results) < 6 else "legendonly",
        )
    figure.update_yaxes(title=title, tickformat=form, **({"type": "log"} if log else {}))
    return _styled(figure)


def _styled(figure: go.Figure) -> go.Figure:
    figure.update_layout(
        height=460,
        margin={"l": 70, "r": 20, "t": 20, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        legend={"bgcolor": "rgba(0,0,0,0)"},
    )
    grid = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.5)"}
    figure.update_xaxes(**grid)
    figure.update_yaxes(**grid)
    return figure


def equity_figure(done: Backtest) -> go.Figure:
    """Equity over its first value, log scale; what is below a hundredth is drawn at it."""
    return _lines(done, np.maximum(done.equity, 0.01), "equity, first day = 1", log=True)


def drawdown_figure(done: Backtest) -> go.Figure:
    """Fall from the highest equity so far."""
    peak = np.maximum(np.maximum.accumulate(done.equity, axis=0), 1.0)
    return _lines(done, done.equity / peak - 1, "below the peak", form=".0%")


def distance_figure(done: Backtest) -> go.Figure:
    """Least distance of a day's worst prices to the nearest liquidation price, over all symbols."""
    day = np.asarray(done.time.floor("D").asi8)
    first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    least = np.fmin.reduceat(done.distance, first, axis=0)
    spread = np.full_like(done.distance, np.nan)
    for place, begin in enumerate(first):
        spread[begin : first[place + 1] if place + 1 < len(first) else None] = least[place]
    return _lines(done, spread, "to liquidation, of price", form=".0%")


def survival_figure(done: Backtest) -> go.Figure:
    """Share of accounts that end their year with at least so much of what they began with."""
    figure = go.Figure()
    for place, one in enumerate(done.results):
        final = done.finals[one.name]
        share = np.linspace(1, 0, 201)
        figure.add_scatter(
            x=np.round(np.clip(np.quantile(final, 1 - share), 0, 4), 4),
            y=share,
            name=one.name.replace("_", " "),
            line={"width": 2.4 if one.name == "advice" else 1.4, "color": _COLOURS[place % len(_COLOURS)]},
            visible=True if one.name in _SHOWN or len(done.results) < 6 else "legendonly",
        )
    figure.add_vline(x=0.5, line={"dash": "dot", "color": "rgba(128,128,128,0.9)"})
    figure.update_xaxes(title="equity after a year, first day = 1")
    figure.update_yaxes(title="share of accounts with at least that", tickformat=".0%")
    return _styled(figure).update_layout(hovermode="closest")


def pictures(done: Backtest) -> list[tuple[str, str, str, go.Figure]]:
    """File name, title, words and figure of every picture."""
    return [
        ("equity", "Equity", "Equal parts of the capital in every symbol. Log scale.", equity_figure(done)),
        ("drawdown", "Drawdown", "How far below its highest equity so far.", drawdown_figure(done)),
        (
            "margin_distance",
            "Distance to liquidation",
            "How far the day's worst price was from the nearest liquidation price of any symbol.",
            distance_figure(done),
        ),
        (
            "survival",
            "After a year",
            "Share of accounts, one begun on every day in every symbol, that keep at least so much. "
            "Left of the dotted line more than half is lost.",
            survival_figure(done),
        ),
    ]
