"""The labels' own path, as far as it can be known: what each regime would cost if price stood still.

The hindsight label of a bar depends on 20 days of future and on the path before it
(:mod:`features.regimes`). At the bar's close the past of that path is known and half of what its
scores compare is too. So the definition is played forward from here with a price that stands still,
and each regime's feature is how much dearer the cheapest path through it is than the cheapest of
all: 0 where the path would pass through it.

Nothing here has seen the future: the hypothetical price is a function of the last close alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from features.bars import Bars, FloatArray
from features.declaration import Feature
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

__all__ = ["BACK_DAYS", "LONGEST_DAYS", "carried_log_close", "label_path_features"]

BACK_DAYS = 30
"""Where the path is begun, with no regime preferred: labels settle in 20 to 34 days, and forget."""
STEPS_A_DAY = 2
CARRIED_DAYS = 1
"""A missing close is carried forward so long, as the labels carry it."""
LONGEST_DAYS = BACK_DAYS + SLOW_BACK_DAYS + CARRIED_DAYS
_CHUNK = 1024
"""Rows worked on at a time: what they need stays in the processor's cache."""


def label_path_features() -> tuple[Feature, ...]:
    """Cost of each regime on the labels' own path."""
    return tuple(_cost(index) for index in range(len(REGIMES)))


def _cost(index: int) -> Feature:
    regime = REGIMES[index]
    return Feature(
        f"path_cost_{regime}",
        "label_path",
        LONGEST_DAYS,
        "switch cost",
        ("close",),
        f"if price stood still from here: cost of the labels' cheapest path that is in "
        f"{regime.replace('_', ' ')} at the bar, over that of the cheapest of all, / {SWITCH_COST}; "
        f"path begun {BACK_DAYS} d ago, {STEPS_A_DAY} steps a day",
        _compute(index),
        "Viterbi (1967), Error bounds for convolutional codes: the labels' own cheapest path",
        f"{regime.replace('_', ' ')} (0) from the others, and how much it would take to leave it",
    )


def _compute(index: int) -> Callable[[Bars], FloatArray]:
    def compute(bars: Bars) -> FloatArray:
        costs: FloatArray = bars.keep("label path", lambda: _path_costs(bars))[index]
        return costs

    return compute


def _path_costs(bars: Bars) -> FloatArray:
    """Extra cost of each regime at the rows that will be read, shape (4, n_rows)."""
    rows = rows_read(bars)
    out = np.full((len(REGIMES), rows), np.nan)
    step = max(1, bars.per_day // STEPS_A_DAY)
    before = (BACK_DAYS + SLOW_BACK_DAYS) * bars.per_day
    price = carried_log_close(bars)
    begin = max(bars.size - rows, before)
    for start in range(begin, bars.size, _CHUNK):
        count = min(_CHUNK, bars.size - start)
        place = start - (bars.size - rows)
        out[:, place : place + count] = _costs_at(price, bars.sigma, bars.per_day, step, start, count)
    out[:, np.isnan(bars.column("close")[bars.size - rows :])] = np.nan
    return out


def carried_log_close(bars: Bars) -> FloatArray:
    """Log closes, a missing one carried forward for a day at most."""
    price = bars.log_close
    there = np.isfinite(price)
    row = np.arange(bars.size)
    latest = np.maximum.accumulate(np.where(there, row, -1))
    known = (latest >= 0) & (row - latest <= CARRIED_DAYS * bars.per_day)
    return np.where(known, price[np.maximum(latest, 0)], np.nan)


def _costs_at(
    price: FloatArray, sigma: FloatArray, per_day: int, step: int, start: int, count: int
) -> FloatArray:
    """Extra costs of ``count`` rows from ``start`` on; each row the same operations wherever it lies."""
    a_day = per_day // step
    steps = np.arange(-BACK_DAYS * a_day, SLOW_AHEAD_DAYS * a_day + 1)
    past = BACK_DAYS * a_day + 1

    def read(values: FloatArray, days: int) -> FloatArray:
        """Values ``days`` from each step on, as far as the last close, shape (n_known, count)."""
        first = start + int(steps[0]) * step + days * per_day
        known = int(np.count_nonzero(steps * step + days * per_day <= 0))
        stride = values.strides[0]
        return as_strided(values[first:], (known, count), (step * stride, stride), writeable=False)

    now, spread = price[start : start + count], sigma[start : start + count]

    def at(days: int) -> FloatArray:
        """Price ``days`` from each step on: known, then hypothetical; shape (n_steps, count)."""
        known = read(price, days)
        return np.concatenate((known, np.broadcast_to(now, (len(steps) - len(known), count))))

    scale = np.concatenate((read(sigma, 0), np.broadcast_to(spread, (len(steps) - past, count))))
    slow = (at(SLOW_AHEAD_DAYS) - at(-SLOW_BACK_DAYS)) / (scale * np.sqrt(SLOW_BACK_DAYS + SLOW_AHEAD_DAYS))
    fast = (at(FAST_AHEAD_DAYS) - at(-FAST_BACK_DAYS)) / (scale * np.sqrt(FAST_BACK_DAYS + FAST_AHEAD_DAYS))
    costs = region_costs(slow, fast) / a_day
    forward = _cheapest(costs[:past])
    # the path after the bar, walked from its end: a step into the next state, which may be a switch
    backward = _cheapest(costs[: past - 1 : -1])
    backward = np.minimum(backward, backward.min(axis=0) + SWITCH_COST)
    total = forward + backward
    return np.asarray((total - total.min(axis=0)) / SWITCH_COST)


def _cheapest(costs: npt.NDArray[np.float64]) -> FloatArray:
    """Cost of the cheapest path that ends in each state, shape (4, n), of costs (n_steps, 4, n)."""
    total: FloatArray = costs[0].copy()
    for cost in costs[1:]:
        np.minimum(total, total.min(axis=0) + SWITCH_COST, out=total)
        total += cost
    return total
