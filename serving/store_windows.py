"""The newest bars of the live store, joined: only the partitions that a window needs are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from features.context import Closes, with_context
from features.errors import DataError, NothingUsableError
from features.history import STALE_AFTER_HOURS, History
from features.parallel.outcomes import Outcome, attempt
from features.raw import interval_delta
from features.store import MARKET_WIDE, KindState, Store

__all__ = ["StoreWindows"]

_MARGIN = pd.Timedelta(days=2)
"""Read beyond what a value may be old when it joins its bar."""


class StoreWindows:
    """Joined histories out of a store, with the context that a model reads.

    Parameters
    ----------
    store : Store
    interval : str
    universe : sequence of str
        Symbols whose closes every history carries.
    """

    def __init__(self, store: Store, interval: str, universe: Sequence[str] = ()) -> None:
        self.store = store
        self.interval = interval
        self.universe = tuple(universe)

    def symbols(self) -> list[str]:
        """Symbols with bars of the interval, sorted, and damaged ones: asked for, these say so."""
        found = []
        for name in self.store.names():
            try:
                state = self.store.state(name)
            except DataError:
                found.append(name)
                continue
            if state is not None and f"bars_{self.interval}" in state.kinds:
                found.append(name)
        return found

    def span(self, symbol: str) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Close of a symbol's first and of its newest bar, without reading them.

        Raises
        ------
        NothingUsableError
            If the store has no bars of it.
        """
        kind = self._bars(symbol)
        delta = interval_delta(self.interval)
        return kind.first + delta, kind.last + delta

    def last(self, symbols: Sequence[str], bars: int) -> list[Outcome[History]]:
        """The last bars of each symbol, or why they are not there.

        Parameters
        ----------
        symbols : sequence of str
        bars : int
            At most so many of each; fewer where the history is younger.
        """

        def read(symbol: str, _tell: object) -> History:
            _, newest = self.span(symbol)
            return self._joined(symbol, newest - (bars - 1) * interval_delta(self.interval))

        outcomes = {symbol: attempt(read, symbol, _nobody) for symbol in symbols}
        # Only windows of the same bars may be each other's context: a cut one would lack the others' oldest.
        alike: dict[tuple[pd.Timestamp, int], list[History]] = {}
        for one in outcomes.values():
            if one.result is not None:
                alike.setdefault((one.result.time[-1], len(one.result)), []).append(one.result)
        for group in alike.values():
            for history in self._with_context(group):
                outcomes[history.symbol] = Outcome(history.symbol, history)
        return [outcomes[symbol] for symbol in symbols]

    def since(self, symbol: str, first: pd.Timestamp) -> History:
        """All bars of a symbol from a close on.

        Raises
        ------
        BearmodeError
            If the store has none of them, or cannot be read.
        """
        (history,) = self._with_context([self._joined(symbol, first)])
        return history

    def _bars(self, symbol: str) -> KindState:
        state = self.store.state(symbol)
        kind = None if state is None else state.kinds.get(f"bars_{self.interval}")
        if kind is None:
            raise NothingUsableError(f"{symbol}: there are no {self.interval} bars of it", field="symbol")
        return kind

    def _joined(self, symbol: str, first: pd.Timestamp) -> History:
        market = self.store.read(symbol, self.interval, first - self._reach(symbol))
        return History.from_raw(market, since=first)

    def _reach(self, symbol: str) -> pd.Timedelta:
        """How much older than its bar a value that joins it may be."""
        hours = [float(max(STALE_AFTER_HOURS.values()))]
        for name in (symbol, MARKET_WIDE):
            state = self.store.state(name)
            for kind in {} if state is None else state.kinds.values():
                hours.append(float(kind.options.get("stale_after_hours", 0.0)))
        return interval_delta(self.interval) + pd.Timedelta(hours=max(hours)) + _MARGIN

    def _with_context(self, histories: Sequence[History]) -> list[History]:
        if not histories:
            return []
        there = {history.symbol for history in histories}
        since = min(history.time[0] for history in histories)
        return with_context(
            histories,
            self.universe,
            self._closes([name for name in self.universe if name not in there], since),
        )

    def _closes(self, symbols: Sequence[str], since: pd.Timestamp) -> Mapping[str, Closes]:
        """Closes of other symbols; one that the store does not have is left out."""
        found = {}
        delta = interval_delta(self.interval)
        for name in symbols:
            bars = self.store.table(name, f"bars_{self.interval}", ["open_time", "close"], since - delta)
            if bars is not None and len(bars):
                close_time = (pd.DatetimeIndex(bars["open_time"]) + delta).as_unit("ms")
                found[name] = Closes(close_time.asi8, bars["close"].to_numpy(np.float64))
        return found


def _nobody(_symbol: str, _done: int, _total: int) -> None:
    """Hear nothing of the steps."""
