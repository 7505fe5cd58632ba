"""How many independent signals the available ones amount to: three that say the same are one.

The participation ratio of the eigenvalues of their correlation matrix, ``(sum l)^2 / sum l^2``: the
number of signals where none is correlated with another, 1 where all move as one. The trace of that
matrix is the number of signals and the sum of its squared eigenvalues the sum of its squared
entries, so no eigenvalue has to be found.

Correlated is what the signals measure, not the states they fall into: within 90 days many a state
never changes, and the states of 90 days would need windows of 190.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from features.bars import Bars, FloatArray
from features.signals.declaration import Signal, SignalColumns, SignalState

__all__ = ["CORRELATED_DAYS", "correlation_lookback", "effective_signals"]

Flags = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

CORRELATED_DAYS = 90
"""Days of the correlations: one value a day at the bar's own hour, the bar included."""
COVERAGE = 0.9
"""A measure is correlated if at least this share of its days is there."""
_STILL = 1e-18
"""A variance below this share of the mean square is rounding: the measure does not move."""
_CHUNK = 512


def correlation_lookback(signals: Sequence[Signal], per_day: int) -> int:
    """Bars that :func:`effective_signals` may depend on, the bar itself included."""
    days = CORRELATED_DAYS - 1 + max(signal.measure_days for signal in signals)
    return round(days * per_day) + 1


def effective_signals(
    signals: Sequence[Signal], bars: Bars, table: Mapping[str, SignalColumns], last: int
) -> FloatArray:
    """Effective number of independent signals among the available ones.

    Parameters
    ----------
    signals : sequence of Signal
    bars : Bars
    table : mapping of str to SignalColumns
        The signals at the last rows of ``bars``.
    last : int
        How many rows.

    Returns
    -------
    ndarray of shape (last,)
        From 1 to the number of signals counted. Those whose measure lacks more than a tenth of the
        90 days or does not move in them are not counted, so that the number is too small rather
        than too large. NaN where fewer than two are counted. Row ``t`` uses bars ``<= t``.

    References
    ----------
    Bretherton, Widmann, Dymnikov, Wallace, Blade (1999), The effective number of spatial degrees of
    freedom of a time-varying field.
    """
    out = np.full(last, np.nan)
    lags = np.arange(CORRELATED_DAYS) * bars.per_day
    available = {signal.name: table[signal.name].state != SignalState.MISSING for signal in signals}
    measures = {signal.name: signal.measure(bars) for signal in signals if available[signal.name].any()}
    if not measures:
        return out
    for start in range(max(int(lags[-1]), bars.size - last), bars.size, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, bars.size))
        at = rows - (bars.size - last)
        values = np.stack([measure[rows[:, None] - lags] for measure in measures.values()])
        there = np.stack([available[name][at] for name in measures])
        out[at] = _participation(*_units(values, there))
    return out


def _units(values: FloatArray, available: Flags) -> tuple[FloatArray, Flags]:
    """Days less their mean, of length 1, zero where missing or not counted; and which are counted.

    ``values`` of shape (n_signals, n_rows, n_days), ``available`` of shape (n_signals, n_rows).
    """
    there = np.isfinite(values)
    known = np.where(there, values, 0.0)
    count = there.sum(axis=-1)
    mean = known.sum(axis=-1) / np.maximum(count, 1)
    apart = np.where(there, known - mean[..., None], 0.0)
    square = (apart * apart).sum(axis=-1)
    moves = square > _STILL * (known * known).sum(axis=-1)
    counted = available & moves & (count >= np.ceil(COVERAGE * values.shape[-1]))
    scale = np.where(counted, 1.0 / np.sqrt(np.where(counted, square, 1.0)), 0.0)
    return apart * scale[..., None], counted


@cache
def _pairs(count: int) -> tuple[IntArray, IntArray]:
    one, other = np.triu_indices(count, 1)
    return one, other


def _participation(units: FloatArray, counted: Flags) -> FloatArray:
    """Number of counted signals, squared, over the sum of all squared correlations."""
    number = counted.sum(axis=0).astype(np.float64)
    one, other = _pairs(len(units))
    r = (units[one] * units[other]).sum(axis=-1)  # the last axis of a whole table: one order for any rows
    squares = np.cumsum(r * r, axis=0)[-1] if len(one) else np.zeros(len(number))  # in order of the pairs
    enough = number >= 2
    ratio = number**2 / np.where(enough, number + 2.0 * squares, 1.0)
    return np.where(enough, np.clip(ratio, 1.0, np.maximum(number, 1.0)), np.nan)
