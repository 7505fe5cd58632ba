"""The estimated liquidation map bar by bar: what price swept, what lives on, where the next wall is.

Between two UTC day ends the map stands still and price sweeps through it: a bar's high takes the
shorts up to it, its low the longs down to it. At midnight there is a new map.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from features.bars import Bars, FloatArray
from features.families.liquidation_levels import (
    SIGN,
    BoolArray,
    DailyMaps,
    IntArray,
    cells_of,
    daily_maps,
    day_tables,
)
from features.families.liquidation_model import DEFAULT_MODEL, LiquidationModel

__all__ = [
    "NEAR_SD",
    "SWEPT_DAYS",
    "MapRows",
    "SideColumn",
    "Walls",
    "map_rows",
    "side_columns",
    "walls",
]

NEAR_SD = (2, 5)
"""Half widths of the balance bands, in daily sigmas."""
SWEPT_DAYS = (1, 7)
"""Days over which sweeps are added up."""


class SideColumn(IntEnum):
    """Columns of :func:`side_columns`: shares of open interest, but for the distance (log price)."""

    SWEPT = 0
    LIVING = 1
    WALL_DISTANCE = 2
    WALL_WEIGHT = 3
    NEAR_2 = 4
    NEAR_5 = 5


@dataclass(frozen=True)
class MapRows:
    """The daily maps and where each of the last bars stands in them.

    Attributes
    ----------
    maps : DailyMaps
    row : ndarray of int, shape (n_rows,)
        Bars, the last of the history at the end.
    before : ndarray of int, shape (n_rows,)
        Map that price moved through during the bar; -1 where there was none.
    at_close : ndarray of int, shape (n_rows,)
        Map at the bar's close: at midnight the new one, otherwise ``before``.
    swept, swept_before : ndarray of int, shape (2, n_rows)
        Cells of the map ``before`` that price has taken by the end of the bar, and of the bar before it.
    front : ndarray of int, shape (2, n_rows)
        Cells of the map ``at_close`` that are gone.
    """

    maps: DailyMaps
    row: IntArray
    before: IntArray
    at_close: IntArray
    swept: IntArray
    swept_before: IntArray
    front: IntArray


def map_rows(bars: Bars, model: LiquidationModel, rows: int) -> MapRows | None:
    """Build the maps that the last ``rows`` bars need; None where the history is too short.

    Parameters
    ----------
    bars : Bars
    model : LiquidationModel
    rows : int
    """
    per_day = bars.per_day
    table = day_tables(bars, model, row=max(0, bars.size - rows - (model.memory_days + 2) * per_day))
    maps = daily_maps(table, model, per_day)
    begin = max(table.lead + model.memory_days * per_day - 1, bars.size - rows)
    if len(maps) == 0 or begin >= bars.size:
        return None
    row = np.arange(begin, bars.size)
    day, slot = np.divmod(row - table.lead, per_day)
    before = day - model.memory_days
    midnight = slot == per_day - 1
    taken = _taken(bars, maps, model)
    swept = taken[:, before, slot + 1]
    return MapRows(
        maps,
        row,
        before,
        before + midnight,
        swept,
        taken[:, before, slot],
        np.where(midnight, 0, swept),
    )


def _taken(bars: Bars, maps: DailyMaps, model: LiquidationModel) -> IntArray:
    """How many cells of each map price has taken after each bar of the next day.

    Shape (2, n_maps, bars per day + 1); the first column, before the day's first bar, is 0.
    """
    per_day = bars.per_day
    extremes = np.full((2, len(maps) * per_day), np.nan)
    for side, name in enumerate(("high", "low")):
        there = np.log(bars.column(name)[maps.ends[0] + 1 :])
        extremes[side, : len(there)] = SIGN[side] * there
    cells = cells_of(extremes, model.cell).reshape(2, -1, per_day)
    taken = np.zeros((2, len(maps), per_day + 1), dtype=np.int64)
    taken[:, :, 1:] = np.maximum.accumulate(cells, axis=2) - maps.base[:, :, None]
    return np.clip(taken, 0, maps.n_cells)


def side_columns(bars: Bars, model: LiquidationModel = DEFAULT_MODEL) -> FloatArray:
    """Compute what the features need of each bar.

    Parameters
    ----------
    bars : Bars
        With ``bars.last`` only the last rows and those that a sum over a week needs are computed.
    model : LiquidationModel

    Returns
    -------
    ndarray of shape (2, 6, n_bars)
        Shorts and longs, by :class:`SideColumn`; bar ``t`` uses bars ``<= t``, NaN where the memory
        is not covered. Swept is what the bar's own extreme took, by the map before it. Where no wall
        is within reach, the distance is the reach and the weight 0.
    """
    return bars.keep(("liquidation", model), lambda: _columns(bars, model))


def _columns(bars: Bars, model: LiquidationModel) -> FloatArray:
    out = np.full((2, len(SideColumn), bars.size), np.nan)
    wanted = bars.size if bars.last is None else bars.last + max(SWEPT_DAYS) * bars.per_day
    rows = map_rows(bars, model, wanted)
    if rows is None:
        return out
    maps, at_close = rows.maps, rows.at_close
    below, part = maps.below, slice(int(rows.row[0]), bars.size)
    side = np.array([[0], [1]])
    log_close = SIGN[:, None] * bars.log_close[part]
    sigma = bars.sigma[part]
    gone = below[side, at_close, rows.front]
    swept = below[side, rows.before, rows.swept] - below[side, rows.before, rows.swept_before]
    values = out[:, :, part]
    values[:, SideColumn.SWEPT] = np.where(rows.before >= 0, swept, np.nan)
    values[:, SideColumn.LIVING] = below[:, at_close, -1] - gone
    for column, widths in zip((SideColumn.NEAR_2, SideColumn.NEAR_5), NEAR_SD, strict=True):
        upto = cells_of(log_close + widths * sigma, model.cell) - maps.base[:, at_close]
        upto = np.maximum(rows.front, np.minimum(upto, maps.n_cells))
        values[:, column] = np.where(np.isfinite(sigma), below[side, at_close, upto] - gone, np.nan)
    found = walls(maps, model, bars.sigma[maps.ends])
    begin = found.begin[side, at_close, rows.front]
    weight = below[side, at_close, found.end[side, at_close, begin]] - below[side, at_close, begin]
    distance = np.clip((maps.base[:, at_close] + 1 + begin) * model.cell - log_close, 0.0, model.reach)
    seen, known = begin < maps.n_cells, found.known[:, at_close]
    values[:, SideColumn.WALL_DISTANCE] = np.where(known, np.where(seen, distance, model.reach), np.nan)
    values[:, SideColumn.WALL_WEIGHT] = np.where(known, np.where(seen, weight, 0.0), np.nan)
    values[:, :, np.isnan(log_close[0])] = np.nan
    return out


@dataclass(frozen=True)
class Walls:
    """Bands of significant weight in each map, nearest first.

    Attributes
    ----------
    known : ndarray of bool, shape (2, n_maps)
        Whether the map and the volatility that sets the band's height are known.
    begin : ndarray of int, shape (2, n_maps, n_cells + 1)
        First cell at or after each where a wall begins or goes on; ``n_cells`` where there is none.
    end : ndarray of int, shape (2, n_maps, n_cells + 1)
        One past the last cell of the wall that begins at, or holds, each cell.
    """

    known: BoolArray
    begin: IntArray
    end: IntArray


def walls(maps: DailyMaps, model: LiquidationModel, sigma: FloatArray) -> Walls:
    """Find the walls: bands of ``wall_width`` daily sigmas that hold ``wall_share`` or more.

    Bands that overlap are one wall.

    Parameters
    ----------
    maps : DailyMaps
    model : LiquidationModel
    sigma : ndarray of shape (n_maps,)
        Volatility of one day, in log price, at each map's time.
    """
    n_cells = maps.n_cells
    there = np.isfinite(sigma)
    height = np.round(model.wall_width * np.where(there, sigma, 0.0) / model.cell)
    width = np.clip(height, 1, n_cells).astype(np.int64)[None, :, None]
    last = np.minimum(np.arange(n_cells + 1) + width, n_cells)
    last = np.broadcast_to(last, maps.below[:, :, 1:].shape)
    band = np.take_along_axis(maps.below, last, axis=2) - maps.below[:, :, :-1]
    significant = band >= model.wall_share
    end = np.minimum(_at_or_after(~significant) - 1 + width, n_cells)
    return Walls(there & np.isfinite(maps.below[:, :, -1]), _at_or_after(significant), end)


def _at_or_after(marked: BoolArray) -> IntArray:
    """First marked cell at or after each; the last cell where there is none."""
    cells = marked.shape[2]
    place = np.where(marked, np.arange(cells), cells - 1)
    return np.asarray(np.minimum.accumulate(place[:, :, ::-1], axis=2)[:, :, ::-1])
