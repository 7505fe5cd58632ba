"""What a fetch did for one symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from features.errors import BearmodeError

__all__ = ["Fetched"]


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
