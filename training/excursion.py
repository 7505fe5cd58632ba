"""How far price goes against a short and against a long: the empirical tail, by regime and volatility.

Moves are measured in units of the volatility of the time, so that symbols and years pool; the tail
of a regime is drawn towards that of all regimes by how few independent weeks speak for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import TrainingError
from features.history import History
from features.regimes import REGIMES
from features.rolling.windows import rolling_max, rolling_min, rolling_sum
from serving.advice import AdviceParameters
from serving.market import market_states
from training.squeeze.outcomes import SqueezeTable

__all__ = ["HORIZON_DAYS", "SURVIVAL_LEVEL", "Excursions", "fit_advice", "hindsight_excursions"]

SURVIVAL_LEVEL = 0.995
HORIZON_DAYS = 7
BUCKETS = 3
BLOCKS = 4
PRIOR_WEEKS = 104.0
"""A cell's own tail weighs as much as that of all regimes once so many weeks speak for it."""


@dataclass(frozen=True)
class Excursions:
    """Adverse excursions after each bar; arrays of shape (n_bars,), NaN where not known.

    Attributes
    ----------
    short, long : ndarray
        Largest log move against a short (up) and against a long (down) within the horizon, over
        sigma_day x sqrt(horizon). Hindsight: uses the bars of the horizon, known at its end.
    volatility_ratio : ndarray
        log(7-day / 60-day volatility) at the bar; causal.
    sigma_day : ndarray
        Volatility of one day at the bar; causal.
    squeeze : SqueezeTable or None
        What the squeeze model learns from; ``None``: no such model is fitted.
    """

    short: FloatArray
    long: FloatArray
    volatility_ratio: FloatArray
    sigma_day: FloatArray
    squeeze: SqueezeTable | None = None


def hindsight_excursions(history: History) -> Excursions:
    """Measure what followed each bar, by highs and lows."""
    horizon = HORIZON_DAYS * history.per_day
    state = market_states(history, len(history))
    log_close = np.log(state["close"])
    whole = np.isfinite(rolling_sum(history.column("close"), horizon, 0))  # a missing bar may hide the worst
    highest = np.where(whole, rolling_max(np.log(history.column("high")), horizon, 0), np.nan)
    lowest = np.where(whole, rolling_min(np.log(history.column("low")), horizon, 0), np.nan)
    ahead_high, ahead_low = _ahead(highest, horizon), _ahead(lowest, horizon)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = state["sigma_day"] * np.sqrt(HORIZON_DAYS)
        short = np.maximum(0.0, ahead_high - log_close) / unit
        long = np.maximum(0.0, log_close - ahead_low) / unit
    return Excursions(
        np.where(np.isfinite(short), short, np.nan),
        np.where(np.isfinite(long), long, np.nan),
        state["volatility_ratio"],
        state["sigma_day"],
    )


def _ahead(values: FloatArray, horizon: int) -> FloatArray:
    """Value of the window that begins with the next bar and ends ``horizon`` bars later."""
    out = np.full(len(values), np.nan)
    out[: len(values) - horizon] = values[horizon:]
    return out


