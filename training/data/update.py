"""The command ``update``: every symbol of the store up to now, and nothing to do where nothing is new.

Whole past days come from the archive, what is newer from the exchange; what a user's own files or
the simulator gave is left alone, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pandas as pd
import typer

from features.errors import BearmodeError, NothingUsableError
from features.json_file import check_target, write_json
from features.parallel.outcomes import SymbolsFailedError
from features.parallel.symbol_tasks import Tell, each_symbol
from features.raw import INTERVALS, interval_delta
from features.sources import parse_date, parse_symbols
from features.sources.archive import ArchiveSettings, FetchReport, fetch_symbol, symbols_with_news
from features.sources.exchange import EXCHANGES, Exchange
from features.store import Store, SymbolState, milliseconds
from training.data.fetch_archive import archive_settings, print_report
from training.data.fetch_exchange import fetch_latest
from training.data.fetched import Fetched
from training.progress import symbol_progress
from training.settings import Places

__all__ = ["update"]

RECHECKED = 40
"""Files of a symbol that are asked for again once it has a new day: missing ones, revised ones."""
_EXCHANGE_OF = {venue.name: exchange for exchange, venue in EXCHANGES.items()}
"""Venue of the store's rows to the exchange that has its newest ones."""


def update(
    symbols: str,
    places: Places,
    *,
    until: str | None = None,
    archive: bool = True,
    exchange: bool = True,
    workers: int | None = None,
    scheduler: str | None = None,
    json: Path | None = None,
) -> None:
    """Bring symbols up to now.

    Raises
    ------
    NothingUsableError
        If the store holds none of them.
    BearmodeError
        For what failed, once the rest is done.
    """
    check_target(json, "json")
    end = parse_date(until, "until")
    clock = pd.Timestamp.now(tz="UTC").as_unit("ms")
    now = clock if end is None else min(end, clock)
    store = Store(places.store)
    with store.writing():
        held, fetched = _held(store, parse_symbols(symbols))
        for (interval, venue), states in _groups(held).items():
            if venue not in _EXCHANGE_OF:
                names = ", ".join(state.symbol for state in states)
                typer.echo(f"{names}: from {venue!r}, not brought up to date; fetch again from there")
                continue
            if archive and venue == "binance":
                settings = archive_settings(places, recheck_files=RECHECKED)
                try:
                    due = symbols_with_news(states, interval, milliseconds(now), settings)
                except BearmodeError as error:  # the exchange may still answer
                    fetched.append(Fetched("archive", error=error))
                else:
                    found = _from_archive(due, places, settings, interval, now, workers, scheduler)
                    fetched += [_not_there(one) for one in found] if exchange else found
            if exchange:
                late = [
                    state.symbol for state in states if _is_late(store.state(state.symbol), interval, now)
                ]
                with _exchange(_EXCHANGE_OF[venue], places, None if end is None else now) as asked:
                    found = fetch_latest(store, asked, late, interval, until=now)
                fetched += [_latest(one) for one in found]
    if json is not None:
        write_json(json, _by_symbol(fetched))
    failed = {one.symbol: one.error for one in fetched if one.error is not None}
    if failed:
        raise SymbolsFailedError.of(failed, len({one.symbol for one in fetched}))
    changed = {one.symbol for one in fetched if one.result.get("changed")}
    typer.echo(f"{len(held):,} symbols, {len(changed):,} with new rows" if changed else "nothing new")


def _held(store: Store, names: Sequence[str]) -> tuple[list[SymbolState], list[Fetched]]:
    """What the store says of the symbols, and those of which it cannot say anything."""
    states: dict[str, SymbolState | None] = {}
    damaged: list[Fetched] = []
    for name in names or store.names():
        try:
            states[name] = store.state(name)
        except BearmodeError as error:
            damaged.append(Fetched(name, error=error))
    missing = [name for name in names if name in states and states[name] is None]
    found = [state for state in states.values() if state is not None]
    if missing or not (found or damaged):
        raise NothingUsableError(
            f"{store} does not hold {', '.join(missing) or 'any symbol'}",
            field="symbols",
            hint="fetch it first: bearmode fetch --source archive --symbols BTCUSDT --since 2020-01",
        )
    return found, damaged


