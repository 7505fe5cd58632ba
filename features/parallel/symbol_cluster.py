"""Symbols on an existing Dask cluster (extra ``bearmode[dask]``).

A symbol is a task; a few tasks per thread of the cluster are under way at a time, so that results do
not pile up here. Dask gives the tasks of a dead worker to others. Each task first compares the
worker's code and libraries with those of the client: another version could give other bits.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from features.errors import BearmodeError, UsageError
from features.parallel.cluster_work import versions
from features.parallel.outcomes import Outcome, Steps, Task, died, wrapped

if TYPE_CHECKING:
    import distributed

__all__ = ["on_cluster"]

T = TypeVar("T")

AHEAD = 3
"""Symbols in work or waiting to be taken, per thread of the cluster."""
CONNECT_SECONDS = 10
"""So long a scheduler may take to answer."""
IDLE_SECONDS = 60
"""So long a cluster may be without any worker; one that grows on demand needs a while."""
GRACE_SECONDS = 60
"""So long a run that is left early waits for the tasks that workers have begun."""
_LOOK_SECONDS = 2.0
_STEP_SECONDS = 0.2


def on_cluster(
    task: Task[T], symbols: Sequence[str], scheduler: str, steps: Steps
) -> Generator[Outcome[T], None, None]:
    """Do a task for each symbol on the workers of a Dask scheduler; outcomes in the order of ``symbols``.

    Raises
    ------
    UsageError
        If ``distributed`` is not installed, or the address is none.
    BearmodeError
        ``scheduler_unreachable``, ``scheduler_lost``, ``no_workers`` or ``worker_differs``.
    """
    _check_installed()
    from distributed.protocol.serialize import serialize_bytes  # noqa: PLC0415 - the extra is there now

    payload = serialize_bytes(task)
    with _quiet(), _connected(scheduler) as client:
        run = _Run(client, scheduler, payload, symbols, steps)
        try:
            for position in range(len(symbols)):
                run.submit(position)
                yield run.take(position)
        finally:
            run.end()


class _Run:
    """Futures of one run, the oldest first."""

    def __init__(
        self,
        client: distributed.Client,
        scheduler: str,
        payload: bytes,
        symbols: Sequence[str],
        steps: Steps,
    ) -> None:
        self._client = client
        self._scheduler = scheduler
        self._payload = payload
        self._symbols = symbols
        self._steps = steps
        self._work = _traveller()
        self._name = f"bearmode-{uuid.uuid4().hex[:12]}"
        self._told: queue.Queue[tuple[str, int, int]] = queue.Queue(maxsize=1000)
        self._futures: deque[Any] = deque()
        self._submitted = 0
        self._threads = 0
        self._looked = self._worked = time.monotonic()
        self._client.subscribe_topic(self._name, self._listen)
        self._look()

    def submit(self, position: int) -> None:
        """Submit what may be under way once the outcome of ``position`` is waited for."""
        until = min(len(self._symbols), position + max(2, AHEAD * self._threads))
        for index in range(self._submitted, until):
            self._futures.append(
                self._client.submit(
                    self._work,
                    self._payload,
                    self._symbols[index],
                    self._name,
                    versions(),
                    key=f"{self._name}-{index}-{self._symbols[index]}",
                    pure=False,
                )
            )
        self._submitted = max(self._submitted, until)

    def take(self, position: int) -> Outcome[Any]:
        """Wait for the oldest outcome and let go of it on the cluster."""
        future = self._futures.popleft()
        symbol = self._symbols[position]
        try:
            outcome = self._result(future, symbol, position)
        finally:
            future.release()
        self._pass_on()
        if outcome.error is not None and outcome.error.code == "worker_differs":
            raise outcome.error
        self._steps.finish(symbol)
        return outcome

    def end(self) -> None:
        """Take back what was not begun, and wait for what was: it may write where we hold the lock."""
        if self._client.status != "running":
            return
        left = bool(self._futures)
        with suppress(Exception):  # the scheduler may be gone
            self._client.unsubscribe_topic(self._name)
            self._client.cancel(list(self._futures))
            until = time.monotonic() + GRACE_SECONDS
            while left and time.monotonic() < until:
                left = any(self._client.run(_asker(), self._name).values())
                time.sleep(0.05 if left else 0)

    def _result(self, future: Any, symbol: str, position: int) -> Outcome[Any]:
        import distributed  # noqa: PLC0415 - an extra
        from distributed.client import FutureCancelledError  # noqa: PLC0415

        while True:
            ended = future.done()
            try:
                outcome: Outcome[Any] = future.result(timeout=None if ended else _STEP_SECONDS)
            except (TimeoutError, UnboundLocalError) as error:
                # The second is how Dask ends a wait that times out in the very moment of the result.
                if ended:
                    return Outcome(symbol, error=wrapped(symbol, error))
                self._pass_on()
                self._look()
                self.submit(position)
            except distributed.KilledWorker as error:
                return Outcome(symbol, error=died(symbol, error.allowed_failures + 1, "on the cluster"))
            except (FutureCancelledError, OSError) as error:
                raise _lost(self._scheduler) from error
            except Exception as error:
                if isinstance(error, ImportError):
                    raise _cannot_begin(error) from error
                return Outcome(symbol, error=wrapped(symbol, error))
            else:
                return outcome

    def _look(self) -> None:
        """See how many threads the cluster has; give up when it has had none for long."""
        now = time.monotonic()
        if self._threads and now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if self._client.status != "running":
            raise _lost(self._scheduler)
        try:
            self._threads = sum(self._client.nthreads().values())
        except (OSError, TimeoutError) as error:
            raise _lost(self._scheduler) from error
        if self._threads:
            self._worked = now
        elif now - self._worked > IDLE_SECONDS:
            raise BearmodeError(
                f"the cluster at {self._scheduler} has had no worker for {IDLE_SECONDS} s",
                code="no_workers",
                hint=f"start one: dask worker {self._scheduler}",
            )

    def _listen(self, event: tuple[float, Sequence[Any]]) -> None:
        with suppress(queue.Full):  # the newest steps are left out; the last one is told anyhow
            symbol, done, total = event[1]
            self._told.put_nowait((symbol, done, total))

    def _pass_on(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._steps(*self._told.get_nowait())


def _check_installed() -> None:
    try:
        import distributed  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            "--scheduler needs Dask, which is not installed",
            field="scheduler",
            hint="pip install 'bearmode[dask]'",
        ) from error


@contextmanager
def _connected(scheduler: str) -> Iterator[distributed.Client]:
    """Client of the scheduler."""
    import distributed  # noqa: PLC0415 - an extra
    from distributed.versions import VersionMismatchWarning  # noqa: PLC0415

    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop of its own
            thread.submit(asyncio.run, _shake_hands(scheduler)).result()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # each task compares
            client = distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"--scheduler is {scheduler!r}: {error}", field="scheduler", hint="such as tcp://10.0.0.5:8786"
        ) from error
    except ImportError as error:
        raise _cannot_begin(error) from error
    except OSError as error:
        raise BearmodeError(
            f"no Dask scheduler answers at {scheduler}: {str(error) or 'what listens there is none'}",
            code="scheduler_unreachable",
            field="scheduler",
            hint="is it running (dask scheduler), and is the port open?",
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=5)


async def _shake_hands(scheduler: str) -> None:
    """See that Dask is there: its client would wait forever for a word of something else."""
    from distributed.comm import connect  # noqa: PLC0415 - an extra
    from distributed.security import Security  # noqa: PLC0415

    options = Security().get_connection_args("client")
    async with asyncio.timeout(CONNECT_SECONDS + 1):
        comm = await connect(scheduler, timeout=CONNECT_SECONDS, **options)
    await comm.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask's loggers: what they would say of a lost connection, the errors here say."""
    loggers = [
        logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("distributed")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _lost(scheduler: str) -> BearmodeError:
    return BearmodeError(
        f"the Dask scheduler at {scheduler} went away",
        code="scheduler_lost",
        hint="run the command again; symbols that were committed are not done twice",
    )


def _cannot_begin(error: Exception) -> BearmodeError:
    return BearmodeError(
        f"the cluster cannot do this work: {type(error).__name__}: {error}",
        code="worker_differs",
        hint="install the same bearmode, and the same Dask, on every worker, and restart them",
    )


def _traveller() -> Callable[[bytes, str, str, Mapping[str, str]], Any]:
    """Function that goes to the workers as code, not by its name: one without bearmode can say so."""

    def work(payload: bytes, symbol: str, topic: str, expected: Mapping[str, str]) -> Any:
        from features.parallel.cluster_work import work_here  # noqa: PLC0415 - on the worker

        return work_here(payload, symbol, topic, expected)

    return work


def _asker() -> Callable[[str], int]:
    """As :func:`_traveller`: a worker begins no more of a run, and says how many tasks it is at."""

    def ask(run: str) -> int:
        from features.parallel.cluster_work import begun, ended  # noqa: PLC0415 - on the worker

        ended.add(run)
        return begun[run]

    return ask
