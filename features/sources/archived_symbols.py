"""A symbol's raw tables from files of the public archive that a user has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from features.errors import BearmodeError, DataError, NothingUsableError
from features.raw import LedgerEntry, RawMarket
from features.sources.archive.metrics import joined_cells
from features.sources.archive.notes import Columns, frame_of
from features.sources.archive.reading import Reading, Settlement, read_csv, unpack
from features.sources.archive.zips import CSV_LIMIT
from features.sources.archive_files import ArchivedFile, ArchivedSymbol
from features.sources.refusals import Refusals

__all__ = ["load_archived"]


@dataclass
class _Reader:
    """Reads files one after another; what one says of funding, the next one needs."""

    symbol: str
    refusals: Refusals
    now: int
    ledger: list[LedgerEntry] = field(default_factory=list)
    previous: Settlement | None = None

    def readings(self, files: Sequence[ArchivedFile]) -> Iterator[Reading]:
        """What could be read; the days of a month whose own file was refused."""
        for file in files:
            try:
                reading = self._read(file)
            except BearmodeError as error:
                self.ledger.append(self.refusals.refuse(file.path, self.symbol, error))
                yield from self.readings(file.instead)
                continue
            self.ledger += reading.ledger
            funding = reading.tables.get("funding")
            if funding is not None and len(funding["time"]):
                hours = float(funding["funding_interval_hours"][-1])
                self.previous = Settlement(int(funding["time"][-1]), hours)
            yield reading

    def _read(self, file: ArchivedFile) -> Reading:
        path = file.path
        try:
            if path.stat().st_size > CSV_LIMIT:
                raise DataError(f"too large: more than {CSV_LIMIT:,} bytes", code="too_large")
            content = path.read_bytes()
            if path.suffix == ".zip":
                _check_sum(path, content)
                content = unpack(content, name=file.named.name)
            return read_csv(content, file.named, previous=self.previous, now=self.now)
        except OSError as error:
            raise DataError(
                f"{path}: not readable: {error.strerror or error}", code="unreadable_file", field=path.name
            ) from error
        except DataError as error:
            raise DataError(f"{path}: {error.message}", code=error.code, field=path.name) from error


def load_archived(
    one: ArchivedSymbol, interval: str, refusals: Refusals, shared: tuple[LedgerEntry, ...] = ()
) -> RawMarket | None:
    """Raw tables of one symbol; ``None`` where no file of bars could be read.

    Raises
    ------
    DataError
        For the first bad file, where nobody asked for a report.
    """
    now = int(pd.Timestamp.now(tz="UTC").timestamp() * 1000)
    reader = _Reader(one.symbol, refusals, now, [*one.ledger(), *shared])
    parts: dict[str, list[Columns]] = {}
    for reading in reader.readings(one.files):
        for kind, columns in reading.tables.items():
            if len(columns["open_time" if kind == "bars" else "time"]):
                parts.setdefault(kind, []).append(columns)
    if "positioning" in parts:  # two files meet at midnight, each with its own columns
        parts["positioning"] = [joined_cells(parts["positioning"])]
    tables = {kind: _whole(columns) for kind, columns in parts.items()}
    if "bars" not in tables:
        nothing = NothingUsableError(
            f"{one.symbol}: none of its files of {interval} bars holds a bar", field="symbols"
        )
        refusals.refuse(one.files[0].path.parent, one.symbol, nothing)
        return None
    return RawMarket(
        one.symbol,
        interval,
        tables["bars"],
        tables.get("funding"),
        tables.get("open_interest"),
        _beside(tables.get("positioning"), tables.get("taker_volume")),
        None,
        "binance",
        tuple(reader.ledger),
    )


def _check_sum(path: Path, content: bytes) -> None:
    """Compare a zip with its ``CHECKSUM`` where that lies beside it."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file() or beside.stat().st_size > 4096:
        return
    # Its module speaks HTTP, whose client takes a tenth of a second to import.
    from features.sources.archive.checksums import parse_checksum  # noqa: PLC0415

    found = hashlib.sha256(content).hexdigest()
    expected = parse_checksum(beside.read_bytes(), path.name)
    if found != expected:
        raise DataError(
            f"checksum: the zip is {found[:12]}, its CHECKSUM says {expected[:12]}", code="refused_file"
        )


def _whole(parts: Sequence[Columns]) -> pd.DataFrame:
    """The files' rows in order; of two of one time the later file's counts."""
    frame = frame_of(parts)
    key = str(frame.columns[0])
    stamps = pd.DatetimeIndex(frame[key]).asi8
    if (stamps[1:] <= stamps[:-1]).any():
        frame = frame.sort_values(key, kind="stable").drop_duplicates(key, keep="last")
    return frame.reset_index(drop=True)


def _beside(ratios: pd.DataFrame | None, sums: pd.DataFrame | None) -> pd.DataFrame | None:
    """Five-minute ratios and daily sums in one table, each at its own times."""
    if ratios is None or sums is None:
        return sums if ratios is None else ratios
    return ratios.merge(sums, on="time", how="outer", sort=True)
