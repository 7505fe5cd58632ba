"""Bias and leverage from calibrated probabilities: pure functions, no clock, no store.

:func:`advise` never raises for a missing number and never lets one through. The rules are in
``docs/advice.md``. It is information, not financial advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, sqrt
from typing import Literal

from features.regimes import Regime
from serving.leverage import (
    HAIRCUTS,
    LEVERAGE_CAP,
    AdviceParameters,
    Leg,
    MarketState,
    ModelState,
    haircuts,
    leverage_of,
)
from serving.margin import Position, liquidation_in_tiers, liquidation_price
from serving.reasons import reasons
from serving.schemas import (
    Account,
    Advice,
    CalculationStep,
    FundingPerDay,
    OpenPosition,
    PositionReport,
    Survival,
    Tranche,
)

__all__ = ["HAIRCUTS", "AdviceParameters", "MarketState", "ModelState", "advise", "assumptions", "reasons"]

SIMULATED_PREFIX = "SIM"
MEAN_REVERSION_BAND = 0.5
"""Distance from the 20-day mean, in sigma x sqrt(20), beyond which a range is traded."""
RANGING_SIZE = 0.5
TRANCHES = ((0.30, "signal"), (0.30, "confirmation"), (0.40, "reserve"))
_ASSUMED = {"funding_paid_assumed": "funding_missing", "maintenance_rate_assumed": "unknown_margin_tier"}


def _short_share(
    regime: Regime, probabilities: Sequence[float], *, confirmed: bool, short_open: bool
) -> float:
    """Share of the gross exposure that is short, linear in the regime's probability."""
    given = probabilities[regime]
    probability = min(1.0, max(0.0, given)) if isfinite(given) else 0.0
    if regime is Regime.BEAR:
        share = 0.60 + (0.10 * probability if confirmed else 0.0)
    elif regime is Regime.RELIEF_RALLY:
        filled = 1.0 if short_open else 0.60 if confirmed else 0.30
        share = 0.50 + 0.10 * probability * filled
    elif regime is Regime.BULL:
        share = 0.40 - 0.10 * probability
    else:
        share = 0.50
    return min(0.70, max(0.30, share))


def _side(regime: Regime, short_share: float, distance: float) -> Literal["short", "long", "flat"]:
    """Side of the net; in a range against the distance from the mean, if that is known."""
    if regime is Regime.RANGING:
        if distance > MEAN_REVERSION_BAND:
            return "short"
        return "long" if distance < -MEAN_REVERSION_BAND else "flat"
    if short_share > 0.5:
        return "short"
    return "long" if short_share < 0.5 else "flat"


def _shared_steps(market: MarketState, parameters: AdviceParameters, cap: float) -> list[CalculationStep]:
    """Steps that both sides start from."""
    days = parameters.horizon_days
    steps = [
        CalculationStep(name="horizon_days", value=days, words="days that the position is to live through")
    ]
    if market.volatility_known:
        sigma = market.sigma_day
        steps += [
            CalculationStep(name="volatility_day", value=sigma, words="volatility of one day, fraction"),
            CalculationStep(name="volatility", value=sigma * sqrt(days), words="of a day x sqrt(days)"),
        ]
    return [
        *steps,
        CalculationStep(name="fees", value=2 * parameters.taker_fee, words="taker fee of entry and exit"),
        CalculationStep(
            name="cap",
            value=cap,
            words="smallest of 5, the model's cap, yours, and 1 if expired or simulated",
        ),
    ]


def _liquidation(
    side: Position, leg: Leg, market: MarketState, parameters: AdviceParameters, account: Account | None
) -> float | None:
    """Liquidation price of ``side`` entered at the last close; ``None`` where no price liquidates."""
    if leg.leverage == 0:
        return None
    price = liquidation_price(
        side,
        market.close,
        leg.leverage,
        leg.tier.rate,
        exchange=account.exchange if account else "binance",
        taker_fee=parameters.taker_fee,
    )
    return price if 0 < price < inf else None


def _funding_per_day(side: Position, market: MarketState) -> FundingPerDay | None:
    if not market.funding_known:
        return None
    a_day = market.funding_mean_3d * 24 / market.funding_interval_hours
    return FundingPerDay(rate=(a_day if side == "long" else -a_day) + 0.0, money=None)


