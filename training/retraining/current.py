"""Which retraining is under way: a note that outlives its process, so that the next one goes on."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features.json_file import write_json
from training.making.work import Work

__all__ = ["FOLDER", "WORK_TAG", "Current", "read_current"]

FOLDER = ".retrain"
"""Below the bundles; holds ``current.json`` and the work folder of its key."""
NOTE = "current.json"
WORK_TAG = "bearmode/work"
"""Of the run in MLflow: the token of what it works on."""
CONTINUED_FOR = timedelta(hours=24)
"""A run that was interrupted longer ago is not continued with its old last bar."""


@dataclass(frozen=True)
class Current:
    """A retraining that is under way, or the last one.

    Attributes
    ----------
    key : str
        Hash of data, features, recipe, code and environment.
    token : str
        Its own name, also in MLflow.
    identity : dict
        Of its request.
    until : str
        Its data end before this bar close; kept while it is continued.
    started_at : str
    outcome : str or None
        Once it is finished: ``promoted``, ``refused``, ...
    """

    key: str
    identity: dict[str, Any]
    until: str
    token: str
    started_at: str
    outcome: str | None = None

    @classmethod
    def begun(cls, key: str, identity: dict[str, Any], until: str) -> Current:
        """A new one."""
        return cls(key, identity, until, uuid.uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds"))

    def continues(self, identity: dict[str, Any]) -> bool:
        """Whether a request goes on with this one."""
        started = datetime.fromisoformat(self.started_at)
        young = datetime.now(UTC) - started < CONTINUED_FOR
        return self.outcome is None and young and self.identity == identity

    def work(self, bundles: Path) -> Work:
        """Its work folder."""
        return Work(bundles / FOLDER / self.key[:16], self.key)

    def write(self, bundles: Path) -> None:
        """Put it on record, and remove the work of every other one."""
        write_json(bundles / FOLDER / NOTE, asdict(self))
        for other in (bundles / FOLDER).iterdir():
            if other.is_dir() and other.name != self.key[:16]:
                shutil.rmtree(other, ignore_errors=True)

    def finish(self, bundles: Path, outcome: str) -> None:
        """Say how it ended."""
        replace(self, outcome=outcome).write(bundles)


def read_current(bundles: Path) -> Current | None:
    """The one on record; ``None`` where there is none that can be read."""
    try:
        return Current(**json.loads((bundles / FOLDER / NOTE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
