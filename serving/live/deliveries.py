"""The queue of deliveries: in the same file as the events, so that a kill loses none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.live.database import open_database, transaction
from serving.live.settings import Webhook

__all__ = ["Deliveries", "Delivery", "retry_wait"]

LONGEST_WAIT_SECONDS = 3_600.0


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one address.

    Attributes
    ----------
    id : str
        The same at every attempt.
    hook : str
        Name of the webhook.
    body : str
        JSON, the same at every attempt.
    attempts : int
        Made so far.
    """

    id: str
    hook: str
    body: str
    attempts: int


def retry_wait(first: float, attempts: int, fraction: float) -> float:
    """Seconds until the next attempt: doubled each time, at most an hour, spread by a fifth.

    Parameters
    ----------
    first : float
        Wait after the first attempt.
    attempts : int
        Made so far, at least 1.
    fraction : float
        Drawn from 0 to 1.

    Examples
    --------
    >>> [retry_wait(5.0, n, 0.5) for n in (1, 2, 3, 20)]
    [5.0, 10.0, 20.0, 3600.0]
    """
    wait = min(first * 2.0 ** min(attempts - 1, 30), max(first, LONGEST_WAIT_SECONDS))
    return wait * (0.8 + 0.4 * fraction)


class Deliveries:
    """The queue as its sender sees it; times are Unix seconds.

    Parameters
    ----------
    folder : Path
        Of the state.
    """

    def __init__(self, folder: Path) -> None:
        self._connection = open_database(folder)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def due(self, hook: str, now: float, most: int = 20) -> list[Delivery]:
        """Deliveries of a webhook to attempt now, oldest event first.

        One that seems due in more than the longest wait is due now: the clock was set back.
        """
        rows = self._connection.execute(
            "SELECT id, hook, body, attempts FROM deliveries WHERE state = 'pending' AND hook = ? "
            "AND (next_at <= ? OR next_at > ?) ORDER BY event LIMIT ?",
            (hook, now, now + 1.3 * LONGEST_WAIT_SECONDS, most),
        )
        return [Delivery(*row) for row in rows]

    def delivered(self, delivery: Delivery, status: int, now: float) -> None:
        """Note that the receiver has it."""
        self._update(delivery, "delivered", now, now, status, None)

    def failed(
        self, delivery: Delivery, now: float, next_at: float | None, status: int | None, error: str
    ) -> None:
        """Note an attempt that failed; without a next one the delivery is dead."""
        self._update(delivery, "dead" if next_at is None else "pending", next_at or now, now, status, error)

    def revive(self, hook: str | None = None) -> int:
        """Put dead deliveries into the queue again, with all their attempts; gives how many."""
        with transaction(self._connection) as connection:
            cursor = connection.execute(
                "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = 0, ended_at = NULL "
                "WHERE state = 'dead' AND (? IS NULL OR hook = ?)",
                (hook, hook),
            )
        return cursor.rowcount

    def listed(self, state: str, most: int = 100) -> list[dict[str, Any]]:
        """Newest deliveries of a state, JSON-ready."""
        rows = self._connection.execute(
            "SELECT id, event, hook, attempts, status, error FROM deliveries WHERE state = ? "
            "ORDER BY event DESC LIMIT ?",
            (state, most),
        )
        names = ("id", "event", "hook", "attempts", "status", "error")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def summary(self, hooks: Sequence[Webhook]) -> list[dict[str, Any]]:
        """What the status says of each webhook: never its whole address."""
        found = []
        for hook in hooks:
            counts = dict(
                self._connection.execute(
                    "SELECT state, count(*) FROM deliveries WHERE hook = ? GROUP BY state", (hook.name,)
                )
            )
            last = self._connection.execute(
                "SELECT status, error FROM deliveries WHERE hook = ? AND attempts > 0 "
                "ORDER BY ended_at DESC LIMIT 1",
                (hook.name,),
            ).fetchone()
            found.append(
                {
                    "name": hook.name,
                    **{state: counts.get(state, 0) for state in ("pending", "delivered", "dead")},
                    "last_status": None if last is None else last[0],
                    "last_error": None if last is None else last[1],
                }
            )
        return found

    def _update(
        self,
        delivery: Delivery,
        state: str,
        next_at: float,
        now: float,
        status: int | None,
        error: str | None,
    ) -> None:
        with transaction(self._connection) as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, status = ?, error = ?, "
                "ended_at = ? WHERE id = ?",
                (state, delivery.attempts + 1, next_at, status, error, now, delivery.id),
            )
