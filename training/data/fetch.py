"""The command ``fetch``: history from one source into the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from features.errors import BearmodeError, UsageError
from features.json_file import check_target, write_json
from features.parallel.outcomes import SymbolsFailedError
from features.raw import INTERVALS
from features.sources import SOURCES, parse_date, parse_symbols
from training.data.fetch_archive import fetch_archive
from training.data.fetch_exchange import fetch_exchange
from training.data.fetch_files import fetch_files
from training.data.fetch_signals import fetch_signals
from training.data.fetched import Fetched
from training.settings import Places

__all__ = ["FETCH_SOURCES", "fetch"]

FETCH_SOURCES = ("archive", "exchange", *SOURCES)


def fetch(
    source: str | None,
    symbols: str,
    places: Places,
    *,
    path: Path | None = None,
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    exchange: str | None = None,
    columns: str | None = None,
    signals: Sequence[str] = (),
    available_after: str | None = None,
    stale_after: str | None = None,
    recheck: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    json: Path | None = None,
) -> None:
    """Bring raw tables into the store; a symbol that fails leaves the others whole.

    Raises
    ------
    BearmodeError
        If options, source or store make no sense, or for what failed once the rest is done.
    """
    start, end = parse_date(since, "since"), parse_date(until, "until")
    names = parse_symbols(symbols)
    check_target(json, "json")
    _check(source, interval, signals)
    options: dict[str, dict[str, object]] = {
        "files": {"path": path, "columns": columns},
        "exchange": {"exchange": exchange},
        "archive": {"recheck": recheck or None, "workers": workers, "scheduler": scheduler},
    }
    _check_owners(source, options)
    _check_delays(signals, {"available-after": available_after, "stale-after": stale_after})
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--since {start.date()} is not before --until {end.date()}", field="since")
    fetched: list[Fetched] = []
    if source == "archive":
        fetched = fetch_archive(
            names,
            places,
            interval=interval,
            since=start,
            until=end,
            recheck=recheck,
            workers=workers,
            scheduler=scheduler,
        )
    elif source == "exchange":
        fetched = fetch_exchange(
            names, places, exchange or "binanceusdm", interval=interval, since=start, until=end
        )
    elif source is not None:
        fetched = fetch_files(
            source, names, places, path=path, interval=interval, since=start, until=end, columns=columns
        )
    if signals:
        fetched += fetch_signals(signals, names, places, available_after, stale_after)
    if json is not None:
        write_json(json, {one.symbol: one.as_dict() for one in fetched})
    failed: dict[str, BearmodeError] = {one.symbol: one.error for one in fetched if one.error is not None}
    if failed:
        raise SymbolsFailedError.of(failed, len(fetched))
    if not fetched:
        typer.echo("nothing was asked for")


def _check(source: str | None, interval: str, signals: Sequence[str]) -> None:
    if source is None and not signals:
        raise UsageError(f"name a --source ({', '.join(FETCH_SOURCES)}) or a --signal", field="source")
    if source is not None and source not in FETCH_SOURCES:
        raise UsageError(
            f"--source is {source!r}, expected one of {', '.join(FETCH_SOURCES)}", field="source"
        )
    if interval not in INTERVALS:
        raise UsageError(
            f"--interval is {interval!r}, expected one of {', '.join(INTERVALS)}", field="interval"
        )


def _check_owners(source: str | None, options: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse an option that the source would ignore."""
    for owner, values in options.items():
        for name, value in values.items():
            if value is not None and source != owner:
                raise UsageError(f"--{name} belongs to --source {owner}", field=name)


def _check_delays(signals: Sequence[str], delays: Mapping[str, str | None]) -> None:
    """Refuse a delay where no series of the user's own takes it."""
    for name, value in delays.items():
        if value is not None and not any("=" in signal for signal in signals):
            raise UsageError(f"--{name} belongs to --signal name=FILE", field=name.replace("-", "_"))
