"""Gradient boosting on top of a multinomial logistic model.

The logistic model reads scaled trend features, on which the regimes are nearly linear; trees start
from its log-odds and add what it cannot say. Boosting from a good linear model needs few trees and
so memorises little - with some 300 independent spells, memory is the enemy.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from features.bars import FloatArray
from features.errors import TrainingError
from features.regimes import REGIMES

__all__ = ["BoostedLogistic", "BoostingSettings", "exact_in_single", "softmax"]

Float32Array = npt.NDArray[np.float32]
ABSENT_LOG_ODDS = -8.0
"""Log-odds of a class that the training rows do not hold."""
LEAF_STEP = 2.0**-20
LARGEST_SUM = 16.0


def softmax(log_odds: FloatArray) -> FloatArray:
    """Probabilities of rows of log-odds, shape (n_rows, n_classes)."""
    shifted = np.exp(log_odds - log_odds.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class BoostingSettings:
    """Settings of the model; the figures behind them are in ``docs/results.md``.

    Attributes
    ----------
    base_columns : tuple of int
        Feature columns that the logistic model reads.
    prior : bool
        The base columns are log shares of the four regimes, in class order, and are the base as they
        are: nothing is fitted to them but the temperature, and the trees count only as much as
        out-of-fold answers allow (:func:`training.calibration.fit_strength`).
    C : float
        Inverse strength of its penalty.
    rounds, learning_rate, leaves, min_rows, penalty, column_share : number
        Of the boosting; ``min_rows`` a leaf, ``penalty`` on squared leaf values.
    threads, seed : int
    """

    base_columns: tuple[int, ...]
    prior: bool = False
    C: float = 0.03
    rounds: int = 120
    learning_rate: float = 0.03
    leaves: int = 31
    min_rows: int = 100
    penalty: float = 50.0
    column_share: float = 0.4
    threads: int = 1
    seed: int = 7

    def boosting(self) -> dict[str, Any]:
        """Parameters as LightGBM names them."""
        return {
            "objective": "multiclass",
            "num_class": len(REGIMES),
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_rows,
            "lambda_l2": self.penalty,
            "feature_fraction": self.column_share,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "extra_trees": True,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads,
            "seed": self.seed,
            "verbose": -1,
        }


@dataclass
class BoostedLogistic:
    """Multinomial logistic base plus boosted trees, classes in the fixed order.

    Parameters
    ----------
    settings : BoostingSettings

    Attributes
    ----------
    fill, mean, scale : ndarray of shape (n_base,)
        Imputation and standardisation of the base's columns; clipped to +-5 afterwards.
    weights : ndarray of shape (n_base, 4)
    intercept : ndarray of shape (4,)
    booster : lightgbm.Booster
        Exact in single precision.
    """

    settings: BoostingSettings
    fill: FloatArray = field(init=False)
    mean: FloatArray = field(init=False)
    scale: FloatArray = field(init=False)
    weights: FloatArray = field(init=False)
    intercept: FloatArray = field(init=False)
    booster: lgb.Booster = field(init=False)

    CLIP = 5.0

    def fit(self, X: Float32Array, y: npt.NDArray[np.int8], weight: FloatArray) -> BoostedLogistic:
        """Fit base and trees.

        Parameters
        ----------
        X : ndarray of float32, shape (n_rows, n_features)
        y : ndarray of int, shape (n_rows,)
            Class index; a class may be missing, its column stays.
        weight : ndarray of shape (n_rows,)

        Raises
        ------
        TrainingError
            If there are fewer than two classes.
        """
        self.fit_base(X, y, weight)
        data = lgb.Dataset(X, y, weight=weight, init_score=self.base_log_odds(X), free_raw_data=True)
        booster = lgb.train(self.settings.boosting(), data, self.settings.rounds)
        self.booster = exact_in_single(booster, X, threads=self.settings.threads)
        return self

    def fit_base(self, X: Float32Array, y: npt.NDArray[np.int8], weight: FloatArray) -> None:
        """Fit what the trees start from; parameters and errors as for :meth:`fit`."""
        if self.settings.prior:
            self._take_prior(y, weight)
        else:
            self._fit_logistic(X, y, weight)

    def _take_prior(self, y: npt.NDArray[np.int8], weight: FloatArray) -> None:
        """Let the log shares be the base; where they are missing, the shares of the training rows."""
        classes = len(REGIMES)
        if len(self.settings.base_columns) != classes:
            raise TrainingError(
                f"a prior needs {classes} log shares, got {len(self.settings.base_columns)} columns",
                code="bad_recipe",
            )
        _require_two(y)
        shares = np.bincount(y, weights=weight, minlength=classes) / weight.sum()
        self.fill = np.log(np.maximum(shares, np.exp(-self.CLIP)))
        self.mean, self.scale = np.zeros(classes), np.ones(classes)
        self.weights, self.intercept = np.eye(classes), np.zeros(classes)

    def _fit_logistic(self, X: Float32Array, y: npt.NDArray[np.int8], weight: FloatArray) -> None:
        present = _require_two(y)
        columns = X[:, self.settings.base_columns].astype(np.float64)
        there = np.isfinite(columns)
        self.fill = np.array(
            [
                np.median(column[ok]) if ok.any() else 0.0
                for column, ok in zip(columns.T, there.T, strict=True)
            ]
        )
        filled = np.where(there, columns, self.fill)
        self.mean = filled.mean(axis=0)
        spread = filled.std(axis=0)
        self.scale = np.where(spread > 0, spread, 1.0)
        base = LogisticRegression(C=self.settings.C, max_iter=1000)
        base.fit(self._scaled(X), y, sample_weight=weight)
        self.weights = np.zeros((len(self.settings.base_columns), len(REGIMES)))
        self.intercept = np.full(len(REGIMES), ABSENT_LOG_ODDS)
        if len(present) == 2:  # scikit-learn keeps one row of coefficients for two classes
            self.weights[:, present[1]] = base.coef_[0]
            self.intercept[present[0]] = 0.0
            self.intercept[present[1]] = base.intercept_[0]
        else:
            self.weights[:, present] = base.coef_.T
            self.intercept[present] = base.intercept_

    def _scaled(self, X: Float32Array) -> FloatArray:
        columns = X[:, self.settings.base_columns].astype(np.float64)
        filled = np.where(np.isnan(columns), self.fill, columns)
        return np.clip((filled - self.mean) / self.scale, -self.CLIP, self.CLIP)

    def base_log_odds(self, X: Float32Array) -> FloatArray:
        """Log-odds of the logistic base alone, shape (n_rows, 4)."""
        return self._scaled(X) @ self.weights + self.intercept

    def weakened(self, strength: float, X: Float32Array) -> BoostedLogistic:
        """The same model with its trees counting ``strength`` times, 0 to 1; exact in single precision.

        Parameters
        ----------
        strength : float
        X : ndarray of float32, shape (n_rows, n_features)
            Rows to prove the rewriting on.
        """
        other = copy(self)
        other.booster = exact_in_single(self.booster, X, threads=self.settings.threads, strength=strength)
        return other

    def log_odds(self, X: Float32Array) -> FloatArray:
        """Log-odds of base and trees together, shape (n_rows, 4)."""
        trees = np.asarray(self.booster.predict(X, raw_score=True), dtype=np.float64)
        return self.base_log_odds(X) + trees


def _require_two(y: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Classes of the training rows.

    Raises
    ------
    TrainingError
        If there are fewer than two.
    """
    present = np.unique(y)
    if len(present) < 2:
        names = ", ".join(REGIMES[index] for index in present)
        raise TrainingError(
            f"the training rows hold {len(present)} regime ({names or 'none'}), at least 2 are needed",
            hint="use a longer history or more symbols",
        )
    return present


