"""The numbers of the market that the advice reads, bar by bar."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray
from features.history import History

__all__ = ["market_states"]


def market_states(history: History, last: int) -> dict[str, FloatArray]:
    """Numbers of the market that the advice reads, for the last bars.

    Parameters
    ----------
    history : History
    last : int
        How many rows.

    Returns
    -------
    dict of str to ndarray of shape (last,)
        ``close``; ``sigma_day`` (volatility of a day, fraction); ``volatility_ratio`` (log of 7-
        over 60-day volatility); ``funding_mean_3d`` (mean rate per settlement, fraction);
        ``funding_interval_hours``; ``distance_from_mean_20d`` (in sigma x sqrt(20)). NaN where
        missing; row ``t`` uses bars ``<= t``.
    """
    bars = Bars(history, last=last)
    with np.errstate(all="ignore"):
        ratio = 0.5 * np.log(bars.recent_variance(7) / bars.recent_variance(60))
        mean = bars.recent_mean("log_close", bars.log_close, 20)
        columns = {
            "close": bars.now(bars.column("close")),
            "sigma_day": bars.recent_sigma,
            "volatility_ratio": ratio,
            "funding_mean_3d": bars.recent_mean("funding_rate", bars.column("funding_rate"), 3),
            "funding_interval_hours": bars.now(bars.column("funding_interval_hours")),
            "distance_from_mean_20d": (bars.now(bars.log_close) - mean) / (bars.recent_sigma * np.sqrt(20)),
        }
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in columns.items()}
