"""What a fetch did for one symbol, and how several failures become one error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from features.errors import BearmodeError

__all__ = ["Fetched", "SymbolsFailedError"]


@dataclass(frozen=True)
class Fetched:
    """Result for one symbol.

    Attributes
    ----------
    symbol : str
    result : mapping of str to value
        JSON-ready.
    error : BearmodeError or None
        Why there is none.
    """

    symbol: str
    result: Mapping[str, Any] = field(default_factory=dict)
    error: BearmodeError | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        if self.error is None:
            return dict(self.result)
        error = {"code": self.error.code, "message": self.error.message, "hint": self.error.hint}
        return {**self.result, "error": error}


class SymbolsFailedError(BearmodeError):
    """Some symbols failed while the others were done; ends with the status of the first."""

    default_code = "symbols_failed"

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
        if len(failed) == 1:
            return next(iter(failed.values()))
        words = "; ".join(
            error.message if error.message.startswith(f"{symbol}:") else f"{symbol}: {error.message}"
            for symbol, error in failed.items()
        )
        first = next(iter(failed.values()))
        found = cls(f"{len(failed)} of {of_all} symbols failed: {words}", field=first.field, hint=first.hint)
        found.exit_code = first.exit_code
        return found
