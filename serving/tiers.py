"""Margin tiers as data with a date, and the caps of the funding rate.

Tiers change, sometimes for open positions too, so ``tiers.json`` holds tables, each with its date
and its source; of several the newest one that has the symbol counts, or the newest of a given day.
A symbol without a table is taken at 3 % and 20x, ``known`` false, and so is a size beyond a table
that does not reach to the exchange's last tier. Beyond a complete table no position is allowed.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.errors import DataError

__all__ = [
    "Exchange",
    "MarginTier",
    "TierData",
    "funding_cap",
    "has_tiers",
    "largest_notional",
    "maintenance_margin",
    "shipped_tiers",
    "tier_for",
    "tiers",
    "tiers_as_of",
]

Exchange = Literal["binance", "okx"]
_CONTINUOUS = 1e-6
"""How far an amount may be from the exchange's recursion, relative to its notional."""


class MarginTier(NamedTuple):
    """One notional bracket: above ``floor`` up to ``up_to`` (quote currency).

    Maintenance margin in it is ``notional x rate - amount``.
    """

    floor: float
    up_to: float
    max_leverage: float
    rate: float
    amount: float
    known: bool


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Row(_Strict):
    up_to: float = Field(gt=0, allow_inf_nan=False)
    max_leverage: float = Field(gt=0, le=200)
    rate: float = Field(gt=0, lt=1)
    amount: float = Field(ge=0, allow_inf_nan=False)


class _Ladder(_Strict):
    complete: bool
    tiers: list[_Row] = Field(min_length=1)

    @model_validator(mode="after")
    def _climbs(self) -> _Ladder:
        amount = 0.0
        for before, row in pairwise(self.tiers):
            if row.up_to <= before.up_to or row.rate < before.rate or row.max_leverage > before.max_leverage:
                raise ValueError(f"tier up to {row.up_to:,.0f} is not steeper than the one before it")
            amount += before.up_to * (row.rate - before.rate)
            if abs(row.amount - amount) > _CONTINUOUS * row.up_to:
                raise ValueError(
                    f"tier up to {row.up_to:,.0f} has amount {row.amount:,.2f}, expected {amount:,.2f}: "
                    "maintenance margin would jump at its edge"
                )
        return self


class _Table(_Strict):
    exchange: Exchange
    as_of: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    source: str = Field(min_length=10)
    symbols: dict[str, _Ladder]


class _Unknown(_Strict):
    max_leverage: float = Field(gt=0, le=200)
    rate: float = Field(gt=0, lt=1)


class _FundingCaps(_Strict):
    source: str
    symbols: dict[str, float]
    others: float = Field(gt=0, le=1)


class TierData(_Strict):
    """Tier tables of several dates and exchanges, and what stands in for the rest."""

    tables: list[_Table]
    unknown: _Unknown
    funding_caps: _FundingCaps

    def _table(self, exchange: Exchange, symbol: str, on: str | None) -> _Table | None:
        found = [one for one in self.tables if one.exchange == exchange and symbol in one.symbols]
        if not found:
            return None
        known_then = [one for one in found if on is None or one.as_of <= on]
        newest = max(known_then, key=lambda one: one.as_of, default=None)
        return newest or min(found, key=lambda one: one.as_of)

    def as_of(self, exchange: Exchange, symbol: str, on: str | None = None) -> str | None:
        """Month or day of the table that :meth:`ladder` reads, ``None`` where there is none."""
        table = self._table(exchange, symbol, on)
        return table.as_of if table else None

    def ladder(self, exchange: Exchange, symbol: str, on: str | None = None) -> tuple[MarginTier, ...]:
        """Every tier of a symbol, smallest first.

        Parameters
        ----------
        exchange : {"binance", "okx"}
        symbol : str
        on : str, optional
            ISO date or month: the newest table not later than it, or the oldest one where all are
            later. By default the newest.

        Raises
        ------
        DataError
            For an exchange that is not known.
        """
        if exchange not in get_args(Exchange):
            raise DataError(
                f"exchange is {exchange!r}, expected one of {', '.join(get_args(Exchange))}",
                code="unknown_exchange",
                field="account.exchange",
            )
        table = self._table(exchange, symbol, on)
        found: list[MarginTier] = []
        floor = 0.0
        for row in table.symbols[symbol].tiers if table else []:
            found.append(MarginTier(floor, row.up_to, row.max_leverage, row.rate, row.amount, True))
            floor = row.up_to
        if table and table.symbols[symbol].complete:
            return tuple(found)
        assumed = MarginTier(floor, float("inf"), self.unknown.max_leverage, self.unknown.rate, 0.0, False)
        return (*found, assumed)


@cache
def shipped_tiers() -> TierData:
    """The tables of ``tiers.json``."""
    return TierData.model_validate_json(Path(__file__).with_name("tiers.json").read_bytes())


@cache
def tiers_as_of(exchange: Exchange, symbol: str) -> str | None:
    """Month or day of the symbol's table, ``None`` where it has none."""
    return shipped_tiers().as_of(exchange, symbol)


@cache
def tiers(exchange: Exchange, symbol: str) -> tuple[MarginTier, ...]:
    """Every tier of a symbol by the newest table, smallest first.

    The last one reaches to infinity and is the assumption for what has no source, unless the table
    reaches to the exchange's own last tier.
    """
    return shipped_tiers().ladder(exchange, symbol)


def tier_for(exchange: Exchange, symbol: str, notional: float = 0.0) -> MarginTier:
    """Find the tier of a notional (quote currency); an edge belongs to the tier below it.

    Beyond the last tier it is the last one: see :func:`largest_notional`.

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
    """Whether the symbol has a table with a source."""
    return tiers(exchange, symbol)[0].known


def largest_notional(exchange: Exchange, symbol: str) -> float:
    """Largest position that the exchange allows, quote currency; infinite where that is not known."""
    return tiers(exchange, symbol)[-1].up_to


def maintenance_margin(exchange: Exchange, symbol: str, notional: float) -> float:
    """Margin below which a position of ``notional`` is liquidated, quote currency."""
    tier = tier_for(exchange, symbol, notional)
    return notional * tier.rate - tier.amount


def funding_cap(symbol: str) -> float:
    """Largest funding rate of one settlement, fraction of notional, either sign."""
    caps = shipped_tiers().funding_caps
    return caps.symbols.get(symbol, caps.others)
