"""What the squeeze model is worth, out of fold: how often its quantiles held, and how sharp they are.

A squeeze of a week is told by 168 hours and by every symbol at once. So intervals draw whole calendar
weeks of all symbols together, and beside each share stands in how many weeks its rows lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.regimes import REGIMES
from serving.squeeze import HORIZONS, LEVELS
from training.dataset import Dataset
from training.squeeze.outcomes import CELLS, SqueezeTable
from training.walk_forward import Walk

__all__ = ["SCORED_LEVELS", "Coverage", "Sharpness", "coverages", "pinball", "sharpness", "squeeze_metrics"]

DRAWS = 2000
INTERVAL = (0.025, 0.975)
YEAR_DAYS = 365
SCORED_LEVELS = (0.99, 0.995)
"""Of the headline figures."""
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Coverage:
    """How often outcomes stayed within a quantile.

    Attributes
    ----------
    side : str
    days : int
    level : float
        What the quantile says.
    part : str
        ``all``, a symbol or a regime as answered.
    share : float
        What it held.
    low, high : float
        95 % interval by resampled calendar weeks.
    rows, weeks : int
        Rows, and the calendar weeks that they lie in.
    """

    side: str
    days: int
    level: float
    part: str
    share: float
    low: float
    high: float
    rows: int
    weeks: int


@dataclass(frozen=True)
class Sharpness:
    """Mean pinball loss of one quantile of the adverse move (fraction of the close), and of two others.

    Attributes
    ----------
    side : str
    days : int
    level : float
    model : float
    trailing_year : float
        Of the quantile of the symbol's own outcomes known by then, over the year before; on the same rows.
    multiple : float
        Of a constant multiple of the volatility of the time, fitted on what was known at the fold's cut.
    """

    side: str
    days: int
    level: float
    model: float
    trailing_year: float
    multiple: float


def pinball(outcome: FloatArray, quantile: FloatArray, level: float) -> FloatArray:
    """Pinball loss of each row.

    Examples
    --------
    >>> pinball(np.array([0.10, 0.30]), np.array([0.20, 0.20]), 0.9).round(3).tolist()
    [0.01, 0.09]
    """
    over = outcome - quantile
    return np.asarray(np.maximum(level * over, (level - 1) * over))


def _answered(walk: Walk, table: SqueezeTable, cell: int) -> BoolArray:
    return np.isfinite(walk.squeeze[:, 0, 0, 0]) & np.isfinite(table.scales[:, cell])


def _parts(dataset: Dataset, walk: Walk) -> Mapping[str, BoolArray]:
    whole = np.ones(len(dataset.y), dtype=bool)
    return {
        "all": whole,
        **{name: dataset.symbol == index for index, name in enumerate(dataset.symbols)},
        **{name: walk.regime == index for index, name in enumerate(REGIMES)},
    }


def coverages(
    dataset: Dataset,
    walk: Walk,
    table: SqueezeTable,
    *,
    horizons: tuple[int, ...] = HORIZONS,
    levels: tuple[float, ...] = LEVELS,
    seed: int = 0,
) -> Iterator[Coverage]:
    """Count, over all hourly answers of the walk, how often each quantile held."""
    week = np.asarray(dataset.time.as_unit("s").asi8 // (7 * 86_400))
    for cell, (side, days) in enumerate(CELLS):
        if days not in horizons:
            continue
        known = _answered(walk, table, cell)
        for level in levels:
            quantile = walk.squeeze[:, cell // len(HORIZONS), cell % len(HORIZONS), LEVELS.index(level)]
            held = table.scales[:, cell] <= quantile
            for part, inside in _parts(dataset, walk).items():
                rows = known & inside
                if rows.any():
                    share, low, high, weeks = _by_weeks(held[rows], week[rows], seed)
                    yield Coverage(side, days, level, part, share, low, high, int(rows.sum()), weeks)


def _by_weeks(held: BoolArray, week: npt.NDArray[np.int64], seed: int) -> tuple[float, float, float, int]:
    """Share that held, its interval, and the number of weeks."""
    _, place = np.unique(week, return_inverse=True)
    count = np.bincount(place).astype(np.float64)
    hits = np.bincount(place, weights=held)
    weeks = len(count)
    drawn = np.random.default_rng(seed).multinomial(weeks, np.full(weeks, 1 / weeks), size=DRAWS)
    low, high = np.quantile((drawn @ hits) / (drawn @ count), INTERVAL).tolist()
    return float(held.mean()), low, high, weeks


def sharpness(
    dataset: Dataset,
    walk: Walk,
    table: SqueezeTable,
    *,
    horizons: tuple[int, ...] = HORIZONS,
    levels: tuple[float, ...] = SCORED_LEVELS,
) -> Iterator[Sharpness]:
    """Mean pinball losses on the sampled rows that all three answer."""
    for cell, (side, days) in enumerate(CELLS):
        if days not in horizons:
            continue
        unit = table.sigma * np.sqrt(days)
        move = _fraction(side, table.scales[:, cell] * unit)
        rows = np.flatnonzero(_answered(walk, table, cell) & dataset.sampled)
        for level in levels:
            model = walk.squeeze[:, cell // len(HORIZONS), cell % len(HORIZONS), LEVELS.index(level)]
            year = _trailing_year(dataset, move, days, level)
            multiple = _multiple(dataset, walk, table, cell, level)
            there = rows[np.isfinite(year[rows]) & np.isfinite(multiple[rows])]
            if not len(there):
                continue
            quantiles = (_fraction(side, model * unit), year, _fraction(side, multiple * unit))
            losses = [float(pinball(move[there], one[there], level).mean()) for one in quantiles]
            yield Sharpness(side, days, level, *losses)


def _fraction(side: str, log_move: FloatArray) -> FloatArray:
    return np.expm1(log_move) if side == "short" else -np.expm1(-log_move)


def _trailing_year(dataset: Dataset, move: FloatArray, days: int, level: float) -> FloatArray:
    """Quantile of the symbol's sampled outcomes of a year, all of them known at the bar."""
    found = np.full(len(move), np.nan)
    per_day = dataset.rows_per_day
    for index in range(len(dataset.symbols)):
        rows = np.flatnonzero((dataset.symbol == index) & dataset.sampled)
        ended = pd.Series(move[rows]).shift(round(days * per_day) + 1)
        window = ended.rolling(round(YEAR_DAYS * per_day), min_periods=round(60 * per_day))
        found[rows] = window.quantile(level).to_numpy()
    return found


