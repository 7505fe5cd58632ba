"""The same work on many symbols: here, in parallel processes, or on a Dask cluster.

A whole symbol is one task, so what a task computes does not depend on where it ran, nor on what
ran beside it. A worker that dies costs only the tasks it held; they run again elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TypeVar

from features.errors import UsageError
from features.parallel.outcomes import Outcome, Steps, Task, Tell, attempt

__all__ = ["Outcome", "Task", "Tell", "default_workers", "each_symbol"]

T = TypeVar("T")


def each_symbol(
    task: Task[T],
    symbols: Sequence[str],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    tell: Tell | None = None,
) -> Generator[Outcome[T], None, None]:
    """Do a task for each symbol; outcomes come in the order of ``symbols``.

    A failure is an outcome too and ends no other symbol. Only a few outcomes are held at a time:
    work goes on as they are taken. Close the generator (``contextlib.closing``) where the loop may be
    left early: that ends the processes at once; a cluster's workers end the symbols they have begun,
    which is waited for, and begin no more.

    Parameters
    ----------
    task : callable
        Given the symbol and a function to tell steps of progress to. A function of an importable
        module, or a ``functools.partial`` of one: it travels to other processes.
    symbols : sequence of str
    workers : int, optional
        Processes on this machine, by default one per core and at most one per symbol. One, or one
        symbol: the work is done in this process.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.5:8786``: its workers do the work. They
        need this very bearmode, and must see stores and files under the same names as this process.
    tell : callable, optional
        Told ``(symbol, done, total)`` as work goes on. Steps may be left out when there are many; the
        last one of a symbol, with ``done == total``, is always told.

    Raises
    ------
    UsageError
        For a number of workers below 1, or both ``workers`` and ``scheduler``.
    BearmodeError
        If processes cannot be started, or the cluster cannot do this work at all. While iterating.

    Examples
    --------
    >>> outcomes = each_symbol(lambda symbol, tell: len(symbol), ["BTCUSDT", "AVAXUSDT"], workers=1)
    >>> [(outcome.symbol, outcome.result) for outcome in outcomes]
    [('BTCUSDT', 7), ('AVAXUSDT', 8)]
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}, expected 1 or more", field="workers")
    if scheduler is None:
        count = min(default_workers() if workers is None else workers, len(symbols))
        return _here(task, symbols, tell) if count <= 1 else _in_processes(task, symbols, count, tell)
    if workers is not None:
        raise UsageError(
            "--workers is of this machine and --scheduler of a cluster: give one of them",
            field="workers",
            hint="a cluster's workers are started with it",
        )
    return _on_cluster(task, symbols, scheduler, tell)


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(task: Task[T], symbols: Sequence[str], tell: Tell | None) -> Generator[Outcome[T], None, None]:
    steps = Steps(tell)
    for symbol in symbols:
        outcome = attempt(task, symbol, steps)
        steps.finish(symbol)
        yield outcome


def _in_processes(
    task: Task[T], symbols: Sequence[str], workers: int, tell: Tell | None
) -> Generator[Outcome[T], None, None]:
    from features.parallel.symbol_processes import in_processes  # noqa: PLC0415 - only where processes are used

    with closing(in_processes(task, symbols, workers, Steps(tell))) as outcomes:
        yield from outcomes


def _on_cluster(
    task: Task[T], symbols: Sequence[str], scheduler: str, tell: Tell | None
) -> Generator[Outcome[T], None, None]:
    from features.parallel.symbol_cluster import on_cluster  # noqa: PLC0415 - only where a cluster is used

    with closing(on_cluster(task, symbols, scheduler, Steps(tell))) as outcomes:
        yield from outcomes
