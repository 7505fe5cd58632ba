"""How closely symbols move together, from closes that every one of them has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.errors import DataError

__all__ = ["CORRELATION_DAYS", "correlations_of", "daily_closes"]

CORRELATION_DAYS = 90
"""Daily returns that a correlation is taken from: about a season, and within every request window."""
FEWEST_RETURNS = 20


def daily_closes(closes: Mapping[str, pd.Series]) -> dict[str, FloatArray]:
    """Closes at midnight UTC on one grid of days, the newest 91 of them, oldest first.

    Parameters
    ----------
    closes : mapping of str to Series
        By symbol: closes by each bar's close, UTC, of any interval that divides a day.

    Returns
    -------
    dict of str to ndarray of shape (n_days,)
        NaN where a symbol has no bar that closes at that midnight.

    Examples
    --------
    >>> time = pd.date_range("2024-01-01 20:00", periods=8, freq="4h", tz="UTC")
    >>> daily_closes({"A": pd.Series(range(8), index=time, dtype=float)})
    {'A': array([1., 7.])}
    """
    midnights = {}
    for name, series in closes.items():
        index = pd.DatetimeIndex(series.index)
        midnights[name] = series[np.asarray(index == index.normalize())]
    newest = max((series.index[-1] for series in midnights.values() if len(series)), default=None)
    if newest is None:
        return {name: np.empty(0) for name in closes}
    oldest = min(series.index[0] for series in midnights.values() if len(series))
    first = max(oldest, newest - pd.Timedelta(days=CORRELATION_DAYS))
    days = pd.date_range(first, newest, freq="D")
    return {name: series.reindex(days).to_numpy(np.float64) for name, series in midnights.items()}


def correlations_of(closes: Mapping[str, FloatArray]) -> dict[tuple[str, str], float]:
    """Correlations of log returns between symbols, from closes on one grid.

    Parameters
    ----------
    closes : mapping of str to ndarray of shape (n_bars,)
        Daily closes, oldest first, NaN where missing; equal length.

    Returns
    -------
    dict of (str, str) to float
        Each pair once, in sorted order; pairs with fewer than 20 returns in common, or that do not
        move, are left out.

    Raises
    ------
    DataError
        If the lengths differ.
    """
    if len({len(one) for one in closes.values()}) > 1:
        lengths = {name: len(one) for name, one in closes.items()}
        raise DataError(f"closes have lengths {lengths}, expected one", code="unequal_closes", field="closes")
    with np.errstate(all="ignore"):
        returns = {name: np.diff(np.log(np.asarray(one, dtype=float))) for name, one in closes.items()}
    found = {}
    names = sorted(returns)
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            there = np.isfinite(returns[first]) & np.isfinite(returns[second])
            a, b = returns[first][there], returns[second][there]
            if len(a) >= FEWEST_RETURNS and a.std() > 0 and b.std() > 0:
                found[first, second] = float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0))
    return found
