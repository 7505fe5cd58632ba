"""Whether the store has changed: cheap enough to be asked at every request."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable

from features.store import MARKET_WIDE, Store
from features.store.folders import LocalFolder
from features.store.manifest import MANIFEST

__all__ = ["Stamp", "StoreStamps"]

Stamp = tuple[object, ...]
"""Equal as long as nothing has changed."""

_REMOTE_SECONDS = 5.0


class StoreStamps:
    """Stamps of symbols and of the list of symbols.

    A local store is looked at each time, a remote one every five seconds: there each look is a request.

    Parameters
    ----------
    store : Store
    clock : callable
        Seconds that only go forth.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, tuple[float, object]] = {}

    @property
    def is_local(self) -> bool:
        """Whether asking takes microseconds, so that an event loop may do it."""
        return isinstance(self._store.folder, LocalFolder)

    def of(self, symbols: Iterable[str]) -> Stamp:
        """Stamp of some symbols and of what is known of all."""
        return tuple(self._manifest(symbol) for symbol in (*symbols, MARKET_WIDE))

    def of_all(self) -> Stamp:
        """Stamp of the list of symbols."""
        folder = self._store.folder
        if not isinstance(folder, LocalFolder):
            return (self._remembered("", lambda: tuple(folder.subfolders())),)
        names = folder.subfolders()
        return tuple((name, self._manifest(name)) for name in names)

    def _manifest(self, symbol: str) -> object:
        folder = self._store.folder
        name = f"{symbol}/{MANIFEST}"
        if isinstance(folder, LocalFolder):
            try:
                found = os.stat(folder.root / symbol / MANIFEST)  # noqa: PTH116 - a Path costs twice the time
            except OSError:
                return None
            return found.st_mtime_ns, found.st_size, found.st_ino
        return self._remembered(name, lambda: _digest(folder.get(name)))

    def _remembered(self, name: str, look: Callable[[], object]) -> object:
        now = self._clock()
        seen = self._seen.get(name)
        if seen is None or now - seen[0] >= _REMOTE_SECONDS:
            seen = (now, look())
            self._seen[name] = seen
        return seen[1]


def _digest(content: bytes | None) -> bytes | None:
    return None if content is None else hashlib.blake2b(content, digest_size=16).digest()
