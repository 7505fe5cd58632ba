"""The promotion journal: every decision with its numbers, one line of JSON each, only ever added to.

    bundles/journal.jsonl     {"number": 7, "at": "...", "action": "promotion", "version": "...", ...}

A line counts once it ends. A process that is killed while it writes leaves a fragment without an end;
the next entry closes it and goes on below it, so that no line is ever lost or changed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from features.errors import BearmodeError, LockedError

__all__ = ["JOURNAL", "TORN", "Journal"]

JOURNAL = "journal.jsonl"
TORN = "torn"
"""Action of a line that is no entry: what a killed process left, or a hand edited."""
_LOCK = ".journal.lock"
_WAIT_SECONDS = 30.0


class Journal:
    """The journal beside some bundles.

    Parameters
    ----------
    bundles : Path
        Made at the first entry where it is missing.
    """

    def __init__(self, bundles: Path) -> None:
        self.path = bundles / JOURNAL

    def append(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Add an entry; it is on the disk when this returns.

        Parameters
        ----------
        entry : mapping
            JSON-ready, with an ``action``; a number that is not finite becomes null. ``number`` and
            ``at`` (UTC) are given here.

        Returns
        -------
        dict
            The entry as written.

        Raises
        ------
        LockedError
            If somebody else has been writing for half a minute.
        BearmodeError
            If the journal cannot be written.
        """
        if not isinstance(entry.get("action"), str) or not entry["action"]:
            raise BearmodeError("an entry of the journal needs an action", code="bad_entry")
        lock = filelock.FileLock(self.path.with_name(_LOCK))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with lock.acquire(timeout=_WAIT_SECONDS):
                return self._append(entry)
        except filelock.Timeout as error:
            raise LockedError(f"{self.path} is being written by another process") from error
        except OSError as error:
            raise BearmodeError(
                f"{self.path} cannot be written: {error.strerror or error}",
                code="journal_unreachable",
                hint="check the path, its permissions and the space on the disk",
            ) from error

    def _append(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        new = not self.path.exists()
        before = b"" if new else self.path.read_bytes()
        number = 1 + max((int(one.get("number", 0)) for one in _parsed(before)), default=0)
        whole = {"number": number, "at": datetime.now(UTC).isoformat(timespec="seconds"), **_plain(entry)}
        line = json.dumps(whole, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        if before and not before.endswith(b"\n"):
            line = b"\n" + line
        with self.path.open("ab", buffering=0) as file:
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) or 0 :]
            os.fsync(file.fileno())
        if new:
            _sync_folder(self.path.parent)
        return whole

    def entries(self) -> list[dict[str, Any]]:
        """All entries, oldest first; empty where nothing was decided yet.

        What is no entry comes as one with the action :data:`TORN` and the text.

        Raises
        ------
        BearmodeError
            If the file is there and cannot be read.
        """
        try:
            return _parsed(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BearmodeError(
                f"{self.path} cannot be read: {error.strerror or error}", code="journal_unreachable"
            ) from error


def _parsed(content: bytes) -> list[dict[str, Any]]:
    found = []
    lines = content.split(b"\n")
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and isinstance(entry.get("number"), int):
            found.append(entry)
        elif index < len(lines) - 1:  # the last one may be another process's, half written
            found.append({"number": 0, "action": TORN, "fragment": line.decode(errors="replace")})
    return found


def _plain(value: Any) -> Any:
    """JSON-ready copy; paths as text, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
