"""What became of the request that is being answered: filled on the way, told at its end."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from serving.schemas import Answer, PredictRequest

__all__ = ["CURRENT", "Answered", "RequestRecord", "note_answer", "note_key"]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and the window that it answers."""

    answer: Answer
    request: PredictRequest


@dataclass(slots=True)
class RequestRecord:
    """One request.

    Attributes
    ----------
    answers : list of Answered
        More than one in a batch.
    key : str or None
        Name of the API key.
    log_choice : str or None
        ``on`` or ``off`` where the client says whether its answers may be kept.
    """

    answers: list[Answered] = field(default_factory=list)
    key: str | None = None
    log_choice: str | None = None


CURRENT: ContextVar[RequestRecord | None] = ContextVar("bearmode_request", default=None)
"""Of the request that this context answers; threads that are started for it inherit it."""


def note_answer(answer: Answer, request: PredictRequest) -> None:
    """Tell the record of the present request of an answer to a window that a client sent."""
    record = CURRENT.get()
    if record is not None:
        record.answers.append(Answered(answer, request))


def note_key(name: str) -> None:
    """Tell the record of the present request whose key it came with."""
    record = CURRENT.get()
    if record is not None:
        record.key = name
