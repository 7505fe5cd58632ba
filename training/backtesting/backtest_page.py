"""A backtest as one HTML page that needs no network."""

from __future__ import annotations

from pathlib import Path

import jinja2
import markupsafe
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from training.backtesting.costs import Costs
from training.backtesting.pictures import pictures
from training.backtesting.study import YEARS_DRAWN, Backtest
from training.backtesting.tables import (
    COLUMNS,
    STRESS_COLUMNS,
    headline,
    percent,
    plain,
    result_row,
    stress_rows,
)

__all__ = ["render_page"]


def render_page(done: Backtest, *, run_id: str = "") -> str:
    """The page as text; every text of the data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "plain": plain}
    return environment.get_template("backtest.html").render(
        done=done,
        headline=headline(done),
        columns=COLUMNS,
        rows=[(one, result_row(one)) for one in done.results],
        costs=Costs(),
        years_drawn=YEARS_DRAWN,
        stress_columns=STRESS_COLUMNS,
        stresses=[(name, words, stress_rows(done, name)) for name, (words, _) in done.stress.items()],
        pictures=[(title, words, _drawn(figure)) for _, title, words, figure in pictures(done)],
        run_id=run_id,
        plotly=markupsafe.Markup(get_plotlyjs()),  # noqa: S704 - the library's own text
    )


def _drawn(figure: go.Figure) -> markupsafe.Markup:
    html = figure.to_html(
        include_plotlyjs=False, full_html=False, config={"responsive": True, "displaylogo": False}
    )
    return markupsafe.Markup(html)  # noqa: S704 - plotly escapes what is in it