def _groups(states: Sequence[SymbolState]) -> dict[tuple[str, str], list[SymbolState]]:
    """Symbols by interval and venue."""
    groups: dict[tuple[str, str], list[SymbolState]] = {}
    for state in states:
        for interval in INTERVALS:
            if f"bars_{interval}" in state.kinds:
                groups.setdefault((interval, state.source), []).append(state)
    return groups


def _is_late(state: SymbolState | None, interval: str, now: pd.Timestamp) -> bool:
    """Whether a bar has closed, a settlement passed or an hour of open interest gone by since."""
    if state is None:
        return False
    bars = state.kinds[f"bars_{interval}"].last
    if bars + 2 * interval_delta(interval) <= now:
        return True
    limits = {"funding": pd.Timedelta(hours=8), "open_interest": pd.Timedelta(hours=1)}
    return any(
        kind not in state.kinds or state.kinds[kind].last + limit <= now for kind, limit in limits.items()
    )


def _from_archive(
    names: Sequence[str],
    places: Places,
    settings: ArchiveSettings,
    interval: str,
    now: pd.Timestamp,
    workers: int | None,
    scheduler: str | None,
) -> list[Fetched]:
    task = partial(_extend, store_root=places.store, settings=settings, interval=interval, now=now)
    fetched = []
    with (
        symbol_progress() as tell,
        closing(each_symbol(task, names, workers=workers, scheduler=scheduler, tell=tell)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.result is not None:
                new = any(outcome.result.rows.values())
                if new:
                    print_report(outcome.result)
                result = {**outcome.result.as_dict(), "changed": new}
                fetched.append(Fetched(outcome.symbol, result))
            else:
                fetched.append(Fetched(outcome.symbol, error=outcome.error))
    return fetched


def _not_there(one: Fetched) -> Fetched:
    """A symbol so new, or of a mirror so small, that the archive has none of it: the exchange has."""
    if one.error is None or one.error.code != "not_in_archive":
        return one
    typer.echo(f"{one.symbol}: left to the exchange: {one.error.message}")
    return Fetched(one.symbol, {"changed": False, "not_in_archive": one.error.message})


def _extend(
    symbol: str,
    tell: Tell,
    *,
    store_root: Path | str,
    settings: ArchiveSettings,
    interval: str,
    now: pd.Timestamp,
) -> FetchReport:
    """Fetch from where the symbol's bars begin: what came before was not asked for."""
    state = Store(store_root).state(symbol)
    held = None if state is None else state.kinds.get(f"bars_{interval}")
    since = None if held is None else held.first + interval_delta(interval)
    return fetch_symbol(
        symbol,
        tell,
        store_root=store_root,
        settings=settings,
        interval=interval,
        since=since,
        until=now,
        now=now,
    )


def _exchange(name: str, places: Places, end: pd.Timestamp | None) -> Exchange:
    """The venue, asked as of ``end`` where one was named."""
    if end is None:
        return Exchange(name, url=places.exchange_url)
    return Exchange(name, url=places.exchange_url, now=lambda: end)


def _latest(one: Fetched) -> Fetched:
    if one.error is not None and one.error.code == "unknown_symbol":
        typer.echo(f"{one.symbol}: left as it is: {one.error.message}")
        return Fetched(one.symbol, {"changed": False, "unlisted": one.error.message})
    rows = one.result.get("rows", {})
    if any(rows.values()):
        typer.echo(f"{one.symbol}: {one.result['words']}")
    kept = {name: value for name, value in one.result.items() if name != "entries"}
    return Fetched(one.symbol, {**kept, "changed": any(rows.values())}, one.error)


def _by_symbol(fetched: Sequence[Fetched]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for one in fetched:
        found.setdefault(one.symbol, []).append(one.as_dict())
    return found
