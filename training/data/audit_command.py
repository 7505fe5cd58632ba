"""The command ``audit``: examine every symbol of the store, and say what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import typer

from features.audit import CHECKS, Audit, Finding, audit_market
from features.errors import BearmodeError, NothingUsableError, UsageError
from features.json_file import write_json
from features.parallel.outcomes import SymbolsFailedError, Tell
from features.parallel.symbol_tasks import each_symbol
from features.raw import INTERVALS, RawMarket
from features.sources import load_raw, parse_symbols
from features.store import MARKET_WIDE, Store
from features.store.kinds import SYMBOL
from training.data.audit_page import AuditedStore, write_page
from training.data.audit_tables import print_audits
from training.progress import symbol_progress
from training.settings import Places

__all__ = ["Against", "audit"]


@dataclass(frozen=True)
class Against:
    """The source to compare with.

    Attributes
    ----------
    source : str or None
        ``files`` or ``simulated``; ``None``: another store.
    where : str
        Folder of the files, or folder or URL of the store.
    """

    source: str | None
    where: str

    @classmethod
    def of(cls, against: str, path: Path | None) -> Against:
        """Read the options ``--against`` and ``--path``.

        Raises
        ------
        UsageError
            For a name that is no source and no store.
        """
        if against == "files":
            if path is None or not path.is_dir():
                shown = "needs --path DIR" if path is None else f"needs a folder, {path} is none"
                raise UsageError(f"--against files {shown}", field="path")
            return cls("files", str(path))
        if path is not None:
            raise UsageError("--path belongs to --against files", field="path")
        if against == "simulated":
            return cls("simulated", "")
        if "://" in against or Path(against).is_dir():
            return cls(None, against)
        raise UsageError(
            f"--against is {against!r}, expected files, simulated, or folder or URL of another store",
            field="against",
            hint="fetch the other source into a store of its own: bearmode fetch --store OTHER ...",
        )

    def load(self, symbol: str, interval: str) -> RawMarket:
        """The other source's tables of a symbol."""
        if self.source is None:
            return Store(self.where).read(symbol, interval)
        path = Path(self.where) if self.source == "files" else None
        (market,) = load_raw(self.source, [symbol], path=path, interval=interval)
        return market


@dataclass(frozen=True)
class _Audited:
    """Result of one symbol; it travels between processes."""

    audit: Audit
    files: Mapping[str, int]


