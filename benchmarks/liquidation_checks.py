"""Does the estimated liquidation map say anything? Against the simulator's true positions, and real totals.

Everything is taken at UTC day ends: a day's sweeps are those of the map at its start. Rank
correlations throughout, because shares of open interest have heavy tails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import Bars, FloatArray
from features.families.liquidation_model import DEFAULT_MODEL, LiquidationModel
from features.families.liquidation_walls import NEAR_SD, SideColumn, side_columns, walls
from features.history import History
from features.raw import RawMarket
from features.rolling.windows import rolling_sum
from features.sources import load_raw
from features.sources.simulated_positions import TruePositions

__all__ = [
    "SIDES",
    "day_ends",
    "liquidation_totals",
    "partial_rank_correlation",
    "rank_correlation",
    "real_markets",
    "shuffled",
    "true_figures",
    "without_open_interest",
]

SIDES = ("short", "long")


def day_ends(history: History, model: LiquidationModel = DEFAULT_MODEL) -> pd.DataFrame:
    """What the map says at each UTC day's end, and the baselines, one row a day.

    For each side: ``distance`` and ``weight`` of the nearest wall (log price; share of open interest),
    ``near_2`` and ``near_5`` (share of open interest within so many daily sd), ``swept`` (share swept
    during the day), ``range`` (how far price went against the side during the day, log) and ``return``
    (absolute log return). ``sigma`` and ``open_interest`` (USD at the day's START) are for both.
    """
    bars = Bars(history)
    n = bars.per_day
    rows = np.flatnonzero((bars.first + np.arange(bars.size)) % n == 0)
    rows = rows[rows >= n]
    columns: dict[str, FloatArray] = {
        "sigma": bars.sigma[rows],
        "open_interest": bars.column("open_interest")[rows - n],
    }
    with np.errstate(all="ignore"):
        table = side_columns(bars, model)
        for side, name in enumerate(SIDES):
            sign, extreme = 1 - 2 * side, np.log(bars.column(("high", "low")[side]))
            day = np.arange(-n + 1, 1) + rows[:, None]
            reached = np.fmax.reduce(sign * extreme[day], axis=1)
            columns |= {
                f"{name}_distance": table[side, SideColumn.WALL_DISTANCE][rows],
                f"{name}_weight": table[side, SideColumn.WALL_WEIGHT][rows],
                f"{name}_near_2": table[side, SideColumn.NEAR_2][rows],
                f"{name}_near_5": table[side, SideColumn.NEAR_5][rows],
                f"{name}_swept": rolling_sum(table[side, SideColumn.SWEPT], n, bars.first)[rows],
                f"{name}_range": np.maximum(0.0, reached - sign * bars.log_close[rows - n]),
                f"{name}_return": np.abs(bars.log_close[rows] - bars.log_close[rows - n]),
            }
    return pd.DataFrame(columns, index=history.time[rows])


def true_figures(
    truth: TruePositions, sigma: FloatArray, model: LiquidationModel = DEFAULT_MODEL
) -> pd.DataFrame:
    """The same figures of the true positions, one row for each day's end of ``truth``.

    Parameters
    ----------
    truth : TruePositions
    sigma : ndarray of shape (n_days,)
        Volatility of one day at each end: walls are bands of the same height as the estimated ones.
    """
    maps = truth.maps(model)
    day, edge = np.arange(len(maps)), maps.n_cells
    found = walls(maps, model, sigma)
    columns: dict[str, FloatArray] = {}
    share = truth.liquidated[list(SIDES)].div(truth.liquidated["open_interest"], axis=0)
    for side, name in enumerate(SIDES):
        begin = found.begin[side, :, 0]
        below, log_close = maps.below[side], (1 - 2 * side) * np.log(truth.close)
        wall = (maps.base[side] + 1 + begin) * model.cell - log_close
        columns[f"{name}_distance"] = np.where(begin < edge, np.clip(wall, 0, model.reach), model.reach)
        columns[f"{name}_weight"] = below[day, found.end[side, day, begin]] - below[day, begin]
        for widths in NEAR_SD:
            upto = np.floor((log_close + widths * sigma) / model.cell) - maps.base[side]
            upto = np.nan_to_num(np.clip(upto, 0, edge)).astype(np.int64)
            columns[f"{name}_near_{widths}"] = np.where(np.isfinite(sigma), below[day, upto], np.nan)
        total = np.r_[0.0, np.cumsum(share[name].to_numpy(np.float64))]
        columns[f"{name}_swept"] = np.r_[np.nan, np.diff(total[maps.ends + 1])]
    return pd.DataFrame(columns, index=truth.days)


def liquidation_totals(market: RawMarket) -> pd.DataFrame:
    """Real liquidations of each UTC day in USD, ``short`` and ``long``; 0 and missing are NaN."""
    table = market.positioning
    if table is None:
        return pd.DataFrame({name: [] for name in SIDES}, index=pd.DatetimeIndex([], tz="UTC"))
    named = {f"liq_{name}_usd": name for name in SIDES}
    totals = table.set_index("time")[list(named)].rename(columns=named)
    return totals.where(totals > 0)


def real_markets(folder: Path) -> list[RawMarket]:
    """Hourly markets of the development history."""
    return load_raw("files", [], path=folder, interval="1h")


def without_open_interest(history: History) -> History:
    """The same market with as many coins open every day: what remains is the path of price alone."""
    frame = history.frame.assign(open_interest=history.frame["close"] * 1e6)
    return replace(history, frame=frame)


def shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same rows on other days: what a map without any knowledge of the day would say."""
    order = np.random.default_rng(seed).permutation(len(table))
    return pd.DataFrame(table.to_numpy()[order], index=table.index, columns=table.columns)


def _ranks(*columns: npt.ArrayLike) -> list[FloatArray]:
    table = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
    ranks = pd.DataFrame(table[np.isfinite(table).all(axis=1)]).rank().to_numpy(np.float64)
    return list(ranks.T)


def rank_correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Spearman's rank correlation over the rows where both are there."""
    first, second = _ranks(a, b)
    return float(np.corrcoef(first, second)[0, 1])


def partial_rank_correlation(a: npt.ArrayLike, b: npt.ArrayLike, given: Sequence[npt.ArrayLike]) -> float:
    """Correlation of the ranks of ``a`` and ``b`` after a linear fit of each on the ranks of ``given``.

    Examples
    --------
    >>> x = np.arange(50.0)
    >>> noise = np.random.default_rng(0).normal(0, 20, (2, 50))
    >>> rank_correlation(x + noise[0], x + noise[1]) > 0.3
    True
    >>> abs(partial_rank_correlation(x + noise[0], x + noise[1], [x])) < 0.3
    True
    """
    first, second, *others = _ranks(a, b, *given)
    design = np.column_stack([np.ones(len(first)), *others])
    fitted = design @ np.linalg.lstsq(design, np.column_stack([first, second]), rcond=None)[0]
    return float(np.corrcoef(first - fitted[:, 0], second - fitted[:, 1])[0, 1])
