"""``status.json`` and ``board.json``: what live mode does and what it found, for whoever asks.

The live process replaces them whole; workers read them. Ages are not in them: a reader takes the
time of his own asking, so that a live process that is gone cannot look fresh.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.json_file import write_json

__all__ = ["BOARD", "DOWN_SECONDS", "STATUS", "read_board", "read_status", "write_state"]

STATUS = "status.json"
BOARD = "board.json"
DOWN_SECONDS = 30.0
"""Without a sign of life for so long the live process counts as down."""


def write_state(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Replace one of the files; raises ``OSError`` where that cannot be done."""
    write_json(folder / name, content)


def read_board(folder: Path) -> dict[str, Any] | None:
    """The newest board; ``None`` where there is none."""
    return _read(folder / BOARD)


def read_status(folder: Path, now: datetime | None = None) -> dict[str, Any] | None:
    """What live mode does, with ages as of now.

    Returns
    -------
    dict or None
        As the live process wrote it, with ``state`` (``running``, ``degraded`` or ``down``),
        ``heartbeat_age_seconds`` and, for each symbol, ``data_age_seconds``, ``data_state`` and
        ``stale``; ``None`` where it never ran.
    """
    # Here and not above: the parent of the workers reads one name of this module, and starts sooner.
    import pandas as pd  # noqa: PLC0415

    from serving.data_age import age_seconds, data_state  # noqa: PLC0415

    content = _read(folder / STATUS)
    if content is None:
        return None
    wall = datetime.now(UTC) if now is None else now
    beat = (wall - datetime.fromisoformat(content["heartbeat_at"])).total_seconds()
    # A simulated clock goes on from where it was at the last sign of life.
    clock = pd.Timestamp(content["clock"]) + pd.Timedelta(seconds=max(0.0, beat) * content["clock_speed"])
    stale = False
    for row in content["symbols"]:
        close = row["newest_close"]
        row["data_age_seconds"] = None if close is None else age_seconds(pd.Timestamp(close), clock)
        row["data_state"] = (
            "missing" if close is None else data_state(pd.Timestamp(close), clock, content["interval"])
        )
        row["stale"] = row["data_state"] != "current"
        row["degraded"] = degraded(row["data_state"], row["source_error"])
        stale = stale or bool(row["degraded"]) or row["error"] is not None
    trouble = stale or content["trouble"]
    down = abs(beat) > DOWN_SECONDS
    content["state"] = "down" if down else "degraded" if trouble else "running"
    content["heartbeat_age_seconds"] = round(beat, 1)
    return content


def degraded(state: str, source_error: dict[str, Any] | None) -> list[str]:
    """What is wrong with a symbol's data, by name.

    Examples
    --------
    >>> degraded("late", {"code": "source_timeout"})
    ['data_late', 'source_timeout']
    >>> degraded("current", None)
    []
    """
    names = [] if state == "current" else [f"data_{state}"]
    return names if source_error is None else [*names, source_error["code"]]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
