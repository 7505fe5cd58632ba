"""What a worker keeps of the live store: bodies that are computed off the event loop, once for each change.

A body is good as long as the bundle and the manifests of what it was computed from are the same. Whoever
asks while it is being computed waits for that computation; one that is given up goes on for the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from features.errors import BearmodeError
from features.parallel.outcomes import Outcome
from features.store import Store
from serving.aged_body import AgedBody, Sent, StaticBody, joined_rows
from serving.finite import non_finite
from serving.live_model import LiveModel
from serving.market_schemas import BoardRow
from serving.market_view import MarketView, Newest, board_row
from serving.predictor import Predictor
from serving.store_refusals import not_finite
from serving.store_stamps import StoreStamps
from serving.web_errors import not_ready

__all__ = ["MarketFeed"]

_LIMIT_BYTES = 8_000_000
"""Charts and maps that are kept; the bodies of newest answers are few and small."""
_MOST_SYMBOLS = 2_000
_ERROR_SECONDS = 5.0
"""So long an error is answered without another look at the store."""

T = TypeVar("T")
Told = Callable[[Newest], None]

logger = logging.getLogger("bearmode.store")


@dataclass(frozen=True)
class _Kept:
    """Bodies of one symbol's newest answer, or why there is none."""

    key: Hashable
    row: AgedBody
    answer: AgedBody | None = None
    signals: AgedBody | None = None
    error: BearmodeError | None = None
    until: float | None = None