def audit(
    symbols: str,
    places: Places,
    *,
    interval: str = "1h",
    json: Path | None = None,
    html: Path | None = None,
    against: str | None = None,
    path: Path | None = None,
    now: pd.Timestamp | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> None:
    """Examine symbols of the store; the store is only read.

    Parameters
    ----------
    symbols : str
        Comma-separated; empty: all that the store holds at the interval.
    places : Places
    interval : {"1h", "4h", "1d"}
    json, html : Path, optional
        Files to write: everything for programs, and one page for people.
    against : str, optional
        Another source to compare with: ``files``, ``simulated``, or folder or URL of a store.
    path : Path, optional
        Folder of the files.
    now : pandas.Timestamp, optional
        Time that ages count back from; the clock's by default.
    workers, scheduler
        As for :func:`features.parallel.symbol_tasks.each_symbol`.

    Raises
    ------
    NothingUsableError
        If the store does not hold the symbols, or nothing at all.
    UsageError
        For options that make no sense, or a file that cannot be written.
    BearmodeError
        For symbols that could not be read, once the others are done.
    """
    if interval not in INTERVALS:
        raise UsageError(
            f"--interval is {interval!r}, expected one of {', '.join(INTERVALS)}", field="interval"
        )
    _check_files(json, html)
    if against is None and path is not None:
        raise UsageError("--path belongs to --against files", field="path")
    other = None if against is None else Against.of(against, path)
    moment = (pd.Timestamp.now(tz="UTC") if now is None else now).floor("s")
    store = Store(places.store)
    names = _names(store, parse_symbols(symbols), interval)
    task = partial(_audit_symbol, root=places.store, interval=interval, now=moment, against=other)
    done: list[_Audited] = []
    failed: dict[str, BearmodeError] = {}
    with symbol_progress() as tell:
        outcomes = each_symbol(task, names, workers=workers, scheduler=scheduler, tell=tell)
        with closing(outcomes):
            for outcome in outcomes:
                if outcome.result is not None:
                    done.append(outcome.result)
                elif outcome.error is not None:
                    failed[outcome.symbol] = outcome.error
    held = AuditedStore(
        where=str(store),
        interval=interval,
        now=moment,
        against=against if path is None else f"{against} in {path}",
        audits=tuple(one.audit for one in done),
        files={one.audit.symbol: one.files for one in done},
        failed={symbol: error.message for symbol, error in failed.items()},
    )
    # The files first: a reader that closes stdout early has them all the same.
    if json is not None:
        _write(json, partial(write_json, json, _as_dict(held)))
    if html is not None:
        _write(html, partial(write_page, html, held))
    print_audits(held)
    if html is not None:
        typer.echo(f"{html}: open it in a browser")
    if failed:
        raise SymbolsFailedError.of(failed, len(names))


def _audit_symbol(
    symbol: str,
    _tell: Tell,
    *,
    root: Path | str,
    interval: str,
    now: pd.Timestamp,
    against: Against | None,
) -> _Audited:
    """Audit one symbol of the store: the work of one task."""
    store = Store(root)
    market = store.read(symbol, interval)
    state = store.state(symbol)
    files = Counter(file.status for file in state.files.values()) if state is not None else Counter()
    if against is None:
        return _Audited(audit_market(market, now=now), files)
    try:
        other = against.load(symbol, interval)
    except BearmodeError as error:
        found = audit_market(market, now=now)
        words = f"the other source cannot be read: {error.message}"
        missing = Finding("not_comparable", "bars", None, None, 0, "warning", words)
        return _Audited(replace(found, findings=(missing, *found.findings)), files)
    return _Audited(audit_market(market, now=now, against=other), files)


def _names(store: Store, wanted: Sequence[str], interval: str) -> list[str]:
    """Symbols to look at.

    A symbol whose manifest cannot be read is one of them: its error is told with its name.
    """
    there = [name for name in store.folder.subfolders() if SYMBOL.match(name) and name != MARKET_WIDE]
    held = [] if wanted else [name for name in there if not _surely_lacks(store, name, interval)]
    missing = [name for name in wanted if _surely_lacks(store, name, interval)]
    if missing or not (wanted or held):
        what = f"{interval} bars of {', '.join(missing)}" if missing else f"any {interval} bars"
        raise NothingUsableError(
            f"{store} does not hold {what}",
            field="symbols",
            hint="fetch history first: bearmode fetch --source archive --symbols BTCUSDT --since 2020-01",
        )
    return list(wanted) or held


def _surely_lacks(store: Store, name: str, interval: str) -> bool:
    try:
        state = store.state(name)
    except BearmodeError:
        return False
    return state is None or f"bars_{interval}" not in state.kinds


def _check_files(json: Path | None, html: Path | None) -> None:
    for option, file in (("json", json), ("html", html)):
        if file is not None and file.is_dir():
            raise UsageError(f"--{option} {file} is a folder, expected a file", field=option)
    if json is not None and html is not None and json.absolute() == html.absolute():
        raise UsageError(f"--json and --html both name {json}", field="html")


def _write(file: Path, write: partial[None]) -> None:
    try:
        write()
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}", field="out") from error


def _as_dict(held: AuditedStore) -> dict[str, object]:
    return {
        "now": held.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "store": held.where,
        "interval": held.interval,
        "against": held.against,
        "symbols": {
            one.symbol: {**one.as_dict(), "files": dict(held.files.get(one.symbol, {}))}
            for one in held.audits
        },
        "failed": dict(held.failed),
        "checks": {name: asdict(check) for name, check in CHECKS.items()},
    }
