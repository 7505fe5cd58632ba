"""One way to ask for history, whatever its source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from features.errors import UsageError
from features.history import History
from features.raw import INTERVALS, RawMarket
from features.sources.files import RefusedFile, load_files
from features.sources.simulated import SIMULATED_SYMBOLS, load_simulated
from features.store import Store

__all__ = ["SOURCES", "load_histories", "load_raw", "parse_date", "parse_symbols"]

SOURCES = ("files", "simulated")
_SYMBOL = re.compile(r"^[A-Z0-9]{2,24}$")


def parse_symbols(text: str | None) -> list[str]:
    """Symbols from a comma-separated option; empty where none was given.

    Raises
    ------
    UsageError
        For a name that is no symbol, or one given twice.

    Examples
    --------
    >>> parse_symbols("BTCUSDT, ETHUSDT")
    ['BTCUSDT', 'ETHUSDT']
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if not _SYMBOL.match(name):
            raise UsageError(
                f"{name!r} is no symbol", field="symbols", hint="capital letters and digits: BTCUSDT"
            )
    if len(set(names)) != len(names):
        raise UsageError("a symbol is named twice", field="symbols")
    return names


def parse_date(text: str | None, option: str) -> pd.Timestamp | None:
    """UTC time from an ISO date or time; ``None`` where none was given.

    Raises
    ------
    UsageError
        For what is not ISO 8601.

    Examples
    --------
    >>> parse_date("2024-01-01", "since")
    Timestamp('2024-01-01 00:00:00+0000', tz='UTC')
    """
    if text is None:
        return None
    if not re.match(r"^\d{4}-\d{2}(-\d{2})?([T ].*)?$", text):
        raise UsageError(f"--{option} is {text!r}, expected an ISO date such as 2024-01-31", field=option)
    try:
        stamp = pd.Timestamp(text)
    except ValueError as error:
        raise UsageError(f"--{option} is {text!r}: {error}", field=option) from error
    utc = stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")
    return utc.as_unit("ms")


def load_raw(
    source: str | None,
    symbols: Sequence[str],
    *,
    path: Path | None = None,
    store: Path | str = "data",
    interval: str = "1h",
    columns: str | None = None,
    refused: list[RefusedFile] | None = None,
) -> list[RawMarket]:
    """Raw tables of some symbols, from a source or, without one, from the store.

    Parameters
    ----------
    source : str or None
        ``files``, ``simulated``; ``None``: the store.
    symbols : sequence of str
        Empty: all that the source has.
    path : Path, optional
        Folder of the ``files`` source.
    store : Path or str
        Folder or URL of the store.
    interval : str
    columns : str, optional
        Names in the user's files, ``bars.open_time=ts,bars.close=last``.
    refused : list of RefusedFile, optional
        Takes the files that could not be read; without it the first of them is an error.

    Raises
    ------
    UsageError
        For options that make no sense together.
    """
    if interval not in INTERVALS:
        raise UsageError(
            f"--interval is {interval!r}, expected one of {', '.join(INTERVALS)}", field="interval"
        )
    if path is not None and source != "files":
        raise UsageError("--path belongs to --source files", field="path")
    if source == "files":
        if path is None:
            raise UsageError("--source files needs --path DIR", field="path")
        return load_files(path, symbols, interval=interval, columns=columns, refused=refused)
    if source == "simulated":
        return load_simulated(list(symbols) or list(SIMULATED_SYMBOLS), interval=interval)
    if source is not None:
        raise UsageError(f"--source is {source!r}, expected one of {', '.join(SOURCES)}", field="source")
    held = Store(store)
    names = list(symbols) or held.symbols(interval)
    if not names:
        raise UsageError(
            f"the store {store} holds no {interval} bars",
            field="store",
            hint="fetch history first (bearmode fetch), or name --source files --path DIR",
        )
    return [held.read(name, interval) for name in names]


def load_histories(
    source: str | None,
    symbols: Sequence[str],
    *,
    path: Path | None = None,
    store: Path | str = "data",
    interval: str = "1h",
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> list[History]:
    """Joined histories, cut to ``since`` (included) and ``until`` (excluded) on bar closes."""
    raw = load_raw(source, symbols, path=path, store=store, interval=interval)
    return [History.from_raw(market, since=since, until=until) for market in raw]
