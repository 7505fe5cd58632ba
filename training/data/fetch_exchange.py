"""``fetch`` from an exchange's own interface: the latest rows, as far back as the venue keeps them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import typer

from features.errors import BearmodeError, UsageError
from features.sources.exchange import Exchange, newest_held
from features.store import Store, SymbolState
from training.data.fetched import Fetched
from training.data.ledger_table import print_ledger
from training.progress import symbol_progress
from training.settings import Places

__all__ = ["fetch_exchange", "fetch_latest"]

VENUE_WIDE = frozenset({"exchange_restricted", "exchange_unreachable"})
"""Errors that the next symbol would meet too."""
_MOMENT = pd.Timedelta(milliseconds=1)


def fetch_exchange(
    names: Sequence[str],
    places: Places,
    exchange: str,
    *,
    interval: str,
    since: pd.Timestamp | None,
    until: pd.Timestamp | None,
) -> list[Fetched]:
    """Fetch symbols one after another through one client, so that rate limits hold.

    ``since`` is included, ``until`` is not.

    Raises
    ------
    UsageError
        If no symbol is named and the store has none of the venue, or ``since`` is yet to come.
    BearmodeError
        If the venue refuses as a whole: the store is as it was.
    """
    if since is not None and since > pd.Timestamp.now(tz="UTC"):
        raise UsageError(f"--since {since:%Y-%m-%d %H:%M} is in the future", field="since")
    before = None if until is None else until - _MOMENT
    store = Store(places.store)
    with store.writing(), Exchange(exchange, url=places.exchange_url) as venue:
        known = [
            name
            for name in names or store.symbols(interval)
            if names or _source(store.state(name)) == venue.venue
        ]
        if not known:
            raise UsageError("name symbols: --symbols BTCUSDT", field="symbols")
        for name in known:
            store.check_source(name, venue.venue)
        fetched = fetch_latest(store, venue, known, interval, since=since, until=before)
    for one in fetched:
        if one.error is None:
            typer.echo(f"{one.symbol}: {one.result['words']}")
            print_ledger(one.symbol, one.result["entries"])
    return [
        Fetched(
            one.symbol, {name: value for name, value in one.result.items() if name != "entries"}, one.error
        )
        for one in fetched
    ]


def fetch_latest(
    store: Store,
    venue: Exchange,
    symbols: Sequence[str],
    interval: str,
    *,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> list[Fetched]:
    """Fetch what is newer than the store's rows; each symbol is one commit.

    With ``since`` (on bar closes, included) everything from there on is asked for again, up to
    ``until``, which is included: what is known at that moment. A venue that
    refuses as a whole is one failure under its own name, and ends the work.
    """
    fetched: list[Fetched] = []
    with symbol_progress() as tell:
        for number, symbol in enumerate(symbols):
            tell(venue.venue, number, len(symbols))
            found = _one(store, venue, symbol, interval, since, until)
            if found.error is not None and found.error.code in VENUE_WIDE:
                fetched.append(Fetched(venue.venue, error=found.error))
                break
            fetched.append(found)
        tell(venue.venue, len(symbols), len(symbols))
    return fetched


def _one(
    store: Store,
    venue: Exchange,
    symbol: str,
    interval: str,
    since: pd.Timestamp | None,
    until: pd.Timestamp | None,
) -> Fetched:
    end = until if until is not None else pd.Timestamp.now(tz="UTC").as_unit("ms")
    try:
        state = store.state(symbol)
        found = venue.fetch(symbol, interval, since=newest_held(state, interval, since, end), until=end)
        change = found.change(symbol)
        if found.tables or change.ledger:
            store.commit(symbol, change)
    except BearmodeError as error:
        return Fetched(symbol, error=error)
    rows = {name: len(table) for name, table in change.tables.items()}
    words = ", ".join(f"{count:,} {name}" for name, count in rows.items() if count) or "nothing new"
    ledger = [entry.as_dict() for entry in found.ledger]
    return Fetched(symbol, {"rows": rows, "words": words, "entries": found.ledger, "ledger": ledger})


def _source(state: SymbolState | None) -> str | None:
    return None if state is None else state.source
