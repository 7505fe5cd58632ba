"""What the gate says: one row for each thing that was looked at, and the decision."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Check", "Verdict", "Window"]


@dataclass(frozen=True)
class Check:
    """One thing that the gate looked at.

    Attributes
    ----------
    name : str
        Snake case.
    value, bound : float or None
        What was found and what is allowed; ``None`` where there is no number.
    passed : bool
    words : str
        Both in a sentence.
    """

    name: str
    value: float | None
    bound: float | None
    passed: bool
    words: str


@dataclass(frozen=True)
class Window:
    """The span that challenger and champion are scored on.

    Attributes
    ----------
    start, end : str
        First and last bar close, ISO 8601 UTC.
    days : float
    rows, spells : int
        Scored rows and the independent spells that they belong to.
    """

    start: str
    end: str
    days: float
    rows: int
    spells: int


@dataclass(frozen=True)
class Verdict:
    """The gate's decision with everything that led to it.

    Attributes
    ----------
    promote : bool
        All checks passed.
    reason : str
        One line: why, or what failed.
    checks : tuple of Check
    mode : {"first", "same_recipe", "new_recipe"}
        ``first``: nothing to compare with, so a floor; the others by the recipe.
    champion : str or None
        Version that was compared with.
    recipe, champion_recipe : str or None
        Their hashes.
    reference : str
        What the champion was represented by, in words.
    window : Window or None
        ``None`` where the history is too short for one.
    scores : dict of str to dict
        Of each model on the window's rows.
    """

    promote: bool
    reason: str
    checks: tuple[Check, ...]
    mode: str
    champion: str | None = None
    recipe: str | None = None
    champion_recipe: str | None = None
    reference: str = ""
    window: Window | None = None
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form; a number that is not finite is ``None``."""
        found: dict[str, Any] = _finite(asdict(self))
        return found

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
