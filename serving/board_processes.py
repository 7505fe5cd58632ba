"""Processes that each hold a model and answer their share of a board.

An answer is many small steps of Python, which threads of one process cannot take at the same time. A
process needs seconds to start and to prove its bundle, so it is kept from board to board.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.process import parent_process
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.errors import BundleError, UsageError
from features.history import History
from features.parallel.outcomes import Outcome
from features.parallel.symbol_tasks import default_workers
from serving.board import board
from serving.predictor import Predictor
from serving.schemas import Answer

__all__ = ["BoardProcesses"]

_SHARES = 4
"""Shares of a board for each process: whoever is done early takes another one."""


@dataclass(frozen=True)
class _Share:
    """Windows on their way to a process, with each array of closes once however many of them carry it."""

    windows: list[History]
    places: list[dict[str, int]]
    closes: list[FloatArray]


class BoardProcesses:
    """Processes that answer boards. Use it as a context manager, or :meth:`close` it.

    Parameters
    ----------
    bundle : Path
        Folder of the bundle; each process loads and proves it for itself.
    workers : int, optional
        Processes; one per core by default.

    Raises
    ------
    UsageError
        For a number of workers below 1.
    BundleError
        If the bundle fails its proof.
    """

    def __init__(self, bundle: Path, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"workers is {workers}, expected 1 or more", field="workers")
        self._workers = default_workers() if workers is None else workers
        self._predictor = Predictor.load(bundle)
        self._pool = self._started()
        for ready in [self._pool.submit(_version) for _ in range(self._workers)]:
            ready.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def board(
        self, histories: Sequence[History], *, as_of: pd.Timestamp | None = None
    ) -> list[Outcome[Answer]]:
        """As :func:`serving.board.board`.

        A share whose process died is answered in this one, and fresh processes take the next board.

        Raises
        ------
        BundleError
            If the bundle was changed since this object was made.
        """
        parts = _shares(histories, self._workers * _SHARES)
        futures = [self._asked(part, as_of) for part in parts]
        rows: list[Outcome[Answer]] = []
        for part, future in zip(parts, futures, strict=True):
            try:
                version, found = self._predictor.version, None
                if future is not None:
                    version, found = future.result()
            except Exception:  # noqa: BLE001 - whatever stopped a share on its way, it is answered here
                found = None
            if version != self._predictor.version:
                raise BundleError(
                    f"a process loaded bundle {version}, expected {self._predictor.version}",
                    hint="the folder was changed meanwhile; open it again",
                )
            rows += board(self._predictor, part, as_of=as_of) if found is None else found
        self._mend()
        return rows

    def _asked(
        self, part: Sequence[History], as_of: pd.Timestamp | None
    ) -> Future[tuple[str, list[Outcome[Answer]]]] | None:
        """A share on its way; ``None`` where the processes are gone."""
        try:
            return self._pool.submit(_answered, _packed(part, self._predictor.manifest.window_bars), as_of)
        except BrokenProcessPool:
            return None

    def _mend(self) -> None:
        """Start fresh processes if any died."""
        try:
            self._pool.submit(_version).result()
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._predictor.bundle.folder,),
        )


def _shares(histories: Sequence[History], count: int) -> list[Sequence[History]]:
    """Consecutive parts of nearly one size, none of them empty."""
    edges = np.linspace(0, len(histories), min(count, len(histories)) + 1).astype(int).tolist()
    return [histories[start:stop] for start, stop in pairwise(edges)]


def _packed(histories: Sequence[History], bars: int) -> _Share:
    share = _Share([], [], [])
    seen: dict[tuple[int, int], int] = {}
    for history in histories:
        window = _window(history, bars)
        places = {}
        for name, closes in window.context.items():
            key = (int(closes.__array_interface__["data"][0]), len(closes))
            if key not in seen:
                seen[key] = len(share.closes)
                share.closes.append(np.array(closes))
            places[name] = seen[key]
        share.windows.append(replace(window, context={}))
        share.places.append(places)
    return share


def _window(history: History, bars: int) -> History:
    try:
        return history.window(len(history) - 1, bars)
    except Exception:  # noqa: BLE001 - what is wrong with it, its own answer will say
        return history


# ------------------------------------------------------------------------------- in the processes

_own: list[Predictor] = []
"""The model of this process."""


def _begin(bundle: Path) -> None:
    """Load the model; go on until the parent ends, which also ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own.append(Predictor.load(bundle))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _version() -> str:
    """Version of this process's model."""
    return _own[0].version


def _answered(share: _Share, as_of: pd.Timestamp | None) -> tuple[str, list[Outcome[Answer]]]:
    for closes in share.closes:
        closes.flags.writeable = False  # all of the share read the same ones
    histories = [
        replace(window, context={name: share.closes[place] for name, place in places.items()})
        for window, places in zip(share.windows, share.places, strict=True)
    ]
    return _version(), board(_own[0], histories, as_of=as_of)
