"""Maintenance margin tiers and liquidation prices of USDT-margined, isolated, one-way positions.

Tiers change, so they are data with a date (``tiers.json``): only those with a source are shipped.
Everything else, a symbol or a size beyond the last sourced tier, is taken at 3 % and 20x with
``known`` false. Maintenance margin is ``notional x rate - amount``, the notional that of the tier
at the LIQUIDATION price.

Sources: Binance, "How to Calculate Liquidation Price of USDT-M Futures Contracts" and "Leverage
and Margin of USDT-M Futures"; OKX, "Isolated margin: estimated liquidation price".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "TAKER_FEE",
    "Exchange",
    "MarginTier",
    "Position",
    "adverse_move_to_liquidation",
    "has_tiers",
    "leverage_that_survives",
    "liquidation_in_tiers",
    "liquidation_price",
    "maintenance_margin",
    "margin_needed",
    "tier_for",
    "tiers",
    "tiers_as_of",
]

Exchange = Literal["binance", "okx"]
Position = Literal["short", "long"]

TAKER_FEE = 0.0005
"""Regular taker fee, fraction of notional (Binance and OKX alike)."""


class MarginTier(NamedTuple):
    """One notional bracket: above ``floor`` up to ``up_to`` (quote currency)."""

    floor: float
    up_to: float
    max_leverage: float
    rate: float
    amount: float
    known: bool


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    up_to: float = Field(gt=0, allow_inf_nan=False)
    max_leverage: float = Field(gt=0, le=200)
    rate: float = Field(gt=0, lt=1)
    amount: float = Field(ge=0, allow_inf_nan=False)


class _Unknown(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    max_leverage: float = Field(gt=0, le=200)
    rate: float = Field(gt=0, lt=1)


class _Venue(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    symbols: dict[str, list[_Row]]


class _TierFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    exchanges: dict[Exchange, _Venue]
    unknown: _Unknown


@cache
def _tier_file() -> _TierFile:
    return _TierFile.model_validate_json(Path(__file__).with_name("tiers.json").read_bytes())


def tiers_as_of() -> str:
    """Month or day that the shipped tiers were read."""
    return _tier_file().as_of


@cache
def tiers(exchange: Exchange, symbol: str) -> tuple[MarginTier, ...]:
    """Every tier of a symbol, smallest first.

    The last one reaches to infinity and is the assumption for what has no source; for a symbol
    that is not in the data it is the only one.
    """
    data = _tier_file()
    venue = data.exchanges.get(exchange)
    found: list[MarginTier] = []
    floor = 0.0
    for row in venue.symbols.get(symbol, []) if venue else []:
        found.append(MarginTier(floor, row.up_to, row.max_leverage, row.rate, row.amount, True))
        floor = row.up_to
    assumed = MarginTier(floor, float("inf"), data.unknown.max_leverage, data.unknown.rate, 0.0, False)
    return (*found, assumed)


def tier_for(exchange: Exchange, symbol: str, notional: float = 0.0) -> MarginTier:
    """Find the tier of a notional (quote currency); an edge belongs to the tier below it.

    Examples
    --------
    >>> tier_for("binance", "BTCUSDT", 50_000.01).rate
    0.005
    >>> tier_for("binance", "PEPEUSDT").known
    False
    """
    found = tiers(exchange, symbol)
    return next((tier for tier in found if notional <= tier.up_to), found[-1])


def has_tiers(exchange: Exchange, symbol: str) -> bool:
    """Whether any tier of the symbol has a source."""
    return tiers(exchange, symbol)[0].known


def maintenance_margin(exchange: Exchange, symbol: str, notional: float) -> float:
    """Margin below which a position of ``notional`` is liquidated, quote currency."""
    tier = tier_for(exchange, symbol, notional)
    return notional * tier.rate - tier.amount


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
    if side == "short":
        return (entry * (1 + 1 / leverage) + extra) / (1 + charged)
    return (entry * (1 - 1 / leverage) - extra) / (1 - charged)


def liquidation_in_tiers(
    exchange: Exchange,
    symbol: str,
    side: Position,
    entry: float,
    leverage: float,
    quantity: float,
    taker_fee: float = TAKER_FEE,
) -> tuple[float, MarginTier]:
    """Liquidation price of a position of known size, and the tier of its notional there.

    The first price, going against the position from its entry, at which what is left of the
    margin is no more than the maintenance margin of the notional at that very price.

    Parameters
    ----------
    exchange, symbol, side, entry, leverage, quantity, taker_fee
        As for :func:`liquidation_price`; ``quantity`` in coins.
    """
    ladder = tiers(exchange, symbol)
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


def margin_needed(side: Position, excursion: float, rate: float, costs: float = 0.0) -> float:
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
    """
    if side == "short":
        return (1 + excursion) * (1 + rate) - 1 + costs
    return 1 - (1 - excursion) * (1 - rate) + costs


def leverage_that_survives(
    side: Position,
    excursion: float,
    costs: float,
    ladder: Sequence[MarginTier],
    equity: float | None = None,
) -> tuple[float, MarginTier]:
    """Largest leverage whose liquidation lies beyond an adverse ``excursion``, and its tier.

    Parameters
    ----------
    side, excursion, costs
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
        leverage = min(1 / margin_needed(side, excursion, tier.rate, costs), tier.max_leverage)
        if equity is not None:
            leverage = min(leverage, tier.up_to / (equity * grown))
        if leverage > best:
            best, chosen = leverage, tier
    return best, chosen
