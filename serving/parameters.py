"""What training fits for the advice, and the numbers of one bar that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, nan
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from features.regimes import Regime
from serving.margin import TAKER_FEE

__all__ = ["LEVERAGE_CAP", "AdviceParameters", "MarketState", "ModelState"]

ModelState = Literal["fresh", "stale", "expired"]

LEVERAGE_CAP = 5.0
"""No setting raises the leverage above this."""


def _null_as_nan(rows: object) -> object:
    """Null in a fitted table is a cell without data."""
    if not isinstance(rows, list):
        return rows
    return [[nan if cell is None else cell for cell in row] if isinstance(row, list) else row for row in rows]


Excursions = Annotated[list[list[float]], BeforeValidator(_null_as_nan)]


class AdviceParameters(BaseModel):
    """What training fits and the manifest carries.

    Attributes
    ----------
    volatility_edges : list of float
        On log(7-day / 60-day volatility), ascending; B-1 edges make B buckets, an edge belongs to
        the bucket above it.
    excursion_short, excursion_long : list of list of float, shape (4 regimes, B)
        Adverse log move within the horizon / (sigma_day x sqrt(horizon_days)) at the survival
        level; null or NaN where there was too little data.
    volatility_floor : float
        Lowest volatility of a day that was seen in training; calmer markets count as that calm.
    stale_after_days, expires_after_days : int
        Age of the model, since the end of its training data; the figures behind the defaults are in
        ``docs/decisions/0011-drift.md``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    survival_level: float = Field(0.995, gt=0.5, lt=1)
    horizon_days: int = Field(7, ge=1, le=60)
    leverage_cap: float = Field(LEVERAGE_CAP, gt=0, le=LEVERAGE_CAP)
    taker_fee: float = Field(TAKER_FEE, ge=0, le=0.01)
    volatility_edges: list[Annotated[float, Field(allow_inf_nan=False)]]
    excursion_short: Excursions
    excursion_long: Excursions
    volatility_floor: float = Field(0.0, ge=0, lt=1)
    stale_after_days: int = Field(65, ge=1)
    expires_after_days: int = Field(190, ge=1)

    @model_validator(mode="after")
    def _shapes(self) -> AdviceParameters:
        edges = self.volatility_edges
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError(f"volatility_edges must ascend, got {edges}")
        for name in ("excursion_short", "excursion_long"):
            shape = [len(row) for row in getattr(self, name)]
            if shape != [len(edges) + 1] * len(Regime):
                raise ValueError(f"{name} has rows of {shape}, expected {[len(edges) + 1] * len(Regime)}")
        if self.expires_after_days < self.stale_after_days:
            raise ValueError("a model cannot expire before it is stale")
        return self

    def model_state(self, age_days: float) -> ModelState:
        """Fresh, stale or expired, by the days since the end of the training data."""
        if age_days > self.expires_after_days:
            return "expired"
        return "stale" if age_days > self.stale_after_days else "fresh"


@dataclass(frozen=True, slots=True)
class MarketState:
    """The numbers of one bar; NaN where missing.

    Attributes
    ----------
    symbol : str
    close : float
        Last close, quote currency.
    sigma_day : float
        Volatility of one day, fraction.
    volatility_ratio : float
        log(7-day / 60-day volatility).
    funding_mean_3d : float
        Mean rate per settlement over 3 days, fraction, positive: longs pay.
    funding_interval_hours : float
    distance_from_mean_20d : float
        (log close - its 20-day mean) / (sigma_day x sqrt(20)).
    """

    symbol: str
    close: float
    sigma_day: float
    volatility_ratio: float
    funding_mean_3d: float
    funding_interval_hours: float
    distance_from_mean_20d: float

    @property
    def funding_known(self) -> bool:
        """Whether rate and interval are there and can be meant."""
        return abs(self.funding_mean_3d) <= 1 and 1 <= self.funding_interval_hours <= 24

    @property
    def volatility_known(self) -> bool:
        """Whether there are a price and a volatility to measure by."""
        return 0 < self.close < inf and 0 < self.sigma_day < inf
