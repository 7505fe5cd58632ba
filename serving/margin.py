"""Liquidation prices and margin of USDT-margined, isolated, one-way positions.

Maintenance margin is ``notional x rate - amount`` by the tier (:mod:`serving.tiers`) of the notional
at the LIQUIDATION price.

Sources: Binance, "How to Calculate Liquidation Price of USDT-M Futures Contracts" and "Leverage
and Margin of USDT-M Futures"; OKX, "Isolated margin: estimated liquidation price".
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal

from serving.tiers import (
    Exchange,
    MarginTier,
    has_tiers,
    largest_notional,
    maintenance_margin,
    tier_for,
    tiers,
    tiers_as_of,
)

__all__ = [
    "TAKER_FEE",
    "Exchange",
    "MarginTier",
    "Position",
    "adverse_move_to_liquidation",
    "bankruptcy_price",
    "effective_leverage",
    "has_tiers",
    "largest_notional",
    "leverage_at",
    "leverage_that_survives",
    "liquidation_in_tiers",
    "liquidation_price",
    "maintenance_margin",
    "margin_needed",
    "tier_for",
    "tiers",
    "tiers_as_of",
]

Position = Literal["short", "long"]

TAKER_FEE = 0.0005
"""Regular taker fee, fraction of notional (Binance and OKX alike)."""


def liquidation_price(
    side: Position,
    entry: float,
    leverage: float,
    rate: float,
    *,
    amount: float = 0.0,
    quantity: float | None = None,
    exchange: Exchange = "binance",
    taker_fee: float = TAKER_FEE,
    costs: float = 0.0,
) -> float:
    """Price at which an isolated position is liquidated, given the tier's rate and amount.

    Parameters
    ----------
    side : {"short", "long"}
    entry : float
        Entry price.
    leverage : float
        Notional at entry over isolated margin.
    rate, amount : float
        Of the tier; ``amount`` (quote currency) counts only with a ``quantity`` and on Binance.
    quantity : float, optional
        Coins.
    exchange : {"binance", "okx"}
        OKX counts the taker fee of the liquidation itself, Binance does not.
    taker_fee : float
        Fraction of notional.
    costs : float
        Fees and funding that were taken from the margin, fraction of entry notional; below 0 they
        were received.

    Returns
    -------
    float
        Zero or less for a long that no price liquidates.

    Examples
    --------
    >>> round(liquidation_price("short", 100.0, 5.0, 0.004), 2)
    119.52
    """
    if exchange == "okx":
        charged = rate + taker_fee
        extra = 0.0
    else:
        charged = rate
        extra = amount / quantity if quantity else 0.0
    margin = 1 / leverage - costs
    if side == "short":
        return (entry * (1 + margin) + extra) / (1 + charged)
    return (entry * (1 - margin) - extra) / (1 - charged)


def leverage_at(side: Position, entry: float, price: float, rate: float, *, costs: float = 0.0) -> float:
    """Leverage whose liquidation price, by rate alone, is ``price``: inverse of :func:`liquidation_price`.

    Examples
    --------
    >>> round(leverage_at("short", 100.0, 119.52191235059762, 0.004), 9)
    5.0
    """
    if side == "short":
        return 1 / (price * (1 + rate) / entry - 1 + costs)
    return 1 / (1 - price * (1 - rate) / entry + costs)


def bankruptcy_price(side: Position, entry: float, leverage: float, costs: float = 0.0) -> float:
    """Price at which the isolated margin is used up; zero or less for a long that keeps some.

    Parameters
    ----------
    side, entry, leverage, costs
        As for :func:`liquidation_price`.

    Examples
    --------
    >>> bankruptcy_price("short", 100.0, 5.0), bankruptcy_price("long", 100.0, 5.0)
    (120.0, 80.0)
    """
    margin = 1 / leverage - costs
    return entry * (1 + margin) if side == "short" else entry * (1 - margin)


def effective_leverage(notional: float, margin_left: float) -> float:
    """Notional now over the margin that is left; infinite where none is.

    Examples
    --------
    >>> effective_leverage(12_000.0, 2_000.0)
    6.0
    """
    return notional / margin_left if margin_left > 0 else inf


def liquidation_in_tiers(
    exchange: Exchange,
    symbol: str,
    side: Position,
    entry: float,
    leverage: float,
    quantity: float,
    taker_fee: float = TAKER_FEE,
    costs: float = 0.0,
) -> tuple[float, MarginTier]:
    """Liquidation price of a position of known size, and the tier of its notional there.

    The first price, going against the position from its entry, at which what is left of the
    margin is no more than the maintenance margin of the notional at that very price.

    Parameters
    ----------
    exchange, symbol, side, entry, leverage, quantity, taker_fee, costs
        As for :func:`liquidation_price`; ``quantity`` in coins. What is larger than the last tier
        is taken by that one.
    """
    ladder = tiers(exchange, symbol)
    ladder = (*ladder[:-1], ladder[-1]._replace(up_to=inf))
    for tier in ladder if side == "short" else reversed(ladder):
        floor, up_to = tier.floor / quantity, tier.up_to / quantity
        if (up_to < entry) if side == "short" else (floor >= entry):
            continue
        price = liquidation_price(
            side,
            entry,
            leverage,
            tier.rate,
            amount=tier.amount,
            quantity=quantity,
            exchange=exchange,
            taker_fee=taker_fee,
            costs=costs,
        )
        if side == "short" and price <= up_to:
            return max(price, floor), tier
        if side == "long" and (price > floor or floor == 0):
            return price, tier
    raise ValueError(f"no tier of {symbol} holds an entry at {entry!r}")  # the last tier has no end


def adverse_move_to_liquidation(side: Position, leverage: float, rate: float) -> float:
    """How far price goes against a position before it is liquidated, fraction of entry, no fees.

    Examples
    --------
    >>> round(adverse_move_to_liquidation("short", 3.0, 0.01), 3)
    0.32
    """
    if side == "short":
        return (1 + 1 / leverage) / (1 + rate) - 1
    return 1 - (1 - 1 / leverage) / (1 - rate)


def margin_needed(
    side: Position, excursion: float, rate: float, costs: float = 0.0, entry: float = 1.0
) -> float:
    """Margin over entry notional that outlasts an adverse ``excursion``: one over the leverage.

    Parameters
    ----------
    side : {"short", "long"}
    excursion : float
        Adverse move, fraction of entry: ``q`` in ``(1 + q)(1 + m) - 1`` (short) and
        ``1 - (1 - q)(1 - m)`` (long).
    rate : float
        Maintenance rate ``m`` of the tier.
    costs : float
        Fees and funding paid meanwhile, fraction of entry notional.
    entry : float
        Average entry over the price that the excursion counts from.
    """
    if side == "short":
        return (1 + excursion) * (1 + rate) / entry - 1 + costs
    return 1 - (1 - excursion) * (1 - rate) / entry + costs


def leverage_that_survives(
    side: Position,
    excursion: float,
    costs: float,
    ladder: Sequence[MarginTier],
    equity: float | None = None,
    entry: float = 1.0,
) -> tuple[float, MarginTier]:
    """Largest leverage whose liquidation lies beyond an adverse ``excursion``, and its tier.

    Parameters
    ----------
    side, excursion, costs, entry
        As for :func:`margin_needed`.
    ladder : sequence of MarginTier
        Smallest first, as from :func:`tiers`.
    equity : float, optional
        Quote currency. With it each tier is good only for a notional, ``equity x leverage`` at
        the adverse price (a long's at entry), that lies within it; without it the first tier
        holds.

    Returns
    -------
    leverage : float
        Not above the tier's own maximum; not rounded.
    tier : MarginTier
        The tier that allows it.
    """
    best, chosen = 0.0, ladder[0]
    grown = 1 + excursion if side == "short" else 1.0
    for tier in ladder if equity is not None else ladder[:1]:
        leverage = min(1 / margin_needed(side, excursion, tier.rate, costs, entry), tier.max_leverage)
        if equity is not None:
            leverage = min(leverage, tier.up_to / (equity * grown))
        if leverage > best:
            best, chosen = leverage, tier
    return best, chosen
