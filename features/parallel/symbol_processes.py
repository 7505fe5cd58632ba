"""Symbols in parallel processes of this machine.

Each process holds one symbol at a time, so that it is known which symbol a dead process was at: that
one is done again, its neighbours never notice. The processes are spawned, share nothing, ignore
Ctrl-C (this process ends them) and end by themselves when this process is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from features.errors import BearmodeError
from features.parallel.outcomes import Outcome, Steps, Task, attempt, died, wrapped

__all__ = ["AHEAD", "DEATHS", "in_processes"]

T = TypeVar("T")

AHEAD = 3
"""Symbols in work or waiting to be taken, per process: bounds what is held in memory."""
DEATHS = 3
"""A symbol whose process died so often is given up."""
_STARTS = 3
_STEP_SECONDS = 0.1
_READY, _UNFIT, _STEP, _DONE = range(4)


def in_processes(
    task: Task[T], symbols: Sequence[str], workers: int, steps: Steps
) -> Generator[Outcome[T], None, None]:
    """Do a task for each symbol in ``workers`` processes; outcomes in the order of ``symbols``.

    Raises
    ------
    BearmodeError
        ``workers_cannot_start``: processes end before they can begin.
    """
    team: _Team[T] = _Team(task, symbols, workers, steps)
    try:
        for position in range(len(symbols)):
            while position not in team.done:
                team.work(position)
            team.work(position, patience=0)  # nobody idles while the outcome is looked at
            yield team.done.pop(position)
    finally:
        team.end()


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    holds: int | None = None


class _Team(Generic[T]):
    """Processes, what each holds, what waits and what is done, by position in ``symbols``."""

    def __init__(self, task: Task[T], symbols: Sequence[str], workers: int, steps: Steps) -> None:
        self.done: dict[int, Outcome[T]] = {}
        self._task = task
        self._symbols = symbols
        self._size = workers
        self._steps = steps
        self._context = multiprocessing.get_context("spawn")
        self._staff: list[_Worker] = []
        self._waiting = deque(range(len(symbols)))
        self._deaths: Counter[int] = Counter()
        self._failed_starts = 0

    def work(self, position: int, *, patience: float | None = None) -> None:
        """Hear what the processes have to say, and give out what may be begun now.

        Parameters
        ----------
        position : int
            The outcome that is taken next.
        patience : float, optional
            Seconds to wait for a word; as long as it takes by default.
        """
        self._give_out(position)
        spoken = wait(
            [one for worker in self._staff for one in (worker.pipe, worker.process.sentinel)], patience
        )
        for worker in [one for one in self._staff if one.pipe in spoken or one.process.sentinel in spoken]:
            self._hear(worker)
        self._give_out(position)

    def end(self) -> None:
        """End all processes at once; what they commit is whole or not at all."""
        for worker in self._staff:
            worker.process.kill()
        for worker in self._staff:
            _dismiss(worker)
        self._staff.clear()

    def _give_out(self, position: int) -> None:
        held = sum(worker.holds is not None for worker in self._staff)
        while len(self._staff) < min(self._size, held + len(self._waiting)):
            self._staff.append(self._hired())
        for worker in list(self._staff):
            if not self._waiting or self._waiting[0] >= position + AHEAD * self._size:
                return
            if worker.ready and worker.holds is None:
                worker.holds = self._waiting.popleft()
                with suppress(OSError):  # it is dead, which is found next
                    worker.pipe.send_bytes(self._symbols[worker.holds].encode())

    def _hired(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        try:
            process.start()
            ours.send(self._task)
        except OSError as error:
            ours.close()
            raise _cannot_start(str(error)) from error
        finally:
            theirs.close()
        return _Worker(process, ours)

    def _hear(self, worker: _Worker) -> None:
        try:
            if not worker.pipe.poll():
                raise EOFError
            word, said = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker)
            return
        except Exception as error:  # noqa: BLE001 - a result may refuse to be read in any way
            symbol = "" if worker.holds is None else self._symbols[worker.holds]
            word, said = _DONE, Outcome[T](symbol, error=wrapped(symbol, error))
        if word == _READY:
            worker.ready, self._failed_starts = True, 0
        elif word == _UNFIT:
            raise _cannot_start(str(said))
        elif word == _STEP:
            self._steps(*said)
        elif worker.holds is not None:
            self._finish(worker.holds, said)
            worker.holds = None

    def _finish(self, position: int, outcome: Outcome[T]) -> None:
        self.done[position] = outcome
        self._steps.finish(self._symbols[position])

    def _lose(self, worker: _Worker) -> None:
        """Note a dead process; what it held is done again, by a fresh one."""
        self._staff.remove(worker)
        how = _dismiss(worker)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise _cannot_start(how)
        elif worker.holds is not None:
            position = worker.holds
            self._deaths[position] += 1
            if self._deaths[position] < DEATHS:
                self._waiting.appendleft(position)
            else:
                symbol = self._symbols[position]
                self._finish(position, Outcome(symbol, error=died(symbol, DEATHS, how)))


def _dismiss(worker: _Worker) -> str:
    """Wait for the end of a process and say how it ended."""
    worker.pipe.close()
    worker.process.join(5)
    worker.process.kill()
    worker.process.join()
    status = worker.process.exitcode or 0
    worker.process.close()
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _cannot_start(why: str) -> BearmodeError:
    return BearmodeError(
        f"worker processes cannot start: {why}",
        code="workers_cannot_start",
        hint="in a script of your own, call it under if __name__ == '__main__'; or work with workers=1",
    )


class _Relay:
    """Sends steps to the parent: at most ten a second, and none where it would have to wait."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._room = select.poll()
        self._room.register(pipe.fileno(), select.POLLOUT)
        self._lock = threading.Lock()
        self._next = 0.0

    def __call__(self, symbol: str, done: int, total: int) -> None:
        with self._lock, suppress(OSError):
            if time.monotonic() >= self._next and self._room.poll(0):
                self._pipe.send((_STEP, (symbol, done, total)))
                self._next = time.monotonic() + _STEP_SECONDS

    def send(self, word: int, said: object) -> None:
        with self._lock:
            self._pipe.send((word, said))


def _serve(pipe: Connection) -> None:
    """Life of a process: take symbols from the pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    relay = _Relay(pipe)
    try:
        task: Task[Any] = pipe.recv()
    except (EOFError, OSError):
        return  # the parent is gone
    except Exception as error:  # noqa: BLE001 - whatever an import can raise
        relay.send(_UNFIT, f"{type(error).__name__}: {error}")
        return
    relay.send(_READY, None)
    while True:
        try:
            symbol = pipe.recv_bytes().decode()
        except EOFError:
            return
        outcome = attempt(task, symbol, relay)
        try:
            relay.send(_DONE, outcome)
        except OSError:
            return  # the parent is gone
        except Exception as error:  # noqa: BLE001 - a result may refuse to be sent in any way
            relay.send(_DONE, Outcome[Any](symbol, error=wrapped(symbol, error)))


def _end_with_parent() -> None:
    """A process without its parent must not go on: the parent's lock is free."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
