"""Events with increasing ids, and what was known when they were written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from serving.live.database import LiveStateError, open_database, transaction
from serving.live.settings import Webhook

__all__ = ["Event", "EventLog", "Known", "NewEvent", "read_events"]

MOST_AT_ONCE = 1_000


@dataclass(frozen=True)
class NewEvent:
    """Something that happened, not yet written down.

    Attributes
    ----------
    kind : str
        One of :data:`serving.live.settings.EventType`.
    symbol : str or None
    body : dict
        JSON-ready; ``id`` and ``type`` are added when it is written.
    """

    kind: str
    symbol: str | None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """An event as it was written."""

    id: int
    kind: str
    symbol: str | None
    data: str
    """JSON."""


@dataclass(frozen=True)
class Known:
    """The newest answer that was looked at.

    Attributes
    ----------
    version : str
        Bundle that gave it.
    as_of : pandas.Timestamp
        Close of its bar.
    regime : str
    """

    version: str
    as_of: pd.Timestamp
    regime: str


class EventLog:
    """The writer's side: one live process has it open.

    Parameters
    ----------
    folder : Path
        Of the state.
    keep : int
        Newest events that stay.
    hooks : sequence of Webhook
        Whose deliveries are noted together with the event.

    Raises
    ------
    LiveStateError
        If the file cannot be used.
    """

    def __init__(self, folder: Path, keep: int, hooks: Sequence[Webhook] = ()) -> None:
        self._connection = open_database(folder)
        self._keep, self._hooks = keep, tuple(hooks)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def known(self) -> dict[str, Known]:
        """What was last known of each symbol."""
        rows = self._connection.execute("SELECT symbol, version, as_of, regime FROM symbols")
        return {
            symbol: Known(version, pd.Timestamp(as_of, unit="ms", tz="UTC"), regime)
            for symbol, version, as_of, regime in rows
        }

    def facts(self) -> dict[str, str]:
        """What was noted by name."""
        return dict(self._connection.execute("SELECT name, value FROM facts"))

    def write(
        self,
        events: Iterable[NewEvent] = (),
        known: dict[str, Known] | None = None,
        facts: dict[str, str | None] | None = None,
    ) -> list[int]:
        """Write events, the state that they follow from and their deliveries, together.

        Returns
        -------
        list of int
            Ids of the events.

        Raises
        ------
        LiveStateError
            If that failed; nothing was written.
        """
        ids = []
        with transaction(self._connection) as connection:
            for event in events:
                ids.append(self._add(connection, event))
            connection.executemany(
                "INSERT OR REPLACE INTO symbols VALUES (?, ?, ?, ?)",
                [
                    (symbol, one.version, one.as_of.value // 1_000_000, one.regime)
                    for symbol, one in (known or {}).items()
                ],
            )
            for name, value in (facts or {}).items():
                connection.execute("DELETE FROM facts WHERE name = ?", (name,))
                if value is not None:
                    connection.execute("INSERT INTO facts VALUES (?, ?)", (name, value))
            if ids:
                self._trim(connection)
        return ids

    def _add(self, connection: sqlite3.Connection, event: NewEvent) -> int:
        cursor = connection.execute(
            "INSERT INTO events (kind, symbol, body) VALUES (?, ?, '')", (event.kind, event.symbol)
        )
        number = cursor.lastrowid or 0
        content = {"id": number, "type": event.kind, "symbol": event.symbol, **event.body}
        data = json.dumps(content, allow_nan=False, ensure_ascii=False)
        connection.execute("UPDATE events SET body = ? WHERE id = ?", (data, number))
        for hook in self._hooks:
            if hook.wants(event.kind, event.symbol):
                connection.execute(
                    "INSERT INTO deliveries (id, event, hook, body) VALUES (?, ?, ?, ?)",
                    (f"evt_{number}_{hook.name}", number, hook.name, data),
                )
        return number

    def _trim(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            "DELETE FROM events WHERE id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (self._keep,),
        )
        connection.execute(
            "DELETE FROM deliveries WHERE state != 'pending' AND id NOT IN "
            "(SELECT id FROM deliveries WHERE state != 'pending' ORDER BY ended_at DESC LIMIT ?)",
            (self._keep,),
        )


def read_events(folder: Path, after: int, most: int = MOST_AT_ONCE) -> tuple[list[Event], int, int]:
    """Events later than an id, oldest first, and the ids that the log spans.

    Returns
    -------
    list of Event
        At most ``most``.
    int, int
        Ids of the oldest and of the newest event that is kept; 0 where there is none.

    Raises
    ------
    LiveStateError
        If the log cannot be read; a log that is not there yet is empty.
    """
    try:
        connection = open_database(folder, read_only=True)
    except LiveStateError:
        if not folder.joinpath("events.sqlite").exists():
            return [], 0, 0
        raise
    try:
        oldest, newest = connection.execute("SELECT min(id), max(id) FROM events").fetchone()
        rows = connection.execute(
            "SELECT id, kind, symbol, body FROM events WHERE id > ? ORDER BY id LIMIT ?", (after, most)
        ).fetchall()
    except sqlite3.Error as error:
        raise LiveStateError(f"the event log cannot be read: {error}") from error
    finally:
        connection.close()
    return [Event(*row) for row in rows], oldest or 0, newest or 0
