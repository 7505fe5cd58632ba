"""What the shell offers after Tab. Reads folder names, imports nothing heavy: it runs at every key."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

__all__ = ["complete_symbol", "complete_symbols"]

_SYMBOL = re.compile(r"[A-Z0-9]{2,24}")


def complete_symbol(incomplete: str) -> list[str]:
    """Symbols of the store that begin so, in upper or lower case; none where it is no local folder."""
    store = _store()
    if "://" in store:
        return []
    try:
        names = [
            entry.name for entry in os.scandir(store) if entry.is_dir() and _SYMBOL.fullmatch(entry.name)
        ]
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(incomplete.upper()))


def complete_symbols(incomplete: str) -> list[str]:
    """The same for the last of several symbols with commas between; those before it stay.

    Examples
    --------
    >>> complete_symbols("NO/SUCH,")
    []
    """
    before, comma, last = incomplete.rpartition(",")
    taken = {name.strip().upper() for name in before.split(",")}
    return [f"{before}{comma}{name}" for name in complete_symbol(last) if name not in taken]


def _store() -> str:
    """The store as the commands find it, but for an option on the line: environment, file, ``data``."""
    named = os.environ.get("BEARMODE_STORE")
    if named:
        return named
    try:
        table = tomllib.loads(Path("bearmode.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "data"
    return str(table.get("store", "data"))
