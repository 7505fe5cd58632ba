"""The promotion journal beside the bundles, as far as it is shown to clients.

``bearmode retrain``, ``train`` and ``rollback`` write ``journal.jsonl``, a line of JSON for each decision.
What a client sees of a line is named below: a line may hold more, such as paths, which stay here.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.web_errors import RequestRefusedError

__all__ = ["JournalCheck", "JournalEntry", "PromotionJournal", "read_promotions"]

_LARGEST = 64_000_000


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class JournalCheck(_Shown):
    """One thing that the gate looked at."""

    name: str
    passed: bool
    value: float | None = None
    bound: float | None = None
    words: str = ""


class JournalEntry(_Shown):
    """One decision: a promotion, a refusal, a rollback."""

    number: int
    at: datetime
    action: str = Field(description="such as promotion, refusal, rollback")
    version: str | None = Field(None, description="of the bundle that it is about")
    previous: str | None = Field(None, description="champion before")
    reason: str | None = None
    checks: list[JournalCheck] = Field(default_factory=list, description="of the gate")


class PromotionJournal(_Shown):
    """Decisions about the champion, the newest first."""

    entries: list[JournalEntry]
    total: int = Field(description="entries in the journal; `limit` says how many are given")


def read_promotions(bundles: Path, limit: int) -> PromotionJournal:
    """The newest entries of the journal; empty where nothing was decided yet.

    Lines that are no entries, such as what a killed process left, are passed over.

    Raises
    ------
    RequestRefusedError
        503 if the journal is there and cannot be read.
    """
    path = bundles / "journal.jsonl"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _LARGEST))
            lines = file.read(_LARGEST).split(b"\n")
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise RequestRefusedError(
            503, "the promotion journal cannot be read", code="journal_unreachable", hint="bearmode journal"
        ) from error
    found = [entry for entry in map(_entry, lines) if entry is not None]
    return PromotionJournal(entries=found[: -limit - 1 : -1], total=len(found))


def _entry(line: bytes) -> JournalEntry | None:
    try:
        content: Any = orjson.loads(line)
        if isinstance(content.get("verdict"), dict) and "checks" not in content:
            content["checks"] = content["verdict"].get("checks")
        content["checks"] = content.get("checks") or []
        content["previous"] = content.get("previous") or content.get("champion") or content.get("from")
        return JournalEntry.model_validate(content)
    except (ValueError, AttributeError, TypeError, ValidationError):
        return None
