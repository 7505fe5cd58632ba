"""What became of each load of a bundle: kept for ``GET /v1/model``, told to whoever counts.

A bundle that stays broken is tried again and again: as long as nothing else happens, its failures
are one entry with a count.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from features.errors import BearmodeError
from serving.shadow_comparison import ShadowComparison

__all__ = ["Outcome", "ReloadOutcome", "ReloadOutcomes", "iso"]

KEPT = 20
"""Entries that a worker remembers."""

Outcome = Literal["loaded", "refused"]
Observer = Callable[["ReloadOutcome"], None]

logger = logging.getLogger("bearmode.serving")


@dataclass(frozen=True)
class ReloadOutcome:
    """One load: served from now on, or refused, and why.

    Attributes
    ----------
    outcome : {"loaded", "refused"}
    at : datetime
        When it was decided, UTC.
    version : str or None
        Of the new bundle; ``None`` where it could not be read.
    previous : str or None
        What was served until then.
    seconds : float
        Loading, proving and comparing.
    shadow : ShadowComparison or None
        How the new one differs from the one before; ``None`` where there was none, or none to compare.
    error : BearmodeError or None
        Why it was refused.
    count : int
        How often in a row the same came out.
    first_at : datetime
        The first time of these.
    """

    outcome: Outcome
    at: datetime
    version: str | None
    previous: str | None
    seconds: float
    shadow: ShadowComparison | None = None
    error: BearmodeError | None = None
    count: int = 1
    first_at: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        error = self.error
        return {
            "outcome": self.outcome,
            "at": iso(self.at),
            "first_at": iso(self.first_at or self.at),
            "count": self.count,
            "version": self.version,
            "previous": self.previous,
            "seconds": round(self.seconds, 3),
            "shadow": None if self.shadow is None else asdict(self.shadow),
            "error": None
            if error is None
            else {"code": error.code, "message": error.message, "hint": error.hint},
        }

    def same_failure(self, other: ReloadOutcome) -> bool:
        """Whether two refusals say the same."""
        if self.error is None or other.error is None:
            return False
        mine, theirs = self.error, other.error
        return (self.previous, mine.code, mine.message) == (other.previous, theirs.code, theirs.message)


class ReloadOutcomes:
    """The newest outcomes of a worker, and those who want to hear of them."""

    def __init__(self) -> None:
        self._kept: deque[ReloadOutcome] = deque(maxlen=KEPT)
        self._observers: list[Observer] = []
        self._lock = threading.Lock()

    def observe(self, observer: Observer) -> None:
        """Tell this one of every outcome, those of before included.

        What it raises is logged and stops nothing.
        """
        with self._lock:
            self._observers.append(observer)
            before = list(self._kept)
        for outcome in before:
            _tell(observer, outcome)

    def add(self, outcome: ReloadOutcome) -> None:
        """Keep an outcome and tell the observers."""
        with self._lock:
            last = self._kept[-1] if self._kept else None
            if last is not None and last.same_failure(outcome):
                self._kept[-1] = replace(outcome, count=last.count + 1, first_at=last.first_at or last.at)
            else:
                self._kept.append(outcome)
            observers = list(self._observers)
        for observer in observers:
            _tell(observer, outcome)

    def as_list(self) -> list[dict[str, Any]]:
        """JSON-ready, newest first."""
        with self._lock:
            kept = list(self._kept)
        return [outcome.as_dict() for outcome in reversed(kept)]


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with ``Z``.

    Examples
    --------
    >>> iso(datetime(2024, 1, 1, tzinfo=UTC))
    '2024-01-01T00:00:00Z'
    """
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _tell(observer: Observer, outcome: ReloadOutcome) -> None:
    try:
        observer(outcome)
    except Exception:
        logger.exception("an observer of reloads failed")