class MarketFeed:
    """Bodies of the GET routes that look at the live store. Its coroutines belong to one event loop.

    Parameters
    ----------
    store : Store
        Need not be there yet.
    live : LiveModel
        Whose model answers; a new one makes everything anew.
    now : callable
        Time of day, for ages alone.
    """

    def __init__(
        self, store: Store, live: LiveModel, now: Callable[[], pd.Timestamp] = lambda: pd.Timestamp.now("UTC")
    ) -> None:
        self._store = store
        self._live = live
        self._now = now
        self._stamps = StoreStamps(store)
        self._view: MarketView | None = None
        self._newest: OrderedDict[str, _Kept] = OrderedDict()
        self._symbols: tuple[Hashable, list[str]] | None = None
        self._large: OrderedDict[Hashable, StaticBody] = OrderedDict()
        self._running: dict[Hashable, asyncio.Future[Any]] = {}
        # One thread each: a chart of years must not keep the board waiting.
        self._quick = ThreadPoolExecutor(1, thread_name_prefix="market")
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="market-charts")
        self._told: list[Told] = []
        live.reloads.observe(self._release)

    def observe(self, told: Told) -> None:
        """Be told, on the market's thread, of each newest answer that was computed."""
        self._told.append(told)

    def close(self) -> None:
        """Begin no more computations."""
        for pool in (self._quick, self._slow):
            pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, symbol: str) -> Sent:
        """Newest answer of a symbol.

        Raises
        ------
        BearmodeError
            404 or 503, with the reason.
        """
        (kept,) = await self._kept([symbol])
        return self._body(kept, kept.answer)

    async def signals(self, symbol: str) -> Sent:
        """Signals of a symbol; raises as :meth:`answer`."""
        (kept,) = await self._kept([symbol])
        return self._body(kept, kept.signals)

    async def board(self, symbols: Sequence[str] | None = None) -> Sent:
        """Rows of some symbols, all of the store by default; raises only if there is no store."""
        view = self._current()
        kept = await self._kept(await self._all(view) if symbols is None else symbols)
        now = self._now()
        return joined_rows(view.board_of([]), [one.row.sent(now) for one in kept])

    async def chart(
        self,
        symbol: str,
        since: pd.Timestamp | None,
        until: pd.Timestamp | None,
        step: str | None,
        *,
        packed: bool = False,
    ) -> Sent:
        """Prices and replayed answers; raises as :meth:`serving.market_view.MarketView.chart`."""
        view = self._current()

        def make() -> StaticBody:
            chart = view.chart(symbol, since, until, step)
            return StaticBody(chart, pd.Timestamp(chart.last), view.interval)

        body = await self._large_body(view, symbol, ("chart", since, until, step), make)
        return body.sent(self._now(), packed=packed)

    async def liquidation_map(self, symbol: str, days: int, *, packed: bool = False) -> Sent:
        """The estimated liquidation map; raises as the view's."""
        view = self._current()

        def make() -> StaticBody:
            found = view.liquidation_map(symbol, days)
            return StaticBody(found, pd.Timestamp(found.as_of), view.interval)

        body = await self._large_body(view, symbol, ("map", days), make)
        return body.sent(self._now(), packed=packed)

    # --------------------------------------------------------------------------- what is kept

    def _current(self) -> MarketView:
        """The view of the model that answers now."""
        predictor = self._live.predictor
        if not isinstance(predictor, Predictor):
            raise not_ready(self._live.error)
        view = self._view
        if view is None or view.predictor is not predictor:
            self._view = view = MarketView(predictor, self._store)
            self._newest.clear()
            self._large.clear()
        return view

    def _release(self, _: object) -> None:
        """Let go of a model that answers no more, though nobody asks; called by who loaded the new one."""
        view = self._view
        if view is not None and view.predictor is not self._live.predictor:
            self._view = None

    async def _stamp(self, view: MarketView, symbol: str) -> Hashable:
        names = (symbol, *view.windows.universe)
        if self._stamps.is_local:
            return view.predictor.version, self._stamps.of(names)
        stamp = await asyncio.get_running_loop().run_in_executor(None, self._stamps.of, names)
        return view.predictor.version, stamp

    async def _all(self, view: MarketView) -> list[str]:
        def look() -> tuple[Hashable, list[str]]:
            stamp = self._stamps.of_all()
            if self._symbols is not None and self._symbols[0] == stamp:
                return self._symbols
            return stamp, view.symbols()

        known = self._symbols
        if known is not None and self._stamps.is_local and self._stamps.of_all() == known[0]:
            return known[1]
        self._symbols = await self._once("symbols", self._quick, look)
        return self._symbols[1]

    async def _kept(self, symbols: Sequence[str]) -> list[_Kept]:
        view = self._current()
        keys = {symbol: await self._stamp(view, symbol) for symbol in symbols}
        found = {
            symbol: kept for symbol, key in keys.items() if (kept := self._good(symbol, key)) is not None
        }
        missing = {symbol: key for symbol, key in keys.items() if symbol not in found}
        if missing:
            name = ("newest", *missing.items())
            found |= await self._once(name, self._quick, lambda: self._made(view, missing))
        return [found[symbol] for symbol in symbols]

    def _good(self, symbol: str, key: Hashable) -> _Kept | None:
        kept = self._newest.get(symbol)
        if kept is None or kept.key != key:
            return None
        return kept if kept.until is None or kept.until > time.monotonic() else None

    def _made(self, view: MarketView, keys: dict[str, Hashable]) -> dict[str, _Kept]:
        """Compute the newest answers of some symbols; runs on the market's thread."""
        made = {symbol: kept for symbol, key in keys.items() if (kept := self._good(symbol, key)) is not None}
        for one in view.newest([symbol for symbol in keys if symbol not in made]):
            kept = self._checked(one, keys[one.symbol], view.interval)
            made[one.symbol] = kept
            if one.result is not None and kept.error is None:
                for told in self._told:
                    told(one.result)
        if view is self._view:
            self._newest.update(made)
            while len(self._newest) > _MOST_SYMBOLS:
                self._newest.popitem(last=False)
        return made

    def _checked(self, one: Outcome[Newest], key: Hashable, interval: str) -> _Kept:
        error, newest = one.error, one.result
        path = None if newest is None else non_finite(newest.answer.model_dump())
        if newest is not None and path is None:
            return self._bodies(newest, key, interval)
        if path is not None:
            logger.error("%s of the answer for %s is not finite", path, one.symbol)
            error = not_finite(one.symbol)
        row = AgedBody(board_row(Outcome(one.symbol, error=error)), None, interval)
        return _Kept(key, row, error=error, until=time.monotonic() + _ERROR_SECONDS)

    def _bodies(self, newest: Newest, key: Hashable, interval: str) -> _Kept:
        close = pd.Timestamp(newest.answer.as_of)
        row: BoardRow = newest.row
        return _Kept(
            key,
            row=AgedBody(row, close, interval),
            answer=AgedBody(newest.answer, close, interval),
            signals=AgedBody(newest.signals, close, interval),
        )

    def _body(self, kept: _Kept, body: AgedBody | None) -> Sent:
        if body is None:
            raise kept.error or not_ready(None)
        return body.sent(self._now())

    async def _large_body(
        self, view: MarketView, symbol: str, what: Hashable, make: Callable[[], StaticBody]
    ) -> StaticBody:
        key = (what, symbol, await self._stamp(view, symbol))
        body = self._large.get(key)
        if body is None:
            body = await self._once(key, self._slow, make)
            if view is self._view:
                self._large[key] = body
            while sum(one.size for one in self._large.values()) > _LIMIT_BYTES and len(self._large) > 1:
                self._large.popitem(last=False)
        else:
            self._large.move_to_end(key)
        return body

    async def _once(self, key: Hashable, pool: ThreadPoolExecutor, make: Callable[[], T]) -> T:
        """Result of a computation that nobody starts twice."""
        task = self._running.get(key)
        if task is None:
            loop = asyncio.get_running_loop()
            task = asyncio.ensure_future(loop.run_in_executor(pool, make))
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        found: T = await asyncio.shield(task)
        return found

    def _ended(self, key: Hashable, task: asyncio.Future[Any]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # those who waited may all have gone
