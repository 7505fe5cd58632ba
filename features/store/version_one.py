"""Stores of schema version 1: one folder of whole tables for each symbol and interval.

    <store>/<SYMBOL>/<interval>/current.json
    <store>/<SYMBOL>/<interval>/<generation>/bars.parquet, funding.parquet, ...

Read only to be carried over to the present form at the next writing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from features.errors import DataError
from features.raw import INTERVALS, LedgerEntry
from features.store.change import Change
from features.store.folders import Folder, LocalFolder
from features.store.kinds import SYMBOL, kind_of
from features.store.manifest import MANIFEST, SymbolState, dumps
from features.store.partitions import changed_kind
from features.store.tables import merged

__all__ = ["carry_over", "holds_version_one"]

_TABLES = ("bars", "funding", "open_interest", "positioning", "fear_greed")


def holds_version_one(folder: Path) -> bool:
    """Whether a symbol's folder is of version 1."""
    return any((folder / interval / "current.json").is_file() for interval in INTERVALS)


def carry_over(store: Folder) -> None:
    """Bring each symbol of version 1 to the present form; the caller holds the lock.

    Raises
    ------
    DataError
        ``damaged_store`` or ``newer_store``; what was carried over before stays so.
    """
    if not isinstance(store, LocalFolder):
        return  # object stores came with version 2
    for symbol in store.subfolders():
        folder = store.root / symbol
        if not SYMBOL.match(symbol) or not holds_version_one(folder):
            continue
        if not (folder / MANIFEST).is_file():
            _write(store, symbol, _changes(folder))
        for interval in INTERVALS:
            shutil.rmtree(folder / interval, ignore_errors=True)


def _write(store: LocalFolder, symbol: str, changes: Sequence[Change]) -> None:
    """Several changes as one manifest."""
    tables: dict[str, pd.DataFrame] = {}
    ledger: dict[str, tuple[LedgerEntry, ...]] = {}
    for change in changes:
        for name, table in change.tables.items():
            whole = merged(kind_of(name), tables.get(name), table)
            if whole is not None:
                tables[name] = whole
        ledger |= {scope: tuple(entries) for scope, entries in change.ledger.items() if entries}
    source = changes[0].source
    found = {
        name: changed_kind(store, symbol, kind_of(name), None, Change(source, tables)) for name in tables
    }
    kinds = {name: kind for name, kind in found.items() if kind is not None}
    store.put(f"{symbol}/{MANIFEST}", dumps(SymbolState(symbol, source, kinds, ledger)))


def _changes(folder: Path) -> list[Change]:
    """What a symbol's folder holds, a change for each interval.

    Raises
    ------
    DataError
        ``damaged_store``.
    """
    changes = []
    for interval in INTERVALS:
        pointer = folder / interval / "current.json"
        if not pointer.is_file():
            continue
        try:
            found = json.loads(pointer.read_text(encoding="utf-8"))
            if found["schema_version"] != 1:
                raise DataError(
                    f"{pointer} has schema version {found['schema_version']}, expected 1",
                    code="newer_store",
                    hint="upgrade bearmode, or use another --store",
                )
            tables = {
                f"bars_{interval}" if name == "bars" else name: pd.read_parquet(
                    folder / interval / found["folder"] / f"{name}.parquet"
                )
                for name in _TABLES
                if name == "bars" or (folder / interval / found["folder"] / f"{name}.parquet").is_file()
            }
            ledger = tuple(_entry(entry) for entry in found["ledger"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{pointer} is damaged: {error}",
                code="damaged_store",
                hint="remove the symbol's folder and fetch it again",
            ) from error
        changes.append(Change(str(found["source"]), tables, ledger={f"{found['source']}-{interval}": ledger}))
    return changes


def _entry(found: dict[str, str | None]) -> LedgerEntry:
    start, end = (
        None if found[name] is None else pd.Timestamp(str(found[name])) for name in ("start", "end")
    )
    return LedgerEntry(
        str(found["kind"]), str(found["subject"]), start, end, int(str(found["count"])), str(found["detail"])
    )
