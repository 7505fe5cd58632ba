"""Who does the work: this process, processes beside it, or a cluster; and where they find the history."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from features.errors import BearmodeError, UsageError
from features.parallel.symbol_tasks import default_workers
from training.compare.plan import Market

__all__ = ["Workforce", "fitting_versions", "require_same_versions"]

_LIBRARIES = ("lightgbm", "scikit-learn", "scipy", "hmmlearn", "jumpmodels")


@dataclass(frozen=True)
class Workforce:
    """Who fits the folds.

    Attributes
    ----------
    workers : int or None
        Processes on this machine; ``None`` or 1: this process, with a thread for each core.
    scheduler : str or None
        Address of a Dask scheduler, whose workers fit instead.
    market : Market or None
        Where a cluster's workers read the history; it travels to them where there is none.

    Raises
    ------
    UsageError
        For a number of workers below 1, or both ``workers`` and ``scheduler``.
    """

    workers: int | None = None
    scheduler: str | None = None
    market: Market | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers is {self.workers}, expected 1 or more", field="workers")
        if self.workers is not None and self.scheduler is not None:
            raise UsageError(
                "--workers is of this machine and --scheduler of a cluster: give one of them",
                field="workers",
                hint="a cluster's workers are started with it",
            )

    @property
    def here(self) -> bool:
        """Whether this process does the work itself."""
        return self.scheduler is None and (self.workers or 1) == 1

    @property
    def threads(self) -> int:
        """Threads that each of several workers may use: no more than one for each core in all."""
        return 1 if self.scheduler is not None else max(1, default_workers() // (self.workers or 1))


@lru_cache(maxsize=1)
def fitting_versions() -> dict[str, str]:
    """Versions of the libraries that a fit's bits depend on, beside those that each task compares."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def require_same_versions(expected: Mapping[str, str]) -> None:
    """Refuse to fit with other libraries than those of the process that asked.

    Raises
    ------
    BearmodeError
        ``worker_differs``, with both versions.
    """
    here = fitting_versions()
    other = [f"{name} {here.get(name)}, not {one}" for name, one in expected.items() if here.get(name) != one]
    if other:
        raise BearmodeError(
            f"a worker has {'; '.join(other)}: its results could differ",
            code="worker_differs",
            hint="install the same requirements.lock on every worker, and restart them",
        )
