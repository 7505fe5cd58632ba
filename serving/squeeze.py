"""The squeeze model at serving time: what the manifest says of it, what it reads, what its answers mean.

    features (float32, log of the volatility of a day last) -> scales (side, horizon, level)

A scale is an adverse log move over the volatility of the horizon, so ``exp(scale x sigma sqrt(days)) - 1``
is the rise that a short has to live through and ``1 - exp(-scale x sigma sqrt(days))`` the fall of a long.
"""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.bars import FloatArray
from serving.excursion import Squeeze, Tail
from serving.feature_schema import FeatureSchema

__all__ = [
    "HORIZONS",
    "LEVELS",
    "SIDES",
    "SqueezeParameters",
    "squeeze_inputs",
    "squeeze_of",
    "symbol_factors",
]

SIDES: tuple[Literal["short", "long"], ...] = ("short", "long")
HORIZONS = (1, 3, 7)
"""Days."""
LEVELS = (0.5, 0.9, 0.99, 0.995, 0.999)
Number = Annotated[float, Field(allow_inf_nan=False)]


class SqueezeParameters(BaseModel):
    """What the manifest holds of the squeeze model.

    Attributes
    ----------
    features : list of FeatureSchema
        In column order; the log of the volatility of a day is the last column of the graph's input.
    levels, horizons : list
        Of the graph's output, whose first axis after the rows is short, long.
    offsets : dict of str to list of list of float
        By side, a row for each horizon: what the conformal correction adds to the logs of the median and
        of the 90 % quantile, and the logs of the higher quantiles over the corrected 90 % one. They change
        only by retraining.
    tails : dict of str to list of tuple of float
        By side and horizon: shape and scale of the generalised Pareto law beyond the last level, the
        scale in units of that level's move.
    symbols : dict of str to list of list of float
        By symbol, a row for each side, a number for each horizon: the log of what its scales are multiplied
        by, since the tails of symbols differ. 0 for a symbol that is not named.
    rows, weeks : int
        Rows that it was fitted on, and how many weeks of a symbol they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: list[FeatureSchema]
    levels: list[Number]
    horizons: list[int]
    offsets: dict[Literal["short", "long"], list[list[Number]]]
    tails: dict[Literal["short", "long"], list[tuple[Number, Number]]]
    symbols: dict[str, list[list[Number]]]
    rows: int = Field(ge=1)
    weeks: float = Field(ge=0)

    @model_validator(mode="after")
    def _shapes(self) -> SqueezeParameters:
        if self.levels != list(LEVELS) or self.horizons != list(HORIZONS):
            raise ValueError(f"levels {self.levels} over {self.horizons} days, expected {LEVELS}, {HORIZONS}")
        if set(self.offsets) != set(SIDES) or set(self.tails) != set(SIDES):
            raise ValueError(f"offsets of {sorted(self.offsets)}, tails of {sorted(self.tails)}")
        for side in SIDES:
            shape = [len(row) for row in self.offsets[side]]
            if shape != [len(LEVELS)] * len(HORIZONS) or len(self.tails[side]) != len(HORIZONS):
                raise ValueError(f"offsets of the {side} have rows of {shape}")
            for row in self.offsets[side]:
                if any(low >= high for low, high in pairwise([0.0, *row[2:]])):
                    raise ValueError(f"offsets of the {side} do not climb: {row}")
            for shape_, scale in self.tails[side]:
                if not (0 <= shape_ < 1 and scale > 0):
                    raise ValueError(f"tail of the {side}: shape {shape_}, scale {scale}")
        for name, rows in self.symbols.items():
            if [len(row) for row in rows] != [len(HORIZONS)] * len(SIDES):
                raise ValueError(f"symbols.{name} has rows of {[len(row) for row in rows]}")
        return self


def symbol_factors(symbol: str, parameters: SqueezeParameters) -> FloatArray:
    """What a symbol's scales are multiplied by, shape (2, 3)."""
    known = parameters.symbols.get(symbol)
    return np.ones((len(SIDES), len(HORIZONS))) if known is None else np.exp(np.array(known))


def squeeze_inputs(features: npt.NDArray[np.float32], sigma_day: FloatArray) -> npt.NDArray[np.float32]:
    """Rows of the graph: the features, then the log of the volatility of a day.

    Parameters
    ----------
    features : ndarray of float32, shape (n_rows, n_features)
    sigma_day : ndarray of shape (n_rows,)
        Fraction; 0, negative or missing is NaN.
    """
    with np.errstate(all="ignore"):
        level = np.where(sigma_day > 0, np.log(sigma_day), np.nan).astype(np.float32)
    return np.ascontiguousarray(np.column_stack((features, level)), dtype=np.float32)


def squeeze_of(
    symbol: str, scales: FloatArray, sigma_day: float, parameters: SqueezeParameters
) -> Squeeze | None:
    """Quantiles of one bar's adverse excursion; ``None`` where the model has no answer for it.

    Parameters
    ----------
    symbol : str
    scales : ndarray of shape (2, 3, 5)
        Of the graph, for any symbol.
    sigma_day : float
    parameters : SqueezeParameters
    """
    if not (sigma_day > 0 and isfinite(sigma_day) and bool(np.isfinite(scales).all())):
        return None
    unit = sigma_day * np.sqrt(HORIZONS) * symbol_factors(symbol, parameters)
    logs = scales * unit[:, :, None]
    short, long = (
        {days: tuple(row) for days, row in zip(HORIZONS, side, strict=True)} for side in logs.tolist()
    )
    tails = {
        (side, days): Tail(*parameters.tails[side][index])
        for side in SIDES
        for index, days in enumerate(HORIZONS)
    }
    return Squeeze.of_log_moves(LEVELS, short, long, tails)
