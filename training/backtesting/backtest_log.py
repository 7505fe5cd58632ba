"""A backtest in MLflow: one parent run with tables and pictures, a run for each strategy under it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from math import nan
from typing import TYPE_CHECKING

from training.backtesting.pictures import pictures
from training.backtesting.study import Backtest, Result
from training.backtesting.tables import headline
from training.environment import environment_tags
from training.settings import Places
from training.tracking import Tracker, open_tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["log_backtest", "logged_run"]

JOB = "backtest"


@contextmanager
def logged_run(
    places: Places, symbols: tuple[str, ...], parameters: Mapping[str, object]
) -> Iterator[tuple[Tracker, Run]]:
    """Keep the parent run open; it ends FAILED where an error passes through."""
    tracker = open_tracker(places)
    name = f"backtest {datetime.now(UTC):%Y-%m-%d %H:%M} {', '.join(symbols)}"[:120]
    with tracker.run(name) as run:
        tags = {**environment_tags(JOB), "bearmode/job": JOB}
        tracker.log(run, parameters={"symbols": ",".join(symbols), **parameters}, tags=tags)
        yield tracker, run


def log_backtest(tracker: Tracker, run: Run, done: Backtest, page: str) -> None:
    """Log results, pictures and page."""
    for one in done.results:
        with tracker.run(one.name, parent=run) as nested:
            note = {"mlflow.note.content": f"{one.words}\n\n{headline(done)}\n", "bearmode/job": JOB}
            tracker.log(
                nested,
                parameters={"strategy": one.name},
                metrics=_metrics(one, done),
                tags={**note, "bearmode/strategy": one.name},
            )
    for file, _, _, figure in pictures(done):
        tracker.log_figure(run, figure, f"figures/{file}.html")
    tracker.log(
        run,
        metrics={"independent_years": done.years, "funding_assumed": done.funding_assumed},
        tags={"mlflow.note.content": headline(done)},
    )
    tracker.log_text(run, json.dumps(done.as_dict(), indent=1, sort_keys=True), "backtest.json")
    tracker.log_text(run, page, "backtest.html")


def _metrics(one: Result, done: Backtest) -> dict[str, float]:
    curve, lives = one.curve, one.starts
    found = {
        "return": curve.total,
        "return_a_year": curve.yearly,
        "volatility": curve.volatility,
        "sharpe": curve.sharpe,
        "calmar": curve.calmar,
        "drawdown": curve.drawdown,
        "cvar_day": curve.cvar,
        "turnover_a_year": one.turnover,
        "fees": one.fees,
        "slippage": one.slippage,
        "funding": one.funding,
        "liquidations": float(one.liquidations),
        "closest": one.closest,
        "in_market": one.in_market,
        "drawn/survived": one.drawn.survived.share,
        "drawn/median": one.drawn.median,
        "drawn/low": one.drawn.low,
        "drawn/high": one.drawn.high,
        "starts/survived": nan if lives is None else lives.survived.share,
        "starts/never_below_half": nan if lives is None else lives.never_below_half,
        "starts/liquidations_per_1000_days": nan if lives is None else lives.liquidations,
    }
    for name, (_, figures) in done.stress.items():
        for metric in ("total", "drawdown", "survived", "liquidations_per_1000_days"):
            found[f"stress/{name}/{metric}"] = figures[one.name][metric]
    for symbol, by in one.by_symbol.items():
        found[f"symbol/{symbol}/return"] = by.total
        found[f"symbol/{symbol}/drawdown"] = by.drawdown
    return found
