"""The command ``backtest``: a walk-forward replay and the market to tables, page and runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import typer
from rich.console import Console
from rich.status import Status

from features.context import with_context
from features.errors import BearmodeError, DataError, NothingUsableError, TrainingError, UsageError
from features.history import History
from features.json_file import check_target, write_json
from features.raw import INTERVALS, RawMarket
from features.sources import load_raw, parse_date, parse_symbols
from features.sources.context_closes import load_closes
from training.backtesting.answered import answered_span, check_replay, on_grid
from training.backtesting.backtest_log import log_backtest, logged_run
from training.backtesting.backtest_page import render_page
from training.backtesting.jump_signal import jump_regimes
from training.backtesting.market_state import market_columns, rule_on_grid
from training.backtesting.paths import Paths, real_paths
from training.backtesting.strategies import Setting, chosen, strategies
from training.backtesting.study import YEARS_DRAWN, Backtest, backtest
from training.backtesting.tables import print_backtest
from training.compare.compare_page import write_page
from training.replay import context_symbols, replay, replay_models
from training.settings import Places

__all__ = ["backtest_command", "run_backtest"]


def backtest_command(
    symbols: str,
    places: Places,
    *,
    source: str | None = None,
    path: Path | None = None,
    since: str | None = None,
    until: str | None = None,
    replayed: Path | None = None,
    named: str | None = None,
    stress: bool = False,
    page: Path | None = None,
    json: Path | None = None,
    years_drawn: int = YEARS_DRAWN,
) -> None:
    """Run the backtest: tables in the terminal, runs in MLflow, a page and a file where asked for.

    Parameters
    ----------
    symbols : str
        Comma-separated; empty: all that the source, or the replay file, has.
    places : Places
    source, path, since, until
        As for :func:`features.sources.load_histories`; the dates as ISO text.
    replayed : Path, optional
        A replay file; made from the champion's walk-forward models by default, which takes minutes.
    named : str, optional
        Strategies, comma-separated; all by default.
    stress : bool
        Also under each stress.
    page, json : Path, optional
        Files to write.
    years_drawn : int
        Bootstrapped years.

    Raises
    ------
    BearmodeError
        If options, market or replay make no sense.
    """
    wanted = chosen(named)
    for file, option in ((json, "json"), (page, "page")):
        check_target(file, option)
    if json is not None and page is not None and json.absolute() == page.absolute():
        raise UsageError(f"--json and --page both name {json}", field="json")
    start, end = parse_date(since, "since"), parse_date(until, "until")
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--since {since} is not before --until {until}", field="since")
    names = parse_symbols(symbols)
    console = Console()
    with Status("reading", console=Console(stderr=True)) as status:
        frame, raw = _inputs(names, places, source, path, start, end, replayed, status)
        done_for = tuple(market.symbol for market in raw)
        parameters = {
            "strategies": ",".join(wanted),
            "stress": stress,
            "models": ",".join(sorted({str(one) for one in frame["model_version"].dropna()}))
            if "model_version" in frame
            else "",
        }
        with logged_run(places, done_for, parameters) as (tracker, run):
            done = run_backtest(
                frame,
                raw,
                wanted,
                stress=stress,
                years_drawn=years_drawn,
                progress=lambda words: status.update(f"walking: {words}"),
            )
            text = render_page(done, run_id=str(run.info.run_id))
            log_backtest(tracker, run, done, text)
    print_backtest(done, console)
    if json is not None:
        write_json(json, done.as_dict())
    if page is not None:
        write_page(page, text)
        typer.echo(f"page {page}")


def run_backtest(
    frame: pd.DataFrame,
    raw: list[RawMarket],
    wanted: tuple[str, ...],
    *,
    stress: bool = False,
    years_drawn: int = YEARS_DRAWN,
    progress: Callable[[str], None] = lambda _words: None,
) -> Backtest:
    """Run strategies on a replay and its market.

    Parameters
    ----------
    frame : pandas.DataFrame
        A replay file.
    raw : list of RawMarket
        Whole histories: volatility and rules read what lies before the span.
    wanted : tuple of str
    stress : bool
    years_drawn : int
        Bootstrapped years.
    progress : callable, optional
        Told each step.

    Raises
    ------
    DataError
        If the replay is none, or does not lie on the market's bars.
    """
    check_replay(frame)
    frame = frame[frame["symbol"].isin([market.symbol for market in raw])]
    if not len(frame):
        raise NothingUsableError("the replay holds none of these symbols", field="symbols")
    paths = real_paths(raw, *answered_span(frame))
    if paths.time is None or not frame["time"].isin(paths.time).mean() > 0:
        raise DataError("the replay does not lie on the market's bars", code="bad_replay")
    histories = [History.from_raw(market) for market in raw]
    answered = on_grid(frame, paths.time, paths.symbols)
    absent: dict[str, str] = {}
    setting = Setting(
        symbols=paths.symbols,
        answered=answered,
        market=market_columns(histories, paths.time),
        rule=rule_on_grid(histories, paths.time),
    )
    if "jump_model" in wanted:
        progress("the jump model's signal")
        setting, absent = _with_jump(setting, histories, paths)
    made = strategies(setting, [name for name in wanted if name not in absent])
    if not made:
        raise TrainingError(next(iter(absent.values())))
    rows = {"used": answered.used, "in_sample": answered.in_sample, "unanswered": answered.unanswered}
    return backtest(
        paths, made, stress=stress, rows=rows, absent=absent, progress=progress, years_drawn=years_drawn
    )


def _with_jump(setting: Setting, histories: list[History], paths: Paths) -> tuple[Setting, dict[str, str]]:
    if paths.time is None:
        return setting, {"jump_model": "the bars have no times"}
    try:
        return replace(setting, jump=jump_regimes(histories, paths.time)), {}
    except BearmodeError as error:
        return setting, {"jump_model": error.message}


def _inputs(
    names: list[str],
    places: Places,
    source: str | None,
    path: Path | None,
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    replayed: Path | None,
    status: Status,
) -> tuple[pd.DataFrame, list[RawMarket]]:
    """The replay, cut to the span, and the market of its symbols."""
    if replayed is None:
        frame, raw = _replay_now(names, places, source, path, start, end, status)
    else:
        frame = _read(replayed)
        there = sorted({str(name) for name in frame["symbol"].unique()})
        missing = [name for name in names if name not in there]
        if missing:
            raise UsageError(f"{replayed} holds no {', '.join(missing)}", field="symbols")
        raw = load_raw(source, names or there, path=path, store=places.store, interval=_interval(frame))
    if start is not None:
        frame = frame[frame["time"] >= start]
    if end is not None:
        frame = frame[frame["time"] < end]
    if not len(frame):
        raise NothingUsableError("the replay has no bar in the span", field="since")
    return frame, raw


def _read(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise UsageError(f"--replay {file} is no file", field="replay")
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no Parquet file: {error}", code="bad_replay") from error
    if not {"time", "symbol"} <= set(frame.columns):
        raise DataError(f"{file} is no replay file: it lacks time or symbol", code="bad_replay")
    check_replay(frame)
    return frame


def _interval(frame: pd.DataFrame) -> str:
    """Interval of a replay: the commonest distance of its bars."""
    apart = frame.sort_values(["symbol", "time"]).groupby("symbol")["time"].diff().dropna()
    hours = 0 if apart.empty else int(apart.mode().iloc[0] / pd.Timedelta(hours=1))
    for name, length in INTERVALS.items():
        if hours == length:
            return name
    raise DataError(f"the replay's bars are {hours} hours apart, expected 1, 4 or 24", code="bad_replay")


def _replay_now(
    names: list[str],
    places: Places,
    source: str | None,
    path: Path | None,
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    status: Status,
) -> tuple[pd.DataFrame, list[RawMarket]]:
    models = replay_models(places.bundles, walk_forward=True)
    interval = models[0].predictor.manifest.interval
    raw = load_raw(source, names, path=path, store=places.store, interval=interval)
    histories = [History.from_raw(market) for market in raw]
    universe = context_symbols(models)
    others = [name for name in universe if name not in {history.symbol for history in histories}]
    closes = load_closes(source, others, path=path, store=places.store, interval=interval)
    first = models[0].start
    since = start if first is None or (start is not None and start > first) else first
    if since is None:
        raise NothingUsableError("the champion's walk-forward models have no first day", field="since")
    frame = replay(
        with_context(histories, universe, closes),
        models,
        since=since,
        until=end,
        progress=lambda name: status.update(f"replaying {name}"),
    )
    return frame, raw
