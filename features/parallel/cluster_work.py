"""One task on a worker of a Dask cluster, after a look at whether the worker is like the client."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.errors import BearmodeError
from features.parallel.outcomes import Outcome, attempt

__all__ = ["begun", "ended", "versions", "work_here"]

_PACKAGES = ("features", "serving", "training")
_LIBRARIES = ("numpy", "pandas", "pyarrow")
_STEP_SECONDS = 0.2

begun: Counter[str] = Counter()
"""On a worker: tasks it is at, by run."""
ended: set[str] = set()
"""On a worker: runs that were left early."""
_counting = threading.Lock()


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions that the bits of a result can depend on, this code's hash among them."""
    root = Path(__file__).resolve().parents[1]
    code = hashlib.sha256()
    for file in sorted(file for name in _PACKAGES for file in (root / name).rglob("*.py")):
        code.update(f"{file.relative_to(root).as_posix()}\n".encode())
        code.update(file.read_bytes())
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "bearmode": code.hexdigest()[:12]}
    return found | {name: importlib.metadata.version(name) for name in _LIBRARIES}


def work_here(payload: bytes, symbol: str, topic: str, expected: Mapping[str, str]) -> Outcome[Any]:
    """One task, on a worker: see that it is like the client, then do the work."""
    import distributed  # noqa: PLC0415 - an extra
    from distributed.protocol.serialize import deserialize_bytes  # noqa: PLC0415

    worker = distributed.get_worker()
    here = versions()
    other = [f"{name} {here.get(name)}, not {one}" for name, one in expected.items() if here.get(name) != one]
    if other:
        return Outcome(symbol, error=_differs(worker.address, other))
    heard = 0.0

    def tell(symbol: str, done: int, total: int) -> None:
        nonlocal heard
        now = time.monotonic()
        if now - heard >= _STEP_SECONDS:
            heard = now
            worker.log_event(topic, [symbol, done, total])

    with _counting:
        begun[topic] += 1
    try:
        if topic in ended:  # looked at once the task is counted: whoever asks sees it either way
            return Outcome(symbol, error=BearmodeError(f"{symbol}: the run was ended", code="run_ended"))
        return attempt(deserialize_bytes(payload), symbol, tell)
    finally:
        with _counting:
            begun[topic] -= 1


def _differs(address: str, other: Sequence[str]) -> BearmodeError:
    return BearmodeError(
        f"the worker at {address} has {'; '.join(other)}: its results could differ",
        code="worker_differs",
        hint="install the same bearmode and the same requirements.lock on every worker, and restart them",
    )
