"""What became of the work on one symbol: its result, or the error that it ended with."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from features.errors import BearmodeError

__all__ = ["Outcome", "Steps", "SymbolsFailedError", "Task", "Tell", "attempt", "died", "named", "wrapped"]

T = TypeVar("T")

Tell = Callable[[str, int, int], None]
"""Told of progress: symbol, steps done, steps in all. Never raises."""

Task = Callable[[str, Tell], T]
"""Work on one symbol; picklable: a function of a module, or a ``functools.partial`` of one."""


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """Result or error of one symbol.

    Attributes
    ----------
    symbol : str
    result : object or None
        What the task gave; ``None`` where it failed.
    error : BearmodeError or None
        Why it failed; ``None`` where it did not.
    """

    symbol: str
    result: T | None = None
    error: BearmodeError | None = None


class Steps:
    """Passes progress on, and ends each symbol with a last step at which all is done.

    Parameters
    ----------
    tell : callable or None
        Where progress goes; nowhere by default.
    """

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._last: dict[str, tuple[int, int]] = {}

    def __call__(self, symbol: str, done: int, total: int) -> None:
        """Pass one step on."""
        self._last[symbol] = (done, total)
        if self._tell is not None:
            self._tell(symbol, done, total)

    def finish(self, symbol: str) -> None:
        """Tell the last step, unless it was told: steps on the way may have been dropped."""
        done, total = self._last.pop(symbol, (0, 1))
        if self._tell is not None and done < max(total, 1):
            self._tell(symbol, max(total, 1), max(total, 1))


def attempt(task: Task[T], symbol: str, tell: Tell) -> Outcome[T]:
    """Do the work on one symbol; whatever it raises becomes the outcome's error.

    An error that is not of the project keeps its traceback as a note, which ``--debug`` shows.
    """
    try:
        return Outcome(symbol, result=task(symbol, tell))
    except BearmodeError as error:
        error.__traceback__ = None  # it would keep the tables of the failed work in memory
        return Outcome(symbol, error=error)
    except Exception as error:  # noqa: BLE001 - one symbol's failure must not end the others
        return Outcome(symbol, error=wrapped(symbol, error))


def wrapped(symbol: str, error: BaseException) -> BearmodeError:
    """Error of the project that stands for any other one, with its traceback as a note."""
    text = " ".join(str(error).split())
    found = BearmodeError(
        f"{symbol}: {type(error).__name__}{': ' if text else ''}{text}",
        hint="an internal error; again with --debug shows where",
    )
    found.add_note("".join(traceback.format_exception(error)))
    return found


def died(symbol: str, deaths: int, how: str) -> BearmodeError:
    """Error of a symbol whose worker process died each time."""
    return BearmodeError(
        f"{symbol}: its worker process died {deaths} times ({how})",
        code="worker_died",
        hint="most often too little memory: try fewer --workers, or this symbol alone",
    )


class SymbolsFailedError(BearmodeError):
    """Several symbols failed; ends with the status of the first."""

    default_code = "symbols_failed"
    shown = 8

    @classmethod
    def of(cls, failed: Mapping[str, BearmodeError], of_all: int) -> BearmodeError:
        """One error for all; a single failure stands for itself.

        Examples
        --------
        >>> one = BearmodeError("X: gone")
        >>> SymbolsFailedError.of({"X": one}, 3) is one
        True
        >>> print(SymbolsFailedError.of({"X": one, "Y": BearmodeError("late")}, 3).message)
        2 of 3 symbols failed: X: gone; Y: late
        """
        first = next(iter(failed.values()))
        if len(failed) == 1:
            return first
        words = "; ".join(named(symbol, error) for symbol, error in list(failed.items())[: cls.shown])
        more = f"; and {len(failed) - cls.shown} more" if len(failed) > cls.shown else ""
        found = cls(
            f"{len(failed)} of {of_all} symbols failed: {words}{more}", field=first.field, hint=first.hint
        )
        found.exit_code = first.exit_code
        return found


def named(symbol: str, error: BearmodeError) -> str:
    """Message of an error, with the symbol before it."""
    return error.message if error.message.startswith(f"{symbol}:") else f"{symbol}: {error.message}"