def exact_in_single(
    booster: lgb.Booster,
    X: Float32Array,
    *,
    threads: int = 1,
    strength: float = 1.0,
    outputs: int = len(REGIMES),
) -> lgb.Booster:
    """Rewrite a booster so that single precision loses nothing.

    Every threshold becomes the largest float32 not above it: for float32 ``x``, ``x <= t`` is
    ``x <= floor32(t)``, so no row goes another way, while a graph that rounds thresholds to the
    NEAREST float32 sends rows that lie on them elsewhere. Every leaf becomes the nearest multiple
    of 2**-20: float32 sums of those are exact in any order while they stay below 16. The rewritten
    booster is the one that is evaluated. ``strength`` multiplies the leaves before that; ``outputs`` is
    how many sums the trees take turns in adding to.

    LightGBM keeps one number of threads for the whole process: while models are fitted side by side,
    a prediction that asks for another number than they do ends in a crash. Hence ``threads``.

    Raises
    ------
    TrainingError
        If flooring changes a prediction by a single bit, or the leaves could add up to 16.
    """

    def floored(line: re.Match[str]) -> str:
        values = np.array([float(text) for text in line.group(2).split()])
        single = values.astype(np.float32)
        above = single.astype(np.float64) > values
        single[above] = np.nextafter(single[above], np.float32(-np.inf))
        return line.group(1) + " ".join(repr(float(value)) for value in single)

    largest: list[float] = []

    def rounded(line: re.Match[str]) -> str:
        values = np.array([float(text) for text in line.group(2).split()])
        coarse = np.round(values * strength / LEAF_STEP) * LEAF_STEP
        largest.append(float(np.abs(coarse).max()))
        return line.group(1) + " ".join(repr(float(value)) for value in coarse)

    text = re.sub(r"(?m)^tree_sizes=.*\n", "", booster.model_to_string())  # byte counts of the old text
    text = re.sub(r"(?m)^(threshold=)(.+)$", floored, text)
    before, after = (
        np.asarray(one.predict(X, raw_score=True, num_threads=threads))
        for one in (booster, lgb.Booster(model_str=text))
    )
    if not np.array_equal(before, after):
        raise TrainingError("flooring the thresholds to float32 changed a prediction")
    text = re.sub(r"(?m)^(leaf_value=)(.+)$", rounded, text)
    bound = max(sum(largest[index::outputs]) for index in range(outputs))
    if bound >= LARGEST_SUM:
        raise TrainingError(f"the leaves can add up to {bound:.1f}: no exact sum in single precision")
    return lgb.Booster(model_str=text)
