"""The open position of a request: checked against the exchange's tiers, and looked at."""

from __future__ import annotations

from math import inf, isfinite, isnan
from typing import NamedTuple

from features.errors import DataError
from serving.excursion import Squeeze
from serving.leverage import Leg
from serving.margin import (
    bankruptcy_price,
    effective_leverage,
    largest_notional,
    liquidation_in_tiers,
    maintenance_margin,
    tier_for,
)
from serving.parameters import AdviceParameters, MarketState
from serving.schemas import Account, CalculationStep, OpenPosition, PositionReport

__all__ = ["LookedAt", "check_account", "position_report"]

CHANCE_DAYS = (1, 3, 7)


class LookedAt(NamedTuple):
    """The report, its steps for the calculation, and why some of its values are null."""

    report: PositionReport
    steps: list[CalculationStep]
    withheld: dict[str, str]


def check_account(symbol: str, account: Account) -> None:
    """Refuse what the exchange would not allow, as far as its tiers are known.

    Raises
    ------
    DataError
        ``leverage_cap_above_tier``: a cap that was asked for is above the tier of equity x cap.
        ``position_beyond_tiers``: the position is larger than the last tier.
        ``leverage_above_tier``: its leverage is above its own tier's.
        ``no_margin_left``: fees and funding took all of its margin.
    """
    exchange = account.exchange
    if "leverage_cap" in account.model_fields_set:
        tier = tier_for(exchange, symbol, account.equity * account.leverage_cap)
        if tier.known and account.leverage_cap > tier.max_leverage:
            raise DataError(
                f"leverage_cap is {account.leverage_cap:g}, {exchange} allows {tier.max_leverage:g} for "
                f"{account.equity * account.leverage_cap:,.0f} of {symbol}",
                code="leverage_cap_above_tier",
                field="account.leverage_cap",
                hint=f"leave leverage_cap out, or send at most {tier.max_leverage:g}",
            )
    position = account.position
    if position is None:
        return
    last = largest_notional(exchange, symbol)
    if position.notional > last:
        raise DataError(
            f"the position's notional is {position.notional:,.0f}, the last tier of {symbol} on {exchange} "
            f"ends at {last:,.0f}",
            code="position_beyond_tiers",
            field="account.position.notional",
            hint="notional is the size at entry in quote currency, not in coins or contracts",
        )
    tier = tier_for(exchange, symbol, position.notional)
    if tier.known and position.leverage > tier.max_leverage:
        raise DataError(
            f"the position's leverage is {position.leverage:g}, {exchange} allows {tier.max_leverage:g} for "
            f"{position.notional:,.0f} of {symbol}",
            code="leverage_above_tier",
            field="account.position.leverage",
            hint="leverage is notional / isolated margin at entry",
        )
    margin = position.notional / position.leverage
    if position.paid >= margin:
        raise DataError(
            f"paid is {position.paid:,.2f}, the position's margin was {margin:,.2f}: none is left",
            code="no_margin_left",
            field="account.position.paid",
            hint="paid is what fees and funding took from the isolated margin so far",
        )


def position_report(
    position: OpenPosition,
    leg: Leg,
    market: MarketState,
    parameters: AdviceParameters,
    account: Account,
    squeeze: Squeeze,
) -> LookedAt | None:
    """Look at the open position; ``None`` without a close to look at it from.

    Parameters
    ----------
    position : OpenPosition
    leg : Leg
        The advice for its side.
    market : MarketState
    parameters : AdviceParameters
    account : Account
    squeeze : Squeeze
        Where the chances of liquidation come from.
    """
    quantity = position.notional / position.entry
    margin = position.notional / position.leverage
    if not (0 < market.close < inf and 0 < quantity < inf and margin < inf):
        return None
    costs = position.paid / position.notional
    price, tier = liquidation_in_tiers(
        account.exchange,
        market.symbol,
        position.side,
        position.entry,
        position.leverage,
        quantity,
        parameters.taker_fee,
        costs,
    )
    price = max(0.0, price)
    bankrupt = max(0.0, bankruptcy_price(position.side, position.entry, position.leverage, costs))
    against = 1.0 if position.side == "short" else -1.0
    distance = against * (price / market.close - 1)
    now = quantity * market.close
    left = margin - position.paid - against * quantity * (market.close - position.entry)
    if not all(map(isfinite, (price, bankrupt, distance, left, now))):
        return None
    withheld = {}
    chances: list[float | None] = []
    for days in CHANCE_DAYS:
        chance = 0.0 if price == 0 else squeeze.chance(position.side, days, distance)
        if isnan(chance):
            withheld[f"position.chance_{days}d"] = "too_few_quantiles"
        chances.append(None if isnan(chance) else chance)
    effective = effective_leverage(now, left)
    if not isfinite(effective):
        withheld["position.effective_leverage"] = "no_margin_left"
    target = leg.leverage * max(0.0, left)
    report = PositionReport(
        margin_left=left,
        maintenance_margin=maintenance_margin(account.exchange, market.symbol, now),
        effective_leverage=effective if isfinite(effective) else None,
        liquidation_price=price,
        bankruptcy_price=bankrupt,
        distance=distance,
        chance_1d=chances[0],
        chance_3d=chances[1],
        chance_7d=chances[2],
        danger=distance < leg.excursion,
        reduce_to=target if target < now * (1 - 1e-9) else None,
    )
    name = "position_maintenance_rate" if tier.known else "position_maintenance_rate_assumed"
    steps = [
        CalculationStep(
            name=name, value=tier.rate, words="rate of the tier of the open position at its liquidation price"
        ),
        CalculationStep(name="position_margin", value=margin, words="notional at entry / leverage"),
        CalculationStep(name="position_paid", value=position.paid, words="fees and funding taken from it"),
    ]
    return LookedAt(report, steps, withheld)
