"""Bars into the rows of a chart: prices of each step, the answer at its last bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import UsageError
from features.history import History
from features.raw import INTERVALS, interval_delta

__all__ = ["MAX_POINTS", "STEPS", "ChartRows", "chart_rows", "step_for", "steps_of"]

STEPS: tuple[str, ...] = tuple(INTERVALS)
MAX_POINTS = 5_000
_USUAL_POINTS = 2_200
"""So many rows at most where the step is chosen here: 90 days of hours."""


@dataclass(frozen=True)
class ChartRows:
    """Rows of a chart; arrays of shape (n_rows,).

    Attributes
    ----------
    last : ndarray of int
        Row of the last bar of each step.
    open, high, low, close : ndarray
        NaN where all bars of a step are missing.
    """

    last: npt.NDArray[np.intp]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray


def steps_of(interval: str) -> list[str]:
    """Steps that bars of an interval can be put into.

    Examples
    --------
    >>> steps_of("4h")
    ['4h', '1d']
    """
    return [name for name in STEPS if interval_delta(name) >= interval_delta(interval)]


def step_for(span: pd.Timedelta, interval: str, step: str | None) -> str:
    """The step that is asked for, or the finest that gives no more rows than a chart shows.

    Raises
    ------
    UsageError
        For a step that the bars cannot be put into, or that gives more than :data:`MAX_POINTS` rows.

    Examples
    --------
    >>> step_for(pd.Timedelta(days=400), "1h", None)
    '1d'
    """
    fitting = steps_of(interval)
    if step is None:
        return next((name for name in fitting if span / interval_delta(name) <= _USUAL_POINTS), fitting[-1])
    if step not in fitting:
        raise UsageError(
            f"step is {step[:20]!r}, expected one of {', '.join(fitting)}",
            code="bad_step",
            field="step",
            hint=f"the model answers bars of {interval}",
        )
    points = int(span / interval_delta(step))
    if points > MAX_POINTS:
        raise UsageError(
            f"{points:,} rows of {step} are asked for, at most {MAX_POINTS:,} are given",
            code="too_many_rows",
            field="step",
            hint="ask for a wider step, or for less time with since and until",
        )
    return step


def chart_rows(history: History, step: str) -> ChartRows:
    """Put the bars of a history into steps; a step ends at a multiple of its length, UTC.

    Parameters
    ----------
    history : History
        At least one bar.
    step : str
        One of :func:`steps_of`.
    """
    columns = [history.column(name) for name in ("open", "high", "low", "close")]
    if step == history.interval:
        return ChartRows(np.arange(len(history)), *columns)
    epoch = pd.Timestamp(0, tz="UTC")
    number = -((epoch - history.time) // interval_delta(step)).to_numpy()
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    ends = np.append(starts[1:], len(history))
    opens, highs, lows, closes = columns
    known = np.isfinite(closes)
    rows = np.arange(len(history))
    first = np.minimum.reduceat(np.where(known, rows, len(history)), starts)
    final = np.maximum.reduceat(np.where(known, rows, -1), starts)
    there = final >= 0
    return ChartRows(
        last=ends - 1,
        open=np.where(there, opens[np.minimum(first, len(history) - 1)], np.nan),
        high=np.fmax.reduceat(highs, starts),
        low=np.fmin.reduceat(lows, starts),
        close=np.where(there, closes[final], np.nan),
    )
