"""Funding settlements of a symbol: monthly files only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from features.sources.archive.changes import commit_units
from features.sources.archive.funding import Settlement
from features.sources.archive.job import Job
from features.sources.archive.layout import VENUE, ArchiveFile, Period, months
from features.sources.archive.notes import Span
from features.sources.archive.stretches import inside, nothing, outside, whole_days
from features.sources.archive.units import Unit
from features.store import Change

__all__ = ["bring_funding"]


class _Known:
    """Settlements before a file: of the store, and of the files read since."""

    def __init__(self, job: Job) -> None:
        table = job.store.table(job.symbol, "funding")
        self.times: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.hours: npt.NDArray[np.float64] = np.empty(0)
        if table is not None:
            times = table["time"].dt.as_unit("ms").dt.tz_localize(None)
            self.times = times.to_numpy("datetime64[ms]").astype(np.int64)
            self.hours = table["funding_interval_hours"].to_numpy(np.float64)

    def before(self, start: int) -> Settlement | None:
        """The last one before a moment."""
        rows = np.flatnonzero(self.times < start)
        if len(rows) == 0:
            return None
        last = rows[np.argmax(self.times[rows])]
        return Settlement(int(self.times[last]), float(self.hours[last]))

    def add(self, unit: Unit) -> None:
        """Take in the last rows of a file."""
        if unit.reading is not None:
            funding = unit.reading.tables["funding"]
            self.times = np.append(self.times, funding["time"][-1:].astype(np.int64))
            self.hours = np.append(self.hours, funding["funding_interval_hours"][-1:])


async def bring_funding(job: Job, bars: Span) -> None:
    """Bring the settlements of the span of the bars into the store."""

    def file_of(month: Period) -> ArchiveFile:
        return ArchiveFile(job.symbol, "fundingRate", "", month)

    due = whole_days(job.wanted.meet(bars), job.now)
    candidates = months(due.start, due.end)
    surveyed = await job.survey([file_of(month) for month in candidates])
    units = inside(list(surveyed.values()))
    with_rows = [unit for unit in units if unit.has_rows]
    job.units += units
    known: list[_Known] = []

    def use(year: Sequence[Unit]) -> None:
        if any(unit.action == "read" for unit in year):
            known[:] = known or [_Known(job)]
            for unit in year:
                job.read(unit, known[0].before(unit.file.period.start))
                known[0].add(unit)
        commit_units(job, year)

    await job.bring([list(year) for _, year in groupby(units, lambda unit: unit.file.period.name[:4])], use)
    if with_rows:
        job.commit(Change(VENUE, ledger=outside(job, with_rows, due, head=True)))
    elif candidates:
        job.commit(Change(VENUE, ledger=nothing(job, file_of(candidates[-1]), due)))
