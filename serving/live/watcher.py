"""The steps of live mode: ask the source when a bar has closed, look, write down, say what state it is in.

One step never waits: an update runs beside it. So the sign of life goes on whatever the source does.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import pandas as pd

from features.errors import BearmodeError, BundleError
from features.history import History
from features.parallel.outcomes import Outcome, attempt
from features.raw import interval_delta
from features.store import Store
from serving.live.event_log import EventLog, Known, NewEvent
from serving.live.feeds import FeedJob, FeedResult
from serving.live.regime_watch import CATCH_UP_BARS, Look, look
from serving.live.schedule import JumpWatch, Schedule
from serving.live.settings import LiveSettings
from serving.live.state_files import BOARD, STATUS, write_state
from serving.live.watched_symbol import WatchedSymbol
from serving.live_model import LiveModel
from serving.predictor import Predictor
from serving.reload_outcomes import iso
from serving.store_windows import StoreWindows

__all__ = ["RunningFeed", "Watcher"]

BEAT_SECONDS = 5.0
"""A sign of life at least so often."""
PATIENCE_SECONDS = 60.0
"""A running update may still bring what seems to be late."""
AGAIN_SECONDS = 5.0
"""After a look that could not be written down."""
INTERVAL_WITHOUT_MODEL = "1h"
_STALE = "stale:"

logger = logging.getLogger("bearmode.live")


class RunningFeed(Protocol):
    """An update on its way."""

    def results(self) -> list[FeedResult] | None:
        """Results, or ``None`` while it runs."""

    def end(self) -> None:
        """Give it up."""


class Watcher:
    """Live mode without processes and signals: call :meth:`step` several times a second.

    Parameters
    ----------
    settings : LiveSettings
    store : Store
    model : LiveModel
        Follows the champion, or a bundle.
    log : EventLog
    start_feed : callable
        Starts an update.
    url : str or None
        A mirror of the source.
    now, monotonic : callable
        The clocks; ``now`` may be a simulated one.
    reload_seconds : float
        How often the champion is looked at.
    about_webhooks : callable
        What the status says of deliveries.
    """

    def __init__(
        self,
        settings: LiveSettings,
        store: Store,
        model: LiveModel,
        log: EventLog,
        start_feed: Callable[[FeedJob], RunningFeed],
        *,
        now: Callable[[], pd.Timestamp],
        monotonic: Callable[[], float] = time.monotonic,
        url: str | None = None,
        reload_seconds: float = 2.0,
        about_webhooks: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._settings, self._store, self._model, self._log = settings, store, model, log
        self._start_feed, self._url, self._about_webhooks = start_feed, url, about_webhooks
        self._now, self._monotonic, self._reload_seconds = now, monotonic, reload_seconds
        self._jumps = JumpWatch(now, monotonic, settings.simulated_speed)
        self._jump: dict[str, Any] | None = None
        self._feed: RunningFeed | None = None
        self._feed_began = 0.0
        self._schedule = self._new_schedule(INTERVAL_WITHOUT_MODEL)
        self._symbols = {name: WatchedSymbol(name) for name in settings.symbols}
        for name, value in log.facts().items():
            if name.startswith(_STALE) and (symbol := name.removeprefix(_STALE)) in self._symbols:
                self._symbols[symbol].stale = value == "1"
        self._looked_version: str | None = None
        self._board: dict[str, Any] | None = None
        self._look_at: float | None = None
        self._refresh_at = self._beat_at = monotonic()
        self._trouble: dict[str, str] = {}
        self._started_at = iso(datetime.now(UTC))

    @property
    def _predictor(self) -> Predictor | None:
        found = self._model.predictor
        return found if isinstance(found, Predictor) else None

    @property
    def _interval(self) -> str:
        predictor = self._predictor
        return INTERVAL_WITHOUT_MODEL if predictor is None else predictor.manifest.interval

    def step(self) -> None:
        """Do what is due, and come back."""
        self._notice_jumps()
        self._follow_model()
        changed = self._run_feed()
        if self._look_at is not None and self._monotonic() >= self._look_at:
            self._look()
            changed = True
        changed = self._tell_of_staleness() or changed
        if changed or self._monotonic() >= self._beat_at:
            self.beat()

    def end(self) -> None:
        """Give up a running update."""
        if self._feed is not None:
            self._feed.end()
            self._feed = None

    # ------------------------------------------------------------------------------ what is due

    def _notice_jumps(self) -> None:
        jump = self._jumps.look()
        if jump is None:
            return
        logger.warning("the clock was set by %+.0f s", jump.seconds)
        self._jump = {"at": iso(jump.at.to_pydatetime()), "seconds": round(jump.seconds, 1)}
        self._schedule.at_once()

    def _follow_model(self) -> None:
        if self._monotonic() >= self._refresh_at:
            self._refresh_at = self._monotonic() + self._reload_seconds
            self._model.refresh()
        predictor = self._predictor
        version = None if predictor is None else predictor.version
        if version == self._looked_version:
            return
        self._looked_version = version
        if interval_delta(self._interval) != self._schedule.step:
            self._schedule = self._new_schedule(self._interval)
        self._look_soon()

    def _run_feed(self) -> bool:
        """Start or end an update; true where something changed."""
        now = self._now()
        if self._feed is None:
            if not self._schedule.is_due(now):
                return False
            self._feed, self._feed_began = self._started(now), self._monotonic()
            return True
        results = self._feed.results()
        if results is None:
            return False
        self._feed = None
        by_symbol = {one.symbol: one for one in results}
        for symbol in self._symbols.values():
            symbol.fed(by_symbol.get(symbol.symbol, FeedResult(symbol.symbol)), now)
        for one in results:
            if one.code is not None:
                logger.warning("%s: %s (%s)", one.symbol, one.message, one.code)
        self._look()
        expected = self._schedule.expected(now)
        current = [
            one.newest_close is not None and one.newest_close >= expected for one in self._symbols.values()
        ]
        failed = any(one.code is not None for one in results)
        self._schedule.finished(self._now(), complete=all(current) and not failed)
        return True

    def _started(self, now: pd.Timestamp) -> RunningFeed:
        predictor, settings = self._predictor, self._settings
        universe = () if predictor is None else tuple(predictor.manifest.context_symbols)
        return self._start_feed(
            FeedJob(
                source=settings.source,
                symbols=tuple(dict.fromkeys((*settings.symbols, *universe))),
                interval=self._interval,
                store=str(self._store.root),
                until=int(now.timestamp() * 1000),
                exchange=settings.exchange,
                url=self._url,
                path=None if settings.path is None else str(settings.path),
            )
        )

    def _new_schedule(self, interval: str) -> Schedule:
        settings = self._settings
        return Schedule(
            interval_delta(interval), settings.delay_seconds, settings.jitter_seconds, settings.retry_seconds
        )

    # -------------------------------------------------------------------------------- the look

    def _look_soon(self, seconds: float = 0.0) -> None:
        self._look_at = self._monotonic() + seconds

    def _look(self) -> None:
        """Answer for each symbol; write down what changed, then show it."""
        self._look_at = None
        predictor, now = self._predictor, self._now()
        if predictor is None:
            error = self._model.error or BundleError("no bundle is served", code="not_ready")
            for symbol in self._symbols.values():
                symbol.looked(Look(symbol.symbol, error=error))
            self._write_board(None)
            return
        try:
            known, facts = self._log.known(), self._log.facts()
            found = self._looks(predictor, known, now)
            events = [event for one in found for event in one.events]
            before = facts.get("model")
            if before is not None and before != predictor.version:
                change = {"at": iso(now.to_pydatetime()), "from": before, "to": predictor.version}
                events.insert(0, NewEvent("model_changed", None, change))
            fresh = {one.symbol: one.known for one in found if one.known is not None}
            news = any(known.get(name) != one for name, one in fresh.items())
            if events or news or before != predictor.version:
                self._log.write(events, fresh, {"model": predictor.version})
        except BearmodeError as error:
            self._note("event_log", error)
            self._look_soon(AGAIN_SECONDS)
            return
        self._trouble.pop("event_log", None)
        for one in found:
            self._symbols[one.symbol].looked(one)
        for event in events:
            logger.info("%s %s", event.kind, event.symbol or "")
        self._write_board(predictor)

    def _looks(self, predictor: Predictor, known: dict[str, Known], now: pd.Timestamp) -> list[Look]:
        manifest = predictor.manifest
        windows = StoreWindows(self._store, manifest.interval, manifest.context_symbols)
        bars = manifest.window_bars + self._bars_since(windows, known)
        return [
            _looked(predictor, one, known.get(one.symbol), now)
            for one in windows.last(list(self._symbols), bars)
        ]

    def _bars_since(self, windows: StoreWindows, known: dict[str, Known]) -> int:
        """Bars since the last look, of the symbol that has most of them."""
        step, most = interval_delta(windows.interval), 0
        for name in self._symbols:
            if name not in known:
                continue
            span = attempt(lambda symbol, _: windows.span(symbol), name, _nobody).result
            if span is not None:
                most = max(most, int((span[1] - known[name].as_of) // step))
        return min(most + 1, CATCH_UP_BARS + 1)

    # ------------------------------------------------------------------------------- what it says

    def _tell_of_staleness(self) -> bool:
        if self._feed is not None and self._monotonic() - self._feed_began < PATIENCE_SECONDS:
            return False  # the answer is on its way: after a pause nothing is called stale and fresh at once
        now, events, facts = self._now(), [], dict[str, str | None]()
        turned = [
            (one, event)
            for one in self._symbols.values()
            if (event := one.turned(now, self._interval)) is not None
        ]
        for one, event in turned:
            events.append(event)
            facts[_STALE + one.symbol] = "1" if one.stale else None
        if not events:
            return False
        try:
            self._log.write(events, facts=facts)
        except BearmodeError as error:
            self._note("event_log", error)
            for one, _ in turned:  # told at a later step
                one.stale = not one.stale
            return False
        return True

    def beat(self) -> None:
        """Write ``status.json``: the sign of life."""
        self._beat_at = self._monotonic() + BEAT_SECONDS
        settings, now, model = self._settings, self._now(), self._model
        try:
            webhooks = self._about_webhooks()
        except BearmodeError as error:
            self._note("event_log", error)
            webhooks = []
        content = {
            "pid": os.getpid(),
            "started_at": self._started_at,
            "heartbeat_at": iso(datetime.now(UTC)),
            "clock": iso(now.to_pydatetime()),
            "clock_speed": settings.simulated_speed,
            "clock_jump": self._jump,
            "source": settings.source,
            "exchange": settings.exchange if settings.source == "exchange" else None,
            "interval": self._interval,
            "updating": self._feed is not None,
            "next_update_at": iso(self._schedule.next_at(now).to_pydatetime()),
            "model_version": None if model.predictor is None else model.predictor.version,
            "model_error": None if model.error is None else model.error.message,
            "symbols": [one.status() for one in self._symbols.values()],
            "webhooks": webhooks,
            "trouble": sorted(self._trouble.values()),
        }
        self._write(STATUS, content)

    def _write_board(self, predictor: Predictor | None) -> None:
        content = {
            "model_version": None if predictor is None else predictor.version,
            "interval": self._interval,
            "rows": [one.board_row() for one in self._symbols.values()],
        }
        if content != self._board:
            self._board = content
            self._write(BOARD, {**content, "computed_at": iso(datetime.now(UTC))})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        try:
            write_state(self._settings.state, name, content)
        except OSError as error:
            logger.error("%s cannot be written: %s", name, error.strerror or error)  # noqa: TRY400

    def _note(self, about: str, error: BearmodeError) -> None:
        if self._trouble.get(about) != error.message:
            logger.warning("%s", error.one_line())
        self._trouble[about] = error.message


def _looked(predictor: Predictor, history: Outcome[History], known: Known | None, now: pd.Timestamp) -> Look:
    """Look at one symbol; whatever is wrong with it stops no other."""
    found = history.result
    if found is None:
        return Look(history.symbol, error=history.error)
    outcome = attempt(lambda *_: look(predictor, found, known, now), history.symbol, _nobody)
    return outcome.result or Look(history.symbol, found.time[-1], error=outcome.error)


def _nobody(*_: Sequence[object] | object) -> None:
    """Hear nothing of the steps."""
