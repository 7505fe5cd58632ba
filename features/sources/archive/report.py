"""What a fetch of one symbol did, for the command to print."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["FetchReport", "SkippedFile"]


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that gave no row.

    Attributes
    ----------
    file : str
        Name of the zip; for a stretch of several, the dataset.
    first, last : datetime.date
        First and last day, UTC, of what it would hold.
    status : {"missing", "refused"}
    reason : str
        In words.
    """

    file: str
    first: dt.date
    last: dt.date
    status: str
    reason: str

    def line(self) -> str:
        """For the terminal: days, file, status and reason."""
        days = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"{days}  {self.file}  {self.status}: {self.reason}"


@dataclass(frozen=True)
class FetchReport:
    """What became of the files of one symbol.

    Attributes
    ----------
    symbol, interval : str
    read : int
        Files whose rows came into the store in this run.
    kept : int
        Files whose rows were there already.
    missing, refused : int
        Files within the span that gave no row; a stretch before the first or after the last file
        of a dataset counts once.
    revised : int
        Files among those read that replaced an older version of themselves.
    rows : mapping of str to int
        Rows read in this run, by kind.
    downloaded : int
        Zips downloaded.
    received_bytes : int
        Bytes received, checksums included.
    skipped : tuple of SkippedFile
        Oldest first.
    changed : bool
        Whether the store was changed.
    """

    symbol: str
    interval: str
    read: int = 0
    kept: int = 0
    missing: int = 0
    refused: int = 0
    revised: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    downloaded: int = 0
    received_bytes: int = 0
    skipped: tuple[SkippedFile, ...] = ()
    changed: bool = False

    def lines(self) -> list[str]:
        """A line for each file that gave no row, oldest first."""
        return [one.line() for one in self.skipped]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "symbol": self.symbol,
            "interval": self.interval,
            "read": self.read,
            "kept": self.kept,
            "missing": self.missing,
            "refused": self.refused,
            "revised": self.revised,
            "rows": dict(self.rows),
            "downloaded": self.downloaded,
            "received_bytes": self.received_bytes,
            "skipped": [
                {
                    "file": one.file,
                    "first": one.first.isoformat(),
                    "last": one.last.isoformat(),
                    "status": one.status,
                    "reason": one.reason,
                }
                for one in self.skipped
            ],
            "changed": self.changed,
        }
