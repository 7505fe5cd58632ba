"""Which host a source asks: ``BEARMODE_EXCHANGE_URL`` and the like, ``bearmode.toml``, else its own."""

from __future__ import annotations

import os
import tomllib
from typing import Literal

from features.errors import UsageError
from features.store_setting import SETTINGS_FILE

__all__ = ["source_url"]


def source_url(name: Literal["archive_url", "exchange_url"]) -> str | None:
    """Address of a mirror; ``None`` where the source's own hosts are meant.

    Raises
    ------
    UsageError
        If ``bearmode.toml`` cannot be read, or the setting is no text.

    Examples
    --------
    >>> source_url("exchange_url") is None
    True
    """
    found = os.environ.get(f"BEARMODE_{name.upper()}")
    if found:
        return found
    try:
        value = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8")).get(name)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{SETTINGS_FILE} is not readable: {error}", field=str(SETTINGS_FILE)) from error
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{SETTINGS_FILE}: setting {name} is {value!r}, expected an address", field=name)
    return value
