"""The market that accounts walk through: real bars, or years put together from blocks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import DataError, NothingUsableError
from features.families.funding import DEFAULT_RATE
from features.raw import RawMarket, bars_per_day, interval_delta

__all__ = ["BLOCK_DAYS", "Paths", "bootstrapped_years", "real_paths"]

BLOCK_DAYS = 30
_KNOWN_WITHIN = pd.Timedelta(hours=24)
"""A settlement is missing where none is known within this of it."""


@dataclass(frozen=True)
class Paths:
    """Bars of some paths on one grid; arrays of shape (n_bars, n_paths).

    Attributes
    ----------
    time : pandas.DatetimeIndex or None
        Bar closes; ``None`` where they were drawn.
    open, high, low, close : ndarray
        NaN where a bar is missing: nothing is traded, and nothing triggers, in it.
    mark : ndarray
        The last known close.
    funding : ndarray
        Sum of the rates that were settled after the bar's open and up to its close.
    assumed : ndarray
        Where no settlement is known: charged to longs and shorts alike.
    row : ndarray of int
        Row of the strategies' tables.
    symbol : ndarray of int, shape (n_paths,)
    symbols : tuple of str
    per_day : int
    """

    time: pd.DatetimeIndex | None
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    mark: FloatArray
    funding: FloatArray
    assumed: FloatArray
    row: npt.NDArray[np.intp]
    symbol: npt.NDArray[np.intp]
    symbols: tuple[str, ...]
    per_day: int

    def __len__(self) -> int:
        return len(self.open)

    def from_step(self, first: int) -> Paths:
        """The paths without their first bars; rows stay what they were."""
        cut = {
            name: getattr(self, name)[first:]
            for name in ("open", "high", "low", "close", "mark", "funding", "assumed", "row")
        }
        return replace(self, time=None if self.time is None else self.time[first:], **cut)


def real_paths(markets: Sequence[RawMarket], since: pd.Timestamp, until: pd.Timestamp) -> Paths:
    """The bars of some symbols from ``since`` (a close, included) to ``until`` (included).

    Raises
    ------
    DataError
        If the intervals differ.
    NothingUsableError
        If a symbol has no bar in the span.
    """
    intervals = {market.interval for market in markets}
    if len(intervals) != 1:
        raise DataError(f"intervals differ: {', '.join(sorted(intervals))}")
    interval = intervals.pop()
    delta = interval_delta(interval)
    grid = pd.date_range(since, until, freq=delta)
    columns: dict[str, list[FloatArray]] = {name: [] for name in ("open", "high", "low", "close")}
    funding, assumed = [], []
    for market in markets:
        bars = market.bars.set_index(pd.DatetimeIndex(market.bars["open_time"] + delta)).reindex(grid)
        if bars["close"].notna().sum() == 0:
            raise NothingUsableError(f"{market.symbol} has no bars from {since:%Y-%m-%d} to {until:%Y-%m-%d}")
        whole = bars[["open", "high", "low", "close"]].notna().all(axis=1).to_numpy()
        for name, list_ in columns.items():
            list_.append(np.where(whole, bars[name].to_numpy(np.float64), np.nan))
        charged, guessed = _settled(market, grid, delta)
        funding.append(charged)
        assumed.append(guessed)
    table = {name: np.column_stack(values) for name, values in columns.items()}
    mark = pd.DataFrame(table["close"]).ffill().to_numpy(np.float64)
    rows = np.tile(np.arange(len(grid))[:, None], (1, len(markets)))
    return Paths(
        time=grid,
        **table,
        mark=mark,
        funding=np.column_stack(funding),
        assumed=np.column_stack(assumed),
        row=rows,
        symbol=np.arange(len(markets)),
        symbols=tuple(market.symbol for market in markets),
        per_day=bars_per_day(interval),
    )


def _settled(market: RawMarket, grid: pd.DatetimeIndex, delta: pd.Timedelta) -> tuple[FloatArray, FloatArray]:
    """Rates by the bar they were settled in, and the default rate where none is known nearby."""
    charged, assumed = np.zeros(len(grid)), np.zeros(len(grid))
    table = market.funding
    known = pd.DatetimeIndex([], tz="UTC") if table is None else pd.DatetimeIndex(table["time"])
    rates = np.empty(0) if table is None else table["funding_rate"].to_numpy(np.float64)
    there = np.isfinite(rates)
    known, rates = known[there], rates[there]
    first = grid[0] - delta
    inside = np.asarray((known > first) & (known <= grid[-1]))
    place = np.ceil((known[inside] - first) / delta).astype(int) - 1
    np.add.at(charged, place, rates[inside])
    due = pd.date_range(first.ceil("8h"), grid[-1], freq="8h")
    due = due[due > first]
    if len(known):
        behind = np.maximum(known.searchsorted(due, side="right") - 1, 0)
        ahead = np.minimum(known.searchsorted(due), len(known) - 1)
        nearest = np.minimum(np.abs(due - known[behind]), np.abs(due - known[ahead]))
        missing = np.asarray(nearest > _KNOWN_WITHIN)
    else:
        missing = np.ones(len(due), dtype=bool)
    place = np.ceil((due[missing] - first) / delta).astype(int) - 1
    np.add.at(assumed, place, DEFAULT_RATE)
    return charged, assumed


def bootstrapped_years(
    real: Paths, paths: int, *, seed: int = 7, block_days: int = BLOCK_DAYS, days: int = 365
) -> Paths:
    """Years of whole blocks of days, drawn with replacement; the same days for all symbols.

    A block keeps its bars, its funding and what the strategies wanted in it; price goes on from where
    the block before ended. Blocks that run over the end of the history go on at its beginning, so
    that every day is drawn as often as any other (Politis & Romano 1992, circular blocks).
    """
    per_day, symbols = real.per_day, len(real.symbols)
    whole_days = (len(real) - 1) // per_day
    if whole_days < block_days:
        raise DataError(f"{whole_days} days are less than one block of {block_days}")
    rng = np.random.default_rng(seed)
    blocks = -(-days // block_days)
    first = rng.integers(0, whole_days, size=(blocks, paths))
    day = (first[:, None, :] + np.arange(block_days)[None, :, None]) % whole_days
    day = day.reshape(blocks * block_days, paths)[:days]
    source = (day[:, None, :] * per_day + np.arange(per_day)[None, :, None]).reshape(
        days * per_day, paths
    ) + 1
    before = real.mark[source - 1]  # bars, paths, symbols
    growth = np.where(np.isfinite(real.close[source]) & np.isfinite(before), real.mark[source] / before, 1.0)
    level = np.asarray(100.0 * np.cumprod(growth, axis=0), dtype=np.float64)
    start = np.concatenate([np.full((1, paths, symbols), 100.0), level[:-1]])

    def chained(prices: FloatArray) -> FloatArray:
        return np.asarray(start * prices[source] / before).reshape(len(source), -1)

    return replace(
        real,
        time=None,
        open=chained(real.open),
        high=chained(real.high),
        low=chained(real.low),
        close=chained(real.close),
        mark=np.asarray(level.reshape(len(source), -1), dtype=np.float64),
        funding=real.funding[source].reshape(len(source), -1),
        assumed=real.assumed[source].reshape(len(source), -1),
        row=real.row[source].reshape(len(source), -1),
        symbol=np.tile(np.arange(symbols), paths),
    )
