"""Bars of a symbol: from monthly files, day by day where there is no usable one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from features.errors import NothingUsableError
from features.raw import INTERVALS
from features.sources.archive.changes import commit_units
from features.sources.archive.exploring import explore
from features.sources.archive.job import Job
from features.sources.archive.layout import HOUR_MS, ArchiveFile, Period, months
from features.sources.archive.notes import Span
from features.sources.archive.stretches import inside, outside, whole_days
from features.sources.archive.units import Unit

__all__ = ["bring_bars"]

_IN_DAYS = "; read day by day"


async def bring_bars(job: Job) -> Span:
    """Bring the bars of the wanted span into the store.

    Monthly files come first: one that turns out to be refused is then read day by day. All rows are
    committed in the order of time.

    Returns
    -------
    Span
        From the first bar's open to the last one's close, within the wanted span.

    Raises
    ------
    NothingUsableError
        If the archive has no usable file of it; ``not_in_archive`` if it has none at all.
    """
    step = INTERVALS[job.interval] * HOUR_MS

    def file_of(period: Period) -> ArchiveFile:
        return ArchiveFile(job.symbol, "klines", job.interval, period)

    candidates = months(job.wanted.start - step, job.wanted.end - step)
    monthly = await job.survey([file_of(month) for month in candidates])
    await job.bring([list(monthly.values())], lambda units: _read(job, units))
    complete = frozenset(file.period.name for file, unit in monthly.items() if unit.has_rows)
    # A month that is refused is a month that was traded: what lies before it is still looked for.
    traded = frozenset(file.period.name for file, unit in monthly.items() if unit.action == "refused")
    daily = await explore(job, file_of, candidates, complete=complete, traded=traded)
    await job.bring([days for days in daily.values() if days], lambda units: _read(job, units))

    units, silent = _in_order(candidates, {f.period.name: unit for f, unit in monthly.items()}, daily)
    with_rows = [unit for unit in units if unit.has_rows]
    if not with_rows:
        raise _nothing(job, units)
    job.units += units
    due = whole_days(job.wanted, job.now, closes=True)
    notes = outside(job, with_rows, due, head=job.since_given)
    for _, group in groupby(units, key=lambda unit: unit.file.period.name[:4]):
        year = list(group)
        commit_units(job, year, replaced=_replaced(job, year), silent=silent, notes=notes)
        notes = {}
    held = job.state.kinds.get(f"bars_{job.interval}")
    if held is None:
        raise _nothing(job, units)
    first, last = (round(time.timestamp() * 1000) for time in (held.first, held.last))
    return Span(max(first, job.wanted.start - step), min(last + step, job.wanted.end))


def _read(job: Job, units: Sequence[Unit]) -> None:
    for unit in units:
        job.read(unit)


def _in_order(
    candidates: Sequence[Period], monthly: dict[str, Unit], daily: dict[str, list[Unit]]
) -> tuple[list[Unit], frozenset[ArchiveFile]]:
    """Units oldest first, a month before its days; and those that their month speaks for."""
    silent: set[ArchiveFile] = set()
    newest = max((month.name for month in candidates if _usable(monthly.get(month.name))), default="")
    units: list[Unit] = []
    for month in candidates:
        whole, days = monthly.get(month.name), daily.get(month.name, [])
        if whole is not None and whole.has_rows:
            units.append(whole)
            continue
        if any(day.has_rows or day.action == "refused" for day in days):
            if whole is not None:
                whole.in_days = True
                whole.reason = whole.reason.removesuffix(_IN_DAYS) + _IN_DAYS
        else:
            silent |= {day.file for day in days}
        # A month's file appears some days after its end: before that it is not missed.
        if whole is not None and (whole.action == "refused" or month.name < newest):
            units.append(whole)
        units += days
    return inside(units), frozenset(silent)


def _usable(unit: Unit | None) -> bool:
    return unit is not None and unit.has_rows


def _replaced(job: Job, units: Sequence[Unit]) -> list[ArchiveFile]:
    """Days in the store whose months are read now."""
    found = []
    for unit in units:
        file = unit.file
        if unit.action != "read" or not file.period.is_month:
            continue
        days = (ArchiveFile(file.symbol, file.dataset, file.interval, day) for day in file.period.days())
        found += [day for day in days if day.key in job.state.files]
    return found


def _nothing(job: Job, units: Sequence[Unit]) -> NothingUsableError:
    refused = [unit for unit in units if unit.action == "refused"]
    if refused:
        first = refused[0]
        return NothingUsableError(
            f"{job.symbol}: all {len(refused)} files of {job.interval} bars at {job.client.where} "
            f"are refused; {first.file.name}: {first.reason}",
            field="symbols",
        )
    return NothingUsableError(
        f"{job.symbol}: {job.client.where} has no file of {job.interval} bars in the span",
        code="not_in_archive",
        field="symbols",
        hint="check the symbol's name, --since and --until; a very new symbol has its first file a day later",
    )
