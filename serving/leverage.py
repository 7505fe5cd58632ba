"""Leverage of one side: the largest whose liquidation lies beyond the adverse excursion, with each step.

A missing number never passes: what is not known is assumed against the trader, by name, or the
leverage is 0. The haircuts are in ``docs/advice.md``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, floor, inf, isfinite, isnan, nan, prod, sqrt
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from features.funding import DEFAULT_RATE
from features.regimes import Regime
from serving.margin import (
    TAKER_FEE,
    Exchange,
    MarginTier,
    Position,
    leverage_that_survives,
    margin_needed,
    tiers,
    tiers_as_of,
)
from serving.schemas import Account, CalculationStep, Haircut

__all__ = [
    "HAIRCUTS",
    "LEVERAGE_CAP",
    "AdviceParameters",
    "Leg",
    "MarketState",
    "ModelState",
    "haircuts",
    "leverage_of",
]

ModelState = Literal["fresh", "stale", "expired"]

LEVERAGE_CAP = 5.0
"""No setting raises the leverage above this."""
SMALLEST_LEVERAGE = 0.2
HAIRCUTS = {
    "two_regimes_possible": 0.85,
    "many_regimes_possible": 0.70,
    "funding_missing": 0.90,
    "open_interest_missing": 0.90,
    "stale_window": 0.90,
    "model_stale": 0.80,
    "model_expired": 0.80,
    "regime_lags": 0.0,
    "no_volatility": 0.0,
    "no_excursion_short": 0.0,
    "no_excursion_long": 0.0,
}
"""Factors on the leverage of the formula, by name; the last two touch one side only."""
_INPUT_HAIRCUTS = ("funding_missing", "open_interest_missing", "stale_window", "regime_lags")
UNKNOWN_EXCURSION = 1.0
"""Stands for a move that cannot be measured: the whole price."""
_LARGEST_LOG_MOVE = 10.0  # exp() of it is still a number that JSON can carry
_ROUNDING = 1e-9


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
        Age of the model, since the end of its training data.
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
    stale_after_days: int = Field(100, ge=1)
    expires_after_days: int = Field(200, ge=1)

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


class Leg(NamedTuple):
    """The leverage of one side and how it came about.

    ``excursion`` is the adverse move as a fraction of price, ``haircuts`` all that cut this side.
    """

    leverage: float
    excursion: float
    tier: MarginTier
    haircuts: list[Haircut]
    steps: list[CalculationStep]


def haircuts(market: MarketState, possible: int, degraded: Sequence[str], state: ModelState) -> list[Haircut]:
    """Name the haircuts that touch both sides.

    Parameters
    ----------
    market : MarketState
    possible : int
        How many regimes cannot be ruled out.
    degraded : sequence of str
        Names of what is missing or stale.
    state : {"fresh", "stale", "expired"}
        Of the model.
    """
    names = []
    if possible != 1:
        names.append("two_regimes_possible" if possible == 2 else "many_regimes_possible")
    names += [
        name
        for name in _INPUT_HAIRCUTS
        if name in degraded or (name == "funding_missing" and not market.funding_known)
    ]
    if state != "fresh":
        names.append(f"model_{state}")
    if not market.volatility_known:
        names.append("no_volatility")
    return [Haircut(name=name, factor=HAIRCUTS[name]) for name in names]


def _round_down(leverage: float, limit: float) -> float:
    """Round down to 0.1, never above ``limit``; below the smallest leverage it is 0."""
    tenths = min(floor(leverage * 10 + _ROUNDING), floor(limit * 10))
    rounded = tenths / 10  # comes back exactly: (n / 10) * 10 == n in binary floating point
    return rounded if rounded >= SMALLEST_LEVERAGE else 0.0


def _scale(table: list[list[float]], regime: Regime, market: MarketState, edges: list[float]) -> float:
    """Excursion scale of the regime and volatility bucket; the widest where the bucket is unknown."""
    row = table[regime]
    if not isnan(market.volatility_ratio):
        return row[bisect_right(edges, market.volatility_ratio)]
    return max(row) if all(map(isfinite, row)) else nan


def _funding_paid(side: Position, market: MarketState, horizon_days: int) -> float:
    """Funding paid (positive) over the horizon as a fraction of entry notional; assumed if missing."""
    if not market.funding_known:
        return DEFAULT_RATE * horizon_days * 3
    settlements = horizon_days * 24 / market.funding_interval_hours
    return (market.funding_mean_3d if side == "long" else -market.funding_mean_3d) * settlements + 0.0


def leverage_of(
    side: Position,
    regime: Regime,
    market: MarketState,
    parameters: AdviceParameters,
    account: Account | None,
    cuts: Sequence[Haircut],
    cap: float,
) -> Leg:
    """Find the leverage of one side: the smallest of formula x haircuts and the limits.

    ``1 / L = (1 + q)(1 + m) - 1 + costs`` for a short, ``1 - (1 - q)(1 - m) + costs`` for a long;
    costs are the taker fee of entry and exit and the funding paid over the horizon, where a
    credit counts as 0.

    Parameters
    ----------
    side : {"short", "long"}
    regime : Regime
    market : MarketState
    parameters : AdviceParameters
    account : Account, optional
        Its equity decides the tier; without it the first one holds.
    cuts : sequence of Haircut
        Those of :func:`haircuts`.
    cap : float
        Highest leverage that is allowed.
    """
    short = side == "short"
    mine = list(cuts)
    steps: list[CalculationStep] = []

    def step(name: str, value: float, words: str) -> None:
        steps.append(CalculationStep(name=f"{side}_{name}", value=value, words=words))

    table = parameters.excursion_short if short else parameters.excursion_long
    scale = _scale(table, regime, market, parameters.volatility_edges)
    if isfinite(scale) and market.volatility_known:
        log_move = min(max(scale, 0.0) * market.sigma_day * sqrt(parameters.horizon_days), _LARGEST_LOG_MOVE)
        excursion = exp(log_move) - 1 if short else 1 - exp(-log_move)
        step("excursion_scale", scale, f"adverse log move / horizon's volatility, {regime.label}, as fitted")
        words = "exp(scale x volatility) - 1" if short else "1 - exp(-scale x volatility)"
        step("adverse_excursion", excursion, f"q = {words}")
    else:
        excursion = UNKNOWN_EXCURSION
        step("adverse_excursion_assumed", excursion, "q cannot be measured: taken as the whole price")
        if market.volatility_known:
            name = f"no_excursion_{side}"
            mine.append(Haircut(name=name, factor=HAIRCUTS[name]))

    paid = _funding_paid(side, market, parameters.horizon_days)
    if market.funding_known:
        step("funding_paid", paid, "3-day mean rate x settlements; below 0 is received and counts as 0")
    else:
        step("funding_paid_assumed", paid, f"no rate known: {DEFAULT_RATE:.2%} per 8 h against the side")

    costs = 2 * parameters.taker_fee + max(0.0, paid)
    exchange: Exchange = account.exchange if account else "binance"
    equity = account.equity if account else None
    _, tier = leverage_that_survives(side, excursion, costs, tiers(exchange, market.symbol), equity)
    if tier.known:
        words = f"m: {exchange} tier above {tier.floor:,.0f}, as of {tiers_as_of()}"
        step("maintenance_rate", tier.rate, words)
    else:
        step("maintenance_rate_assumed", tier.rate, "m: no tier with a source, so the rate of unknown ones")

    needed = margin_needed(side, excursion, tier.rate, costs)
    words = "(1 + q)(1 + m) - 1" if short else "1 - (1 - q)(1 - m)"
    step("margin_needed", needed, f"{words} + fees + max(0, funding paid)")
    step("formula", 1 / needed, "1 / margin needed")
    factor = prod(cut.factor for cut in mine)
    step("haircuts", factor, "product of this side's haircuts")
    limit = min(cap, tier.max_leverage)
    step("tier_maximum", tier.max_leverage, "the exchange's own limit in that tier")
    if equity is not None and isfinite(tier.up_to):
        edge = tier.up_to / (equity * (1 + excursion if short else 1.0))
        limit = min(limit, edge)
        step("tier_edge", edge, f"beyond it the notional would leave the tier at {tier.up_to:,.0f}")
    leverage = _round_down((1 / needed) * factor, limit)
    words = "smallest of formula x haircuts, cap and limits, rounded down to 0.1; 0 below 0.2"
    step("leverage", leverage, words)
    return Leg(leverage, excursion, tier, mine, steps)
