"""Settings of the squeeze model; the figures behind them are in ``docs/decisions/0016-squeeze.md``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from features.catalog import select
from features.context import needs_context
from features.declaration import Feature
from features.errors import TrainingError

__all__ = ["SQUEEZE_FEATURES", "SqueezeSettings"]

SQUEEZE_FEATURES: tuple[str, ...] = (
    "volatility_1d_over_30d",
    "volatility_3d_over_30d",
    "volatility_7d_over_60d",
    "volatility_30d_over_119d",
    "parkinson_1d_over_30d",
    "volatility_of_volatility_10d",
    "return_8d",
    "below_high_20d",
    "above_low_20d",
    "below_high_120d",
)
"""Volatility over several spans, and where price stands; of price alone, so that no feed can be missing."""


@dataclass(frozen=True)
class SqueezeSettings:
    """How the squeeze model is fitted.

    Attributes
    ----------
    features : tuple of str
        What it reads, in column order; the log of the volatility of a day comes after them.
    penalty : float
        Ridge penalty of the volatility base, in rows.
    rounds, learning_rate, leaves, min_rows, leaf_penalty, column_share : number
        Of the quantile trees; ``min_rows`` a leaf.
    half_life_days : float
        Age at which a residual counts half in the conformal offsets.
    tail_from : float
        Level of the residuals above which the tail is fitted.
    survival_level : float
        Level that the leverage is to survive.
    seed : int

    Raises
    ------
    TrainingError
        For values without a meaning, or features that look across markets.
    """

    features: tuple[str, ...] = SQUEEZE_FEATURES
    penalty: float = 300.0
    rounds: int = 30
    learning_rate: float = 0.04
    leaves: int = 4
    min_rows: int = 200
    leaf_penalty: float = 20.0
    column_share: float = 0.5
    half_life_days: float = 1461.0
    tail_from: float = 0.95
    survival_level: float = 0.995
    seed: int = 7

    def __post_init__(self) -> None:
        if not self.features or len(set(self.features)) != len(self.features):
            raise TrainingError("the squeeze model needs features, each named once", code="bad_recipe")
        if not (self.rounds >= 1 and self.half_life_days > 0 and self.penalty >= 0):
            raise TrainingError(
                f"squeeze: rounds {self.rounds}, half-life {self.half_life_days}, penalty {self.penalty}: "
                f"expected at least 1, more than 0, at least 0",
                code="bad_recipe",
            )
        if not (0.5 < self.tail_from < 0.995 and 0.9 <= self.survival_level <= 0.999):
            raise TrainingError(
                f"squeeze: tail_from {self.tail_from}, survival_level {self.survival_level}: expected within "
                f"0.5 to 0.995 and 0.9 to 0.999",
                code="bad_recipe",
            )

    def selected(self) -> tuple[Feature, ...]:
        """Declarations of the features, in column order.

        Raises
        ------
        UsageError
            For a feature that the catalogue does not have.
        TrainingError
            For one that looks across markets: a request without context would lose its leverage.
        """
        found = select(self.features)
        if needs_context(found):
            raise TrainingError("the squeeze model cannot look across markets", code="bad_recipe")
        return found

    def boosting(self, level: float) -> dict[str, Any]:
        """Parameters of the trees of one quantile, as LightGBM names them."""
        return {
            "objective": "quantile",
            "alpha": level,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_rows,
            "lambda_l2": self.leaf_penalty,
            "feature_fraction": self.column_share,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "extra_trees": True,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "seed": self.seed,
            "verbose": -1,
        }