def fit_advice(
    excursions: Excursions,
    regime: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
    time: pd.DatetimeIndex,
    bars_per_week: int,
    level: float = SURVIVAL_LEVEL,
) -> AdviceParameters:
    """Fit the excursion table.

    A tail that is read off a sample holds less outside it. So the table is widened by what blocks of
    time left out of it would have needed to be covered as promised.

    Parameters
    ----------
    excursions : Excursions
        Of all bars of all symbols.
    regime : ndarray of int, shape (n_bars,)
        Regime as answered out of fold; -1 where no out-of-fold answer exists. Such bars speak for
        the tail of all regimes alone.
    known : ndarray of bool, shape (n_bars,)
        Bars whose horizon had ended when the model was made.
    time : pandas.DatetimeIndex of length n_bars
    bars_per_week : int
        Bars of one week: a squeeze is told by as many rows.
    level : float
        Survival level of the table.

    Raises
    ------
    TrainingError
        If there is no bar whose outcome is known.
    """
    usable = known & np.isfinite(excursions.short) & np.isfinite(excursions.long)
    usable &= np.isfinite(excursions.volatility_ratio)
    if usable.sum() < bars_per_week:
        raise TrainingError(
            f"only {int(usable.sum())} bars have a known outcome after {HORIZON_DAYS} days: too few",
            hint="use a longer history",
        )
    ratio = excursions.volatility_ratio[usable]
    edges = np.round(np.quantile(ratio, [1 / 3, 2 / 3]), 6)
    bucket = np.searchsorted(edges, ratio, side="right")
    block = _blocks(time[usable])
    tables = {}
    for name, values in (("short", excursions.short[usable]), ("long", excursions.long[usable])):
        table = _table(values, regime[usable], bucket, bars_per_week, level)
        widening = _widening(values, regime[usable], bucket, block, bars_per_week, level)
        tables[name] = np.round(table * widening, 6).tolist()
    return AdviceParameters(
        survival_level=level,
        horizon_days=HORIZON_DAYS,
        volatility_edges=edges.tolist(),
        volatility_floor=round(float(excursions.sigma_day[usable].min()), 8),
        excursion_short=tables["short"],
        excursion_long=tables["long"],
    )


def _blocks(time: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Number of the block of time that each bar lies in, blocks with equal numbers of bars."""
    order = np.argsort(time.asi8, kind="stable")
    block = np.empty(len(time), dtype=np.int64)
    block[order] = np.arange(len(time)) * BLOCKS // len(time)
    return block


def _table(
    values: FloatArray,
    regime: npt.NDArray[np.int64],
    bucket: npt.NDArray[np.intp],
    bars_per_week: int,
    level: float,
) -> FloatArray:
    """Tail quantile by regime and bucket, drawn towards the bucket's and that towards the whole's."""
    everything = float(np.quantile(values, level))
    table = np.empty((len(REGIMES), BUCKETS))
    for column in range(BUCKETS):
        inside = bucket == column
        pooled = _shrunk(values[inside], everything, bars_per_week, level)
        for index in range(len(REGIMES)):
            table[index, column] = _shrunk(values[inside & (regime == index)], pooled, bars_per_week, level)
    return table


def _widening(
    values: FloatArray,
    regime: npt.NDArray[np.int64],
    bucket: npt.NDArray[np.intp],
    block: npt.NDArray[np.int64],
    bars_per_week: int,
    level: float,
) -> float:
    """Factor, at least 1, by which tables that miss a block fall short of it at the survival level."""
    ratio = np.full(len(values), np.nan)
    for index in range(BLOCKS):
        out = block == index
        table = _table(values[~out], regime[~out], bucket[~out], bars_per_week, level)
        # a bar without an answer is held against the bucket's widest regime
        widest = np.vstack((table, table.max(axis=0)))
        ratio[out] = values[out] / widest[regime[out], bucket[out]]
    return max(1.0, float(np.quantile(ratio, level)))


def _shrunk(values: FloatArray, towards: float, bars_per_week: int, level: float) -> float:
    weeks = len(values) / bars_per_week
    if weeks < 1:
        return towards
    own = float(np.quantile(values, level))
    return (weeks * own + PRIOR_WEEKS * towards) / (weeks + PRIOR_WEEKS)


def coverage(
    excursions: Excursions,
    rows: npt.NDArray[np.intp],
    regime: npt.NDArray[np.int64],
    parameters: AdviceParameters,
) -> dict[str, float]:
    """Share of outcomes within the table's excursion, out of fold; one value for each side."""
    bucket = np.searchsorted(parameters.volatility_edges, excursions.volatility_ratio[rows], side="right")
    result = {}
    for name, values, table in (
        ("short", excursions.short, parameters.excursion_short),
        ("long", excursions.long, parameters.excursion_long),
    ):
        seen = np.isfinite(values[rows]) & np.isfinite(excursions.volatility_ratio[rows])
        allowed = np.array(table)[regime[seen], bucket[seen]]
        result[name] = float((values[rows][seen] <= allowed).mean()) if seen.any() else float("nan")
    return result
