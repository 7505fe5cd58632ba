"""Which regime the labels would say, over many futures of a price without drift.

The label of a bar is a function of the past and of some 34 days to come (:mod:`features.regimes`).
Nobody knows those, but the distribution of a driftless walk with the volatility of the time is a
fair guess. So the labels' definition is played forward over a fixed set of such futures - the same
for every bar, symbol and process - and each regime's share of them is a feature.

Nothing here has seen the future: the futures are constants, scaled by what was known at the bar.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from features.bars import Bars, FloatArray
from features.declaration import Feature
from features.families.future_paths import FuturePaths
from features.families.label_path import BACK_DAYS, LONGEST_DAYS, carried_log_close
from features.regimes import (
    FAST_AHEAD_DAYS,
    FAST_BACK_DAYS,
    REGIMES,
    SLOW_AHEAD_DAYS,
    SLOW_BACK_DAYS,
    SWITCH_COST,
    region_costs,
)
from features.tail_rows import rows_read

__all__ = ["label_future_features"]

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

FUTURES = 64
PATH_AHEAD_DAYS = 10
"""How far after the bar the path is followed; the label hardly depends on more."""
VOLATILITY = 0.9
"""Of a future's steps, over the rolling volatility, which tails make too large for most days."""
SOFTNESS = 0.1
"""Path cost by which a regime is less likely by a factor of e, within one future."""
FLOOR = 0.007
"""Added to each share: 64 futures cannot say that something is impossible. No log share is below -5."""
SEED = 11
_CHUNK = 256
"""Rows worked on at a time: what they need stays in the processor's cache."""
_SLOW_SCALE = np.sqrt(SLOW_BACK_DAYS + SLOW_AHEAD_DAYS)
_FAST_SCALE = np.sqrt(FAST_BACK_DAYS + FAST_AHEAD_DAYS)


def label_future_features() -> tuple[Feature, ...]:
    """Log share of the futures in which the bar belongs to each regime."""
    return tuple(_log_share(index) for index in range(len(REGIMES)))


def _log_share(index: int) -> Feature:
    regime = REGIMES[index]

    def compute(bars: Bars) -> FloatArray:
        shares: FloatArray = bars.keep("label futures", lambda: _log_shares(bars))[index]
        return shares

    return Feature(
        f"path_log_share_{regime}",
        "label_path",
        LONGEST_DAYS,
        "log share",
        ("close",),
        f"log of the share of {FUTURES} driftless futures, of {VOLATILITY} x the volatility of the time and "
        f"one step a day, in which the labels' cheapest path is in {regime.replace('_', ' ')} at the bar",
        compute,
        "Gordon, Salmond, Smith (1993), Nonlinear and non-Gaussian Bayesian state estimation: many futures "
        "of the labels' own path",
        f"{regime.replace('_', ' ')} from the others, as surely as the past tells",
    )


@cache
def _walks() -> Float32Array:
    """Futures in standard deviations of a day, shape (n_days + 1, FUTURES), 0 on the first row.

    Mirrored pairs with unit variance on each day. From raw bits, whose stream numpy keeps stable
    between versions, through the standard library's normal quantiles.
    """
    days, half = PATH_AHEAD_DAYS + SLOW_AHEAD_DAYS, FUTURES // 2
    raw = np.random.PCG64(SEED).random_raw(half * days)
    uniform = (np.asarray(raw >> np.uint64(11), dtype=np.float64) + 0.5) * 2.0**-53
    quantile = NormalDist().inv_cdf
    steps = np.array([quantile(value) for value in uniform.tolist()]).reshape(half, days)
    steps /= np.sqrt((steps**2).mean(axis=0))
    walks = np.cumsum(np.concatenate((steps, -steps)), axis=1)
    table = np.zeros((days + 1, FUTURES), dtype=np.float32)
    table[1:] = np.round(walks.T, 5)  # the last bits of sums and quantiles are the processor's affair
    table.setflags(write=False)
    return table


def _log_shares(bars: Bars) -> FloatArray:
    """Log shares at the rows that will be read, shape (4, n_rows)."""
    rows = rows_read(bars)
    out = np.full((len(REGIMES), rows), np.nan)
    price, sigma = carried_log_close(bars), bars.sigma
    first = bars.size - rows
    begin = max(first, (BACK_DAYS + SLOW_BACK_DAYS) * bars.per_day)
    for start in range(begin, bars.size, _CHUNK):
        end = min(start + _CHUNK, bars.size)
        out[:, start - first : end - first] = _chunk(price, sigma, bars.per_day, start, end)
    out[:, np.isnan(bars.column("close")[first:])] = np.nan
    return out


def _chunk(price: FloatArray, sigma: FloatArray, per_day: int, start: int, end: int) -> FloatArray:
    """Log shares of rows ``start`` to ``end``; each row the same operations wherever it lies."""
    rows = np.arange(start, end)

    def move(days: IntArray) -> FloatArray:
        """Log price so many days from each row, 0 or before, over that of the row; (n_days, n_rows)."""
        return np.asarray(price[rows + days[:, None] * per_day] - price[rows])

    def volatility(days: IntArray) -> FloatArray:
        return np.asarray(sigma[rows + np.minimum(days, 0)[:, None] * per_day])

    days = np.arange(1 - SLOW_AHEAD_DAYS, PATH_AHEAD_DAYS + 1)
    unit = volatility(days)
    total = FuturePaths(
        walks=_walks(),
        reach=(sigma[rows] * VOLATILITY).astype(np.float32),
        settled=_settled_part(move, volatility).astype(np.float32),
        moves=move(np.arange(days[0] - FAST_BACK_DAYS, 1)).astype(np.float32),
        back=move(days - SLOW_BACK_DAYS).astype(np.float32),
        slow_unit=(1 / (unit * _SLOW_SCALE)).astype(np.float32),
        fast_unit=(1 / (unit * _FAST_SCALE)).astype(np.float32),
    ).totals()
    total -= total.min(axis=0)
    weight = np.exp(total.astype(np.float64) / -SOFTNESS)
    weight /= weight.sum(axis=0)
    shares = weight[:, 0].copy()
    for future in range(1, FUTURES):  # one order of adding, whatever the shape
        shares += weight[:, future]
    shares /= FUTURES
    return np.asarray(np.log((shares + FLOOR) / (1 + len(REGIMES) * FLOOR)))


def _settled_part(
    move: Callable[[IntArray], FloatArray], volatility: Callable[[IntArray], FloatArray]
) -> FloatArray:
    """Cost of the cheapest path to each regime 20 days before the rows, shape (4, n_rows): all is known."""
    days = np.arange(-BACK_DAYS, 1 - SLOW_AHEAD_DAYS)
    unit = volatility(days)
    slow = (move(days + SLOW_AHEAD_DAYS) - move(days - SLOW_BACK_DAYS)) / (unit * _SLOW_SCALE)
    fast = (move(days + FAST_AHEAD_DAYS) - move(days - FAST_BACK_DAYS)) / (unit * _FAST_SCALE)
    costs = region_costs(slow, fast)
    total = costs[0]
    for cost in costs[1:]:
        total = np.minimum(total, total.min(axis=0) + SWITCH_COST) + cost
    return np.asarray(total - total.min(axis=0))
