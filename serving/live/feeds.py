"""Bringing symbols up to date from each kind of source; one symbol that fails leaves the others whole.

A venue is asked before the store's lock is taken, which is then held for the writing alone: a command
that writes to the same store waits a moment, and not for a venue that does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import BearmodeError, LockedError, NothingUsableError
from features.raw import interval_delta
from features.store import Change, Store

__all__ = ["Feed", "FeedJob", "FeedResult", "open_feed"]

LOCK_SECONDS = 10.0
"""Wait for another writer to end."""
LOCK_POLL_SECONDS = 0.2
_MOMENT = pd.Timedelta(milliseconds=1)
_VENUE_WIDE = frozenset({"exchange_restricted", "exchange_unreachable"})
"""Errors that the next symbol would meet too."""


@dataclass(frozen=True)
class FeedJob:
    """One update.

    Attributes
    ----------
    source : str
        ``exchange``, ``archive``, ``files`` or ``simulated``.
    symbols : tuple of str
    interval : str
    store : str
        Folder or URL.
    until : int
        The moment of the update, Unix milliseconds: nothing later is asked for.
    exchange : str
        For the exchange: ccxt's name.
    url : str or None
        A mirror of the exchange or of the archive.
    path : str or None
        Folder of the files.
    """

    source: str
    symbols: tuple[str, ...]
    interval: str
    store: str
    until: int
    exchange: str = "binanceusdm"
    url: str | None = None
    path: str | None = None

    @property
    def moment(self) -> pd.Timestamp:
        """``until`` as a time."""
        return pd.Timestamp(self.until, unit="ms", tz="UTC")


@dataclass(frozen=True)
class FeedResult:
    """What an update did for one symbol.

    Attributes
    ----------
    symbol : str
    rows : int
        New or changed rows of bars.
    code, message : str or None
        Why it failed.
    """

    symbol: str
    rows: int = 0
    code: str | None = None
    message: str | None = None

    @classmethod
    def failed(cls, symbol: str, error: BearmodeError) -> FeedResult:
        """Result of a symbol that failed."""
        return cls(symbol, 0, error.code, error.message)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> FeedResult:
        """The same after its way through JSON."""
        return cls(content["symbol"], content["rows"], content["code"], content["message"])


Feed = Callable[[FeedJob], list[FeedResult]]


def open_feed(source: str) -> Feed:
    """The update of a source."""
    return {
        "exchange": _from_exchange,
        "archive": _from_archive,
        "files": _from_files,
        "simulated": _from_simulation,
    }[source]


def _from_exchange(job: FeedJob) -> list[FeedResult]:
    from features.sources.exchange import Exchange, newest_held  # noqa: PLC0415 - loads ccxt

    store, found = Store(job.store), dict[str, Change]()
    results: list[FeedResult] = []
    with Exchange(job.exchange, url=job.url) as venue:
        for number, symbol in enumerate(job.symbols):
            try:
                store.check_source(symbol, venue.venue)
                after = newest_held(store.state(symbol), job.interval, None, job.moment)
                fetched = venue.fetch(symbol, job.interval, since=after, until=job.moment)
                found[symbol] = fetched.change(symbol)
            except BearmodeError as error:
                results.append(FeedResult.failed(symbol, error))
                if error.code in _VENUE_WIDE:
                    results += [FeedResult.failed(one, error) for one in job.symbols[number + 1 :]]
                    break
    return results + _commit(store, found, job.interval)


def _from_archive(job: FeedJob) -> list[FeedResult]:
    from features.sources.archive import ArchiveSettings, fetch_symbol  # noqa: PLC0415 - loads aiohttp

    settings = ArchiveSettings() if job.url is None else ArchiveSettings(archive_url=job.url)
    store = Store(job.store)

    def fetch(symbol: str) -> int:
        held = _bars_of(store, symbol, job.interval)
        since = job.moment.floor("D") - pd.Timedelta(days=400)
        report = fetch_symbol(
            symbol,
            store_root=job.store,
            settings=settings,
            interval=job.interval,
            since=since if held is None else held[0] + interval_delta(job.interval),
            until=job.moment,
            now=job.moment,
        )
        return int(sum(report.rows.values()))

    return _locked(store, job.symbols, fetch)


def _from_files(job: FeedJob) -> list[FeedResult]:
    from features.sources import load_raw  # noqa: PLC0415

    store = Store(job.store)
    path = None if job.path is None else Path(job.path)

    def read(symbol: str) -> int:
        markets = load_raw("files", [symbol], path=path, interval=job.interval)
        if not markets:
            raise NothingUsableError(f"{symbol}: {job.path} has no {job.interval} bars of it")
        before = _bars_of(store, symbol, job.interval)
        store.write(markets[0])
        return _new_bars(store, symbol, job.interval, before)

    return _locked(store, job.symbols, read)


def _from_simulation(job: FeedJob) -> list[FeedResult]:
    from features.sources import load_simulated  # noqa: PLC0415

    store = Store(job.store)

    def simulate(symbol: str) -> int:
        before = _bars_of(store, symbol, job.interval)
        since = None if before is None else before[1] + 2 * interval_delta(job.interval)
        if since is not None and since > job.moment:
            return 0
        (market,) = load_simulated([symbol], interval=job.interval, since=since, until=job.moment + _MOMENT)
        store.write(market)
        return _new_bars(store, symbol, job.interval, before)

    return _locked(store, job.symbols, simulate)


def _commit(store: Store, changes: dict[str, Change], interval: str) -> list[FeedResult]:
    def commit(symbol: str) -> int:
        change = changes[symbol]
        if change.tables or change.ledger:
            store.commit(symbol, change)
        return len(change.tables.get(f"bars_{interval}", ()))

    return _locked(store, tuple(changes), commit)


def _locked(store: Store, symbols: Sequence[str], task: Callable[[str], int]) -> list[FeedResult]:
    """Do a task for each symbol under the store's lock, which is waited for a while."""
    if not symbols:
        return []
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        results: list[FeedResult] = []
        try:
            with store.writing():
                for symbol in symbols:
                    try:
                        results.append(FeedResult(symbol, task(symbol)))
                    except BearmodeError as error:
                        results.append(FeedResult.failed(symbol, error))
        except LockedError as error:
            if results or time.monotonic() >= deadline:
                return results or [FeedResult.failed(symbol, error) for symbol in symbols]
            time.sleep(LOCK_POLL_SECONDS)
        except BearmodeError as error:
            return [FeedResult.failed(symbol, error) for symbol in symbols]
        else:
            return results


def _bars_of(store: Store, symbol: str, interval: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Open of the first and of the newest bar that is held."""
    state = store.state(symbol)
    kind = None if state is None else state.kinds.get(f"bars_{interval}")
    return None if kind is None else (kind.first, kind.last)


def _new_bars(
    store: Store, symbol: str, interval: str, before: tuple[pd.Timestamp, pd.Timestamp] | None
) -> int:
    after = _bars_of(store, symbol, interval)
    if after is None:
        return 0
    first = after[0] if before is None else before[1] + interval_delta(interval)
    return max(0, int((after[1] - first) // interval_delta(interval)) + 1)
