"""The table as one HTML page that needs no network: heat maps that can be asked, and every number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from serving.survival import SurvivalTable
from training.survival.picture import SHORT_NAMES, cell_at, in_percent
from training.survival.table import SIDES

__all__ = ["render_page"]

_NEUTRAL = "#8a949c"
_CLEAR = "rgba(0,0,0,0)"
VIEWS = {
    "online": "Regime as answered then, walk-forward",
    "hindsight": "Regime in hindsight: what nobody knew at the entry",
}


def render_page(table: SurvivalTable) -> str:
    """The page as text; every text of the data is escaped."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - heavy

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": lambda share: "-" if share is None else in_percent(share)}
    views = [(name, words) for name, words in VIEWS.items() if name != "online" or table.online]
    return environment.get_template("survival.html").render(
        table=table,
        names=SHORT_NAMES,
        views=views,
        maps=[(words, _heat_map(table, name)) for name, words in views],
        plotly=markupsafe.Markup(get_plotlyjs()),  # noqa: S704 - the library's own text
    )


def _heat_map(table: SurvivalTable, view: str) -> markupsafe.Markup:
    import plotly.graph_objects as go  # noqa: PLC0415 - heavy
    from plotly.subplots import make_subplots  # noqa: PLC0415

    figure = make_subplots(
        rows=len(SIDES),
        cols=len(table.days),
        subplot_titles=[f"{side}, within {days} d" for side in SIDES for days in table.days],
        shared_yaxes=True,
        horizontal_spacing=0.02,
        vertical_spacing=0.16,
    )
    for row, side in enumerate(SIDES, start=1):
        for column, days in enumerate(table.days, start=1):
            panel = go.Heatmap(**_panel(table, view, side, days))
            figure.add_trace(panel, row=row, col=column)
    figure.update_layout(
        height=720,
        autosize=True,
        showlegend=False,
        margin={"l": 60, "r": 10, "t": 64, "b": 40},
        modebar={"bgcolor": _CLEAR, "color": _NEUTRAL, "activecolor": _NEUTRAL},
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        font={"family": "system-ui, Segoe UI, Roboto, sans-serif", "size": 12},
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    html = figure.to_html(
        include_plotlyjs=False, full_html=False, config={"responsive": True, "displaylogo": False}
    )
    return markupsafe.Markup(html)  # noqa: S704 - plotly escapes what is in it


def _panel(table: SurvivalTable, view: str, side: str, days: int) -> dict[str, Any]:
    share: list[list[float | None]] = []
    text: list[list[str]] = []
    asked: list[list[str]] = []
    for leverage in table.leverages:
        cells = [cell_at(table, view, regime, side, leverage, days) for regime in SHORT_NAMES]
        share.append([None if one is None else one.probability for one in cells])
        text.append(
            ["-" if one is None or one.probability is None else in_percent(one.probability) for one in cells]
        )
        asked.append(
            [
                "no entries"
                if one is None or one.low is None or one.high is None
                else f"95 %: {in_percent(one.low)} to {in_percent(one.high)}<br>{one.entries:,} entries, "
                f"{one.weeks} weeks"
                for one in cells
            ]
        )
    return {
        "z": share,
        "x": list(SHORT_NAMES.values()),
        "y": [f"{leverage:g}x" for leverage in table.leverages],
        "text": text,
        "customdata": asked,
        "texttemplate": "%{text}",
        "textfont": {"size": 10},
        "hovertemplate": "%{y} opened in %{x}: %{text}<br>%{customdata}<extra></extra>",
        "colorscale": [[0, "rgba(201,65,47,0.03)"], [1, "rgba(201,65,47,0.8)"]],
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
