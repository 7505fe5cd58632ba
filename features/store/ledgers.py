"""The gap ledger of a symbol as one list, neighbours with the same words joined."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from features.raw import INTERVALS, LedgerEntry
from features.store.manifest import SymbolState

__all__ = ["joined", "ledger_of"]

_NEIGHBOURS = pd.Timedelta(days=1)
"""Entries this close to one another speak of one stretch."""


def ledger_of(state: SymbolState, interval: str) -> tuple[LedgerEntry, ...]:
    """Entries that concern one interval: those of the scopes of other intervals are left out.

    A scope is of an interval if its first part ends with it, as in ``klines-4h/2024-01``.
    """
    others = tuple(f"-{name}" for name in INTERVALS if name != interval)
    entries = [
        entry
        for scope, found in sorted(state.ledger.items())
        if not scope.partition("/")[0].endswith(others)
        for entry in found
    ]
    return joined(entries)


def joined(entries: list[LedgerEntry]) -> tuple[LedgerEntry, ...]:
    """Join entries of the same kind, subject and words whose spans touch."""
    found: list[LedgerEntry] = []
    last: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        key = (entry.kind, entry.subject, entry.detail)
        before = found[last[key]] if key in last else None
        if (
            before is not None
            and before.end is not None
            and entry.start is not None
            and entry.end is not None
            and before.end - _NEIGHBOURS <= entry.start <= before.end + _NEIGHBOURS
        ):
            end = max(before.end, entry.end)
            found[last[key]] = replace(before, end=end, count=before.count + entry.count)
        else:
            last[key] = len(found)
            found.append(entry)
    return tuple(found)
