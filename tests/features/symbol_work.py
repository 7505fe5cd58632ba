"""Tasks of one symbol, for the tests of work on many: they have to be importable by workers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features.errors import DataError
from features.parallel.outcomes import Tell

__all__ = [
    "die",
    "die_when_told",
    "fail",
    "give_a_function",
    "give_what_cannot_be_read",
    "hold",
    "name_and_process",
    "numbers",
    "tell_much",
    "wait_until",
]


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    """Poll; raises ``TimeoutError`` in the end."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.01)


def name_and_process(symbol: str, tell: Tell) -> tuple[str, int]:
    """Who worked."""
    tell(symbol, 1, 1)
    return symbol, os.getpid()


def numbers(symbol: str, tell: Tell, *, size: int) -> bytes:
    """Bytes that depend on the symbol alone."""
    rng = np.random.default_rng(sum(symbol.encode()))
    return np.cumsum(np.exp(rng.normal(size=size))).astype(np.float32).tobytes()


def fail(symbol: str, tell: Tell) -> str:
    """Fail by name: with an error of the project, another one, or not at all."""
    if symbol.startswith("DATA"):
        raise DataError("close[3] is -1", code="bad_price", field="close[3]", hint="mend it")
    if symbol.startswith("BUG"):
        raise ZeroDivisionError("of course")
    return symbol


def die(symbol: str, tell: Tell, *, folder: Path) -> str:
    """Note each beginning; ``ONCE`` dies the first time, ``DEAD`` each time, ``EXIT`` leaves with 7."""
    with (folder / symbol).open("ab") as file:
        file.write(b"x")
    times = (folder / symbol).stat().st_size
    if symbol.startswith("DEAD") or (symbol.startswith("ONCE") and times == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if symbol.startswith("EXIT"):
        sys.exit(7)
    return symbol


def die_when_told(symbol: str, tell: Tell, *, folder: Path) -> str:
    """Write the process id of each beginning, wait for a file ``go``, and note the end."""
    with (folder / f"{symbol}.pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    wait_until((folder / "go").exists)
    (folder / f"{symbol}.done").touch()
    return symbol


def hold(symbol: str, tell: Tell, *, folder: Path) -> str:
    """Say who holds the symbol, and never end."""
    (folder / symbol).write_text(str(os.getpid()))
    threading.Event().wait()
    return symbol


def tell_much(symbol: str, tell: Tell) -> str:
    """Tell far more steps than anybody can listen to."""
    for step in range(100_000):
        tell(symbol, step + 1, 100_000)
    return symbol


def give_a_function(symbol: str, tell: Tell) -> object:
    """A result that cannot be pickled."""
    return lambda: symbol


class Unreadable:
    """Pickles, but cannot be unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return int, ("no number",)


def give_what_cannot_be_read(symbol: str, tell: Tell) -> object:
    """A result that only the other side refuses."""
    return Unreadable()
