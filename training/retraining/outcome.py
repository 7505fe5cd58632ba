"""How a retraining ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.making.make import Made
from training.retraining.verdict import Verdict

__all__ = ["HELD_BACK", "PROMOTED", "REFUSED", "UNCHANGED", "Decided", "Outcome"]

PROMOTED, REFUSED, HELD_BACK, UNCHANGED = "promoted", "refused", "held_back", "unchanged"


@dataclass(frozen=True)
class Outcome:
    """How a retraining ended.

    Attributes
    ----------
    outcome : {"promoted", "refused", "held_back", "unchanged"}
        ``held_back``: with ``--no-promote``; ``unchanged``: the champion is this very bundle already, or
        was decided on before.
    reason : str
        One line.
    version : str
        Of the challenger.
    champion : str or None
        Who serves now.
    run_id, registered_version : str
        In MLflow.
    verdict : Verdict or None
        The gate's.
    made : Made or None
    late : dict of str to float
        Symbols that were late, by days.
    skipped_folds : tuple of str
    """

    outcome: str
    reason: str
    version: str
    champion: str | None
    run_id: str | None = None
    registered_version: str | None = None
    verdict: Verdict | None = None
    made: Made | None = None
    late: dict[str, float] = field(default_factory=dict)
    skipped_folds: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "version": self.version,
            "champion": self.champion,
            "run_id": self.run_id,
            "registered_version": self.registered_version,
            "gate": None if self.verdict is None else self.verdict.as_dict(),
            "metrics": None if self.made is None else self.made.report.metrics(),
            "late": self.late,
            "skipped_folds": list(self.skipped_folds),
        }


@dataclass(frozen=True)
class Decided:
    """What was decided on a challenger, kept beside it.

    Attributes
    ----------
    outcome, reason, version : str
    run_id : str or None
    inputs : str
        Hash of champion and gate settings at the time.
    """

    outcome: str
    reason: str
    version: str
    run_id: str | None
    inputs: str
