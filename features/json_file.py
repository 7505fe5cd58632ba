"""Writing JSON files for programs, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from features.errors import UsageError

__all__ = ["check_target", "write_json"]


def check_target(file: Path | None, option: str) -> None:
    """Refuse a file that could not be written, before the work is done.

    Raises
    ------
    UsageError
        If it is a folder, or lies below something that is none.
    """
    if file is None:
        return
    parent = next((one for one in file.absolute().parents if one.exists()), file)
    if file.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"--{option} {file} cannot be written", field=option)


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically, keys sorted, readable: a reader sees the old file or the new one."""
    data = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
