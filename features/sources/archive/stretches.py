"""What a dataset lacks before its first and after its last file, and inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from features.raw import LedgerEntry
from features.sources.archive.job import Job
from features.sources.archive.layout import DAY_MS, HOUR_MS, ArchiveFile
from features.sources.archive.notes import Span, stamp
from features.sources.archive.report import SkippedFile
from features.sources.archive.units import Unit, day_of, file_span, row_step

__all__ = ["inside", "nothing", "outside", "whole_days"]


def inside(units: Sequence[Unit]) -> list[Unit]:
    """Units from the first to the last with rows; those outside that are refused stay, too."""
    rows = [number for number, unit in enumerate(units) if unit.has_rows]
    first, last = (rows[0], rows[-1]) if rows else (0, -1)
    return [unit for number, unit in enumerate(units) if first <= number <= last or unit.action == "refused"]


def outside(job: Job, units: Sequence[Unit], due: Span, *, head: bool) -> dict[str, tuple[LedgerEntry, ...]]:
    """Ledger scopes of what lacks before the first and after the last file of a dataset.

    Parameters
    ----------
    units : sequence of Unit
        Those with rows, oldest first; at least one.
    due : Span
        What could be there, in the times of :func:`file_span`.
    head : bool
        Whether the beginning is named.
    """
    first, last = units[0].file, units[-1].file
    scopes: dict[str, tuple[LedgerEntry, ...]] = {}
    before = Span(due.start, min(due.end, file_span(first).start))
    after = Span(max(due.start, file_span(last).end), due.end)
    for name, span, words in (
        ("before", before, f"no file before that of {first.period.name}"),
        ("after", after, f"no file after that of {last.period.name}: not published (yet)"),
    ):
        scope = f"{first.scope}/{name}"
        if span:
            if head or name == "after":
                scopes[scope] = (_entry(first, span, words),)
                job.stretches.append(_skipped(first, span, words))
        elif all(_within(entry, due) for entry in job.ledger(scope)):
            scopes[scope] = ()
    return scopes


def nothing(job: Job, file: ArchiveFile, due: Span) -> dict[str, tuple[LedgerEntry, ...]]:
    """Ledger scope of a dataset that has no file at all in the span."""
    if not due:
        return {}
    words = "no file in the archive"
    job.stretches.append(_skipped(file, due, words))
    return {f"{file.scope}/before": (replace(_entry(file, due, words), kind="no_data"),)}


def _within(entry: LedgerEntry, due: Span) -> bool:
    return (
        entry.start is not None
        and entry.end is not None
        and due.start <= entry.start.timestamp() * 1000
        and entry.end.timestamp() * 1000 < due.end
    )


def _entry(file: ArchiveFile, span: Span, words: str) -> LedgerEntry:
    step = row_step(file)
    grid = step or HOUR_MS
    first = -(-span.start // grid) * grid
    count = -(-(span.end - span.start) // step) if step else 0
    last = max(first, (span.end - 1) // grid * grid)
    return LedgerEntry("missing_file", file.scope, stamp(first), stamp(last), count, words)


def _skipped(file: ArchiveFile, span: Span, words: str) -> SkippedFile:
    # A bar that closes at midnight is of the day before.
    shift = row_step(file) if file.dataset == "klines" else 0
    first, last = day_of(span.start - shift), day_of(span.end - 1 - shift)
    return SkippedFile(f"{file.symbol}-{file.interval or file.dataset}", first, last, "missing", words)


def whole_days(span: Span, now: int, *, closes: bool = False) -> Span:
    """A span up to the last midnight: what is younger is not due.

    A row of midnight is of the day that begins; with ``closes`` the times are of bar closes, and one
    at midnight is of the day that ends.
    """
    return Span(span.start, min(span.end, now // DAY_MS * DAY_MS + int(closes)))
