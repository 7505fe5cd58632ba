"""Closes of midnight UTC as days: what models of states are made for.

A model of states sees one close a day; its answer is held until the next midnight, as a desk that
runs one would hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.history import History

__all__ = ["Days", "drift_and_volatility", "held", "midnight_days", "risk_and_reward"]

_FEWEST_DAYS = 60
"""Days that an exponential mean needs before it says anything."""
_NEVER = -1


@dataclass(frozen=True)
class Days:
    """Midnight closes of some symbols on one calendar.

    Attributes
    ----------
    close : ndarray of shape (n_days, n_symbols)
        NaN where a symbol has no bar that closes at that midnight.
    latest : ndarray of int, shape (n_bars,)
        Bars of all symbols, symbol after symbol: the newest day at or before each; -1 before the first.
    symbol : ndarray of int, shape (n_bars,)
        Whose bar it is.
    """

    close: FloatArray
    latest: npt.NDArray[np.int64]
    symbol: npt.NDArray[np.int64]


def midnight_days(histories: Sequence[History]) -> Days:
    """Take the midnight closes out of some histories.

    Examples
    --------
    >>> time = pd.date_range("2024-01-01 20:00", periods=4, freq="4h", tz="UTC", unit="ms", name="time")
    >>> history = History("X", "4h", pd.DataFrame({"close": [1.0, 2.0, 3.0, 4.0]}, index=time))
    >>> days = midnight_days([history])
    >>> days.close.tolist(), days.latest.tolist()
    ([[2.0]], [-1, 0, 0, 0])
    """
    days = [history.time.floor("D").as_unit("ms").asi8 // 86_400_000 for history in histories]
    first = min(
        int(one[0]) + (history.time[0].hour > 0) for one, history in zip(days, histories, strict=True)
    )
    last = max(int(one[-1]) for one in days)
    close = np.full((max(last - first + 1, 0), len(histories)), np.nan)
    latest = []
    for column, (history, day) in enumerate(zip(histories, days, strict=True)):
        midnight = np.asarray(history.time.hour == 0)
        close[day[midnight] - first, column] = history.column("close")[midnight]
        latest.append(np.where(np.cumsum(midnight) > 0, day - first, _NEVER))
    symbol = [np.full(len(history), column) for column, history in enumerate(histories)]
    return Days(close, np.concatenate(latest), np.concatenate(symbol))


def held(daily: FloatArray, days: Days, before: FloatArray) -> FloatArray:
    """Values of days at the bars that follow, until the next midnight.

    Parameters
    ----------
    daily : ndarray of shape (n_days, n_symbols, k)
    days : Days
    before : ndarray of shape (k,)
        For bars before a symbol's first midnight.

    Returns
    -------
    ndarray of shape (n_bars, k)
    """
    out: FloatArray = daily[np.maximum(days.latest, 0), days.symbol].copy()
    out[days.latest == _NEVER] = before
    return out


def drift_and_volatility(close: FloatArray) -> FloatArray:
    """What a hidden Markov model is given: drift and volatility, in units of the usual volatility.

    Exponential means of daily log returns with half-lives of 20 and 60 days over the usual volatility
    (60 days), and the log of the volatility of 10 days over the usual: shape (n_days, n_symbols, 3).
    Day ``t`` uses days ``<= t``; NaN where something is missing.
    """
    change = _log_returns(close)
    with np.errstate(all="ignore"):
        usual = np.sqrt(_mean(change**2, 60))
        columns = [_mean(change, days) / usual for days in (20, 60)]
        columns.append(np.log(np.sqrt(_mean(change**2, 10)) / usual))
    return _finite(columns)


def risk_and_reward(close: FloatArray) -> FloatArray:
    """What a jump model is given in the literature: downside deviation and Sortino ratios.

    Log of the downside deviation (half-life 10 days) over the usual one (60 days), Sortino ratios with
    half-lives of 10, 20 and 60 days: shape (n_days, n_symbols, 4). Day ``t`` uses days ``<= t``; NaN
    where something is missing.

    References
    ----------
    Shu, Yu, Mulvey (2024), Downside risk reduction using regime-switching signals: a statistical jump
    model approach. There in levels, of one market; here against the usual, so that markets pool.
    """
    change = _log_returns(close)
    below = change.clip(upper=0.0) ** 2
    with np.errstate(all="ignore"):
        columns = [np.log(np.sqrt(_mean(below, 10)) / np.sqrt(_mean(below, 60)))]
        columns += [_mean(change, days) / np.sqrt(_mean(below, days)) for days in (10, 20, 60)]
    return _finite(columns)


def _log_returns(close: FloatArray) -> pd.DataFrame:
    """NaN where either day is missing."""
    log_close = np.log(close)
    change = np.full_like(log_close, np.nan)
    change[1:] = np.diff(log_close, axis=0)
    return pd.DataFrame(change)


def _mean(values: pd.DataFrame, half_life: float) -> FloatArray:
    """Exponential mean; NaN until 60 days are known, and where the day itself is missing."""
    mean = values.ewm(halflife=half_life, min_periods=_FEWEST_DAYS).mean()
    return np.asarray(mean.where(values.notna()), dtype=np.float64)


def _finite(columns: Sequence[FloatArray]) -> FloatArray:
    """Stack; a day of which anything is not finite is NaN as a whole."""
    table = np.stack(columns, axis=2)
    table[~np.isfinite(table).all(axis=2)] = np.nan
    return table