def _position_report(
    position: OpenPosition, leg: Leg, market: MarketState, parameters: AdviceParameters, account: Account
) -> tuple[PositionReport, CalculationStep] | None:
    """Look at the open position; ``None`` without a close to look at it from."""
    quantity = position.notional / position.entry
    margin = position.notional / position.leverage
    if not (0 < market.close < inf and 0 < quantity < inf and margin < inf):
        return None
    price, tier = liquidation_in_tiers(
        account.exchange,
        market.symbol,
        position.side,
        position.entry,
        position.leverage,
        quantity,
        parameters.taker_fee,
    )
    price = max(0.0, price)
    against = 1.0 if position.side == "short" else -1.0
    distance = against * (price / market.close - 1)
    margin_left = margin - against * quantity * (market.close - position.entry)
    if not (isfinite(price) and isfinite(distance) and isfinite(margin_left)):
        return None
    target = leg.leverage * max(0.0, margin_left)
    report = PositionReport(
        margin_left=margin_left,
        liquidation_price=price,
        distance=distance,
        chance_1d=None,
        chance_3d=None,
        chance_7d=None,
        danger=distance < leg.excursion,
        reduce_to=target if target < quantity * market.close * (1 - 1e-9) else None,
    )
    name = "maintenance_rate" if tier.known else "maintenance_rate_assumed"
    words = "rate of the tier of the open position at its liquidation price"
    return report, CalculationStep(name=f"position_{name}", value=tier.rate, words=words)


def advise(
    *,
    regime: Regime,
    probabilities: Sequence[float],
    prediction_set: Sequence[Regime],
    market: MarketState,
    confirmed: bool,
    parameters: AdviceParameters,
    degraded: Sequence[str],
    model_state: ModelState,
    simulated_model: bool,
    account: Account | None = None,
) -> Advice:
    """Turn one bar's regime into side, size and leverage, each step shown.

    Parameters
    ----------
    regime : Regime
        The decided one.
    probabilities : sequence of float, shape (4,)
        Calibrated, in class order.
    prediction_set : sequence of Regime
        Regimes that cannot be ruled out; none at all counts as many.
    market : MarketState
        Known at the bar's close.
    confirmed : bool
        Whether the signals confirm a bear.
    parameters : AdviceParameters
    degraded : sequence of str
        Names of what is missing; those in :data:`HAIRCUTS` cut the leverage.
    model_state : {"fresh", "stale", "expired"}
        An expired model gives at most 1x.
    simulated_model : bool
        Trained on simulated data: at most 1x for symbols that are not simulated.
    account : Account, optional
        Without it tier 1, the cap of the parameters, and no position report.

    Returns
    -------
    Advice
        No NaN in it, whatever is missing; what was assumed: :func:`assumptions`.
    """
    position = account.position if account else None
    short_open = position is not None and position.side == "short"
    share = _short_share(regime, probabilities, confirmed=confirmed, short_open=short_open)
    side = _side(regime, share, market.distance_from_mean_20d)
    cap = min(LEVERAGE_CAP, parameters.leverage_cap, account.leverage_cap if account else LEVERAGE_CAP)
    if model_state == "expired" or (simulated_model and not market.symbol.startswith(SIMULATED_PREFIX)):
        cap = min(cap, 1.0)
    cuts = haircuts(market, len(set(prediction_set)), degraded, model_state)
    short = leverage_of("short", regime, market, parameters, account, cuts, cap)
    long = leverage_of("long", regime, market, parameters, account, cuts, cap)
    mine = long if side == "long" else short
    steps = [*_shared_steps(market, parameters, cap), *short.steps, *long.steps]
    report = None
    if account and position:
        looked_at = _position_report(position, short if short_open else long, market, parameters, account)
        if looked_at:
            report = looked_at[0]
            steps.append(looked_at[1])
    leverage = 0.0 if side == "flat" else mine.leverage
    return Advice(
        side=side,
        short_share=share,
        size_factor=RANGING_SIZE if regime is Regime.RANGING else 1.0,
        leverage=leverage,
        leverage_short=short.leverage,
        leverage_long=long.leverage,
        leverage_cap=min(cap, mine.tier.max_leverage),
        survival=Survival(
            level=parameters.survival_level,
            horizon_days=parameters.horizon_days,
            adverse_excursion=mine.excursion,
            liquidation_price=(
                None if side == "flat" else _liquidation(side, mine, market, parameters, account)
            ),
            worst_liquidation_price=None,
        ),
        calculation=steps,
        haircuts=[*cuts, *(cut for leg in (short, long) for cut in leg.haircuts[len(cuts) :])],
        tranches=[
            Tranche(share=part, trigger=trigger, price=market.close if number == 0 else None)
            for number, (part, trigger) in enumerate(TRANCHES if leverage > 0 else ())
        ],
        stop_price=None,
        target_price=None,
        notional=None,
        margin=None,
        funding_per_day=None if side == "flat" else _funding_per_day(side, market),
        position=report,
    )


def assumptions(advice: Advice) -> tuple[str, ...]:
    """Name what the calculation assumed because it was not known, for ``degraded``.

    Returns
    -------
    tuple of str
        ``funding_missing`` and ``unknown_margin_tier``, sorted, as far as they apply.
    """
    names = {step.name.partition("_")[2] for step in advice.calculation}
    return tuple(sorted(_ASSUMED[name] for name in names & _ASSUMED.keys()))
