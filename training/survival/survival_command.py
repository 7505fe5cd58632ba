"""The command ``survival``: measure a symbol's table, show it, keep it for the service."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from features.errors import BundleError, UsageError
from features.history import History
from features.json_file import check_target, write_json
from features.regimes import hindsight_regimes
from features.sources import load_raw, parse_date
from serving.margin import Exchange, largest_notional
from serving.survival import SurvivalCell, SurvivalTable, survival_file
from training.compare.compare_page import write_page
from training.data.history_command import one_symbol
from training.settings import Places
from training.survival.online import online_regime, online_source, read_replay, replay_online
from training.survival.outcomes import NOTIONAL, Outcomes, Rules
from training.survival.page import render_page
from training.survival.picture import SHORT_NAMES, cell_at, in_percent, svg
from training.survival.prices import prices_of
from training.survival.table import DAYS, LEVERAGES, SIDES, survival_table

__all__ = ["hindsight_index", "survival_command"]


def survival_command(
    symbol: str,
    places: Places,
    *,
    source: str | None = None,
    path: Path | None = None,
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    replay: Path | None = None,
    exchange: str = "binance",
    notional: float = NOTIONAL,
    days: int = 7,
    json: Path | None = None,
    page: Path | None = None,
    picture: Path | None = None,
) -> None:
    """Measure, print, and write ``<bundles>/survival/<SYMBOL>.json`` for the service.

    Raises
    ------
    UsageError
        For options that make no sense.
    NothingUsableError
        If the history is too short for any outcome.
    """
    for file, option in ((json, "json"), (page, "page"), (picture, "picture")):
        check_target(file, option)
    (name,) = one_symbol(symbol)
    rules = _rules(exchange, notional, name)
    if days not in DAYS:
        raise UsageError(f"--days is {days}, expected one of {', '.join(map(str, DAYS))}", field="days")
    start, end = parse_date(since, "since"), parse_date(until, "until")
    (raw,) = load_raw(source, [name], path=path, store=places.store, interval=interval)
    history = History.from_raw(raw, since=start, until=end)
    rows, note = _online(history, places, source, path, replay)
    table = survival_table(
        Outcomes(prices_of(raw, history), rules),
        hindsight_index(history),
        None if rows is None else online_regime(rows, history.symbol, history.time),
        source=raw.source,
        walk=None if rows is None else online_source(rows, history.symbol),
        leverages=LEVERAGES,
        notes=note,
    )
    content = table.model_dump(mode="json")
    served = survival_file(places.bundles, table.symbol)
    write_json(served, content)
    if json is not None:
        write_json(json, content)
    if page is not None:
        write_page(page, render_page(table))
    if picture is not None:
        write_page(picture, svg(table, days))
    _show(table, days)
    for file in (served, json, page, picture):
        if file is not None:
            typer.echo(f"wrote {file}")


def _rules(exchange: str, notional: float, symbol: str) -> Rules:
    named: Exchange | None = next((one for one in get_args(Exchange) if one == exchange), None)
    if named is None:
        raise UsageError(
            f"--exchange is {exchange!r}, expected one of {', '.join(get_args(Exchange))}", field="exchange"
        )
    if not 1 <= notional <= 1e9:
        raise UsageError(f"--notional is {notional:g}, expected 1 to 1,000,000,000", field="notional")
    largest = largest_notional(named, symbol)
    if notional > largest:
        raise UsageError(
            f"--notional is {notional:,.0f}, {exchange} allows at most {largest:,.0f} in {symbol}",
            field="notional",
        )
    return Rules(named, notional)


def hindsight_index(history: History) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Class index of the hindsight regime of each bar, -1 where it is not confirmed."""
    return hindsight_regimes(history)["regime"].fillna(-1).to_numpy(np.int64)


def _online(
    history: History, places: Places, source: str | None, path: Path | None, file: Path | None
) -> tuple[pd.DataFrame | None, list[str]]:
    """Online rows, or why there are none."""
    if file is not None:
        rows = read_replay(file)
    else:
        with Status("replaying the walk-forward models", console=Console(stderr=True)):
            try:
                rows = replay_online([history], places, source, path, lambda _name: None)
            except BundleError as error:
                return None, [f"no online regimes: {error.message}"]
    if not (rows["symbol"] == history.symbol).any():
        return None, [f"no online regimes: the replay has no out-of-sample answer for {history.symbol}"]
    return rows, []


def _show(table: SurvivalTable, days: int) -> None:
    console = Console(width=None if Console().is_terminal else 120)
    span = f"{table.since[:10]} to {table.until[:10]}"
    console.print(
        f"{table.symbol}, {span}: share of positions liquidated within {days} days, 95 % interval by weeks",
        highlight=False,
        markup=False,
    )
    for view in ("online", "hindsight"):
        if view == "online" and table.online is None:
            continue
        for side in SIDES:
            console.print(_panel(table, view, side, days))
    for note in (*table.notes, table.disclaimer):
        console.print(note, highlight=False, markup=False, style="dim")


def _panel(table: SurvivalTable, view: str, side: str, days: int) -> Table:
    whose = "walk-forward" if view == "online" else "hindsight"
    shown = Table(title=f"{side}s, regime at entry: {whose}", title_justify="left", expand=False)
    shown.add_column("", justify="right", no_wrap=True)
    for name in SHORT_NAMES.values():
        shown.add_column(name, justify="right", no_wrap=True)
    for leverage in table.leverages:
        cells = [cell_at(table, view, regime, side, leverage, days) for regime in SHORT_NAMES]
        shown.add_row(f"{leverage:g}x", *map(_words, cells))
    found = [cell_at(table, view, regime, side, table.leverages[0], days) for regime in SHORT_NAMES]
    shown.add_section()
    shown.add_row("weeks", *("-" if one is None else str(one.weeks) for one in found), style="dim")
    return shown


def _words(cell: SurvivalCell | None) -> str:
    if cell is None or cell.probability is None:
        return "-"
    if cell.low is None or cell.high is None:
        return in_percent(cell.probability)
    return f"{in_percent(cell.probability)} ({_bare(cell.low)}-{_bare(cell.high)})"


def _bare(share: float) -> str:
    return in_percent(share).removesuffix(" %")
