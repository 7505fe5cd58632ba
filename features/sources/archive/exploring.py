"""Finding out which days there are, without asking for years of days that never were.

Days are asked for in the months between the first and the last that are known to have some, and
from there on outwards, month by month, until a whole month has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from features.sources.archive.job import Job
from features.sources.archive.layout import ArchiveFile, Period
from features.sources.archive.notes import EVER, Span
from features.sources.archive.units import Unit, reach

__all__ = ["explore"]


async def explore(
    job: Job,
    file_of: Callable[[Period], ArchiveFile],
    candidates: Sequence[Period],
    *,
    complete: frozenset[str] = frozenset(),
    traded: frozenset[str] = frozenset(),
    within: Span = EVER,
    probe: bool = False,
) -> dict[str, list[Unit]]:
    """Days of months, as far as there are any.

    Parameters
    ----------
    file_of : callable
        The file of a day.
    candidates : sequence of Period
        Months that may have days, oldest first, without a gap.
    complete : set of str
        Names of months whose days are not needed.
    traded : set of str
        Names of further months that are known to have been: their days and those of the months
        between them are asked for, and their neighbours' in turn.
    within : Span
        Days outside it are not asked for.
    probe : bool
        Whether to ask for one day in the middle of each month to find out where days are.

    Returns
    -------
    dict of str to list of Unit
        Month to its units, both oldest first; only months between the first and the last that
        have any. ``complete`` ones have no units.
    """
    known: dict[ArchiveFile, Unit] = {}
    days = {
        month.name: [file for day in month.days() if within.meet(reach(file := file_of(day)))]
        for month in candidates
    }

    async def learn(months: Iterable[Period]) -> bool:
        """Ask for all days of months; tells whether there are any."""
        files = [file for month in months if month.name not in complete for file in days[month.name]]
        new = [file for file in reversed(files) if file not in known]
        known.update(await job.survey(new))
        return any(known[file].has_rows for file in files if file in known)

    def held(month: Period) -> bool:
        return any(
            (found := job.state.files.get(file.key)) is not None and found.status == "read"
            for file in days[month.name]
        )

    certain = complete | traded
    anchors = {n for n, month in enumerate(candidates) if month.name in certain or held(month)}
    if probe:
        middle = {
            n: files[len(files) // 2]
            for n, month in enumerate(candidates)
            if n not in anchors and (files := [file for file in days[month.name] if job.due(file)])
        }
        known.update(await job.survey([middle[n] for n in sorted(middle, reverse=True)]))
        anchors |= {n for n, file in middle.items() if known[file].has_rows}
    if not anchors:
        ends = {*range(len(candidates))[-2:], *range(len(candidates))[:1]}
        anchors = {n for n in ends if await learn([candidates[n]])}
    if not anchors:
        return {}
    first, last = min(anchors), max(anchors)
    await learn(candidates[first : last + 1])
    while first > 0 and await learn([candidates[first - 1]]):
        first -= 1
    while last + 1 < len(candidates) and await learn([candidates[last + 1]]):
        last += 1
    return {
        month.name: [known[file] for file in days[month.name] if file in known]
        for month in candidates[first : last + 1]
    }
