"""The batch request and its answer, as they are on the wire."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from serving.batch_body import MAX_WINDOWS
from serving.error_schemas import ErrorDetail
from serving.portfolio import Portfolio
from serving.schemas import Answer, PredictRequest

__all__ = ["BatchAnswer", "BatchRequest", "BatchRequestBody", "BatchResult"]


class BatchRequest(BaseModel):
    """Many windows in one request; each is what `POST /v1/predict` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    windows: list[PredictRequest] = Field(min_length=1, max_length=MAX_WINDOWS)


class BatchRequestBody(BatchRequest):
    """A batch off the wire, not yet read: that is for a thread, not for the event loop."""

    _body: bytes = PrivateAttr(default=b"")

    @property
    def body(self) -> bytes:
        """As it came."""
        return self._body

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **_: Any) -> Self:
        """Keep a body for later."""
        construct: Any = cls.model_construct
        found: Self = construct()
        found._body = json_data.encode() if isinstance(json_data, str) else bytes(json_data)
        return found


class BatchResult(BaseModel):
    """What became of one window: an answer or an error, the other one is null."""

    model_config = ConfigDict(frozen=True)

    index: int = Field(description="of the window in the request, from 0")
    answer: Answer | None
    error: ErrorDetail | None = Field(
        description="as the single request would have given it; `field` is a path within the window"
    )


class BatchAnswer(BaseModel):
    """A result for each window, in their order; all answers are of one model."""

    model_config = ConfigDict(frozen=True)

    results: list[BatchResult]
    answered: int
    refused: int
    model_version: str
    portfolio: Portfolio | None = Field(
        None,
        description="what the advice adds up to, held below the caps on the whole: where two or more symbols "
        "were answered, each once, as of one moment and for accounts of one equity, and none was refused",
    )
