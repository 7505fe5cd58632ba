"""The manifest of a symbol: which partitions make it, what is missing, which files were read.

It is one JSON object, written whole; every part of it is a function of what was committed, so the
same content gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import pandas as pd

from features.errors import DataError
from features.raw import LedgerEntry

__all__ = [
    "MANIFEST",
    "SCHEMA_VERSION",
    "KindState",
    "Partition",
    "SourceFile",
    "SymbolState",
    "dumps",
    "loads",
    "milliseconds",
    "objects",
    "own",
]

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
_YEAR_10000 = 253_402_300_800_000
"""Unix milliseconds."""
_KIND = re.compile(r"[a-z][a-z0-9_]*")
_NAME = r"[0-9]{4}(-[0-9]{2})?\.[0-9a-f]{16}\.parquet"
_FILE = re.compile(_NAME)
_OWN = re.compile(rf"({_KIND.pattern}/({_NAME}|\.{_NAME}\.[0-9]+\.part))|\.manifest\.json\.[0-9]+\.part")


class SourceFile(NamedTuple):
    """What became of one file of a source.

    Attributes
    ----------
    status : {"read", "missing", "refused"}
    sha256 : str
        Of the file as it was read or refused; empty where it is missing.
    rows : int
        Rows it gave.
    reason : str
        Why it is missing or refused.
    """

    status: str
    sha256: str = ""
    rows: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """One Parquet file: its name below the kind's folder, its rows, first and last time (UTC ms)."""

    file: str
    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class KindState:
    """What the store holds of one kind of table.

    Attributes
    ----------
    partitions : mapping of str to Partition
        Period (``2024-01`` or ``2024``) to file, oldest first.
    options : mapping of str to value
        What belongs to the table, such as ``stale_after_hours`` of a signal.
    """

    partitions: Mapping[str, Partition]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in all partitions."""
        return sum(part.rows for part in self.partitions.values())

    @property
    def first(self) -> pd.Timestamp:
        """Oldest time of the key column."""
        return _stamp(min(part.first for part in self.partitions.values()))

    @property
    def last(self) -> pd.Timestamp:
        """Newest time of the key column."""
        return _stamp(max(part.last for part in self.partitions.values()))


@dataclass(frozen=True)
class SymbolState:
    """What the store says of a symbol.

    Attributes
    ----------
    symbol, source : str
    kinds : mapping of str to KindState
        Kinds that hold at least one row.
    ledger : mapping of str to tuple of LedgerEntry
        By scope: what that part of the source left out.
    files : mapping of str to SourceFile
        By ``dataset/period``.
    """

    symbol: str
    source: str
    kinds: Mapping[str, KindState] = field(default_factory=dict)
    ledger: Mapping[str, tuple[LedgerEntry, ...]] = field(default_factory=dict)
    files: Mapping[str, SourceFile] = field(default_factory=dict)


def dumps(state: SymbolState) -> bytes:
    """Bytes of the manifest: sorted, the same for the same state."""
    files: dict[str, dict[str, list[Any]]] = {}
    for name, file in state.files.items():
        dataset, _, period = name.partition("/")
        files.setdefault(dataset, {})[period] = [file.status, file.sha256, file.rows, file.reason]
    content = {
        "schema_version": SCHEMA_VERSION,
        "symbol": state.symbol,
        "source": state.source,
        "kinds": {
            name: {
                "partitions": {
                    period: [part.file, part.rows, part.first, part.last]
                    for period, part in kind.partitions.items()
                },
                "options": dict(kind.options),
            }
            for name, kind in state.kinds.items()
        },
        "ledger": {scope: [_packed(entry) for entry in entries] for scope, entries in state.ledger.items()},
        "files": files,
    }
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def objects(state: SymbolState) -> set[str]:
    """Names of the partition files that a manifest holds, relative to the store."""
    return {
        f"{state.symbol}/{name}/{part.file}"
        for name, kind in state.kinds.items()
        for part in kind.partitions.values()
    }


def own(name: str) -> bool:
    """Whether a name below a symbol's folder is one that only a writer of the store gives.

    Somebody may name a folder of files of their own as the store: those are not ours to remove.

    Examples
    --------
    >>> own("bars_1h/2024-01.6f0a6f0a6f0a6f0a.parquet"), own(".manifest.json.77.part")
    (True, True)
    >>> own("bars_1h.parquet"), own("bars_1h/2024-01.parquet")
    (False, False)
    """
    return _OWN.fullmatch(name) is not None


def loads(content: bytes, where: str, symbol: str) -> SymbolState:
    """State of a symbol from its manifest's bytes; ``where`` names it in errors.

    Raises
    ------
    DataError
        ``newer_store`` or ``damaged_store``.
    """
    try:
        found = orjson.loads(content)
        version = found["schema_version"]
        if version == SCHEMA_VERSION:
            return _state(found, symbol)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{where} is damaged: {type(error).__name__}: {error}",
            code="damaged_store",
            hint="remove the symbol's folder and fetch it again",
        ) from error
    raise DataError(
        f"{where} has schema version {version}, this bearmode reads up to {SCHEMA_VERSION}",
        code="newer_store",
        hint="upgrade bearmode, or use another --store",
    )


def _state(found: Mapping[str, Any], symbol: str) -> SymbolState:
    if found["symbol"] != symbol:
        raise ValueError(f"it is of {found['symbol']}, not of {symbol}")
    kinds = {
        _checked(name, _KIND): KindState(
            {period: _partition(period, *part) for period, part in sorted(kind["partitions"].items())},
            dict(kind["options"]),
        )
        for name, kind in found["kinds"].items()
    }
    if empty := [name for name, kind in kinds.items() if not kind.partitions]:
        raise ValueError(f"{empty[0]} has no partition")
    ledger = {
        scope: tuple(_entry(entry) for entry in entries) for scope, entries in sorted(found["ledger"].items())
    }
    files = {
        f"{dataset}/{period}": SourceFile(*file)
        for dataset, periods in sorted(found["files"].items())
        for period, file in sorted(periods.items())
    }
    return SymbolState(found["symbol"], found["source"], kinds, ledger, files)


def _partition(period: str, file: str, rows: int, first: int, last: int) -> Partition:
    if not file.startswith(f"{period}.") or rows < 1 or not 0 <= first <= last < _YEAR_10000:
        raise ValueError(f"partition {period} cannot be {file} with {rows} rows from {first} to {last}")
    return Partition(_checked(file, _FILE), int(rows), int(first), int(last))


def _checked(name: str, form: re.Pattern[str]) -> str:
    """A name that becomes part of a path, never one that leads elsewhere."""
    if not form.fullmatch(name):
        raise ValueError(f"{name!r} is no name of its own")
    return name


def _packed(entry: LedgerEntry) -> list[Any]:
    start, end = (None if time is None else milliseconds(time) for time in (entry.start, entry.end))
    return [entry.kind, entry.subject, start, end, int(entry.count), entry.detail]


def _entry(found: Sequence[Any]) -> LedgerEntry:
    kind, subject, start, end, count, detail = found
    return LedgerEntry(
        kind,
        subject,
        None if start is None else _stamp(start),
        None if end is None else _stamp(end),
        count,
        detail,
    )


def milliseconds(time: pd.Timestamp) -> int:
    """Unix milliseconds of a time.

    Examples
    --------
    >>> milliseconds(pd.Timestamp("1970-01-01 00:00:01", tz="UTC"))
    1000
    """
    return time.as_unit("ns").value // 1_000_000


def _stamp(milliseconds: int) -> pd.Timestamp:
    return pd.Timestamp(milliseconds, unit="ms", tz="UTC").as_unit("ms")
