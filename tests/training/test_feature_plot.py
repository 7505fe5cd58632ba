"""The picture of a feature: what it holds, and the command that draws it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from features.catalog import select
from features.errors import NothingUsableError, UsageError
from features.history import History
from features.pipeline import feature_matrix
from features.regimes import REGIMES, hindsight_regimes
from features.sources.simulated import load_simulated
from training.feature_study.feature_plot import POINTS, feature_figure, main, plot_feature


@pytest.fixture(scope="module")
def market() -> History:
    (raw,) = load_simulated(["SIMBTC"], interval="4h")
    return History.from_raw(raw)


def test_the_figure_holds_price_feature_years_and_regimes(market: History) -> None:
    figure = feature_figure(market, "low_age_20d")
    by_name = {trace.name: trace for trace in figure.data if trace.name}
    values = feature_matrix(market, select(["low_age_20d"]))[:, 0]
    step = -(-len(market) // POINTS)
    drawn = np.array(by_name["low_age_20d"].y, dtype=float)
    np.testing.assert_allclose(drawn, values[::step].astype(float))
    np.testing.assert_allclose(np.array(by_name["close"].y, dtype=float), market.column("close")[::step])
    known = hindsight_regimes(market)["regime"]
    boxes = [trace for trace in figure.data if trace.type == "box"]
    assert [box.name for box in boxes] == [name for k, name in enumerate(REGIMES) if (known == k).any()]
    part = values[(known == 0).to_numpy(bool, na_value=False)]
    assert boxes[0].median[0] == pytest.approx(np.nanmedian(part), rel=1e-6)
    years = market.time[-1].year - market.time[0].year + 1
    assert sum(trace.hoverinfo == "skip" for trace in figure.data) in {3 * years, 3 * (years - 1)}
    assert "low" in figure.layout.title.text


def test_a_span_shows_values_that_know_what_came_before(market: History) -> None:
    since, until = market.time[-400], market.time[-100]
    figure = feature_figure(market, "return_120d", since=since, until=until)
    (line,) = [trace for trace in figure.data if trace.name == "return_120d"]
    assert len(line.y) == 300
    assert all(value is not None for value in line.y)
    assert line.x[0] == since.strftime("%Y-%m-%d %H:%M")


def test_what_cannot_be_drawn_says_why(market: History) -> None:
    with pytest.raises(NothingUsableError) as nothing:
        feature_figure(market, "put_call_rank_90d")
    assert "put_call" in nothing.value.message
    with pytest.raises(UsageError) as unknown:
        feature_figure(market, "crystal_ball")
    assert unknown.value.code == "unknown_feature"
    with pytest.raises(NothingUsableError):
        feature_figure(market, "return_1d", since=pd.Timestamp("2100-01-01", tz="UTC"))


def test_a_page_opens_without_a_network(market: History, tmp_path: Path) -> None:
    page = plot_feature(market, "return_1d", tmp_path / "deep" / "page.html").read_text(encoding="utf-8")
    assert not re.search(r'<script[^>]+src="http', page)
    assert "NaN" not in json.dumps(page[-200_000:])
    beside = plot_feature(market, "return_1d", tmp_path / "beside.html", script_beside=True)
    assert beside.stat().st_size < 3_000_000
    assert (tmp_path / "plotly.min.js").is_file()


def test_the_command_draws_each_feature_of_each_symbol(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    options = ["--source", "simulated", "--symbols", "SIMBTC", "--interval", "1d", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, ["return_1d, put_call_rank_90d", *options])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "SIMBTC-return_1d.html").is_file()
    assert "left out: SIMBTC: put_call_rank_90d" in done.output
    none = CliRunner().invoke(app, ["put_call_rank_90d", *options])
    assert isinstance(none.exception, NothingUsableError)
    wrong = CliRunner().invoke(app, ["crystal_ball", *options])
    assert isinstance(wrong.exception, UsageError)
