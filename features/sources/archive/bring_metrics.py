"""Open interest and ratios of a symbol: daily files only, thousands of them."""

from __future__ import annotations

from collections.abc import Sequence

from features.sources.archive.changes import commit_units
from features.sources.archive.edges import Edges
from features.sources.archive.exploring import explore
from features.sources.archive.job import Job
from features.sources.archive.layout import FIRST_METRICS, VENUE, ArchiveFile, Period, months
from features.sources.archive.metrics import METRICS_STEP
from features.sources.archive.notes import Span
from features.sources.archive.stretches import inside, nothing, outside, whole_days
from features.sources.archive.units import Unit
from features.store import Change

__all__ = ["bring_metrics"]


async def bring_metrics(job: Job, bars: Span) -> None:
    """Bring open interest and ratios of the span of the bars into the store, a month at a time."""

    def file_of(day: Period) -> ArchiveFile:
        return ArchiveFile(job.symbol, "metrics", "", day)

    due = whole_days(job.wanted.meet(bars), job.now)
    candidates = months(max(due.start - METRICS_STEP - 1, FIRST_METRICS.start), due.end)
    found = await explore(job, file_of, candidates, within=due, probe=True)
    units = inside([unit for days in found.values() for unit in days])
    by_month: dict[str, list[Unit]] = {}
    for unit in units:
        by_month.setdefault(unit.file.period.month_name, []).append(unit)
    job.units += units

    edges = Edges(job)

    def use(month: Sequence[Unit]) -> None:
        for unit in month:
            job.read(unit)
        commit_units(job, month, edges=edges)

    await job.bring(list(by_month.values()), use)
    with_rows = [unit for unit in units if unit.has_rows]
    if with_rows:
        job.commit(Change(VENUE, ledger=outside(job, with_rows, due, head=True)))
    elif candidates:
        job.commit(Change(VENUE, ledger=nothing(job, file_of(candidates[-1]), due)))
