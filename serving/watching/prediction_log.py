"""The prediction log of one worker: what was answered, kept off the path of the request.

An answer waits in a bounded queue; a thread makes a row of it at once (so that the window it came
with is let go) and appends the rows to the day's file every few seconds. A crash loses what was not
yet appended; a full queue or disk loses rows and counts them, never a request.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson

from features.regimes import REGIMES
from serving.schemas import Answer, PredictRequest
from serving.watching.prediction_files import close_days, days_before, drop_days, open_day
from serving.watching.window_hash import hash_of_request

__all__ = ["LoggedAnswer", "PredictionLog"]

WAITING = 2_000
"""Answers that may wait for their row."""
_LONGEST_WINDOW = 20_000

logger = logging.getLogger("bearmode.watching")


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """An answer to keep.

    Attributes
    ----------
    answer : Answer
    source : str
        ``request`` for a window that a client sent, ``live`` for one from the store.
    closed : int
        Close of the bar that is answered, Unix milliseconds.
    request : PredictRequest or None
        The window; only its hash is kept.
    window_hash : str or None
        Where it is known already.
    request_id, key : str or None
    """

    answer: Answer
    source: str
    closed: int
    request: PredictRequest | None = None
    window_hash: str | None = None
    request_id: str | None = None
    key: str | None = None


class PredictionLog:
    """Keeps answers in daily files.

    Parameters
    ----------
    folder : Path
        Made with the first row.
    seconds : float
        How long a row may wait in memory.
    days : int
        Days that are kept.
    window_bars : callable
        Bars that the model reads, for the hash of a window.
    kept, lost : callable
        Told how many rows were kept, and how many were lost and why.
    today : callable
        The day, UTC.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float = 5.0,
        days: int = 400,
        window_bars: Callable[[], int] = lambda: _LONGEST_WINDOW,
        kept: Callable[[int], None] = lambda _rows: None,
        lost: Callable[[str, int], None] = lambda _reason, _rows: None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._folder = folder
        self._seconds = seconds
        self._days = days
        self._window_bars = window_bars
        self._kept, self._lost = kept, lost
        self._today = today
        self._writer = uuid.uuid4().hex[:12]
        self._queue: queue.Queue[LoggedAnswer | None] = queue.Queue(WAITING)
        self._rows: list[bytes] = []
        self._descriptor: int | None = None
        self._day: date | None = None
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def put(self, answer: LoggedAnswer) -> None:
        """Take an answer; returns at once."""
        try:
            self._queue.put_nowait(answer)
        except queue.Full:
            self._lost("queue_full", 1)

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, and end."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(seconds)

    def _run(self) -> None:
        self._tidy(self._today())
        due: float | None = None
        while True:
            wait = None if due is None else max(0.0, due - time.monotonic())
            try:
                item = self._queue.get(timeout=wait)
            except queue.Empty:
                self._flush()
                due = None
                continue
            if item is None:
                self._flush()
                self._leave()
                return
            self._add(item)
            due = time.monotonic() + self._seconds if due is None else due

    def _add(self, item: LoggedAnswer) -> None:
        try:
            self._rows.append(orjson.dumps(self._row(item)))
        except Exception:
            logger.exception("an answer cannot be kept")
            self._lost("not_written", 1)

    def _row(self, item: LoggedAnswer) -> dict[str, Any]:
        answer = item.answer
        window_hash = item.window_hash
        if window_hash is None and item.request is not None:
            window_hash = hash_of_request(item.request, self._window_bars())
        trained = _ms(answer.model.trained_until)
        advice = answer.advice
        return {
            "answered_at": int(time.time() * 1e3),
            "request_id": item.request_id,
            "source": item.source,
            "key": item.key,
            "symbol": answer.symbol,
            "interval_ms": _ms(answer.valid_until) - item.closed,
            "as_of": _ms(answer.as_of),
            "time": item.closed,
            "window_hash": window_hash,
            "model_version": answer.model.version,
            "trained_until": trained,
            "in_sample": item.closed <= trained,
            "regime": answer.regime,
            **{f"p_{name}": getattr(answer.probabilities, name) for name in REGIMES},
            "prediction_set": ",".join(answer.prediction_set),
            "side": advice.side,
            "short_share": advice.short_share,
            "size_factor": advice.size_factor,
            "leverage": advice.leverage,
            "leverage_short": advice.leverage_short,
            "leverage_long": advice.leverage_long,
            "leverage_cap": advice.leverage_cap,
            "adverse_excursion": advice.survival.adverse_excursion,
            "novelty": None if answer.novelty is None else answer.novelty.percentile,
            "agreeing": answer.agreeing,
            "available": answer.available,
            "degraded": ",".join(answer.degraded),
            "model_state": answer.model.state,
        }

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            today = self._today()
            _append(self._open(today), b"\n".join(rows) + b"\n")
        except OSError as error:
            self._lost("not_written", len(rows))
            if not self._complained:
                logger.warning("the prediction log in %s cannot be written: %s", self._folder, error)
            self._complained = True
        else:
            self._complained = False
            self._kept(len(rows))

    def _open(self, today: date) -> int:
        """File of the day, begun where it is a new one or was removed."""
        if self._descriptor is not None and os.fstat(self._descriptor).st_nlink == 0:
            self._leave()
        if self._descriptor is None or today != self._day:
            self._leave()
            self._descriptor, self._day = open_day(self._folder, today, self._writer), today
            self._tidy(today)
        return self._descriptor

    def _leave(self) -> None:
        """Give the present file back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._day = None

    def _tidy(self, today: date) -> None:
        """Close the days that are over, and drop the old ones."""
        try:
            close_days(self._folder, today)
            drop_days(self._folder, days_before(today, self._days))
        except Exception:
            logger.exception("the prediction log in %s cannot be tidied", self._folder)


def _append(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written != len(data):
        # The rest would begin in the middle of a line: end this one, and let it be left out.
        with contextlib.suppress(OSError):
            os.write(descriptor, b"\n")
        raise OSError(f"{written:,} of {len(data):,} bytes were taken")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1e3)
