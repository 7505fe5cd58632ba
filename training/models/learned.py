"""Classifiers off the shelf as baselines, with the temperature that the project's model gets too.

None is weighted by spell: on the project's own folds equal weights gave the lower log loss, and a
baseline is to be as good as it can plainly be.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from features.bars import FloatArray
from features.default_set import PRIOR_FEATURES
from features.errors import TrainingError
from features.regimes import REGIMES
from training.calibration import fit_temperature
from training.dataset import Dataset
from training.models.baseline import Baseline, IndexArray, require_two_classes
from training.models.boosted_logistic import ABSENT_LOG_ODDS, softmax
from training.splits import purged_blocks

__all__ = [
    "HistogramBoosting",
    "LabelPathPrior",
    "LearnedBaseline",
    "LogOdds",
    "MultinomialLogistic",
    "PlainLightGBM",
    "PriceLightGBM",
    "inner_fits",
]

Float32Array = npt.NDArray[np.float32]
LogOdds = Callable[[Float32Array], FloatArray]
"""From features, shape (n_rows, n_features), to log-odds, shape (n_rows, 4)."""

SEED = 7
_SMALLEST = 1e-12
LINEAR_PREFIXES = ("return_", "above_mean_", "mean_", "path_log_share_")
"""Features on which the regimes are nearly linear."""
MONEY_GROUPS = ("funding", "calendar", "open_interest", "liquidation_map", "positioning")
"""Groups that read funding or open interest."""


class LearnedBaseline(Baseline):
    """A classifier of feature rows, divided by a temperature from purged cross-validation.

    Parameters
    ----------
    inner_blocks : int
        Blocks of the cross-validation inside the training rows.
    embargo_days : float
        Between a block and the rows that answer it.

    Attributes
    ----------
    temperature : float
    classes_from_rows : bool
        Whether it can only answer classes that its training rows hold; the others get ``exp(-8)``.
    """

    temperature: float
    classes_from_rows: ClassVar[bool] = True

    def __init__(self, *, inner_blocks: int = 4, embargo_days: float = 5.0) -> None:
        self.inner_blocks = inner_blocks
        self.embargo_days = embargo_days

    def fit(self, dataset: Dataset, rows: IndexArray, cut: pd.Timestamp) -> None:  # noqa: ARG002 - the rows end before it
        """Fit the classifier and its temperature; see :meth:`Baseline.fit`."""
        require_two_classes(dataset, rows)
        self._columns = self.columns(dataset)
        self._log_odds = self._learned(dataset, rows)
        held, found = [], []
        for train, test in inner_fits(dataset, rows, self.inner_blocks, self.embargo_days):
            held.append(test)
            found.append(self._learned(dataset, train)(self._read(dataset, test)))
        if held:
            bars, log_odds = np.concatenate(held), np.concatenate(found)
            spells = len(np.unique(dataset.spell[bars]))
            self.temperature = fit_temperature(log_odds, dataset.y[bars], spells)
        else:
            self.temperature = 1.0

    def answer(self, dataset: Dataset, bars: IndexArray) -> FloatArray:
        """Probabilities at the temperature; see :meth:`Baseline.answer`."""
        return softmax(self._log_odds(self._read(dataset, bars)) / self.temperature)

    def columns(self, dataset: Dataset) -> IndexArray:
        """Feature columns that it reads; all by default."""
        return np.arange(len(dataset.features))

    @abstractmethod
    def learn(self, X: Float32Array, y: npt.NDArray[np.int8]) -> LogOdds:
        """Fit on rows of at least two classes.

        Gives log-odds of the classes that ``y`` holds; what it says of the others is not read.
        """

    def _read(self, dataset: Dataset, bars: IndexArray) -> Float32Array:
        return dataset.X[np.ix_(bars, self._columns)]

    def _learned(self, dataset: Dataset, rows: IndexArray) -> LogOdds:
        y = dataset.y[rows]
        present = np.unique(y) if self.classes_from_rows else np.arange(len(REGIMES))
        model = self.learn(self._read(dataset, rows), y)

        def log_odds(X: Float32Array) -> FloatArray:
            out = np.full((len(X), len(REGIMES)), ABSENT_LOG_ODDS)
            if len(X):
                raw = model(X)[:, present]
                out[:, present] = raw - raw.max(axis=1, keepdims=True)
            return out

        return log_odds


def inner_fits(
    dataset: Dataset, rows: IndexArray, blocks: int, embargo_days: float
) -> list[tuple[IndexArray, IndexArray]]:
    """Rows to fit and rows to answer of purged cross-validation inside some training rows.

    Blocks whose training rows hold fewer than two classes are left out.
    """
    found = purged_blocks(dataset.time, dataset.confirmed_at, rows, blocks=blocks, embargo_days=embargo_days)
    return [(one.train, one.test) for one in found if len(np.unique(dataset.y[one.train])) >= 2]


def _log(probabilities: FloatArray) -> FloatArray:
    return np.log(np.maximum(probabilities, _SMALLEST))


def _spread(classes: npt.NDArray[np.int8], probabilities: FloatArray) -> FloatArray:
    """Columns of the classes that a model saw put in their places."""
    out = np.full((len(probabilities), len(REGIMES)), _SMALLEST)
    out[:, classes] = probabilities
    return _log(out)


def _clip(X: FloatArray) -> FloatArray:
    return np.clip(X, -5.0, 5.0)


class MultinomialLogistic(LearnedBaseline):
    """Multinomial logistic regression on scaled returns, distances from means and the labels' path."""

    name = "multinomial_logistic"
    words = "scikit-learn's multinomial logistic regression on returns, means and the labels' path."
    C = 0.03

    def columns(self, dataset: Dataset) -> IndexArray:
        """The nearly linear ones; all where there is none."""
        names = [feature.name.startswith(LINEAR_PREFIXES) for feature in dataset.features]
        return np.flatnonzero(names) if any(names) else np.arange(len(names))

    def learn(self, X: Float32Array, y: npt.NDArray[np.int8]) -> LogOdds:
        """Fill by the median, scale, clip at 5 standard deviations, fit."""
        model = Pipeline(
            [
                ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
                ("scale", StandardScaler()),
                ("clip", FunctionTransformer(_clip)),
                ("fit", LogisticRegression(C=self.C, max_iter=2000)),
            ]
        )
        model.fit(X.astype(np.float64), y)
        return lambda rows: _spread(model.classes_, model.predict_proba(rows.astype(np.float64)))

    def parameters(self) -> dict[str, Any]:
        """Strength of the penalty."""
        return {"C": self.C}


