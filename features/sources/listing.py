"""Which symbols a source has, before any of them is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from features.errors import UsageError
from features.raw import INTERVALS
from features.sources.files import load_files
from features.sources.loading import SOURCES
from features.sources.simulated import SIMULATED_SYMBOLS
from features.store import Store

__all__ = ["listed_symbols"]


def listed_symbols(
    source: str | None,
    symbols: Sequence[str],
    *,
    path: Path | None = None,
    store: Path | str = "data",
    interval: str = "1h",
) -> list[str]:
    """The symbols that were named or, where none was, all that the source has.

    Parameters are those of :func:`features.sources.loading.load_raw`.

    Raises
    ------
    UsageError
        For options that make no sense together, or a store that holds nothing.
    NothingUsableError
        If a folder holds nothing that can be read.
    """
    if interval not in INTERVALS:
        raise UsageError(
            f"--interval is {interval!r}, expected one of {', '.join(INTERVALS)}", field="interval"
        )
    if source is not None and source not in SOURCES:
        raise UsageError(f"--source is {source!r}, expected one of {', '.join(SOURCES)}", field="source")
    if path is not None and source != "files":
        raise UsageError("--path belongs to --source files", field="path")
    if source == "files":
        if path is None:
            raise UsageError("--source files needs --path DIR", field="path")
        if not path.is_dir():
            raise UsageError(
                f"{path} is not a folder", field="path", hint="name a folder that holds a folder per symbol"
            )
        return list(symbols) or [market.symbol for market in load_files(path, [], interval=interval)]
    if source == "simulated":
        return list(symbols) or list(SIMULATED_SYMBOLS)
    names = list(symbols) or Store(store).symbols(interval)
    if not names:
        raise UsageError(
            f"the store {store} holds no {interval} bars",
            field="store",
            hint="fetch history first (bearmode fetch), or name --source files --path DIR",
        )
    return names
