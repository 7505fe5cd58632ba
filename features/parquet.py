"""Write a frame as one Parquet file, whole or not at all."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

import pandas as pd

from features.errors import UsageError

__all__ = ["write_parquet"]


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write beside ``path`` and rename: a reader sees the old file or the new one.

    Raises
    ------
    UsageError
        If the folder does not exist or the file cannot be written.
    """
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        frame.to_parquet(staging, index=False)
        staging.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", field="out") from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            staging.unlink()
