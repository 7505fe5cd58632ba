"""The edges that a value is held against: its own percentiles, and on which side of them it lies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.bars import Bars, FloatArray
from features.signals.declaration import Computed, SignalState, StateArray

__all__ = ["EQUAL", "PERCENTILE_DAYS", "between", "percentiles", "state_of"]

Flags = npt.NDArray[np.bool_]

LOW_SHARE, HIGH_SHARE = 0.20, 0.80
PERCENTILE_DAYS = 90
PERCENTILE_COVERAGE = 0.9
"""A percentile stands if at least this share of its 90 days is there."""
EQUAL = 1e-9
"""Values that differ by less than this share are equal: rounding must not make a cross."""
_CHUNK = 8192


def state_of(known: Flags, bearish: Flags, bullish: Flags) -> StateArray:
    """States from three flags; missing goes before bearish, bearish before bullish."""
    state = bullish.astype(np.int8)  # 1 where bullish, else 0: neutral
    state[bearish] = SignalState.BEARISH
    state[~known] = SignalState.MISSING
    return state


def between(
    value: FloatArray,
    low: FloatArray,
    high: FloatArray,
    equal: float | FloatArray,
    *,
    bearish_above: bool = False,
) -> Computed:
    """Bearish below ``low``, bullish above ``high``; the threshold shown is the nearer of the two.

    With ``bearish_above`` the other way round. Within ``equal`` of an edge a value is not beyond it.
    """
    known = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    below, above = value < low - equal, value > high + equal
    state = state_of(known, above, below) if bearish_above else state_of(known, below, above)
    return state, value, np.where(value - low <= high - value, low, high)


def percentiles(bars: Bars, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """20th and 80th percentile of the values at the same hour of the 90 days before each bar.

    Linear between order statistics. Sorting makes the sum of nothing: the result does not depend
    on the order of the days, to the last bit. NaN below :data:`PERCENTILE_COVERAGE`, and in rows
    that will not be read.
    """
    lags = np.arange(1, PERCENTILE_DAYS + 1) * bars.per_day
    size = len(values)
    low, high = np.full(size, np.nan), np.full(size, np.nan)
    if not np.isfinite(values).any():
        return low, high
    begin = max(int(lags.max()), 0 if bars.last is None else size - bars.last)
    for start in range(begin, size, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, size))
        ordered = np.sort(values[rows[:, None] - lags[None, :]], axis=1)  # NaN go last
        count = np.isfinite(ordered).sum(axis=1)
        enough = count >= np.ceil(PERCENTILE_COVERAGE * len(lags))
        each, last = np.arange(len(rows)), np.maximum(count - 1, 0)
        for out, share in ((low, LOW_SHARE), (high, HIGH_SHARE)):
            place = share * last
            below = np.floor(place).astype(np.int64)
            floor, ceiling = ordered[each, below], ordered[each, np.minimum(below + 1, last)]
            out[rows] = np.where(enough, floor + (ceiling - floor) * (place - below), np.nan)
    return low, high
