"""One file of a run: what the store had of it, what is wanted of it, and what became of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Literal

from features.raw import INTERVALS, LedgerEntry
from features.sources.archive.checksums import Notice
from features.sources.archive.layout import DAY_MS, HOUR_MS, ArchiveFile
from features.sources.archive.metrics import METRICS_STEP
from features.sources.archive.notes import Reading, Span, stamp
from features.sources.archive.report import SkippedFile
from features.store import SourceFile

__all__ = ["Unit", "coverage", "day_of", "file_span", "reach", "row_step"]

_PART = re.compile(r"only (\S+) to (\S+)")
_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

Action = Literal["keep", "read", "missing", "refused"]


def row_step(file: ArchiveFile) -> int:
    """Milliseconds from row to row; 0 for settlements, whose spacing the file itself says."""
    if file.dataset == "klines":
        return INTERVALS[file.interval] * HOUR_MS
    return METRICS_STEP if file.dataset == "metrics" else 0


def file_span(file: ArchiveFile) -> Span:
    """Span of a file in the times that ``since`` and ``until`` speak of: closes, for bars."""
    start, end = file.period.start, file.period.end
    if file.dataset == "klines":
        return Span(start + row_step(file), end + row_step(file))
    return Span(start, end)


def reach(file: ArchiveFile) -> Span:
    """Span of all times that a file may speak of: metrics also of what is known just after its day."""
    span = file_span(file)
    return Span(span.start, span.end + METRICS_STEP + 1) if file.dataset == "metrics" else span


def coverage(file: ArchiveFile, held: SourceFile | None) -> Span | None:
    """What of a file the store took in; ``None`` if nothing."""
    if held is None or held.status != "read":
        return None
    found = _PART.fullmatch(held.reason)
    return Span(_parse(found[1]), _parse(found[2])) if found else reach(file)


def _parse(text: str) -> int:
    return round(dt.datetime.strptime(text, _FORMAT).replace(tzinfo=dt.UTC).timestamp() * 1000)


def _part_words(file: ArchiveFile, span: Span) -> str:
    if span.holds(reach(file)):
        return ""
    return f"only {stamp(span.start).strftime(_FORMAT)} to {stamp(span.end).strftime(_FORMAT)}"


def day_of(milliseconds: int) -> dt.date:
    """UTC date of a moment."""
    return dt.date(1970, 1, 1) + dt.timedelta(milliseconds // DAY_MS)


@dataclass(eq=False)
class Unit:
    """A file in a run.

    Attributes
    ----------
    file : ArchiveFile
    held : SourceFile or None
        What the store says of it.
    wanted : Span
        Times that are to be in the store afterwards, those that are there included.
    notice : Notice
        What the archive says of it.
    action : {"keep", "read", "missing", "refused"}
        ``read`` until its rows are read or refused; ``keep`` leaves the rows that are there.
    reason : str
        Of ``missing`` and ``refused``; of ``keep``, why a newer version was not taken.
    sha256 : str
        Of the zip that is read or refused.
    in_days : bool
        A month that is read day by day instead: it says no row is lost.
    newer_refused : bool
        A newer version came and was refused; the older rows stay.
    reading : Reading or None
        Once read.
    ready : asyncio.Event
        The zip is there, or will not come.
    """

    file: ArchiveFile
    held: SourceFile | None
    wanted: Span
    notice: Notice
    action: Action = "keep"
    reason: str = ""
    sha256: str = ""
    in_days: bool = False
    newer_refused: bool = False
    reading: Reading | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def has_rows(self) -> bool:
        """Whether the store has rows of it, or will have them."""
        return self.action in {"keep", "read"}

    @property
    def was_read(self) -> bool:
        """Whether the store has rows of it from before."""
        return self.held is not None and self.held.status == "read"

    @property
    def revised(self) -> bool:
        """Whether another version of it was read before."""
        return self.held is not None and self.was_read and self.held.sha256 != self.sha256

    def give_up(self, action: Literal["missing", "refused"], reason: str, digest: str = "") -> None:
        """No row of it comes; rows that are there stay. ``digest`` is of a zip that was refused."""
        self.reason, self.reading = reason, None
        if self.was_read:
            self.action, self.newer_refused = "keep", bool(digest)
        else:
            self.action, self.sha256 = action, digest

    def source_file(self) -> SourceFile | None:
        """What the store is to say of it; ``None``: what it says already."""
        if self.action == "keep":
            return None
        if self.action == "read":
            rows = 0 if self.reading is None else self.reading.rows
            return SourceFile("read", self.sha256, rows, _part_words(self.file, self.wanted))
        return SourceFile(self.action, self.sha256, 0, self.reason)

    def entries(self, before: tuple[LedgerEntry, ...]) -> tuple[LedgerEntry, ...]:
        """Its ledger entries; ``before`` are those of the store."""
        if self.action == "keep":
            if self.newer_refused:
                others = tuple(one for one in before if one.kind != "refused_file")
                return (
                    *others,
                    self._entry("refused_file", f"newer version: {self.reason}; older rows stay", 0),
                )
            if self.notice.asked and self.notice.status == "found":
                return tuple(one for one in before if one.kind != "refused_file")
            return before
        if self.action != "read" or self.reading is None:
            kind = "missing_file" if self.action == "missing" else "refused_file"
            return (self._entry(kind, self.reason, self.rows_lost()),)
        if not self.revised or self.held is None:
            return self.reading.ledger
        words = f"was {self.held.sha256[:12]}, now {self.sha256[:12]}"
        return (self._entry("revised_file", words, self.reading.rows), *self.reading.ledger)

    def rows_lost(self) -> int:
        """Rows that the file would have; 0 where that is not known."""
        step = 0 if self.in_days else row_step(self.file)
        span = self.wanted.meet(file_span(self.file))
        return -(-(span.end - span.start) // step) if step and span else 0

    def _entry(self, kind: str, detail: str, count: int) -> LedgerEntry:
        first, last = self._edges()
        return LedgerEntry(kind, self.file.name, stamp(first), stamp(last), count, detail)

    def _edges(self) -> tuple[int, int]:
        """First and last moment it would hold a row of."""
        step = row_step(self.file) or HOUR_MS
        span = self.wanted.meet(file_span(self.file)) or self.wanted
        first = -(-span.start // step) * step
        return first, max(first, (span.end - 1) // step * step)

    def skipped(self) -> SkippedFile | None:
        """How it is told, if it gave no row; a newer version that gave none is told too."""
        if self.action == "read" or not self.reason:
            return None
        if self.action != "keep":
            status, reason = self.action, self.reason
        elif self.notice.status == "missing":
            status, reason = "missing", "no longer in the archive; its rows stay"
        elif self.newer_refused:
            status, reason = "refused", f"newer version: {self.reason}; older rows stay"
        else:
            status, reason = "refused", f"not asked for a newer version: {self.reason}; its rows stay"
        period = self.file.period
        return SkippedFile(self.file.name, day_of(period.start), day_of(period.end - 1), status, reason)
