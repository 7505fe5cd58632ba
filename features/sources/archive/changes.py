"""From the units of a stretch of time to one atomic change of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.raw import LedgerEntry
from features.sources.archive.edges import Edges
from features.sources.archive.job import Job
from features.sources.archive.layout import VENUE, ArchiveFile
from features.sources.archive.metrics import METRICS_STEP
from features.sources.archive.notes import Columns, frame_of, stamp
from features.sources.archive.units import Unit
from features.store import Change, SourceFile
from features.store.change import Span as StoreSpan

__all__ = ["commit_units"]


def commit_units(
    job: Job,
    units: Sequence[Unit],
    *,
    replaced: Sequence[ArchiveFile] = (),
    silent: frozenset[ArchiveFile] = frozenset(),
    notes: Mapping[str, Sequence[LedgerEntry]] | None = None,
    edges: Edges | None = None,
) -> None:
    """Bring some units, oldest first, into the store in one change.

    Parameters
    ----------
    job : Job
    units : sequence of Unit
        Read, or given up.
    replaced : sequence of ArchiveFile
        Files whose rows and notes those of the units stand in for.
    silent : set of ArchiveFile
        Units that something else in the ledger speaks for.
    notes : mapping of str to sequence of LedgerEntry, optional
        Further scopes.
    edges : Edges, optional
        Rows that neighbouring files share.
    """
    read = [unit for unit in units if unit.action == "read" and unit.reading is not None]
    parts: dict[str, list[Columns]] = {}
    cleared: dict[str, list[StoreSpan]] = {}
    for unit in read:
        for kind, columns in unit.reading.tables.items() if unit.reading else ():
            name = f"bars_{unit.file.interval}" if kind == "bars" else kind
            parts.setdefault(name, []).append(columns)
        if unit.was_read or any(_within(old, unit.file) for old in replaced):
            for kind, span in _own_span(unit.file).items():
                cleared.setdefault(kind, []).append(span)
    if edges is not None and "positioning" in parts:
        parts["positioning"] = [edges.joined(parts["positioning"], [unit.file for unit in read])]
    tables = {kind: frame for kind, columns in parts.items() if len(frame := frame_of(columns))}
    ledger: dict[str, Sequence[LedgerEntry]] = {old.key: () for old in replaced}
    files = {old.key: file for old in replaced if (file := _replaced(job.state.files.get(old.key)))}
    for unit in units:
        key = unit.file.key
        ledger[key] = () if unit.file in silent else unit.entries(job.ledger(key))
        if (file := unit.source_file()) is not None:
            files[key] = file
    job.commit(Change(VENUE, tables, cleared, {**ledger, **(notes or {})}, files))
    job.rows.update({kind: len(frame) for kind, frame in tables.items()})
    for unit in read:
        job.downloads.drop(unit.file, unit.sha256)
        unit.reading = None


def _within(day: ArchiveFile, month: ArchiveFile) -> bool:
    return month.period.start <= day.period.start < month.period.end


def _replaced(held: SourceFile | None) -> SourceFile | None:
    """A day that was missing or refused is in its month's file."""
    if held is None or held.status == "read":
        return None
    return SourceFile("read", held.sha256, 0, "in the file of its month")


def _own_span(file: ArchiveFile) -> dict[str, StoreSpan]:
    """Open spans of the rows that only this file gives, by kind."""
    start, end = file.period.start, file.period.end
    if file.dataset == "klines":
        spans = {f"bars_{file.interval}": (start - 1, end), "taker_volume": (start, end + 1)}
    elif file.dataset == "fundingRate":
        spans = {"funding": (start - 1, end)}
    else:
        # Two days share the rows at midnight: those are replaced, not removed.
        spans = {"open_interest": (start, end), "positioning": (start + METRICS_STEP, end)}
    return {kind: (stamp(first), stamp(last)) for kind, (first, last) in spans.items()}
