"""Bias and leverage from calibrated probabilities: pure functions, no clock, no store.

:func:`advise` never raises for a missing number and never lets one through. The rules are in
``docs/advice.md``. It is information, not financial advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from features.regimes import Regime
from serving.bias import rally_of, short_share, side_of
from serving.excursion import Squeeze, table_squeeze
from serving.leverage import HAIRCUTS, haircuts, leverage_of
from serving.order_sheet import RANGING_SIZE, liquidation_of, order_sheet
from serving.parameters import LEVERAGE_CAP, AdviceParameters, MarketState, ModelState
from serving.plan import band
from serving.position import LookedAt, position_report
from serving.reasons import reasons
from serving.schemas import Account, Advice, Band, CalculationStep, Survival

__all__ = ["HAIRCUTS", "AdviceParameters", "MarketState", "ModelState", "advise", "assumptions", "reasons"]

SIMULATED_PREFIX = "SIM"
_ASSUMED = {"funding_paid_assumed": "funding_missing", "maintenance_rate_assumed": "unknown_margin_tier"}


def _shared_steps(market: MarketState, parameters: AdviceParameters, cap: float) -> list[CalculationStep]:
    """Steps that both sides start from."""
    days = parameters.horizon_days
    steps = [
        CalculationStep(name="horizon_days", value=days, words="days that the position is to live through"),
        CalculationStep(
            name="survival_level", value=parameters.survival_level, words="chance to live through them"
        ),
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


def _band(regime: Regime, market: MarketState, withheld: dict[str, str]) -> Band | None:
    """Where a range is traded from; elsewhere there is none."""
    if regime is not Regime.RANGING:
        return None
    edges = band(market)
    if edges is None:
        withheld["band"] = "no_distance_from_mean"
        return None
    return Band(lower=edges[0], mean=edges[1], upper=edges[2])


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
    squeeze: Squeeze | None = None,
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
        Without it tier 1, the cap of the parameters, no sizes and no position report.
    squeeze : Squeeze, optional
        Quantiles of this bar's adverse excursion; without them the fitted table stands in, which knows
        one level: the account's own ``survival_level`` is then withheld.

    Returns
    -------
    Advice
        No NaN in it, whatever is missing; what was assumed: :func:`assumptions`.
    """
    position = account.position if account else None
    wished = account.survival_level if account else None
    withheld: dict[str, str] = {}
    if wished is not None and squeeze is not None:
        parameters = parameters.model_copy(update={"survival_level": wished})
    elif wished not in {None, parameters.survival_level}:
        withheld["account.survival_level"] = "squeeze_missing"
    short_open = position is not None and position.side == "short"
    share = short_share(regime, probabilities, confirmed=confirmed, short_open=short_open)
    side = side_of(regime, share, market.distance_from_mean_20d)
    cap = min(LEVERAGE_CAP, parameters.leverage_cap, account.leverage_cap if account else LEVERAGE_CAP)
    if model_state == "expired" or (simulated_model and not market.symbol.startswith(SIMULATED_PREFIX)):
        cap = min(cap, 1.0)
    cuts = haircuts(market, len(set(prediction_set)), degraded, model_state)
    rally = rally_of(probabilities) if regime is Regime.RELIEF_RALLY else None
    second_now = confirmed if regime is Regime.BEAR else rally is not None and rally.phase == "back_to_bear"
    short, long = (
        leverage_of(
            one, regime, market, parameters, account, cuts, cap, squeeze=squeeze, second_now=second_now
        )
        for one in ("short", "long")
    )
    mine = long if side == "long" else short
    sheet = order_sheet(side, regime, mine, market, parameters, account, second_now=second_now)
    withheld |= sheet.withheld
    steps = [*_shared_steps(market, parameters, cap), *short.steps, *long.steps, *sheet.steps]
    looked_at: LookedAt | None = None
    if account and position:
        moves = squeeze or table_squeeze(regime, market, parameters)
        leg = short if short_open else long
        looked_at = position_report(position, leg, market, parameters, account, moves)
        steps += looked_at.steps if looked_at else []
        withheld |= looked_at.withheld if looked_at else {"position": "no_price"}
    return Advice(
        side=side,
        short_share=share,
        size_factor=RANGING_SIZE if regime is Regime.RANGING else 1.0,
        leverage=0.0 if side == "flat" else mine.leverage,
        leverage_short=short.leverage,
        leverage_long=long.leverage,
        leverage_cap=min(cap, mine.tier.max_leverage),
        survival=Survival(
            level=parameters.survival_level,
            horizon_days=parameters.horizon_days,
            adverse_excursion=mine.excursion,
            liquidation_price=(
                None if side == "flat" else liquidation_of(side, market.close, mine, parameters, account)
            ),
            worst_liquidation_price=sheet.worst_liquidation,
        ),
        calculation=steps,
        haircuts=[*cuts, *(cut for leg in (short, long) for cut in leg.haircuts[len(cuts) :])],
        tranches=sheet.tranches,
        stop_price=sheet.stop,
        target_price=sheet.target,
        notional=sheet.notional,
        margin=sheet.margin,
        funding_per_day=sheet.funding,
        rally=rally,
        band=_band(regime, market, withheld),
        position=looked_at.report if looked_at else None,
        withheld=withheld,
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
