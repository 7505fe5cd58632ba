"""Which store a command means: its option, ``BEARMODE_STORE``, ``bearmode.toml``, else ``data/``."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from features.errors import UsageError

__all__ = ["store_setting"]

SETTINGS_FILE = Path("bearmode.toml")
"""Read from the working directory, where it is there."""


def store_setting(option: str | None = None) -> Path | str:
    """Absolute folder, or URL as it stands, of the store that is meant.

    Raises
    ------
    UsageError
        If ``bearmode.toml`` cannot be read, or its ``store`` is no text.

    Examples
    --------
    >>> store_setting("s3://bucket/prefix")
    's3://bucket/prefix'
    """
    found = option or os.environ.get("BEARMODE_STORE") or _from_file() or "data"
    return found if "://" in found else Path(found).absolute()


def _from_file() -> str | None:
    try:
        table = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{SETTINGS_FILE} is not readable: {error}", field=str(SETTINGS_FILE)) from error
    found = table.get("store")
    if found is None or isinstance(found, str):
        return found
    raise UsageError(
        f"{SETTINGS_FILE}: setting store is {found!r}, expected a folder or a URL as text", field="store"
    )
