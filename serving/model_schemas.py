"""What ``GET /v1/model`` says, for the document: :meth:`serving.live_model.LiveModel.describe` makes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LoadError", "ModelState"]


class LoadError(BaseModel):
    """Why the newest bundle was not loaded."""

    model_config = ConfigDict(frozen=True)

    at: datetime | None
    code: str
    message: str
    hint: str | None


class ModelState(BaseModel):
    """What this worker serves, and what became of the last loads."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    ready: bool
    version: str | None = Field(description="of the bundle that answers; null where none does")
    loaded_at: datetime | None
    last_error: LoadError | None = Field(
        description="of the newest load; null after a good one. The last good bundle goes on answering"
    )
    reloads: list[dict[str, Any]] = Field(
        description="the last loads, newest last: outcome, versions, seconds, comparison on recent windows"
    )
    still_answering: list[str] = Field(description="versions that were replaced and end their last requests")
    worker: int = Field(description="process id: each worker loads for itself")
    training: dict[str, Any] | None = Field(description="span and rows that the model has seen")
    metrics: dict[str, float] | None = Field(description="of the walk-forward, by name")
    features: list[dict[str, Any]] | None = Field(
        description="in column order, with group, look-back and unit"
    )
    window_bars: int | None = Field(description="bars that a request has to hold")
    interval: str | None
    run: dict[str, Any] | None
    manifest: dict[str, Any] | None = Field(description="the whole of it")