def _multiple(dataset: Dataset, walk: Walk, table: SqueezeTable, cell: int, level: float) -> FloatArray:
    """Quantile of all scales known at each fold's cut, pooled over symbols."""
    found = np.full(len(dataset.y), np.nan)
    known = np.isfinite(table.scales[:, cell]) & dataset.sampled
    ended = dataset.time + pd.Timedelta(days=CELLS[cell][1])
    for fold in walk.folds:
        before = known & np.asarray(ended < fold.cut)
        if before.any():
            found[fold.test] = np.quantile(table.scales[before, cell], level)
    return found


def squeeze_metrics(held: Iterable[Coverage], sharp: Iterable[Sharpness]) -> dict[str, float]:
    """Flat names for MLflow and the manifest: of all rows, without the parts."""
    flat: dict[str, float] = {}
    for one in held:
        if one.part == "all":
            name = f"{one.side}_{one.days}d_{one.level:g}"
            flat |= {f"coverage_{name}": one.share, f"coverage_{name}_low": one.low}
            flat |= {f"coverage_{name}_high": one.high, "weeks": float(one.weeks)}
    for loss in sharp:
        name = f"{loss.side}_{loss.days}d_{loss.level:g}"
        flat[f"pinball_{name}_over_trailing_year"] = loss.model / loss.trailing_year
        flat[f"pinball_{name}_over_volatility_multiple"] = loss.model / loss.multiple
    return flat
