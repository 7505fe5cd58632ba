"""The one file that live mode must not lose: events, what was last known, deliveries to be made.

SQLite, because an event, the state that it follows from and the deliveries that it calls for are
written together or not at all: a kill at any moment neither loses one nor makes one twice.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from features.errors import BearmodeError

__all__ = ["FILE", "LiveStateError", "open_database", "transaction"]

FILE = "events.sqlite"
BUSY_SECONDS = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    symbol TEXT,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS symbols (
    symbol TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    as_of INTEGER NOT NULL,
    regime TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY,
    event INTEGER NOT NULL,
    hook TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL DEFAULT 0,
    status INTEGER,
    error TEXT,
    ended_at REAL
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, hook, next_at);
"""


class LiveStateError(BearmodeError):
    """The file of live mode cannot be used."""

    default_code = "live_state"
    status = 503


def open_database(folder: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file in a state folder; a writer makes it.

    Raises
    ------
    LiveStateError
        If it cannot be opened, or is no such file.
    """
    path = folder / FILE
    try:
        if read_only:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        connection.isolation_level = None
        if not read_only:
            _prepare(connection)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing.

    Raises
    ------
    LiveStateError
        If the file cannot be written; it is then as it was.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise _unusable(Path(FILE), error) from error


def _prepare(connection: sqlite3.Connection) -> None:
    # A rollback journal and not a write-ahead log: few writes, and readers need no file beside it.
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(_SCHEMA)
    # Ids begin at the time in milliseconds: where the file was removed, they still go up.
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'events', ? "
        "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events')",
        (time.time_ns() // 1_000_000,),
    )


def _unusable(path: Path, error: Exception) -> LiveStateError:
    return LiveStateError(
        f"{path} cannot be used: {error}", hint="free space, mend its rights, or remove a damaged file"
    )
