"""One thread for linear algebra and trees, while any task of this process needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["one_thread"]

_lock = threading.Lock()
_inside: list[Any] = []


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold the numeric libraries to one thread each, so that the bits do not depend on the machine.

    Some libraries keep one limit for the process, others one for each of its threads. Where tasks run side
    by side in threads, as on a worker of a cluster, each sets it and only the last one lifts it: lifting it
    earlier could free those that still compute.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    mine = threadpool_limits(1)
    with _lock:
        _inside.append(mine)
    try:
        yield
    finally:
        with _lock:
            last = _inside.pop()  # in front stays what was there before the first, whoever leaves
            if not _inside:
                last.restore_original_limits()
