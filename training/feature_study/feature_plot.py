"""A feature over a symbol's history, as one page: ``python -m training.feature_study.feature_plot NAME``.

Price above, the hindsight regimes as a ribbon, the feature below with its mean and standard deviation
of each year (drift shows at once), and beside it how it is spread within each regime (whether it tells
them apart). The ribbon has seen the future; the feature has not.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer

from features.bars import FloatArray
from features.catalog import feature_names, select
from features.command_line import (
    IntervalOption,
    PathOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
    run,
)
from features.context import needs_context, with_context
from features.declaration import Feature
from features.errors import NothingUsableError
from features.history import History
from features.pipeline import feature_matrix
from features.regimes import REGIMES, hindsight_regimes
from features.sources.loading import load_histories, parse_date, parse_symbols
from training.settings import Places

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["feature_figure", "main", "plot_feature"]

POINTS = 12_000
"""More bars than this are thinned: every k-th one is drawn."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def feature_figure(
    history: History,
    name: str,
    *,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> go.Figure:
    """Draw a feature over price and hindsight regimes.

    Parameters
    ----------
    history : History
        Computed as a whole; of it the bars from ``since`` to before ``until`` are drawn.
    name : str
        Of the feature.
    since, until : pandas.Timestamp, optional

    Raises
    ------
    UsageError
        If there is no such feature.
    NothingUsableError
        If it has no value in the span.
    """
    from plotly.subplots import make_subplots  # noqa: PLC0415 - a second of import, for this command only

    from training.figures import REGIME_COLOURS  # noqa: PLC0415 - imports plotly, too

    (feature,) = select([name])
    drawn = history.between(since, until)
    rows = history.time.isin(drawn.time)
    values = feature_matrix(history, (feature,))[rows, 0].astype(np.float64)
    if not np.isfinite(values).any():
        raise NothingUsableError(
            f"{history.symbol}: {name} has no value in {len(drawn):,} bars; it reads "
            f"{', '.join(feature.inputs)} and needs {feature.lookback_days:g} days before its first value"
        )
    regime = hindsight_regimes(history)["regime"].fillna(-1).to_numpy(np.int64)[rows]
    shown = slice(None, None, -(-len(drawn) // POINTS))
    stamps = drawn.time[shown].strftime("%Y-%m-%d %H:%M").tolist()
    figure = make_subplots(
        rows=3,
        cols=2,
        shared_xaxes=True,
        row_heights=[0.42, 0.06, 0.52],
        column_widths=[0.82, 0.18],
        vertical_spacing=0.03,
        horizontal_spacing=0.04,
        specs=[[{}, None], [{}, None], [{}, {}]],
    )
    _line(figure, 1, stamps, drawn.column("close")[shown], "close", "#222")
    _ribbon(figure, stamps, regime[shown], REGIME_COLOURS)
    _line(figure, 3, stamps, values[shown], name, "#1f5fa8")
    _years(figure, drawn.time, values)
    _by_regime(figure, values, regime, REGIME_COLOURS)
    figure.update_yaxes(type="log", title="close", row=1, col=1)
    figure.update_yaxes(title=feature.unit, row=3, col=1)
    figure.update_layout(
        title={"text": f"{history.symbol}: {name}<br><sup>{_caption(feature)}</sup>"},
        height=760,
        showlegend=False,
        margin={"t": 110},
    )
    return figure


def _caption(feature: Feature) -> str:
    return f"{feature.words}<br>tells apart: {feature.tells}"


def _line(figure: go.Figure, row: int, stamps: list[str], values: FloatArray, name: str, colour: str) -> None:
    drawn = [None if np.isnan(value) else float(value) for value in values]
    line: dict[str, Any] = {"color": colour, "width": 1}
    figure.add_scatter(x=stamps, y=drawn, mode="lines", line=line, name=name, row=row, col=1)


def _ribbon(
    figure: go.Figure, stamps: list[str], regime: npt.NDArray[np.int64], colours: dict[str, str]
) -> None:
    """Hindsight regimes, one colour each; empty where not confirmed."""
    scale = [[edge, colours[name]] for k, name in enumerate(REGIMES) for edge in (k / 4, (k + 1) / 4)]
    figure.add_heatmap(
        x=stamps,
        y=["hindsight"],
        z=[[int(one) if one >= 0 else None for one in regime]],
        text=[[REGIMES[one] if one >= 0 else "" for one in regime]],
        hovertemplate="%{x} %{text}<extra></extra>",
        colorscale=scale,
        zmin=-0.5,
        zmax=3.5,
        showscale=False,
        row=2,
        col=1,
    )


def _years(figure: go.Figure, time: pd.DatetimeIndex, values: FloatArray) -> None:
    """Mean and mean +- sd of each year, as steps."""
    edges = [time[0], *(stamp for stamp in pd.date_range(time[0], time[-1], freq="YS")), time[-1]]
    for start, end in pairwise(edges):
        part = values[np.asarray((time >= start) & (time < end))]
        part = part[np.isfinite(part)]
        if len(part) < 2:
            continue
        mean, sd = float(part.mean()), float(part.std())
        x = [start.strftime("%Y-%m-%d %H:%M"), end.strftime("%Y-%m-%d %H:%M")]
        for level, dash in ((mean, "solid"), (mean - sd, "dot"), (mean + sd, "dot")):
            line = {"color": "#c0392b", "width": 1, "dash": dash}
            figure.add_scatter(x=x, y=[level, level], mode="lines", line=line, hoverinfo="skip", row=3, col=1)


def _by_regime(
    figure: go.Figure, values: FloatArray, regime: npt.NDArray[np.int64], colours: dict[str, str]
) -> None:
    """Median, quartiles and 5th to 95th percentile within each hindsight regime."""
    for k, name in enumerate(REGIMES):
        part = values[(regime == k) & np.isfinite(values)]
        if len(part) == 0:
            continue
        low, first, middle, third, high = ([float(one)] for one in np.quantile(part, _QUANTILES))
        figure.add_box(
            x=[name],
            lowerfence=low,
            q1=first,
            median=middle,
            q3=third,
            upperfence=high,
            marker={"color": colours[name]},
            name=name,
            row=3,
            col=2,
        )


def plot_feature(
    history: History,
    name: str,
    out: Path,
    *,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    script_beside: bool = False,
) -> Path:
    """Write :func:`feature_figure` as an HTML page that opens without a network.

    Parameters
    ----------
    history : History
    name : str
        Of the feature.
    out : Path
        The page; its folder is made.
    since, until : pandas.Timestamp, optional
        Draw the bars from ``since`` to before ``until``.
    script_beside : bool
        Put the 5 MB of the chart library once into the folder rather than into each page.
    """
    figure = feature_figure(history, name, since=since, until=until)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(out, include_plotlyjs="directory" if script_beside else True)
    return out


def main(
    names: Annotated[str, typer.Argument(help="Features, comma-separated; 'all' for each of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("feature-plots"),
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Draw features over the history of some symbols, a page for each."""
    wanted = feature_names() if names == "all" else tuple(one.strip() for one in names.split(","))
    select(list(wanted))
    start, end = parse_date(since, "since"), parse_date(until, "until")
    histories = load_histories(
        source,
        parse_symbols(symbols),
        path=path,
        store=Places.load(store=store).store,
        interval=interval,
    )
    if needs_context(select(list(wanted))) and len(histories) > 1:
        histories = with_context(histories)
    drawn = 0
    for history in histories:
        for name in wanted:
            page = out / f"{history.symbol}-{name}.html"
            try:
                plot_feature(history, name, page, since=start, until=end, script_beside=True)
            except NothingUsableError as error:
                typer.echo(f"left out: {error.one_line()}", err=True)
                continue
            typer.echo(str(page))
            drawn += 1
    if not drawn:
        raise NothingUsableError("no feature could be drawn")


if __name__ == "__main__":
    run(lambda: typer.run(main))
