"""What followed each bar, in hindsight, and what the squeeze model may read at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.history import History
from features.pipeline import feature_matrix
from features.rolling.windows import rolling_max, rolling_min, rolling_sum
from serving.market import market_states
from serving.squeeze import HORIZONS, SIDES, squeeze_inputs
from training.squeeze.settings import SqueezeSettings

if TYPE_CHECKING:
    from training.dataset import Dataset

__all__ = ["CELLS", "SqueezeTable", "hindsight_squeezes"]

CELLS = tuple((side, days) for side in SIDES for days in HORIZONS)
"""Sides and horizons in the order in which everything here has them."""
SMALLEST_VARIANCE = 1e-3
"""Of the days ahead, over the variance of the time: a market that stood still has no log."""


@dataclass(frozen=True)
class SqueezeTable:
    """Inputs and hindsight outcomes of all bars of all symbols, in the dataset's order.

    Attributes
    ----------
    X : ndarray of float32, shape (n_bars, n_features + 1)
        Causal; the log of the volatility of a day is the last column.
    sigma : ndarray of shape (n_bars,)
        Volatility of one day; causal.
    scales : ndarray of shape (n_bars, 6)
        Adverse log move within the horizon over sigma x sqrt(days), a column for each of
        :data:`CELLS`. Hindsight, known at the end of the horizon; NaN where not known, or where a bar
        of the horizon is missing.
    variance : ndarray of shape (n_bars, 3)
        Half the log of the sum of squared returns of the horizon over sigma^2 x days; hindsight.
    """

    X: npt.NDArray[np.float32]
    sigma: FloatArray
    scales: FloatArray
    variance: FloatArray


def hindsight_squeezes(dataset: Dataset, settings: SqueezeSettings) -> SqueezeTable:
    """Measure what followed each bar, beside what could be read at it."""
    parts = [_of_symbol(history, settings) for history in dataset.histories]
    return SqueezeTable(
        np.concatenate([part.X for part in parts]),
        np.concatenate([part.sigma for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate([part.variance for part in parts]),
    )


def _of_symbol(history: History, settings: SqueezeSettings) -> SqueezeTable:
    sigma = market_states(history, len(history))["sigma_day"]
    close, high, low = (np.log(history.column(name)) for name in ("close", "high", "low"))
    squared = np.diff(close, prepend=np.nan) ** 2
    scales = np.full((len(history), len(CELLS)), np.nan)
    variance = np.full((len(history), len(HORIZONS)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        for column, days in enumerate(HORIZONS):
            bars = days * history.per_day
            whole = np.isfinite(rolling_sum(close, bars, 0))  # a missing bar may hide the worst
            rise = _ahead(np.where(whole, rolling_max(high, bars, 0), np.nan), bars) - close
            fall = close - _ahead(np.where(whole, rolling_min(low, bars, 0), np.nan), bars)
            unit = sigma * np.sqrt(days)
            scales[:, column] = np.maximum(0.0, rise) / unit
            scales[:, column + len(HORIZONS)] = np.maximum(0.0, fall) / unit
            share = _ahead(rolling_sum(squared, bars, 0), bars) / unit**2
            variance[:, column] = 0.5 * np.log(np.maximum(share, SMALLEST_VARIANCE))
    return SqueezeTable(
        squeeze_inputs(feature_matrix(history, settings.selected()), sigma),
        sigma,
        np.where(np.isfinite(scales), scales, np.nan),
        np.where(np.isfinite(variance), variance, np.nan),
    )


def _ahead(values: FloatArray, bars: int) -> FloatArray:
    """Value of the window that begins with the next bar and ends ``bars`` bars later."""
    out = np.full(len(values), np.nan)
    out[: len(values) - bars] = values[bars:]
    return out
