"""Logs on standard output: text for people, or one JSON object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

__all__ = ["ACCESS", "JsonFormatter", "configure_logs"]

ACCESS = logging.getLogger("bearmode.access")
"""One line for each request."""

_THEIRS = ("", "bentoml", "uvicorn.error", "circus")


class JsonFormatter(logging.Formatter):
    """A record as a JSON object: ``time``, ``level``, ``logger``, ``message``, and the fields it carries.

    A record may carry ``fields``, and ``event``: a message that does not repeat them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": getattr(record, "event", None) or record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # half of a surrogate pair, or a key that is no text
            return json.dumps(line, default=str, skipkeys=True)


def configure_logs(kind: Literal["text", "json"]) -> None:
    """Give this process's log its form. The lines go to the handlers that BentoML has set up.

    Parameters
    ----------
    kind : {"text", "json"}
    """
    logging.getLogger("bearmode").setLevel(logging.INFO)
    if kind == "json":
        for name in _THEIRS:
            for handler in logging.getLogger(name).handlers:
                handler.setFormatter(JsonFormatter())
