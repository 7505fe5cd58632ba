"""The work on one symbol: asking, downloading, reading, and committing in the order of time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from features.errors import BearmodeError
from features.parallel.outcomes import Tell
from features.raw import LedgerEntry
from features.sources.archive.checksums import Notice, ask
from features.sources.archive.client import ArchiveClient, FileFailedError
from features.sources.archive.downloads import Downloads, Mismatch
from features.sources.archive.funding import Settlement
from features.sources.archive.layout import VENUE, ArchiveFile
from features.sources.archive.notes import Span
from features.sources.archive.reading import read_zip
from features.sources.archive.refused import RefusedFileError
from features.sources.archive.report import SkippedFile
from features.sources.archive.settings import ArchiveSettings
from features.sources.archive.units import Unit, coverage, reach
from features.store import Change, SourceFile, Store, SymbolState

__all__ = ["Job", "spread"]

T = TypeVar("T")


async def spread(items: Iterable[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Do asynchronous work on items, so many at a time, begun in their order.

    Raises
    ------
    BaseException
        The first error; the other workers are cancelled.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    await together(*(worker() for _ in range(workers)))


async def together(*work: Awaitable[None]) -> None:
    """Run all at once; the first error cancels the others and is raised bare."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


@dataclass
class Job:
    """What all parts of the work on one symbol share.

    Attributes
    ----------
    symbol, interval : str
    settings : ArchiveSettings
    store : Store
    state : SymbolState
        Of the symbol, as the last commit left it.
    client : ArchiveClient
    downloads : Downloads
    wanted : Span
        Of bar closes, and of the times of other rows.
    since_given : bool
        Whether a user named the beginning: what lacks before the first file is then named.
    now : int
        UTC milliseconds; only periods that are over are asked for.
    tell : Tell or None
    """

    symbol: str
    interval: str
    settings: ArchiveSettings
    store: Store
    state: SymbolState
    client: ArchiveClient
    downloads: Downloads
    wanted: Span
    since_given: bool
    now: int
    tell: Tell | None = None
    units: list[Unit] = field(default_factory=list)
    stretches: list[SkippedFile] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    changed: bool = False
    _rechecked: int = 0
    _done: int = 0
    _total: int = 0

    def expect(self, steps: int) -> None:
        """Raise the number of steps of the progress."""
        self._total += steps
        self._told(0)

    def _told(self, steps: int = 1) -> None:
        self._done += steps
        if self.tell is not None:
            self.tell(self.symbol, self._done, self._total)

    def due(self, file: ArchiveFile) -> bool:
        """Whether a file is wanted and its period over."""
        return file.period.end <= self.now and bool(self.wanted.meet(reach(file)))

    async def survey(self, files: Sequence[ArchiveFile]) -> dict[ArchiveFile, Unit]:
        """Learn what the archive has of some files; those outside the wanted span are left out.

        Files that the store has read are asked again only as far as the settings say: the ones that
        gave no row first, then in the order given.
        """
        units = [
            Unit(file, self.state.files.get(file.key), self.wanted.meet(reach(file)), Notice("missing"))
            for file in files
            if self.due(file)
        ]
        again = [unit for unit in units if self._may_wait(unit)]
        asked = {unit.file for unit in units} - {unit.file for unit in again}
        asked |= {unit.file for unit in self._granted(again)}
        for unit in units:
            if unit.file not in asked:
                unit.notice = _remembered(unit)
        self.expect(len(asked))

        async def learn(unit: Unit) -> None:
            unit.notice = await ask(self.client, unit.file)
            self._told()

        await spread([unit for unit in units if unit.file in asked], learn, self.settings.connections)
        for unit in units:
            self._decide(unit)
        return {unit.file: unit for unit in units}

    def _may_wait(self, unit: Unit) -> bool:
        """Whether a run is complete without asking for it: it was asked before, and nothing lacks."""
        if unit.held is None:
            return False
        covered = coverage(unit.file, unit.held)
        return covered is None or covered.holds(unit.wanted)

    def _granted(self, units: list[Unit]) -> list[Unit]:
        if self.settings.recheck_all:
            return units
        ordered = sorted(units, key=lambda unit: unit.was_read)
        granted = ordered[: max(0, self.settings.recheck_files - self._rechecked)]
        self._rechecked += len(granted)
        return granted

    def _decide(self, unit: Unit) -> None:
        """From what the archive says to what is to be done."""
        held, notice = unit.held, unit.notice
        covered = coverage(unit.file, held)
        short = covered is not None and not covered.holds(unit.wanted)
        if notice.status != "found":
            unit.give_up(notice.status, notice.reason, notice.sha256)
            return
        if covered is not None:
            unit.wanted = Span(min(covered.start, unit.wanted.start), max(covered.end, unit.wanted.end))
        same = held is not None and held.sha256 == notice.sha256
        if same and unit.was_read and not short:
            unit.action, unit.sha256 = "keep", notice.sha256
        elif same and held is not None and held.status == "refused" and not self._read_again(held):
            unit.give_up("refused", held.reason, held.sha256)
        else:
            unit.action, unit.sha256 = "read", notice.sha256

    def _read_again(self, held: SourceFile) -> bool:
        """Whether a refused zip may be good now although its checksum is the same."""
        return self.settings.recheck_all or held.reason.startswith("checksum")

    async def bring(self, groups: Sequence[Sequence[Unit]], use: Callable[[Sequence[Unit]], None]) -> None:
        """Download what is to be read, many at once, and use it group by group in the order given.

        ``use`` runs in a thread of its own, one call at a time, while downloads go on.
        """
        units = [unit for group in groups for unit in group if unit.action == "read"]
        self.expect(len(units))

        async def download(unit: Unit) -> None:
            await self._download(unit)
            unit.ready.set()
            self._told()

        async def consume() -> None:
            for group in groups:
                for unit in group:
                    if unit.action == "read":
                        await unit.ready.wait()
                await asyncio.to_thread(use, group)

        await together(spread(units, download, self.settings.connections), consume())

    async def _download(self, unit: Unit) -> None:
        file = unit.file
        try:
            found = await self.downloads.bring(self.client, file, unit.sha256, self.settings.zip_limit)
        except Mismatch as error:
            unit.give_up("refused", error.message, error.sha256)
        except FileFailedError as error:
            unit.give_up("refused", str(error))
        else:
            if found is None:
                unit.give_up("missing", "the archive has its CHECKSUM but not the zip")
            else:
                unit.sha256 = found

    def read(self, unit: Unit, previous: Settlement | None = None) -> None:
        """Read a downloaded zip, or note why it is refused."""
        if unit.action != "read" or unit.reading is not None:
            return
        content = self.downloads.read(unit.file, unit.sha256)
        try:
            unit.reading = read_zip(
                content,
                unit.file,
                wanted=unit.wanted,
                previous=previous,
                limit=self.settings.csv_limit,
            )
        except RefusedFileError as error:
            self.downloads.drop(unit.file, unit.sha256)
            unit.give_up("refused", error.message, unit.sha256)

    def commit(self, change: Change) -> None:
        """Commit what the store does not say yet; nothing is nothing."""
        before = self.state
        ledger = {
            scope: tuple(entries)
            for scope, entries in change.ledger.items()
            if tuple(entries) != before.ledger.get(scope, ())
        }
        files = {key: file for key, file in change.files.items() if file != before.files.get(key)}
        if change.tables or change.cleared or ledger or files:
            self.state = self.store.commit(
                self.symbol, Change(VENUE, change.tables, change.cleared, ledger, files)
            )
            self.changed = True

    def ledger(self, scope: str) -> tuple[LedgerEntry, ...]:
        """What the store says of a scope."""
        return self.state.ledger.get(scope, ())


def _remembered(unit: Unit) -> Notice:
    held = unit.held
    if held is None:
        raise BearmodeError(f"{unit.file.key} was neither asked nor held")
    if held.status == "read":
        return Notice("found", held.sha256, asked=False)
    if held.status == "missing":
        return Notice("missing", reason=held.reason, asked=False)
    return Notice("refused", held.sha256, held.reason, asked=False)
