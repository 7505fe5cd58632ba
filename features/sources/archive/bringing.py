"""The work on one symbol from its first question to its report."""

from __future__ import annotations

from features.parallel.outcomes import Tell
from features.sources.archive.bring_bars import bring_bars
from features.sources.archive.bring_funding import bring_funding
from features.sources.archive.bring_metrics import bring_metrics
from features.sources.archive.client import ArchiveClient
from features.sources.archive.downloads import Downloads
from features.sources.archive.job import Job
from features.sources.archive.layout import VENUE
from features.sources.archive.notes import Span
from features.sources.archive.report import FetchReport
from features.sources.archive.settings import ArchiveSettings
from features.store import Store, SymbolState

__all__ = ["bring_symbol"]


async def bring_symbol(
    symbol: str,
    store: Store,
    downloads: Downloads,
    settings: ArchiveSettings,
    *,
    interval: str,
    wanted: Span,
    since_given: bool,
    now: int,
    tell: Tell | None,
) -> FetchReport:
    """Bring bars, then what belongs to their span; the parameters are those of :class:`Job`."""
    async with ArchiveClient(settings) as client:
        job = Job(
            symbol,
            interval,
            settings,
            store,
            store.state(symbol) or SymbolState(symbol, VENUE),
            client,
            downloads,
            wanted,
            since_given,
            now,
            tell,
        )
        bars = await bring_bars(job)
        await bring_funding(job, bars)
        await bring_metrics(job, bars)
        return _report(job)


def _report(job: Job) -> FetchReport:
    units = job.units
    found = [one for unit in units if (one := unit.skipped())] + job.stretches
    skipped = tuple(sorted(found, key=lambda one: (one.first, one.file)))
    return FetchReport(
        job.symbol,
        job.interval,
        read=sum(unit.action == "read" for unit in units),
        kept=sum(unit.action == "keep" for unit in units),
        missing=sum(one.status == "missing" for one in skipped),
        refused=sum(one.status == "refused" for one in skipped),
        revised=sum(unit.action == "read" and unit.revised for unit in units),
        rows=dict(job.rows),
        downloaded=job.downloads.count,
        received_bytes=job.client.received,
        skipped=skipped,
        changed=job.changed,
    )
