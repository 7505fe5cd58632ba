"""The one writer's lock: a file lock on a local disk, a lease on an object store."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import filelock

from features.errors import BearmodeError, LockedError
from features.store.folders import Folder, LocalFolder, RemoteFolder

__all__ = ["LEASE_SECONDS", "SETTLE_SECONDS", "locked"]

LEASE_SECONDS = 120.0
"""A lease that was not renewed for so long belongs to a writer that is gone."""
SETTLE_SECONDS = 2.0
"""After taking over a lease: two that take it at once see by then whose it is."""
_NAME = ".lock"


@contextmanager
def locked(folder: Folder) -> Iterator[None]:
    """Hold the lock; given back also after an error.

    Raises
    ------
    LockedError
        At once, if somebody else holds it.
    """
    if isinstance(folder, LocalFolder):
        with _file_lock(folder):
            yield
    elif isinstance(folder, RemoteFolder):
        with _lease(folder):
            yield
    else:
        raise TypeError(f"{type(folder).__name__} has no lock")


def _held(where: str, by: str = "") -> LockedError:
    return LockedError(
        f"another process{by} is writing to {where}", hint="wait until it has ended, or use another --store"
    )


@contextmanager
def _file_lock(folder: LocalFolder) -> Iterator[None]:
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.root / _NAME)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise _held(folder.where) from error
    except OSError as error:
        raise BearmodeError(
            f"{folder.where} cannot be written: {error.strerror or error}",
            code="store_unreachable",
            hint="check the path and its permissions",
        ) from error
    try:
        yield
    finally:
        lock.release()


class _Lease:
    """One writer's claim, renewed by a thread."""

    def __init__(self, folder: RemoteFolder) -> None:
        self.folder = folder
        self.token = uuid.uuid4().hex
        self.over = threading.Event()
        self.lost = False

    def content(self) -> bytes:
        until = time.time() + LEASE_SECONDS
        claim = {"token": self.token, "host": socket.gethostname(), "pid": os.getpid(), "until": until}
        return json.dumps(claim).encode()

    def holder(self) -> dict[str, object]:
        """What the object says; empty where there is none or it cannot be read."""
        try:
            found = json.loads(self.folder.get(_NAME) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def mine(self) -> bool:
        return self.holder().get("token") == self.token

    def take(self) -> None:
        if self.folder.create(_NAME, self.content()):
            return
        other = self.holder()
        until = other.get("until")
        if isinstance(until, int | float) and until > time.time():
            raise _held(self.folder.where, f" ({other.get('host')}, pid {other.get('pid')})")
        self.folder.put(_NAME, self.content())
        self.over.wait(SETTLE_SECONDS)
        if not self.mine():
            raise _held(self.folder.where)

    def keep(self) -> None:
        while not self.over.wait(LEASE_SECONDS / 4):
            try:
                if not self.mine():
                    self.lost = True
                    return
                self.folder.put(_NAME, self.content())
            except BearmodeError:
                continue  # tried again well before the lease ends


@contextmanager
def _lease(folder: RemoteFolder) -> Iterator[None]:
    lease = _Lease(folder)
    lease.take()
    renewal = threading.Thread(target=lease.keep, name="store-lease", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        lease.over.set()
        renewal.join(timeout=10)
        if not lease.lost and lease.mine():
            folder.remove([_NAME])
    if lease.lost:
        raise LockedError(
            f"the lease on {folder.where} was lost to another writer",
            hint="run the command again: it goes on where it was",
        )
