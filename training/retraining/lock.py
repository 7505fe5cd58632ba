"""One at a time: the lock on the bundles, with the name of who holds it.

The operating system gives a lock back when its process ends, also by ``kill -9``; so what says who
holds it is a note beside the lock, which means nothing while the lock is free.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from features.errors import BearmodeError, LockedError
from features.json_file import write_json

__all__ = ["bundles_locked", "lock_holder"]

LOCK = ".lock"
HOLDER = ".lock.json"


@contextmanager
def bundles_locked(bundles: Path, job: str) -> Iterator[None]:
    """Hold the lock on a folder of bundles while the block runs.

    Whoever installs, promotes or removes bundles holds it; serving does not need it.

    Parameters
    ----------
    bundles : Path
        Made where it is missing.
    job : str
        What the holder does: ``retrain``, ``prune``; shown to others.

    Raises
    ------
    LockedError
        At once, if somebody else holds it: who, where and since when.
    BearmodeError
        If the folder cannot be written.
    """
    lock = filelock.FileLock(bundles / LOCK)
    try:
        bundles.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise LockedError(
            f"{bundles} is locked by {_words(_noted(bundles))}",
            hint="wait until it has ended; what it does is kept whole even if it is killed",
        ) from error
    except OSError as error:
        raise BearmodeError(
            f"{bundles} cannot be written: {error.strerror or error}",
            code="bundles_unreachable",
            hint="check the path and its permissions",
        ) from error
    try:
        write_json(
            bundles / HOLDER,
            {
                "job": job,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        yield
    finally:
        (bundles / HOLDER).unlink(missing_ok=True)
        lock.release()


def lock_holder(bundles: Path) -> str | None:
    """Who holds the lock, in words; ``None`` where it is free."""
    if not (bundles / LOCK).is_file():
        return None
    lock = filelock.FileLock(bundles / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return _words(_noted(bundles))
    except OSError:
        return None
    lock.release()
    return None


def _noted(bundles: Path) -> dict[str, Any]:
    try:
        found = json.loads((bundles / HOLDER).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return (
        f"{holder.get('job')} (pid {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')})"
    )
