"""What one question to a venue brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from features.raw import LedgerEntry
from features.store import Change

__all__ = ["PASSING_ENTRIES", "Fetched"]

PASSING_ENTRIES = frozenset({"clock_differs", "forming_bar", "missing_bars"})
"""Entries for the report alone: the next fetch, or the grid of the bars itself, says it better."""


@dataclass(frozen=True)
class Fetched:
    """New rows of one symbol, checked.

    Attributes
    ----------
    venue : str
        ``binance``, ``okx`` or ``bybit``: the ``source`` of the rows.
    symbol, interval : str
    tables : mapping of str to pandas.DataFrame
        By kind of the store (``bars_1h``, ``funding``, ``open_interest``, ``positioning``,
        ``taker_volume``); a kind without a new row is not there.
    ledger : tuple of LedgerEntry
        What the venue does not keep, what was refused, what is missing; ``subject`` is the kind.
    requests : int
        HTTP requests that it took.
    """

    venue: str
    symbol: str
    interval: str
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    ledger: tuple[LedgerEntry, ...] = ()
    requests: int = 0

    @property
    def rows(self) -> int:
        """New rows of all tables."""
        return sum(len(table) for table in self.tables.values())

    def change(self, symbol: str | None = None) -> Change:
        """The same as one atomic change of the store.

        Entries go to the scope ``exchange/<venue>/<kind>``, those about a time to one of its own
        below it, so that a later fetch replaces the same statement and leaves the others.

        Parameters
        ----------
        symbol : str, optional
            That the change is for; only to guard against a mix-up.

        Raises
        ------
        ValueError
            If it is not the symbol that was fetched.
        """
        if symbol is not None and symbol != self.symbol:
            raise ValueError(f"rows of {self.symbol} are not for {symbol}")
        scopes: dict[str, list[LedgerEntry]] = {}
        for entry in self.ledger:
            if entry.kind not in PASSING_ENTRIES:
                scope = f"exchange/{self.venue}/{entry.subject}"
                if entry.start is not None:
                    scope += f"/{entry.start:%Y-%m-%dT%H:%M}"
                scopes.setdefault(scope, []).append(entry)
        return Change(self.venue, dict(self.tables), ledger=scopes)
