"""Closes of the symbols that others are seen beside, read from any source without their other tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from features.context import Closes, check_closes
from features.errors import BearmodeError, NothingUsableError
from features.raw import interval_delta
from features.sources.loading import load_raw
from features.sources.simulated import START
from features.store import Store

__all__ = ["closes_once", "first_bars", "load_closes"]


def load_closes(
    source: str | None,
    symbols: Sequence[str],
    *,
    path: Path | None = None,
    store: Path | str = "data",
    interval: str = "1h",
) -> dict[str, Closes]:
    """Closes of some symbols; one that the source does not have is left out.

    Parameters are those of :func:`features.sources.loading.load_raw`.

    Raises
    ------
    BearmodeError
        If a symbol is there and cannot be read.
    """
    found = {}
    for name in symbols:
        bars = _bars(source, name, path, store, interval)
        if bars is not None and len(bars):
            close_time = (pd.DatetimeIndex(bars["open_time"]) + interval_delta(interval)).as_unit("ms")
            closes = Closes(close_time.asi8, bars["close"].to_numpy(np.float64))
            check_closes(closes, interval, close_time[-1], name)
            found[name] = closes
    return found


def first_bars(
    source: str | None,
    symbols: Sequence[str],
    *,
    path: Path | None = None,
    store: Path | str = "data",
    interval: str = "1h",
) -> dict[str, pd.Timestamp]:
    """When the bars of each symbol begin; one that is not there or cannot be read is left out.

    A store is asked for what it holds, without reading it. Parameters are those of
    :func:`features.sources.loading.load_raw`.
    """
    if source == "simulated":
        return dict.fromkeys(symbols, START)
    found = {}
    for name in symbols:
        try:
            if source is None:
                state = Store(store).state(name)
                kind = None if state is None else state.kinds.get(f"bars_{interval}")
                begin = None if kind is None else kind.first
            else:
                bars = _bars(source, name, path, store, interval)
                begin = None if bars is None or bars.empty else bars["open_time"].iloc[0]
        except BearmodeError:
            continue  # whoever reads the symbol itself is told why
        if begin is not None:
            found[name] = begin
    return found


@lru_cache(maxsize=1)
def closes_once(
    source: str | None,
    symbols: tuple[str, ...],
    path: Path | None,
    store: Path | str,
    interval: str,
    run: str,  # noqa: ARG001 - part of the cache's key
) -> dict[str, Closes]:
    """:func:`load_closes`, once a process for all symbols of one run; one that cannot be read is left out.

    Parameters
    ----------
    source, symbols, path, store, interval
        As for :func:`load_closes`.
    run : str
        Name of the run, never used again: a later run reads anew.
    """
    found: dict[str, Closes] = {}
    for name in symbols:
        try:
            found |= load_closes(source, [name], path=path, store=store, interval=interval)
        except BearmodeError:
            continue  # its own task is told why
    return found


def _bars(
    source: str | None, symbol: str, path: Path | None, store: Path | str, interval: str
) -> pd.DataFrame | None:
    """``open_time`` and ``close``; ``None`` for a symbol that is not there."""
    if source is None:
        return Store(store).table(symbol, f"bars_{interval}", ["open_time", "close"])
    try:
        (market,) = load_raw(source, [symbol], path=path, interval=interval)
    except NothingUsableError:
        return None
    return market.bars
