"""``fetch`` from the Binance public archive: months and days of files, symbol by symbol in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial

import pandas as pd
import typer
from pydantic import ValidationError

from features.errors import UsageError
from features.parallel.symbol_tasks import each_symbol
from features.sources.archive import ArchiveSettings, FetchReport, fetch_symbol
from features.store import Store, ledger_of
from training.data.fetched import Fetched
from training.data.ledger_table import print_ledger
from training.progress import symbol_progress
from training.settings import Places

__all__ = ["archive_settings", "fetch_archive", "print_report"]

_FILES = {"missing_file", "refused_file"}
"""Printed by the report already, each with its date and reason."""


def archive_settings(places: Places, **options: object) -> ArchiveSettings:
    """Settings of the archive with the mirror that was asked for.

    Raises
    ------
    UsageError
        For an address that is none.
    """
    url = {} if places.archive_url is None else {"archive_url": places.archive_url}
    try:
        return ArchiveSettings.model_validate({**url, **options})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}", field="archive_url"
        ) from error


def fetch_archive(
    names: Sequence[str],
    places: Places,
    *,
    interval: str,
    since: pd.Timestamp | None,
    until: pd.Timestamp | None,
    recheck: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
) -> list[Fetched]:
    """Fetch klines, funding and metrics of some symbols.

    Raises
    ------
    UsageError
        If no symbol is named.
    LockedError
        If somebody else writes to the store.
    """
    if not names:
        raise UsageError("name symbols: --symbols BTCUSDT,ETHUSDT", field="symbols")
    store = Store(places.store)
    task = partial(
        fetch_symbol,
        store_root=places.store,
        settings=archive_settings(places, recheck_all=recheck),
        interval=interval,
        since=since,
        until=until,
        now=pd.Timestamp.now(tz="UTC").as_unit("ms"),
    )
    fetched = []
    with (
        store.writing(),
        symbol_progress() as tell,
        closing(each_symbol(task, names, workers=workers, scheduler=scheduler, tell=tell)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.result is None:
                fetched.append(Fetched(outcome.symbol, error=outcome.error))
                continue
            print_report(outcome.result)
            fetched.append(_fetched(outcome.result, store))
    return fetched


def _fetched(report: FetchReport, store: Store) -> Fetched:
    """The report with the ledger as it is now."""
    state = store.state(report.symbol)
    ledger = () if state is None else ledger_of(state, report.interval)
    if report.changed:
        print_ledger(report.symbol, [entry for entry in ledger if entry.kind not in _FILES])
    entries = [entry.as_dict() for entry in ledger]
    return Fetched(report.symbol, {**report.as_dict(), "ledger": entries})


def print_report(report: FetchReport) -> None:
    """Say what came, and each file that was skipped or refused, with date and reason."""
    rows = ", ".join(f"{count:,} {kind}" for kind, count in report.rows.items())
    typer.echo(
        f"{report.symbol}: {report.read:,} files read ({rows or 'no new rows'}), "
        f"{report.kept:,} kept, {report.missing:,} missing, {report.refused:,} refused"
    )
    for line in report.lines():
        typer.echo(f"  {line}")
