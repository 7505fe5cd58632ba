"""What strategies read of prices at each close: volatility, the 20-day mean, the weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import Bars, FloatArray
from features.history import History
from features.regimes import HALF_LIFE_DAYS
from training.models.baselines import moving_average_rule

__all__ = ["MarketColumns", "market_columns", "rule_on_grid"]


@dataclass(frozen=True)
class MarketColumns:
    """Arrays of shape (n_bars, n_symbols); row ``t`` uses bars ``<= t``, those before the span included.

    Attributes
    ----------
    mark : ndarray
        Last known close.
    log_close, mean_20d : ndarray
        Log close and its mean over 20 days.
    sigma_day : ndarray
        Volatility of a day, weights halving every 42 days.
    week_begins : ndarray of bool, shape (n_bars,)
        Closes at Monday, 00:00 UTC.
    """

    mark: FloatArray
    log_close: FloatArray
    mean_20d: FloatArray
    sigma_day: FloatArray
    week_begins: npt.NDArray[np.bool_]


def market_columns(histories: Sequence[History], time: pd.DatetimeIndex) -> MarketColumns:
    """Columns of some histories on a grid of bar closes."""
    found: dict[str, list[FloatArray]] = {"mark": [], "log_close": [], "mean_20d": [], "sigma_day": []}
    for history in histories:
        bars = Bars(history)
        p = bars.log_close
        squared = pd.Series(bars.squared_return)
        variance = squared.ewm(halflife=HALF_LIFE_DAYS * bars.per_day, adjust=True).mean() * bars.per_day
        columns = pd.DataFrame(
            {
                "mark": pd.Series(np.exp(p)).ffill().to_numpy(np.float64),
                "log_close": p,
                "mean_20d": bars.mean("log_close", p, 20),
                "sigma_day": np.sqrt(variance.to_numpy(np.float64)),
            },
            index=pd.DatetimeIndex(history.time),
        ).reindex(time)
        for name, list_ in found.items():
            list_.append(columns[name].to_numpy(np.float64))
    return MarketColumns(
        mark=np.column_stack(found["mark"]),
        log_close=np.column_stack(found["log_close"]),
        mean_20d=np.column_stack(found["mean_20d"]),
        sigma_day=np.column_stack(found["sigma_day"]),
        week_begins=np.asarray((time.day_of_week == 0) & (time.hour == 0)),
    )


def rule_on_grid(histories: Sequence[History], time: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Regimes of the moving-average rule on a grid, -1 where a symbol has no bar."""
    columns = [
        pd.Series(moving_average_rule(history), index=pd.DatetimeIndex(history.time)).reindex(
            time, fill_value=-1
        )
        for history in histories
    ]
    return np.column_stack([column.to_numpy(np.int64) for column in columns])
