"""How often one key may ask: a token bucket, shared by the workers of a machine.

Kept as the generic cell rate algorithm (ITU-T I.371): one number per key, the moment at which its
bucket is full again, in a file of eight bytes that every worker maps into its memory.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["RateLimit"]

_FULL_AT = struct.Struct("<d")


class RateLimit:
    """Token buckets by name.

    Parameters
    ----------
    folder : Path, optional
        Where the workers share them; must exist, be theirs alone and begin empty. Without it each
        process counts for itself.
    clock : callable
        Seconds, the same for all processes of the machine.
    """

    def __init__(self, folder: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, name: str, *, per_minute: float, burst: float) -> float:
        """Take a token; 0, or the seconds until there is one.

        Parameters
        ----------
        name : str
            Of a key: fit to be a part of a file name.
        per_minute : float
            Tokens that come back a minute.
        burst : float
            Tokens of a full bucket, at least 1.

        Examples
        --------
        >>> limit = RateLimit(clock=lambda: 1_000.0)
        >>> [limit.wait("desk", per_minute=60, burst=2) for _ in range(3)]
        [0.0, 0.0, 1.0]
        """
        bucket = self._buckets.get(name)
        if bucket is None:
            file = None if self._folder is None else self._folder / f"rate-{name}.bucket"
            bucket = self._buckets[name] = _Bucket(file)
        interval = 60.0 / per_minute
        with bucket as held:
            now = self._clock()
            # A stored moment beyond a drained bucket is from another boot of the machine.
            full_at = min(max(held.full_at, now), now + burst * interval)
            wait = full_at - now - (max(burst, 1.0) - 1.0) * interval
            if wait > 1e-9:
                return wait
            held.full_at = full_at + interval
        return 0.0


class _Bucket:
    """The moment at which a bucket is full again; locked while it is entered."""

    def __init__(self, file: Path | None) -> None:
        self._descriptor: int | None = None
        self._memory: mmap.mmap | bytearray = bytearray(_FULL_AT.size)
        if file is not None:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._descriptor, _FULL_AT.size)
            self._memory = mmap.mmap(self._descriptor, _FULL_AT.size)

    def __enter__(self) -> _Bucket:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @property
    def full_at(self) -> float:
        return float(_FULL_AT.unpack_from(self._memory)[0])

    @full_at.setter
    def full_at(self, value: float) -> None:
        _FULL_AT.pack_into(self._memory, 0, value)
