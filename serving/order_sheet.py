"""The orders of the advised side: tranches with prices and sizes, stop, target, funding in money."""

from __future__ import annotations

from math import inf, isfinite
from typing import Literal, NamedTuple

from features.regimes import Regime
from serving.leverage import Leg
from serving.margin import Position, liquidation_price
from serving.parameters import AdviceParameters, MarketState
from serving.plan import SHARES, TRIGGERS, EntryPlan, Size, size_of
from serving.schemas import Account, CalculationStep, FundingPerDay, Tranche
from serving.tiers import funding_cap

__all__ = ["RANGING_SIZE", "OrderSheet", "liquidation_of", "order_sheet"]

RANGING_SIZE = 0.5


class OrderSheet(NamedTuple):
    """What can be turned into orders; ``withheld`` names why a value is null."""

    tranches: list[Tranche]
    stop: float | None
    target: float | None
    worst_liquidation: float | None
    notional: float | None
    margin: float | None
    funding: FundingPerDay | None
    steps: list[CalculationStep]
    withheld: dict[str, str]


def liquidation_of(
    side: Position, entry: float, leg: Leg, parameters: AdviceParameters, account: Account | None
) -> float | None:
    """Liquidation price of ``side`` at the leg's leverage; ``None`` where no price liquidates."""
    if leg.leverage == 0:
        return None
    price = liquidation_price(
        side,
        entry,
        leg.leverage,
        leg.tier.rate,
        exchange=account.exchange if account else "binance",
        taker_fee=parameters.taker_fee,
    )
    return price if 0 < price < inf else None


def _words(side: Position, regime: Regime, number: int, *, now: bool) -> str:
    verb, way = ("sell", "rise") if side == "short" else ("buy", "fall")
    if number == 0:
        return f"{verb} at the last close"
    if number == 1 and now:
        met = "the signals confirm the bear" if regime is Regime.BEAR else "the rally reads as ending"
        return f"{verb} at the last close, too: {met}"
    if number == 1 and regime is Regime.BEAR:
        return f"{verb} into a {way} to this price, or at the close of an answer that confirms the bear"
    if number == 1 and regime is Regime.RELIEF_RALLY:
        return (
            f"{verb} into a {way} to this price, or at the close of an answer that reads the rally as ending"
        )
    return f"{verb} into a {way} to this price"


def _tranches(
    side: Position,
    regime: Regime,
    leg: Leg,
    market: MarketState,
    parameters: AdviceParameters,
    account: Account | None,
    size: Size | None,
    *,
    now: bool,
) -> list[Tranche]:
    plan = leg.plan
    found = []
    for number, (share, trigger) in enumerate(zip(SHARES, TRIGGERS, strict=True)):
        price = plan.prices[number] if plan else market.close if number == 0 else None
        money = share * size.notional if size else None
        coins = money / price if money is not None and price is not None else None
        entry = plan.entries[number] if plan else None
        found.append(
            Tranche(
                share=share,
                trigger=trigger,
                price=price,
                notional=money,
                quantity=coins if coins is not None and isfinite(coins) else None,
                average_entry=entry,
                liquidation_price=(
                    None if entry is None else liquidation_of(side, entry, leg, parameters, account)
                ),
                words=_words(side, regime, number, now=now),
            )
        )
    return found


def _funding(side: Position, market: MarketState, notional: float | None) -> FundingPerDay | None:
    if not market.funding_known:
        return None
    settlements = 24 / market.funding_interval_hours
    a_day = market.funding_mean_3d * settlements
    rate = (a_day if side == "long" else -a_day) + 0.0
    spike = funding_cap(market.symbol) * settlements
    return FundingPerDay(
        rate=rate,
        money=None if notional is None else rate * notional,
        spike_rate=spike,
        spike_money=None if notional is None else spike * notional,
    )


def _size_steps(plan: EntryPlan, size: Size) -> list[CalculationStep]:
    return [
        CalculationStep(name="loss_at_stop", value=plan.loss, words="of the notional, all filled, fees paid"),
        CalculationStep(name="risk_money", value=size.risk, words="equity x risk per trade x size factor"),
        CalculationStep(name="notional_by_risk", value=size.by_risk, words="risk money / loss at stop"),
        CalculationStep(
            name="notional_by_leverage", value=size.by_leverage, words="equity x leverage x size factor"
        ),
        CalculationStep(name="notional", value=size.notional, words="the smaller of the two"),
        CalculationStep(name="margin", value=size.margin, words="notional / leverage"),
    ]


def _nothing(
    side: Literal["short", "long", "flat"], reason: str, funding: FundingPerDay | None
) -> OrderSheet:
    names = ("stop_price", "target_price", "notional", "margin", "survival.worst_liquidation_price")
    withheld = dict.fromkeys(names, reason)
    if funding is None:
        withheld["funding_per_day"] = reason if side == "flat" else "funding_missing"
    return OrderSheet([], None, None, None, None, None, funding, [], withheld)


def order_sheet(
    side: Literal["short", "long", "flat"],
    regime: Regime,
    leg: Leg,
    market: MarketState,
    parameters: AdviceParameters,
    account: Account | None,
    *,
    second_now: bool,
) -> OrderSheet:
    """Lay out the orders of the advised side.

    Parameters
    ----------
    side : {"short", "long", "flat"}
    regime : Regime
    leg : Leg
        Leverage and plan of ``side``.
    market : MarketState
    parameters : AdviceParameters
    account : Account, optional
        Without it there are prices and no sizes.
    second_now : bool
        The second tranche is due at the last close.
    """
    if side == "flat":
        return _nothing(side, "flat", None)
    if leg.leverage == 0:
        return _nothing(side, "stand_aside", _funding(side, market, None))
    plan = leg.plan
    withheld: dict[str, str] = {}
    factor = RANGING_SIZE if regime is Regime.RANGING else 1.0
    size = None
    if plan and account:
        size = size_of(plan, leg.leverage, account.equity, account.risk_per_trade, factor)
    else:
        reason = "no_stop_distance" if account else "no_account"
        withheld |= {"notional": reason, "margin": reason}
    worst = (
        plan.worst_liquidation(side, leg.leverage, leg.tier.rate, leg.costs, market.close) if plan else None
    )
    steps = []
    if plan is None:
        withheld |= {"stop_price": "no_stop_distance", "target_price": "no_stop_distance"}
    else:
        distance = abs(plan.stop / market.close - 1)
        steps.append(CalculationStep(name="stop_distance", value=distance, words="stop price / close - 1"))
        if plan.target is None:
            withheld["target_price"] = "no_mean_ahead"
    if worst is None:
        withheld["survival.worst_liquidation_price"] = "no_price_liquidates" if plan else "no_stop_distance"
    if plan and size:
        steps += _size_steps(plan, size)
    funding = _funding(side, market, size.notional if size else None)
    if funding is None:
        withheld["funding_per_day"] = "funding_missing"
    elif size is None:
        withheld["funding_per_day.money"] = withheld["notional"]
    return OrderSheet(
        tranches=_tranches(side, regime, leg, market, parameters, account, size, now=second_now),
        stop=plan.stop if plan else None,
        target=plan.target if plan else None,
        worst_liquidation=worst,
        notional=size.notional if size else None,
        margin=size.margin if size else None,
        funding=funding,
        steps=steps,
        withheld=withheld,
    )
