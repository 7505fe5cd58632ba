"""The one shape of every error: ``{"error": {"code", "message", "field", "hint"}}``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from features.errors import BearmodeError

__all__ = ["ErrorBody", "ErrorDetail", "error_detail"]


class ErrorDetail(BaseModel):
    """What went wrong and how to mend it."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="stable, snake case")
    message: str
    field: str | None = Field(description="path of the value at fault, such as close[17]")
    hint: str | None


class ErrorBody(BaseModel):
    """The one shape of every error."""

    model_config = ConfigDict(frozen=True)

    error: ErrorDetail


def error_detail(error: BearmodeError) -> ErrorDetail:
    """What an answer says of an error.

    Examples
    --------
    >>> error_detail(BearmodeError("no bar", field="time", hint="send one")).hint
    'send one'
    """
    return ErrorDetail(
        code=error.code,
        message=_printable(error.message),
        field=None if error.field is None else _printable(error.field),
        hint=None if error.hint is None else _printable(error.hint),
    )


def _printable(text: str) -> str:
    """Lone surrogates of a quoted value replaced: they are not UTF-8."""
    return text.encode("utf-8", "replace").decode()
