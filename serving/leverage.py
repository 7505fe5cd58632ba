"""Leverage of one side: the largest whose liquidation lies beyond the adverse excursion, with each step.

A missing number never passes: what is not known is assumed against the trader, by name, or the
leverage is 0. The haircuts are in ``docs/advice.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isfinite, nan, prod, sqrt
from typing import NamedTuple

from features.families.funding import DEFAULT_RATE
from features.regimes import Regime
from serving.excursion import Squeeze, table_move
from serving.margin import (
    Exchange,
    MarginTier,
    Position,
    leverage_that_survives,
    margin_needed,
    tiers,
    tiers_as_of,
)
from serving.parameters import LEVERAGE_CAP, AdviceParameters, MarketState, ModelState
from serving.plan import EntryPlan, entry_plan
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

SMALLEST_LEVERAGE = 0.2
HAIRCUTS = {
    "two_regimes_possible": 0.85,
    "many_regimes_possible": 0.70,
    "funding_missing": 0.90,
    "open_interest_missing": 0.90,
    "stale_window": 0.90,
    "unusual_market": 0.85,
    "squeeze_missing": 0.90,
    "model_stale": 0.80,
    "model_expired": 0.80,
    "regime_lags": 0.0,
    "no_volatility": 0.0,
    "no_excursion_short": 0.0,
    "no_excursion_long": 0.0,
}
"""Factors on the leverage of the formula, by name; the last two touch one side only."""
_INPUT_HAIRCUTS = (
    "funding_missing",
    "open_interest_missing",
    "stale_window",
    "unusual_market",
    "squeeze_missing",
    "regime_lags",
)
UNKNOWN_EXCURSION = 1.0
"""Stands for a move that cannot be measured: the whole price."""
_ROUNDING = 1e-9


class Leg(NamedTuple):
    """The leverage of one side and how it came about.

    ``excursion`` is the adverse move as a fraction of price, ``costs`` fees and funding over the
    horizon as a fraction of notional, ``haircuts`` all that cut this side; ``plan`` is ``None``
    where there is nothing to measure prices by.
    """

    leverage: float
    excursion: float
    costs: float
    plan: EntryPlan | None
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


def _funding_paid(side: Position, market: MarketState, horizon_days: int) -> float:
    """Funding paid (positive) over the horizon as a fraction of entry notional; assumed if missing."""
    if not market.funding_known:
        return DEFAULT_RATE * horizon_days * 3
    settlements = horizon_days * 24 / market.funding_interval_hours
    return (market.funding_mean_3d if side == "long" else -market.funding_mean_3d) * settlements + 0.0


def _excursion(
    side: Position,
    regime: Regime,
    market: MarketState,
    parameters: AdviceParameters,
    squeeze: Squeeze | None,
) -> tuple[float | None, list[tuple[str, float, str]]]:
    """Adverse excursion at the survival level and its steps; ``None`` where it is not known."""
    words = "exp(scale x volatility) - 1" if side == "short" else "1 - exp(-scale x volatility)"
    if squeeze is None:
        scale, found = table_move(side, regime, market, parameters)
        steps = [
            (
                "excursion_scale",
                scale,
                f"adverse log move / horizon's volatility, {regime.label}, as fitted",
            ),
            ("adverse_excursion", found, f"q = {words}"),
        ]
    else:
        days, level = parameters.horizon_days, parameters.survival_level
        found = squeeze.quantile(side, days, level)
        volatility = market.sigma_day * sqrt(days)
        scale = squeeze.log_move(side, days, level) / volatility if market.volatility_known else nan
        steps = [
            (
                "excursion_scale",
                scale,
                f"adverse log move / horizon's volatility at {level:.4%} by the model of squeezes, this bar",
            ),
            ("adverse_excursion", found, f"q = {words}"),
        ]
    known = isfinite(found) and found >= 0 and market.volatility_known
    return (found, steps) if known else (None, [])


def leverage_of(
    side: Position,
    regime: Regime,
    market: MarketState,
    parameters: AdviceParameters,
    account: Account | None,
    cuts: Sequence[Haircut],
    cap: float,
    *,
    squeeze: Squeeze | None = None,
    second_now: bool = False,
) -> Leg:
    """Find the leverage of one side: the smallest of formula x haircuts and the limits.

    ``1 / L = (1 + q)(1 + m) / e - 1 + costs`` for a short, ``1 - (1 - q)(1 - m) / e + costs`` for a
    long; costs are the taker fee of entry and exit and the funding paid over the horizon, where a
    credit counts as 0; ``e`` is the average entry over the last close at the worst moment of the
    tranche plan, 1 where every later tranche is filled at a better price.

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
    squeeze : Squeeze, optional
        Where the adverse excursion comes from; the fitted table by default.
    second_now : bool
        The second tranche is due at the last close.
    """
    short = side == "short"
    mine = list(cuts)
    steps: list[CalculationStep] = []

    def step(name: str, value: float, words: str) -> None:
        steps.append(CalculationStep(name=f"{side}_{name}", value=value, words=words))

    excursion, measured = _excursion(side, regime, market, parameters, squeeze)
    for one in measured:
        step(*one)
    if excursion is None:
        excursion = UNKNOWN_EXCURSION
        step("adverse_excursion_assumed", excursion, "q cannot be measured: taken as the whole price")
        if market.volatility_known:
            name = f"no_excursion_{side}"
            mine.append(Haircut(name=name, factor=HAIRCUTS[name]))
    plan = entry_plan(side, regime, market, excursion, parameters, second_now=second_now)
    entry = plan.worst_entry if plan else 1.0
    step("worst_entry", entry, "average entry / last close at the worst moment of the tranche plan")

    paid = _funding_paid(side, market, parameters.horizon_days)
    if market.funding_known:
        step("funding_paid", paid, "3-day mean rate x settlements; below 0 is received and counts as 0")
    else:
        step("funding_paid_assumed", paid, f"no rate known: {DEFAULT_RATE:.2%} per 8 h against the side")

    costs = 2 * parameters.taker_fee + max(0.0, paid)
    exchange: Exchange = account.exchange if account else "binance"
    equity = account.equity if account else None
    _, tier = leverage_that_survives(side, excursion, costs, tiers(exchange, market.symbol), equity, entry)
    if tier.known:
        words = f"m: {exchange} tier above {tier.floor:,.0f}, as of {tiers_as_of(exchange, market.symbol)}"
        step("maintenance_rate", tier.rate, words)
    else:
        step("maintenance_rate_assumed", tier.rate, "m: no tier with a source, so the rate of unknown ones")

    needed = margin_needed(side, excursion, tier.rate, costs, entry)
    words = "(1 + q)(1 + m) / worst entry - 1" if short else "1 - (1 - q)(1 - m) / worst entry"
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
    return Leg(leverage, excursion, costs, plan, tier, mine, steps)
