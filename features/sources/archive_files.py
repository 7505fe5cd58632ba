"""Files of the exchange's public archive that lie in a folder, at any depth.

    BTCUSDT-1h-2024-01.zip  BTCUSDT-1h-2024-02-03.csv  BTCUSDT-fundingRate-2024-01.zip
    BTCUSDT-metrics-2024-01-05.csv

as zip or unpacked. A month's file is read in place of its days'. The archive gives the same names
to bars of other kinds (mark price, spot, ...): what lies in a folder of one of these is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import DataError
from features.raw import LedgerEntry
from features.sources.archive.layout import ArchiveFile, parse_name

__all__ = ["ArchivedFile", "ArchivedSymbol", "find_archive_files"]

MOST_ENTRIES = 1_000_000
"""Files and folders that are looked at."""
_OTHER_MARKETS = frozenset(
    {"spot", "cm", "option", "markPriceKlines", "indexPriceKlines", "premiumIndexKlines", "continuousKlines"}
)
_SYMBOL = re.compile(r"([A-Z0-9]{2,24})-.*")


@dataclass(frozen=True)
class ArchivedFile:
    """One file to read.

    Attributes
    ----------
    named : ArchiveFile
        What its name says.
    path : Path
    instead : tuple of ArchivedFile
        Of a month: its days, for when the month's own file is refused.
    """

    named: ArchiveFile
    path: Path
    instead: tuple[ArchivedFile, ...] = ()


@dataclass
class ArchivedSymbol:
    """Files of one symbol.

    Attributes
    ----------
    symbol : str
    files : list of ArchivedFile
        Bars of the interval, funding and metrics; oldest first, one for each period.
    ignored : dict of str to list of str
        Why, and the files.
    """

    symbol: str
    files: list[ArchivedFile] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)

    def ignore(self, file: str, why: str) -> None:
        """Leave a file out, by name."""
        self.ignored.setdefault(why, []).append(file)

    def ledger(self) -> list[LedgerEntry]:
        """``ignored_file`` entries, one for each reason: a folder may hold thousands of such files."""
        return [
            LedgerEntry(
                "ignored_file", files[0], count=len(files), detail=f"{why}; the first of {len(files):,}"
            )
            if len(files) > 1
            else LedgerEntry("ignored_file", files[0], detail=why)
            for why, files in sorted(self.ignored.items())
        ]


def find_archive_files(path: Path, interval: str) -> dict[str, ArchivedSymbol]:
    """Symbols with bars of the interval.

    Raises
    ------
    DataError
        If the folder holds more than a million entries.
    """
    found: dict[str, ArchivedSymbol] = {}
    places: dict[ArchiveFile, list[Path]] = {}
    for file in _walk(path):
        begins = _SYMBOL.fullmatch(file.name)
        if begins is None or file.suffix not in {".csv", ".zip"} or not file.is_file():
            continue
        named = parse_name(file.name)
        one = found.setdefault(begins[1], ArchivedSymbol(begins[1]))
        elsewhere = _OTHER_MARKETS & {*file.relative_to(path).parts}
        if elsewhere:
            one.ignore(str(file.relative_to(path)), f"in a folder {min(elsewhere)}")
        elif named is None or named.interval not in {"", interval}:
            one.ignore(str(file.relative_to(path)), f"not read for {interval}")
        else:
            places.setdefault(named, []).append(file)
    for named, files in sorted(places.items(), key=lambda item: item[0]):
        # Unpacked before packed, shallow before deep.
        first, *doubles = sorted(files, key=lambda file: (file.suffix, len(file.parts), str(file)))
        one = found[named.symbol]
        one.files.append(ArchivedFile(named, first))
        for file in doubles:
            one.ignore(str(file.relative_to(path)), "the same period is read from another file")
    for one in found.values():
        one.files = _months_first(one.files)
    return {
        symbol: one
        for symbol, one in sorted(found.items())
        if any(file.named.dataset == "klines" for file in one.files)
    }


def _months_first(files: list[ArchivedFile]) -> list[ArchivedFile]:
    """Days of a month that is there whole become what to read in its place."""
    months = {(file.named.scope, file.named.period.name) for file in files if file.named.period.is_month}
    days: dict[tuple[str, str], list[ArchivedFile]] = {}
    rest = []
    for file in files:
        month = (file.named.scope, file.named.period.month_name)
        if month in months and not file.named.period.is_month:
            days.setdefault(month, []).append(file)
        else:
            rest.append(file)
    return [
        ArchivedFile(file.named, file.path, tuple(days.get((file.named.scope, file.named.period.name), ())))
        for file in rest
    ]


def _walk(path: Path) -> Iterator[Path]:
    """Every file below a folder; links to folders are not followed, so there is no loop."""
    seen = 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        seen += len(folders) + len(files)
        if seen > MOST_ENTRIES:
            raise DataError(
                f"{path} holds more than {MOST_ENTRIES:,} files",
                code="too_large",
                field="path",
                hint="name the folder of the files",
            )
        for name in sorted(files):
            yield Path(folder, name)
