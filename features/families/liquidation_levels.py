"""The daily maps behind the estimated liquidation map: who is still there at each UTC day's end, and where.

A map is two rows of price cells, counted away from the day's closing price: upwards for shorts,
downwards for longs. Longs are computed as the shorts of the mirrored market (log prices with the
opposite sign), so that there is one rule; arrays of both have ``(shorts, longs)`` as their first
axis. A map depends on its ``memory_days`` alone, to the last bit: nothing runs on from the start of
the history, and everything is added up in time order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from features.bars import Bars, FloatArray
from features.families.liquidation_model import LiquidationModel
from features.rolling.windows import COVERAGE

__all__ = ["SIGN", "BoolArray", "DailyMaps", "DayTables", "IntArray", "cells_of", "daily_maps", "day_tables"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SIGN = np.array([1.0, -1.0])
"""Of the log price: shorts in the market, longs in its mirror image."""

_CHUNK_DAYS = 64
_NOWHERE = int(np.iinfo(np.int32).min)


def cells_of(log_price: FloatArray, cell: float) -> IntArray:
    """Index of the price cell that holds each log price; a price that is not there is below all others.

    Examples
    --------
    >>> cells_of(np.array([0.0, 0.0026, -0.001]), 0.0025).tolist()
    [0, 1, -1]
    """
    cells = np.floor(log_price / cell)
    return np.where(np.isfinite(cells), cells, _NOWHERE).astype(np.int64)


@dataclass(frozen=True)
class DayTables:
    """What the maps need of each whole UTC day in a history.

    Attributes
    ----------
    lead : int
        Bars before the first of these days.
    opened : ndarray of shape (n_days,)
        Positions opened in the day, as a share of the open interest (in coins) at its end; all
        earlier positions together have the rest. 0 where it is not known.
    known : ndarray of bool, shape (n_days,)
        Whether ``opened`` is known.
    bars_there : ndarray of int, shape (n_days,)
        Bars of the day that are there.
    close : ndarray of shape (n_days,)
        Log close at the day's end.
    entry, weight, after : ndarray of shape (n_days, n_slices)
        Log of the volume-weighted mean price of each slice, the slice's share of the day's volume,
        log close at the slice's end.
    reached : ndarray of shape (2, n_days, n_slices)
        How far each slice went against shorts and against longs: log of its highest price, and log
        of its lowest one with the opposite sign.
    """

    lead: int
    opened: FloatArray
    known: BoolArray
    bars_there: IntArray
    close: FloatArray
    entry: FloatArray
    weight: FloatArray
    after: FloatArray
    reached: FloatArray


def _total(values: FloatArray) -> FloatArray:
    """Sum over the last axis, in order: the same bits whatever the other axes are."""
    return np.asarray(np.add.accumulate(values, axis=-1)[..., -1])


def day_tables(bars: Bars, model: LiquidationModel, *, row: int = 0) -> DayTables:
    """Cut a history into whole UTC days.

    Parameters
    ----------
    bars : Bars
        Reads ``high, low, close, volume`` and ``open_interest``.
    model : LiquidationModel
    row : int, default=0
        Start with the first day that begins at or after this bar.
    """
    per_day = bars.per_day
    lead = row + (1 - bars.first - row) % per_day  # the bar that closes at midnight is a day's last
    days = max(0, (bars.size - lead) // per_day)
    in_slice = max(1, model.slice_hours * per_day // 24)
    shape = (days, per_day // in_slice, in_slice)
    span = slice(lead, lead + days * per_day)
    high, low, close, volume = (
        bars.column(name)[span].reshape(shape) for name in ("high", "low", "close", "volume")
    )
    money = (high + low + close) / 3.0 * volume
    there = np.isfinite(money) & (volume > 0)
    in_slices = _total(np.where(there, volume, 0.0))
    in_day = _total(in_slices)
    ends = lead - 1 + per_day * np.arange(days + 1)
    day_close, interest = (
        np.where(ends < 0, np.nan, values[np.maximum(ends, 0)])
        for values in (bars.log_close, bars.column("open_interest"))
    )
    coins = np.log(np.where(interest > 0, interest, np.nan)) - day_close
    opened = np.maximum(0.0, 1.0 - (1.0 - model.daily_turnover) * np.exp(coins[:-1] - coins[1:]))
    known = np.isfinite(opened) & (in_day > 0)
    extremes = np.fmax.accumulate(np.stack([high, -low]), axis=3)[..., -1]
    return DayTables(
        lead,
        np.where(known, opened, 0.0),
        known,
        np.isfinite(close).sum(axis=(1, 2)),
        day_close[1:],
        np.log(_total(np.where(there, money, 0.0)) / in_slices),
        np.where(in_slices > 0, in_slices / in_day[:, None], 0.0),
        np.log(close[:, :, -1]),
        SIGN[:, None, None] * np.log(SIGN[:, None, None] * extremes),
    )


@dataclass(frozen=True)
class DailyMaps:
    """Maps at some days' ends, one after the other.

    Attributes
    ----------
    ends : ndarray of int, shape (n_maps,)
        Bar at whose close each map is known.
    base : ndarray of int, shape (2, n_maps)
        Price cell of the day's close.
    below : ndarray of shape (2, n_maps, n_cells + 2)
        ``below[s, i, j]``: share of open interest whose liquidation lies in the first ``j`` cells
        beyond the close. The last cell holds all beyond reach; NaN where the map is not known.
    """

    ends: IntArray
    base: IntArray
    below: FloatArray

    @property
    def n_cells(self) -> int:
        """Cells within reach."""
        return int(self.below.shape[2]) - 2

    def __len__(self) -> int:
        return len(self.ends)


def daily_maps(table: DayTables, model: LiquidationModel, per_day: int) -> DailyMaps:
    """Build the map of every day whose memory the table holds.

    Parameters
    ----------
    table : DayTables
    model : LiquidationModel
    per_day : int
        Bars in a day.
    """
    memory, (days, slices) = model.memory_days, table.entry.shape
    n_cells = round(model.reach / model.cell)
    maps = max(0, days - memory + 1)
    ends = table.lead + per_day * np.arange(memory, memory + maps) - 1
    sign = SIGN[:, None]
    base = cells_of(sign * table.close[memory - 1 :], model.cell)
    below = np.zeros((2, maps, n_cells + 2))
    if maps == 0:
        return DailyMaps(ends, base, below)
    distance = np.stack([model.log_distance(1), model.log_distance(-1)])
    levels = cells_of(sign[:, None] * table.entry.reshape(-1, 1) + distance[:, None, :], model.cell)
    reached = cells_of(table.reached.reshape(2, -1), model.cell)
    entered = cells_of(sign * table.after.ravel(), model.cell)
    amounts = _amounts(table, memory)
    mixture = np.array(model.leverage_weights)
    for start in range(0, maps, _CHUNK_DAYS):
        stop = min(start + _CHUNK_DAYS, maps)
        rows = slice(start * slices, (stop - 1 + memory) * slices)
        level = _windows(levels[:, rows], memory * slices, slices)
        swept = _swept_to(_windows(reached[:, rows], memory * slices, slices))
        swept = np.maximum(swept, _windows(entered[:, rows], memory * slices, slices))
        share = amounts[start:stop].reshape(stop - start, -1, 1) * mixture * (level > swept[..., None])
        cell = np.clip(level - (base[:, start:stop, None, None] + 1), 0, n_cells)
        cell += (n_cells + 1) * np.arange(2 * (stop - start)).reshape(2, -1, 1, 1)
        counts = np.bincount(cell.ravel(), share.ravel(), minlength=2 * (stop - start) * (n_cells + 1))
        np.add.accumulate(counts.reshape(2, -1, n_cells + 1), axis=2, out=below[:, start:stop, 1:])
    below[:, ~_covered(table, memory, per_day)] = np.nan
    return DailyMaps(ends, base, below)


def _windows(values: IntArray, window: int, step: int) -> IntArray:
    """Every ``step``-th window along axis 1, shape (2, n_windows, window, ...)."""
    return np.moveaxis(sliding_window_view(values, window, axis=1)[:, ::step], -1, 2)


def _amounts(table: DayTables, memory: int) -> FloatArray:
    """Share of each map's open interest that was opened in each slice of its memory and not closed.

    Shape (n_maps, memory, n_slices). A day's ``opened`` displaces that share of all earlier ones.
    """
    opened = sliding_window_view(table.opened, memory)
    kept = np.ones_like(opened)
    kept[:, :-1] = np.multiply.accumulate(1.0 - opened[:, :0:-1], axis=1)[:, ::-1]
    weight = sliding_window_view(table.weight, memory, axis=0).transpose(0, 2, 1)
    return np.asarray((opened * kept)[:, :, None] * weight)


def _swept_to(reached: IntArray) -> IntArray:
    """Farthest cell that price reached after each slice, up to the map's own day."""
    farthest = np.full(reached.shape, _NOWHERE)
    farthest[:, :, :-1] = np.maximum.accumulate(reached[:, :, :0:-1], axis=2)[:, :, ::-1]
    return farthest


def _covered(table: DayTables, memory: int, per_day: int) -> BoolArray:
    """Whether the day of each map, and enough of its memory, is there."""
    days = sliding_window_view(table.known, memory).sum(axis=1)
    bars = sliding_window_view(table.bars_there, memory).sum(axis=1)
    enough = (days >= np.ceil(COVERAGE * memory)) & (bars >= np.ceil(COVERAGE * memory * per_day))
    return np.asarray(enough & table.known[memory - 1 :])
