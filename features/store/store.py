"""Reading and changing a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa

from features.errors import DataError, LockedError, NothingUsableError, UsageError
from features.raw import INTERVALS, RawMarket, Series
from features.store.change import Change
from features.store.folders import LocalFolder, open_folder
from features.store.kinds import MARKET_WIDE, SIGNAL_PREFIX, SYMBOL, kind_of
from features.store.ledgers import ledger_of
from features.store.locks import locked
from features.store.manifest import MANIFEST, KindState, SymbolState, dumps, loads, milliseconds, objects, own
from features.store.partitions import changed_kind
from features.store.tables import decode
from features.store.version_one import carry_over, holds_version_one

__all__ = ["Store"]

_TABLES = ("funding", "open_interest", "positioning", "taker_volume", "fear_greed")


class Store:
    """Raw tables of symbols, in a local folder or below any fsspec URL.

    Parameters
    ----------
    root : Path or str
        A folder, made at the first write, or a URL such as ``s3://bucket/prefix``.

    Raises
    ------
    UsageError
        For a URL whose protocol is not known or not installed.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = root
        self.folder = open_folder(root)
        self._parsed: dict[str, tuple[bytes, SymbolState]] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[Path | str]]:
        return Store, (self.root,)

    def __str__(self) -> str:
        return self.folder.where

    @property
    def downloads(self) -> Path:
        """Local folder of verified downloads that are not yet committed; no part of the data."""
        return self.folder.downloads

    def names(self) -> list[str]:
        """Symbols that have a folder, sorted, whatever is in it."""
        return [name for name in self.folder.subfolders() if name != MARKET_WIDE and SYMBOL.match(name)]

    def symbols(self, interval: str | None = None) -> list[str]:
        """Symbols with bars (of the interval), sorted."""
        found = []
        for name in self.names():
            state = self.state(name)
            kinds = () if state is None else state.kinds
            if any(f"bars_{one}" in kinds for one in ([interval] if interval else INTERVALS)):
                found.append(name)
        return found

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the one writer's lock; what a killed writer left behind is removed first.

        Raises
        ------
        LockedError
            At once, if somebody else holds it.
        """
        with locked(self.folder):
            carry_over(self.folder)
            self._sweep()
            yield

    def state(self, symbol: str) -> SymbolState | None:
        """What the manifest says; ``None`` for a symbol that is not there.

        Raises
        ------
        DataError
            ``damaged_store`` or ``newer_store``.
        """
        _check_symbol(symbol)
        content = self._manifest(symbol)
        return None if content is None else self._state(symbol, content)

    def check_source(self, symbol: str, source: str) -> None:
        """Refuse to mix venues.

        Raises
        ------
        DataError
            If the store holds the symbol from another one.
        """
        state = self.state(symbol)
        if state is not None and state.source != source:
            raise DataError(
                f"{symbol}: {self} holds it from source {state.source!r}, not {source!r}",
                code="mixed_sources",
                hint="use another --store, or remove the symbol's folder",
            )

    def commit(self, symbol: str, change: Change) -> SymbolState:
        """Change one symbol, whole or not at all; the caller holds :meth:`writing`.

        Parameters
        ----------
        symbol : str
            Or ``_market`` for what speaks of all symbols.
        change : Change

        Returns
        -------
        SymbolState
            What the store holds afterwards.

        Raises
        ------
        DataError
            If the store holds the symbol from another venue, or is damaged.
        LockedError
            If another process has changed the symbol since this call began.
        BearmodeError
            ``disk_full``, ``store_unreachable``: the symbol is as it was.
        """
        self.check_source(symbol, change.source)
        held = self._manifest(symbol)
        before = SymbolState(symbol, change.source) if held is None else self._state(symbol, held)
        kinds = dict(before.kinds)
        for name in sorted({*change.tables, *change.cleared}):
            found = changed_kind(self.folder, symbol, kind_of(name), before.kinds.get(name), change)
            if found is None:
                kinds.pop(name, None)
            else:
                kinds[name] = found
        ledger = {**before.ledger, **{scope: tuple(entries) for scope, entries in change.ledger.items()}}
        after = SymbolState(
            symbol,
            change.source,
            kinds,
            {scope: entries for scope, entries in ledger.items() if entries},
            {**before.files, **change.files},
        )
        content = dumps(after)
        if content != held:
            self._alone(symbol, held, objects(after) - objects(before))
            self.folder.put(f"{symbol}/{MANIFEST}", content)
            self._parsed[symbol] = (content, after)
        self.folder.remove(sorted(objects(before) - objects(after)))
        return after

    def _alone(self, symbol: str, held: bytes | None, written: Set[str]) -> None:
        """Refuse to go on beside another writer.

        The lock is the caller's, who may be gone while this process, on a cluster, is not: then
        another one may hold it, has swept our partitions or has a newer manifest.
        """
        if self.folder.get(f"{symbol}/{MANIFEST}") != held or not self.folder.holds(sorted(written)):
            raise LockedError(
                f"{symbol}: another process has changed it in {self} meanwhile",
                hint="run the command again when the other one has ended; the symbol is as that one left it",
            )

    def write(self, market: RawMarket) -> int:
        """Add a whole market; rows of the same time are replaced, others stay.

        Returns
        -------
        int
            Bars in the store afterwards.

        Raises
        ------
        DataError
            If the store holds the symbol from another venue: simulated and real rows never mix.
        """
        bars = f"bars_{market.interval}"
        tables = {bars: market.bars}
        options = {}
        for name in ("funding", "open_interest", "positioning", "fear_greed"):
            table = getattr(market, name)
            if table is not None:
                tables[name] = table
        for name, series in market.extras.items():
            tables[SIGNAL_PREFIX + name] = series.table
            options[SIGNAL_PREFIX + name] = {"stale_after_hours": series.stale_after_hours}
        scope = f"{market.source}-{market.interval}"
        ordered = {
            name: table.sort_values(kind_of(name).key, kind="stable") for name, table in tables.items()
        }
        change = Change(market.source, ordered, ledger={scope: market.ledger}, options=options)
        kind = self.commit(market.symbol, change).kinds.get(bars)
        return 0 if kind is None else kind.rows

    def read(self, symbol: str, interval: str, since: pd.Timestamp | None = None) -> RawMarket:
        """Read a symbol's tables, as one commit left them.

        Parameters
        ----------
        symbol, interval : str
        since : pandas.Timestamp, optional
            Only the partitions that hold rows of this time or later, and the newest one of each table:
            a partition is read whole, so older rows come along.

        Raises
        ------
        NothingUsableError
            If the store does not hold the symbol at that interval.
        DataError
            If the store is damaged, or was written by a newer bearmode.
        """
        if interval not in INTERVALS:
            raise UsageError(f"interval is {interval!r}, expected one of {', '.join(INTERVALS)}")
        bars = f"bars_{interval}"
        state, tables = self._tables(
            symbol, lambda name: name == bars or not name.startswith("bars_"), since=since
        )
        if state is None or bars not in tables:
            raise self._nothing(symbol, interval, state)
        shared, shared_tables = self._tables(MARKET_WIDE, lambda _: True, since=since)
        found = {**shared_tables, **tables}
        options = {} if shared is None else {name: kind.options for name, kind in shared.kinds.items()}
        options |= {name: kind.options for name, kind in state.kinds.items()}
        ledger = ledger_of(state, interval)
        if shared is not None:
            ledger += ledger_of(shared, interval)
        positioning = _beside(found.get("positioning"), found.get("taker_volume"))
        return RawMarket(
            symbol,
            interval,
            found[bars],
            found.get("funding"),
            found.get("open_interest"),
            positioning,
            found.get("fear_greed"),
            source=state.source,
            ledger=ledger,
            extras={
                name.removeprefix(SIGNAL_PREFIX): Series(
                    table, float(options[name].get("stale_after_hours", Series.stale_after_hours))
                )
                for name, table in found.items()
                if name.startswith(SIGNAL_PREFIX)
            },
        )

    def table(
        self,
        symbol: str,
        kind: str,
        columns: Sequence[str] | None = None,
        since: pd.Timestamp | None = None,
    ) -> pd.DataFrame | None:
        """One table of a symbol; ``None`` where the store has none. ``since`` as for :meth:`read`."""
        return self._tables(symbol, lambda name: name == kind, columns, since)[1].get(kind)

    def _nothing(self, symbol: str, interval: str, state: SymbolState | None) -> NothingUsableError:
        """The error for a symbol without bars of the interval; says what there is."""
        kinds = () if state is None else state.kinds
        others = [name for name in INTERVALS if f"bars_{name}" in kinds]
        there = ", ".join(self.symbols(interval)) or "nothing"
        return NothingUsableError(
            f"{symbol}: {self} has no {interval} bars of it; "
            + (f"it has them at {', '.join(others)}" if others else f"it holds {there}"),
            field="symbols",
            hint=f"--interval {others[0]}"
            if others
            else f"fetch it first: bearmode fetch --source archive --symbols {symbol}",
        )

    def _tables(
        self,
        symbol: str,
        wanted: Callable[[str], bool],
        columns: Sequence[str] | None = None,
        since: pd.Timestamp | None = None,
    ) -> tuple[SymbolState | None, dict[str, pd.DataFrame]]:
        """The tables that one manifest names, read again if a writer overtook the reading."""
        state = self.state(symbol)
        while state is not None:
            kinds = {name: _later(kind, since) for name, kind in state.kinds.items() if wanted(name)}
            contents = self.folder.get_many(
                [
                    f"{symbol}/{name}/{part.file}"
                    for name, kind in kinds.items()
                    for part in kind.partitions.values()
                ]
            )
            try:
                return state, {
                    name: self._table(symbol, name, kind, contents, columns) for name, kind in kinds.items()
                }
            except KeyError as lost:
                # A partition is removed only after the manifest has left it.
                now = self.state(symbol)
                if now == state:
                    raise DataError(
                        f"{self.folder.path(str(lost.args[0]))} is missing",
                        code="damaged_store",
                        hint="remove the symbol's folder and fetch it again",
                    ) from lost
                state = now
        return None, {}

    def _table(
        self,
        symbol: str,
        name: str,
        kind: KindState,
        contents: Mapping[str, bytes],
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        parts = []
        for part in kind.partitions.values():
            path = f"{symbol}/{name}/{part.file}"
            parts.append(decode(contents[path], self.folder.path(path), columns))
        frame: pd.DataFrame = pa.concat_tables(parts, promote_options="default").to_pandas()
        return frame

    def _manifest(self, symbol: str) -> bytes | None:
        """Bytes of a symbol's manifest; a symbol of an older form is carried over first."""
        content = self.folder.get(f"{symbol}/{MANIFEST}")
        if content is None and isinstance(self.folder, LocalFolder):
            if not holds_version_one(self.folder.root / symbol):
                return None
            with locked(self.folder):
                carry_over(self.folder)
            content = self.folder.get(f"{symbol}/{MANIFEST}")
        return content

    def _state(self, symbol: str, content: bytes) -> SymbolState:
        """Parse a manifest, once for the same bytes."""
        before = self._parsed.get(symbol)
        if before is None or before[0] != content:
            before = (content, loads(content, self.folder.path(f"{symbol}/{MANIFEST}"), symbol))
            self._parsed[symbol] = before
        return before[1]

    def _sweep(self) -> None:
        """Remove what no manifest names: a writer was killed before it could."""
        there: dict[str, list[str]] = {}
        for name in self.folder.names():
            symbol, _, inside = name.partition("/")
            if SYMBOL.match(symbol) and own(inside):
                there.setdefault(symbol, []).append(name)
        for symbol, names in there.items():
            try:
                state = self.state(symbol)
            except DataError as error:
                if error.code != "damaged_store":
                    raise
                continue  # it may be mended: nothing of it goes, and the other symbols go on
            known = set() if state is None else objects(state)
            self.folder.remove([name for name in names if name not in known])


def _later(kind: KindState, since: pd.Timestamp | None) -> KindState:
    """The kind with only those partitions that reach a time; the newest one in any case."""
    if since is None:
        return kind
    edge = min(milliseconds(since), max(part.last for part in kind.partitions.values()))
    kept = {period: part for period, part in kind.partitions.items() if part.last >= edge}
    return KindState(kept, kind.options)


def _check_symbol(symbol: str) -> None:
    if not SYMBOL.match(symbol):
        raise UsageError(
            f"{symbol!r} is no symbol", field="symbols", hint="capital letters and digits: BTCUSDT"
        )


def _beside(left: pd.DataFrame | None, right: pd.DataFrame | None) -> pd.DataFrame | None:
    """Two tables of different columns on the union of their times; columns of the left one win."""
    if left is None or right is None:
        return right if left is None else left
    extra = [name for name in right.columns if name == "time" or name not in left.columns]
    if len(extra) == 1:
        return left
    return left.merge(right[extra], on="time", how="outer", sort=True)
