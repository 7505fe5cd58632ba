"""Which symbols the archive has new days of: one small question each, before any plan is made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from features.sources.archive.layout import DAY_MS, ArchiveFile, Period, days
from features.sources.archive.settings import ArchiveSettings
from features.store import SymbolState

__all__ = ["last_day_read", "symbols_with_news"]


def last_day_read(state: SymbolState, interval: str) -> Period | None:
    """The newest UTC day whose klines were read; ``None`` where no file was.

    ``None`` also where funding or metrics were never looked for: that run was cut short.
    """
    scope = f"klines-{interval}/"
    read = [
        name.removeprefix(scope)
        for name, file in state.files.items()
        if file.status == "read" and name.startswith(scope)
    ]
    asked = {name.partition("/")[0] for name in (*state.files, *state.ledger)}
    if not read or not asked >= {"fundingRate", "metrics"}:
        return None
    newest = [max((name for name in read if len(name) == length), default="") for length in (7, 10)]
    end = max(Period.parse(name).end for name in newest if name)
    return days(end - DAY_MS, end)[0]


def symbols_with_news(
    states: Iterable[SymbolState], interval: str, now: int, settings: ArchiveSettings
) -> list[str]:
    """Symbols of which a later day may be in the archive than the last that was read.

    Parameters
    ----------
    states : iterable of SymbolState
    interval : str
        Of the klines.
    now : int
        UTC milliseconds: only days and months that are over can be there.
    settings : ArchiveSettings

    Returns
    -------
    list of str
        Also those of which nothing was read yet, and those that could not be asked for by themselves.

    Raises
    ------
    BearmodeError
        If the archive as a whole cannot be asked.
    """
    found: list[str] = []
    questions: dict[str, list[ArchiveFile]] = {}
    for state in states:
        last = last_day_read(state, interval)
        if last is None:
            found.append(state.symbol)
        elif last.end + DAY_MS <= now:
            questions[state.symbol] = _next(state.symbol, interval, last, now)
    return sorted([*found, *asyncio.run(_ask(questions, settings))]) if questions else sorted(found)


def _next(symbol: str, interval: str, last: Period, now: int) -> list[ArchiveFile]:
    """The day after the last one, its month where that is over, and the newest day that is over.

    The newest one too: a day that the archive lacks for good must not hide those after it.
    """
    newest = now // DAY_MS * DAY_MS
    day = days(last.end, last.end + DAY_MS)[0]
    month = Period.parse(day.month_name)
    periods = [day, *days(newest - DAY_MS, newest), *([month] if month.end <= now else [])]
    return [ArchiveFile(symbol, "klines", interval, period) for period in dict.fromkeys(periods)]


async def _ask(questions: Mapping[str, Sequence[ArchiveFile]], settings: ArchiveSettings) -> list[str]:
    # The HTTP client takes long to import.
    from features.sources.archive.client import ArchiveClient, FileFailedError  # noqa: PLC0415

    gate = asyncio.Semaphore(settings.connections)

    async def is_there(client: ArchiveClient, file: ArchiveFile) -> bool:
        async with gate:
            try:
                return await client.exists(f"{file.path}.CHECKSUM")
            except FileFailedError:
                return True  # the plan of the symbol finds out

    async with ArchiveClient(settings) as client:
        names = [symbol for symbol, files in questions.items() for _ in files]
        answers = await asyncio.gather(
            *(is_there(client, file) for files in questions.values() for file in files)
        )
    return sorted({name for name, there in zip(names, answers, strict=True) if there})
