"""The store: raw tables of each symbol as Parquet, written whole or not at all.

    <store>/<SYMBOL>/<interval>/current.json     names the folder that holds, and its source
    <store>/<SYMBOL>/<interval>/<generation>/    bars, funding, open_interest, ... .parquet

A write makes a new generation beside the old one and then replaces ``current.json``: a reader sees
the tables before or after it, never a mixture. One writer at a time holds the lock.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import pandas as pd

from features.errors import DataError, LockedError, NothingUsableError
from features.raw import INTERVALS, LedgerEntry, RawMarket

__all__ = ["Store"]

SCHEMA_VERSION = 1
_TABLES = ("bars", "funding", "open_interest", "positioning", "fear_greed")


class Store:
    """Raw tables on local disk.

    Parameters
    ----------
    root : Path
        Made at the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def symbols(self, interval: str) -> list[str]:
        """Symbols with bars of the interval, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(path.parent.parent.name for path in self.root.glob(f"*/{interval}/current.json"))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock.

        Raises
        ------
        LockedError
            At once, if somebody else holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise LockedError(
                f"another process is writing to {self.root}", hint="wait until it has ended"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def check_source(self, market: RawMarket) -> dict[str, object] | None:
        """Refuse to mix sources; gives what the store says of the symbol now.

        Raises
        ------
        DataError
            If the store holds the symbol from another source.
        """
        before = self._current(market.symbol, market.interval)
        if before is not None and before["source"] != market.source:
            raise DataError(
                f"{market.symbol}: {self.root} holds it from source {before['source']!r}, "
                f"not {market.source!r}",
                code="mixed_sources",
                hint="use another --store, or remove the symbol's folder",
            )
        return before

    def write(self, market: RawMarket) -> int:
        """Add a symbol's tables; rows of the same time are replaced, others stay.

        Parameters
        ----------
        market : RawMarket

        Returns
        -------
        int
            Bars in the store afterwards.

        Raises
        ------
        DataError
            If the store holds the symbol from another source: simulated and real rows never mix.
        """
        folder = self.root / market.symbol / market.interval
        before = self.check_source(market)
        generation = uuid.uuid4().hex[:12]
        staging = folder / f".{generation}"
        staging.mkdir(parents=True)
        try:
            bars = 0
            for name in _TABLES:
                table = getattr(market, name)
                old = None if before is None else self._table(folder / str(before["folder"]), name)
                merged = _merged(old, table)
                if merged is not None:
                    merged.to_parquet(staging / f"{name}.parquet", index=False)
                    bars = len(merged) if name == "bars" else bars
            staging.rename(folder / generation)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        meta = {
            "schema_version": SCHEMA_VERSION,
            "folder": generation,
            "source": market.source,
            "ledger": [entry.as_dict() for entry in market.ledger],
        }
        pointer = folder / f".current.{generation}"
        pointer.write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(pointer, folder / "current.json")  # noqa: PTH105 - the atomic one
        keep = {generation, "" if before is None else str(before["folder"])}
        for path in folder.iterdir():
            if path.is_dir() and path.name not in keep:
                shutil.rmtree(path, ignore_errors=True)
        return bars

    def read(self, symbol: str, interval: str) -> RawMarket:
        """Read a symbol's tables.

        Raises
        ------
        NothingUsableError
            If the store does not hold the symbol at that interval.
        DataError
            If the store was written by a newer bearmode.
        """
        current, tables = self._current_tables(symbol, interval)
        if current is None:
            there = ", ".join(self.symbols(interval)) or "nothing"
            raise NothingUsableError(
                f"{symbol}: {self.root} has no {interval} bars of it; it holds {there}",
                field="symbols",
                hint="fetch it first: bearmode fetch --source files --path DIR --symbols " + symbol,
            )
        bars = tables.pop("bars")
        if bars is None:
            raise DataError(
                f"{self.root / symbol / interval / str(current['folder'])} has lost its bars",
                code="damaged_store",
                hint="fetch the symbol again",
            )
        entries = current["ledger"]
        ledger = tuple(_entry(one) for one in entries) if isinstance(entries, list) else ()
        return RawMarket(symbol, interval, bars, **tables, source=str(current["source"]), ledger=ledger)

    def _current_tables(
        self, symbol: str, interval: str
    ) -> tuple[dict[str, object] | None, dict[str, pd.DataFrame | None]]:
        """The pointer and the tables it names, read again if writers overtook the reading."""
        current = self._current(symbol, interval)
        while True:
            tables: dict[str, pd.DataFrame | None] = dict.fromkeys(_TABLES)
            if current is None:
                return current, tables
            folder = self.root / symbol / interval / str(current["folder"])
            with suppress(FileNotFoundError):
                tables = {name: self._table(folder, name) for name in _TABLES}
            # A generation is removed only after the pointer has left it.
            now = self._current(symbol, interval)
            if now == current:
                return current, tables
            current = now

    def _current(self, symbol: str, interval: str) -> dict[str, object] | None:
        if interval not in INTERVALS:
            raise DataError(f"interval is {interval!r}, expected one of {', '.join(INTERVALS)}")
        path = self.root / symbol / interval / "current.json"
        if not path.is_file():
            return None
        try:
            found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
            version = found["schema_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged: {error}", code="damaged_store") from error
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path} has schema version {version}, this bearmode reads {SCHEMA_VERSION}",
                code="newer_store",
                hint="upgrade bearmode, or use another --store",
            )
        return found

    @staticmethod
    def _table(folder: Path, name: str) -> pd.DataFrame | None:
        path = folder / f"{name}.parquet"
        return pd.read_parquet(path) if path.is_file() else None


def _merged(old: pd.DataFrame | None, new: pd.DataFrame | None) -> pd.DataFrame | None:
    if old is None or new is None:
        return new if old is None else old
    key = "open_time" if "open_time" in new else "time"
    both = pd.concat([old, new], ignore_index=True).drop_duplicates(key, keep="last")
    return both.sort_values(key, kind="stable").reset_index(drop=True)


def _entry(found: dict[str, object]) -> LedgerEntry:
    times = {
        name: None if found[name] is None else pd.Timestamp(str(found[name])) for name in ("start", "end")
    }
    return LedgerEntry(
        str(found["kind"]),
        str(found["subject"]),
        times["start"],
        times["end"],
        int(str(found["count"])),
        str(found["detail"]),
    )