class LabelPathPrior(LearnedBaseline):
    """Log shares of the regimes over simulated futures of the labels' own path, at a temperature.

    What the project's model starts from: a model that does not beat it has learned nothing.
    """

    name = "label_path_prior"
    words = "The shares of the labels' own futures that the model starts from, at a temperature."
    classes_from_rows = False

    def columns(self, dataset: Dataset) -> IndexArray:
        """The four shares, in class order."""
        names = [feature.name for feature in dataset.features]
        missing = [name for name in PRIOR_FEATURES if name not in names]
        if missing:
            raise TrainingError(
                f"the recipe's features lack {', '.join(missing)}",
                code="no_label_path",
                hint="name the entries with --models and leave label_path_prior out",
            )
        return np.array([names.index(name) for name in PRIOR_FEATURES])

    def learn(self, X: Float32Array, y: npt.NDArray[np.int8]) -> LogOdds:  # noqa: ARG002 - nothing but the prior
        """Keep the prior for rows without shares."""
        shares = _log(np.bincount(y, minlength=len(REGIMES)) / len(y))

        def log_odds(rows: Float32Array) -> FloatArray:
            known = np.isfinite(rows).all(axis=1, keepdims=True)
            return np.where(known, _clip(rows.astype(np.float64)), shares)

        return log_odds


class HistogramBoosting(LearnedBaseline):
    """scikit-learn's histogram gradient boosting on all features.

    Of the settings that were tried the one with the lowest log loss on the folds of the leaderboard.
    """

    name = "histogram_boosting"
    words = "scikit-learn's HistGradientBoostingClassifier on all features."
    SETTINGS: dict[str, Any] = {  # noqa: RUF012 - read only
        "max_iter": 80,
        "learning_rate": 0.05,
        "max_leaf_nodes": 7,
        "min_samples_leaf": 100,
        "l2_regularization": 50.0,
        "max_features": 0.4,
        "early_stopping": False,
        "random_state": SEED,
    }

    def learn(self, X: Float32Array, y: npt.NDArray[np.int8]) -> LogOdds:
        """Fit; missing values go their own way."""
        model = HistGradientBoostingClassifier(**self.SETTINGS).fit(X, y)
        return lambda rows: _spread(model.classes_, model.predict_proba(rows))

    def parameters(self) -> dict[str, Any]:
        """Settings of scikit-learn."""
        return dict(self.SETTINGS)


class PlainLightGBM(LearnedBaseline):
    """LightGBM from scratch on all features.

    Of the settings that were tried the one with the lowest log loss on the folds of the leaderboard.
    """

    name = "lightgbm"
    words = "LightGBM on all features, without the logistic base."
    ROUNDS = 200
    SETTINGS: dict[str, Any] = {  # noqa: RUF012 - read only
        "objective": "multiclass",
        "num_class": len(REGIMES),
        "learning_rate": 0.05,
        "num_leaves": 7,
        "min_data_in_leaf": 100,
        "lambda_l2": 50.0,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "extra_trees": True,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": SEED,
        "verbose": -1,
    }

    def learn(self, X: Float32Array, y: npt.NDArray[np.int8]) -> LogOdds:
        """Grow the trees."""
        booster = lgb.train(self.SETTINGS, lgb.Dataset(X, y, free_raw_data=True), self.ROUNDS)
        return lambda rows: np.asarray(booster.predict(rows, raw_score=True, num_threads=1), dtype=np.float64)

    def parameters(self) -> dict[str, Any]:
        """Settings of LightGBM."""
        return {**self.SETTINGS, "rounds": self.ROUNDS}


class PriceLightGBM(PlainLightGBM):
    """The same without funding and open interest."""

    name = "lightgbm_price"
    words = "LightGBM on the features that read neither funding nor open interest."

    def columns(self, dataset: Dataset) -> IndexArray:
        """Those of other groups; all where there is none."""
        kept = [feature.group not in MONEY_GROUPS for feature in dataset.features]
        return np.flatnonzero(kept) if any(kept) else np.arange(len(kept))
