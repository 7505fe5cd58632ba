"""What live mode knows of one symbol between two looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from features.errors import BearmodeError
from serving.data_age import data_state
from serving.live.event_log import NewEvent
from serving.live.feeds import FeedResult
from serving.live.regime_watch import Look
from serving.live.state_files import degraded
from serving.reload_outcomes import iso
from serving.schemas import Answer

__all__ = ["WatchedSymbol"]


@dataclass
class WatchedSymbol:
    """One symbol: its newest answer, how its source behaves, and whether it was told to be stale.

    Attributes
    ----------
    symbol : str
    stale : bool
        What the last event about it said.
    """

    symbol: str
    stale: bool = False
    newest_close: pd.Timestamp | None = None
    answer: Answer | None = None
    error: BearmodeError | None = None
    source_error: dict[str, Any] | None = None
    attempted_at: pd.Timestamp | None = None
    succeeded_at: pd.Timestamp | None = None
    failures: int = 0
    rows: int = field(default=0, repr=False)

    def fed(self, result: FeedResult, now: pd.Timestamp) -> None:
        """Note what an update did."""
        self.attempted_at, self.rows = now, result.rows
        if result.code is None:
            self.succeeded_at, self.source_error, self.failures = now, None, 0
            return
        self.failures += 1
        self.source_error = {"code": result.code, "message": result.message, "failures": self.failures}

    def looked(self, found: Look) -> None:
        """Note an answer, or why there is none; an older one does not stand in for it."""
        self.newest_close = found.newest_close if found.newest_close is not None else self.newest_close
        self.answer, self.error = found.answer, found.error

    def turned(self, now: pd.Timestamp, interval: str) -> NewEvent | None:
        """The event of data that became stale or fresh again; ``None`` while nothing changed."""
        if self.newest_close is None:
            return None
        state = data_state(self.newest_close, now, interval)
        if (state != "current") == self.stale:
            return None
        self.stale = not self.stale
        body: dict[str, Any] = {
            "at": iso(now.to_pydatetime()),
            "newest_close": iso(self.newest_close.to_pydatetime()),
            "data_age_seconds": int((now - self.newest_close).total_seconds()),
        }
        if self.stale:
            body["degraded"] = degraded(state, self.source_error)
        return NewEvent("data_stale" if self.stale else "data_fresh", self.symbol, body)

    def status(self) -> dict[str, Any]:
        """JSON-ready row of ``status.json``."""
        answer = self.answer
        return {
            "symbol": self.symbol,
            "newest_close": _iso(self.newest_close),
            "regime": None if answer is None else answer.regime,
            "since": None if answer is None else iso(answer.since),
            "error": None if self.error is None else _described(self.error),
            "source_error": self.source_error,
            "attempted_at": _iso(self.attempted_at),
            "succeeded_at": _iso(self.succeeded_at),
        }

    def board_row(self) -> dict[str, Any]:
        """JSON-ready row of ``board.json``."""
        return {
            "symbol": self.symbol,
            "newest_close": _iso(self.newest_close),
            "answer": None if self.answer is None else self.answer.model_dump(mode="json"),
            "error": None if self.error is None else _described(self.error),
            "source_error": self.source_error,
        }


def _iso(moment: pd.Timestamp | None) -> str | None:
    return None if moment is None else iso(moment.to_pydatetime())


def _described(error: BearmodeError) -> dict[str, str | None]:
    return {"code": error.code, "message": error.message, "hint": error.hint}
