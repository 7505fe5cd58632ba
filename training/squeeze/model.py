"""A volatility base, quantile trees on top of it, and offsets: quantiles that cannot cross.

    log of the 90 % scale = base + its trees + offset
    log of the median     = the same for its own trees, at least ``SMALLEST_GAP`` below
    log of the tail       = log of the 90 % scale + climbing constants

The base is a ridge regression of the volatility of the days ahead, one for each horizon; trees add what
is not linear and what tells rises from falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from serving.excursion import Tail
from serving.squeeze import HORIZONS, LEVELS, SIDES
from training.models.boosted_logistic import exact_in_single
from training.squeeze.settings import SqueezeSettings

__all__ = ["CLIP", "SMALLEST_GAP", "SqueezeModel", "VolatilityBase", "fit_base", "fit_trees"]

CLIP = 4.0
"""Standardised inputs of the base count as at most so large."""
SMALLEST_GAP = 0.05
"""Of the logs of the median and the 90 % quantile."""
SMALLEST_SPREAD = 1e-9
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VolatilityBase:
    """Ridge regression of the log volatility ahead; arrays of shape (n_inputs,), (n_inputs, 3), (3,)."""

    fill: FloatArray
    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    intercept: FloatArray

    def answer(self, X: Float32Array) -> FloatArray:
        """Log of the volatility ahead over that of the time, shape (n_rows, 3)."""
        return _scaled(X, self.fill, self.mean, self.scale) @ self.weights + self.intercept


def _scaled(X: Float32Array, fill: FloatArray, mean: FloatArray, scale: FloatArray) -> FloatArray:
    columns = X.astype(np.float64)
    filled = np.where(np.isnan(columns), fill, columns)
    return np.clip((filled - mean) / scale, -CLIP, CLIP)


def fit_base(X: Float32Array, variance: FloatArray, penalty: float) -> VolatilityBase:
    """Fit the base on rows whose outcomes are all known."""
    columns = X.astype(np.float64)
    columns[~np.isfinite(columns)] = np.nan
    there = np.isfinite(columns)
    fill = np.array(
        [np.median(column[ok]) if ok.any() else 0.0 for column, ok in zip(columns.T, there.T, strict=True)]
    )
    filled = np.where(there, columns, fill)
    mean, spread = filled.mean(axis=0), filled.std(axis=0)
    scale = np.where(spread > SMALLEST_SPREAD, spread, 1.0)
    scaled = _scaled(X, fill, mean, scale)
    intercept = variance.mean(axis=0)
    gram = scaled.T @ scaled + penalty * np.eye(scaled.shape[1])
    weights = np.linalg.solve(gram, scaled.T @ (variance - intercept))
    return VolatilityBase(fill, mean, scale, weights, intercept)


def fit_trees(
    X: Float32Array, target: FloatArray, base: FloatArray, level: float, settings: SqueezeSettings
) -> tuple[float, lgb.Booster]:
    """Quantile trees on what the base leaves of the log scale.

    Returns
    -------
    float
        The quantile of what the base leaves, from which the trees start.
    lightgbm.Booster
        Exact in single precision.
    """
    start = float(np.quantile(target - base, level))
    data = lgb.Dataset(X, target, init_score=base + start, free_raw_data=True)
    booster = lgb.train(settings.boosting(level), data, settings.rounds)
    return start, exact_in_single(booster, X, threads=1, outputs=1)


@dataclass(frozen=True)
class SqueezeModel:
    """A fitted squeeze model.

    Attributes
    ----------
    settings : SqueezeSettings
    base : VolatilityBase
    start : ndarray of shape (2, 6)
        Where the trees of the median and of the 90 % quantile start, by side and horizon.
    median, upper : tuple of lightgbm.Booster, length 6
    offsets : ndarray of shape (6, 5)
        See :class:`serving.squeeze.SqueezeParameters`.
    tails : tuple of Tail, length 6
    symbols : tuple of str
        Of the dataset.
    shifts : ndarray of shape (n_symbols, 6)
        Logs of what each symbol's scales are multiplied by.
    rows : int
        That it was fitted on.
    weeks : float
        How many weeks of a symbol these are.
    """

    settings: SqueezeSettings
    base: VolatilityBase
    start: FloatArray
    median: tuple[lgb.Booster, ...]
    upper: tuple[lgb.Booster, ...]
    offsets: FloatArray
    tails: tuple[Tail, ...]
    symbols: tuple[str, ...]
    shifts: FloatArray
    rows: int
    weeks: float

    def raw(self, X: Float32Array) -> FloatArray:
        """Logs of median and 90 % quantile before any offset, shape (n_rows, 2, 6)."""
        base = np.tile(self.base.answer(X), (1, len(SIDES)))
        trees = np.stack(
            [
                np.column_stack([one.predict(X, raw_score=True, num_threads=1) for one in boosters])
                for boosters in (self.median, self.upper)
            ],
            axis=1,
        )
        return np.asarray(base[:, None, :] + self.start + trees)

    def scales(self, X: Float32Array) -> FloatArray:
        """Adverse log move over the volatility of the horizon, of no symbol; shape (n_rows, 2, 3, 5)."""
        raw = self.raw(X)
        upper = raw[:, 1] + self.offsets[:, 1]
        median = np.minimum(raw[:, 0] + self.offsets[:, 0], upper - SMALLEST_GAP)
        logs = np.concatenate(
            (median[:, :, None], upper[:, :, None], upper[:, :, None] + self.offsets[:, 2:]), axis=2
        )
        found: FloatArray = np.exp(logs).reshape(len(X), len(SIDES), len(HORIZONS), len(LEVELS))
        return found

    def scales_of(self, X: Float32Array, symbol: npt.NDArray[np.int64]) -> FloatArray:
        """:meth:`scales` of rows of symbols, by their index in the dataset."""
        factors = np.exp(self.shifts[symbol]).reshape(len(X), len(SIDES), len(HORIZONS))
        return np.asarray(self.scales(X) * factors[..., None])
