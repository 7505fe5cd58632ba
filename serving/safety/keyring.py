"""The keys that are taken now: the file followed, and one comparison in constant time."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from features.errors import UsageError
from serving.safety.key_file import ApiKey, hash_of, read_keys

__all__ = ["Keyring"]

CHECK_SECONDS = 1.0
"""A key that was added or revoked counts after this."""

logger = logging.getLogger("bearmode.safety")


class Keyring:
    """The keys of a file, read again when it changes.

    Where the file is there, every request needs a key. It fails closed: a file that vanishes or
    breaks while the service runs leaves the keys in force that were read last, or, where there were
    none, refuses everybody.

    Parameters
    ----------
    path : Path
    expected : bool
        The file must be there.
    clock : callable
        Seconds that only grow.

    Raises
    ------
    UsageError
        If the file is there and cannot be understood, or is expected and missing.
    """

    def __init__(
        self, path: Path, *, expected: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._clock = clock
        self._stamp: object = None
        self._keys: tuple[tuple[bytes, ApiKey], ...] = ()
        self.required = expected or path.exists()
        """Whether a request needs a key."""
        if self.required:
            self._stamp = self._seen()
            self._take(read_keys(path))
        self._next = clock() + CHECK_SECONDS

    def find(self, presented: str) -> ApiKey | None:
        """The active key that was presented, or ``None``.

        Compares with every key, so that the time taken says nothing about any of them.
        """
        self.follow()
        digest = hash_of(presented).encode()
        found: ApiKey | None = None
        for kept, key in self._keys:
            if hmac.compare_digest(kept, digest):
                found = key
        if found is None or found.state(datetime.now(UTC)) != "active":
            return None
        return found

    def follow(self) -> None:
        """Read the file again if it has changed, at most once a second."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + CHECK_SECONDS
        stamp = self._seen()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            logger.warning("the file of keys %s is gone; the keys read last stay in force", self._path)
            return
        self.required = True
        try:
            self._take(read_keys(self._path))
        except UsageError as error:
            logger.warning("keys not read again, those read last stay in force: %s", error.one_line())
        else:
            logger.info("keys read again: %d in %s", len(self._keys), self._path)

    def _take(self, keys: list[ApiKey]) -> None:
        self._keys = tuple((key.sha256.encode(), key) for key in keys)

    def _seen(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
