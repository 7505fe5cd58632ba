"""The estimated liquidation map as features, and as a table for a plot.

Nobody sees other people's positions; this estimates where they would be liquidated from open
interest and price, under the assumptions of
:class:`~features.families.liquidation_model.LiquidationModel`. See ``docs/liquidation-map.md``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from features.bars import Bars, FloatArray, divide
from features.declaration import Feature
from features.errors import UsageError
from features.families.liquidation_levels import SIGN, DailyMaps
from features.families.liquidation_model import DEFAULT_MODEL, LiquidationModel
from features.families.liquidation_walls import NEAR_SD, SWEPT_DAYS, SideColumn, map_rows, side_columns
from features.history import History
from features.rolling.windows import rolling_mean

__all__ = ["liquidation_features", "liquidation_heatmap", "liquidation_map"]

_SIDES = {"short": 0, "long": 1}
_WHERE = {"short": "above", "long": "below"}
_INPUTS = ("high", "low", "close", "volume", "open_interest")
_MAP_DAYS = DEFAULT_MODEL.memory_days + 1
_SIGMA_DAYS = 119
"""What the daily volatility looks back. A wall's is that of the map's day: up to a day more."""
_SOURCE = (
    "trader practice: liquidation heatmaps; liquidation prices by the exchange's margin formula; "
    "assumptions in features/families/liquidation_model.py"
)

_TELLS = (
    "relief rally from bear: price runs into the shorts' liquidations; bear from ranging: into the longs'"
)


def _column(side: str, column: SideColumn) -> Callable[[Bars], FloatArray]:
    def compute(bars: Bars) -> FloatArray:
        return np.asarray(side_columns(bars)[_SIDES[side], column])

    return compute


def _scaled_distance(side: str) -> Callable[[Bars], FloatArray]:
    def compute(bars: Bars) -> FloatArray:
        distance = side_columns(bars)[_SIDES[side], SideColumn.WALL_DISTANCE]
        return divide(bars.now(distance), bars.recent_sigma)

    return compute


def _balance(column: SideColumn) -> Callable[[Bars], FloatArray]:
    def compute(bars: Bars) -> FloatArray:
        short, long = side_columns(bars)[:, column]
        return np.asarray(short - long)

    return compute


def _swept(side: str, days: int) -> Callable[[Bars], FloatArray]:
    def compute(bars: Bars) -> FloatArray:
        n = bars.bars(days)
        # Only the rows that can matter: a week's sum over the whole of a long window is not free.
        rows = bars.size if bars.last is None else min(bars.size, bars.last + n)
        values = side_columns(bars)[_SIDES[side], SideColumn.SWEPT, bars.size - rows :]
        out = np.full(bars.size, np.nan)
        out[bars.size - rows :] = n * rolling_mean(values, n, bars.first + bars.size - rows)
        return out

    return compute


def _declare(name: str, days: int, unit: str, words: str, compute: Callable[[Bars], FloatArray]) -> Feature:
    return Feature(
        name=name,
        group="liquidation_map",
        lookback_days=days,
        unit=unit,
        inputs=_INPUTS,
        words=words,
        source=_SOURCE,
        tells=_TELLS,
        compute=compute,
    )


def _of_side(side: str) -> list[Feature]:
    shares = "share of open interest"
    wall = f"the nearest estimated wall of {side} liquidations {_WHERE[side]} the close"
    extreme = "high" if side == "short" else "low"
    band = (
        f"a wall is a band of {DEFAULT_MODEL.wall_width:g} daily sd that holds "
        f"{DEFAULT_MODEL.wall_share:.0%} of open interest or more"
    )
    return [
        _declare(
            f"{side}_wall_distance",
            _SIGMA_DAYS + 1,
            "daily sd",
            f"log distance from the close to {wall} / daily sd; {band}; {DEFAULT_MODEL.reach:g} / daily sd "
            "where none is within reach",
            _scaled_distance(side),
        ),
        _declare(
            f"{side}_wall_log_distance",
            _SIGMA_DAYS + 1,
            "log price",
            f"log distance from the close to {wall}; {DEFAULT_MODEL.reach:g} where none is within reach",
            _column(side, SideColumn.WALL_DISTANCE),
        ),
        _declare(
            f"{side}_wall_weight",
            _SIGMA_DAYS + 1,
            shares,
            f"weight of {wall}, overlapping bands as one; 0 where none is within reach",
            _column(side, SideColumn.WALL_WEIGHT),
        ),
        _declare(
            f"{side}_weight_{_WHERE[side]}",
            _MAP_DAYS,
            shares,
            f"estimated {side} positions whose liquidation still lies {_WHERE[side]} the close",
            _column(side, SideColumn.LIVING),
        ),
        *(
            _declare(
                f"{side}_swept_{days}d",
                _MAP_DAYS + days,
                shares,
                f"estimated {side} positions that the {extreme}s of the last {days} d swept, each day's by "
                "the map at its start",
                _swept(side, days),
            )
            for days in SWEPT_DAYS
        ),
    ]


def liquidation_features() -> list[Feature]:
    """Declare the features of the estimated liquidation map."""
    balances = [
        _declare(
            f"liquidation_balance_{widths}sd",
            _SIGMA_DAYS,
            "share of open interest",
            f"estimated short liquidations within {widths} daily sd above the close, less "
            "long ones as far below",
            _balance(column),
        )
        for widths, column in zip(NEAR_SD, (SideColumn.NEAR_2, SideColumn.NEAR_5), strict=True)
    ]
    return [*_of_side("short"), *_of_side("long"), *balances]


def liquidation_map(
    history: History, row: int = -1, *, model: LiquidationModel = DEFAULT_MODEL
) -> pd.DataFrame:
    """Estimate the map at one bar's close.

    Parameters
    ----------
    history : History
    row : int, default=-1
        Bar; negative counts from the end. Uses bars ``<= row``.
    model : LiquidationModel

    Returns
    -------
    pandas.DataFrame
        ``price`` (middle of the cell, quote currency), ``side`` (``short`` or ``long``) and ``weight``
        (share of open interest that would be liquidated there), by price; only cells within reach
        that hold something. Empty where too little of the memory is there.

    Raises
    ------
    UsageError
        If there is no such row.
    """
    if not -len(history) <= row < len(history):
        raise UsageError(
            f"row is {row}, the history has {len(history)} bars",
            code="no_such_row",
            field="row",
            hint="count from 0, or from the end with -1",
        )
    window = history.window(row % len(history), (model.memory_days + 2) * history.per_day)
    bars = Bars(window, last=1)
    with np.errstate(all="ignore"):
        rows = map_rows(bars, model, 1)
        there = bool(np.isfinite(bars.log_close[-1]))
    parts = []
    for name, side in _SIDES.items():
        price, weight = np.empty(0), np.empty(0)
        if rows is not None and there:
            at, front = rows.at_close[-1], rows.front[side, -1]
            price, weight = (values[at, front:] for values in _cells(rows.maps, side, model))
        parts.append(pd.DataFrame({"price": price, "side": name, "weight": weight}))
    table = pd.concat(parts)
    table["side"] = table["side"].astype(str)
    return table[table["weight"] > 0].sort_values("price", kind="stable").reset_index(drop=True)


def _cells(maps: DailyMaps, side: int, model: LiquidationModel) -> tuple[FloatArray, FloatArray]:
    """Price in the middle of each cell within reach and its weight, both of shape (n_maps, n_cells)."""
    middle = maps.base[side][:, None] + 1.5 + np.arange(maps.n_cells)
    return np.exp(SIGN[side] * middle * model.cell), np.diff(maps.below[side, :, : maps.n_cells + 1], axis=1)


def liquidation_heatmap(
    history: History, *, model: LiquidationModel = DEFAULT_MODEL, rungs: int = 200, margin: float = 0.15
) -> pd.DataFrame:
    """Estimate the map at each UTC day's end, longs and shorts together, for a picture.

    Parameters
    ----------
    history : History
    model : LiquidationModel
    rungs : int, default=200
        Rows of the picture: equal steps of log price.
    margin : float, default=0.15
        Log price shown beyond the history's extremes.

    Returns
    -------
    pandas.DataFrame of shape (n_days, rungs)
        Index ``time`` (day's end, UTC), columns the price in the middle of each rung, values shares of
        open interest; NaN where too little of the memory is there, 0 beyond reach.

    Raises
    ------
    UsageError
        If ``rungs`` is not between 2 and 5,000 or ``margin`` is negative.

    Examples
    --------
    A picture: ``plotly.express.imshow(heatmap.T, origin="lower", aspect="auto")``.
    """
    if not 2 <= rungs <= 5000 or not 0 <= margin <= 5:
        raise UsageError(
            f"rungs is {rungs} and margin {margin}, expected 2 to 5,000 and 0 to 5", field="rungs"
        )
    bars = Bars(history)
    with np.errstate(all="ignore"):
        rows = map_rows(bars, model, bars.size)
    low = float(np.log(np.nanmin(bars.column("low")))) - margin
    high = float(np.log(np.nanmax(bars.column("high")))) + margin
    step = (high - low) / rungs
    columns = pd.Index(np.exp(low + step * (np.arange(rungs) + 0.5)), name="price")
    if rows is None:
        return pd.DataFrame(np.zeros((0, rungs)), index=history.time[:0], columns=columns)
    picture = np.zeros(len(rows.maps) * rungs)
    for side in _SIDES.values():
        price, weight = _cells(rows.maps, side, model)
        rung = np.floor((np.log(price) - low) / step).astype(np.int64)
        shown = np.where((rung >= 0) & (rung < rungs), weight, 0.0)
        place = np.clip(rung, 0, rungs - 1) + rungs * np.arange(len(rows.maps))[:, None]
        picture += np.bincount(place.ravel(), shown.ravel(), minlength=len(picture))
    return pd.DataFrame(picture.reshape(-1, rungs), index=history.time[rows.maps.ends], columns=columns)
