"""One atomic change of one symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from features.raw import LedgerEntry
from features.store.manifest import SourceFile

__all__ = ["Change", "Span"]

Span = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Change:
    """What a source adds to a symbol, all of it or none.

    Attributes
    ----------
    source : str
        Venue of the rows; one symbol has one.
    tables : mapping of str to pandas.DataFrame
        Kind to rows, merged in by time: a row of a time that is there already replaces it.
    cleared : mapping of str to sequence of (start, end)
        Kind to open spans: old rows with ``start < time < end`` go first. For sources that hand
        over a span whole, so that a row they withdrew is withdrawn here too.
    ledger : mapping of str to sequence of LedgerEntry
        Scope (such as ``klines-1h/2024-01``) to entries: they replace what the scope said before;
        an empty sequence removes it.
    files : mapping of str to SourceFile
        ``dataset/period`` to what became of that file.
    options : mapping of str to mapping
        Kind to what belongs to its table, such as ``stale_after_hours`` of a signal.
    """

    source: str
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    cleared: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    ledger: Mapping[str, Sequence[LedgerEntry]] = field(default_factory=dict)
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
