"""Tables of margin tiers, each with its date and its source, checked as they are read.

Of several tables the newest one that has the symbol counts, or the newest of a given day. A symbol
without a table is taken at 3 % and 20x, ``known`` false, and so is a size beyond a table that does
not reach to the exchange's last tier. Beyond a complete table no position is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.errors import DataError

__all__ = ["Exchange", "Ladder", "MarginTier", "NewerTiers", "Tier", "TierData", "TierTable"]

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


class Tier(_Strict):
    """One tier of a table; the one before it ends where it begins."""

    up_to: float = Field(gt=0, allow_inf_nan=False)
    max_leverage: float = Field(gt=0, le=200)
    rate: float = Field(gt=0, lt=1)
    amount: float = Field(ge=0, allow_inf_nan=False)


class Ladder(_Strict):
    """All tiers of a symbol, smallest first; ``complete`` up to the exchange's own last one."""

    complete: bool
    tiers: list[Tier] = Field(min_length=1)

    @model_validator(mode="after")
    def _climbs(self) -> Ladder:
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


class TierTable(_Strict):
    """Ladders that an exchange had on a date."""

    exchange: Exchange
    as_of: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    source: str = Field(min_length=10)
    symbols: dict[str, Ladder]


class NewerTiers(_Strict):
    """The file of tables newer than those that ship."""

    tables: list[TierTable]


class _Unknown(_Strict):
    max_leverage: float = Field(gt=0, le=200)
    rate: float = Field(gt=0, lt=1)


class _FundingCaps(_Strict):
    source: str
    symbols: dict[str, float]
    others: float = Field(gt=0, le=1)


class TierData(_Strict):
    """Tier tables of several dates and exchanges, and what stands in for the rest."""

    tables: list[TierTable]
    unknown: _Unknown
    funding_caps: _FundingCaps

    def _table(self, exchange: Exchange, symbol: str, on: str | None) -> TierTable | None:
        found = [one for one in self.tables if one.exchange == exchange and symbol in one.symbols]
        if not found:
            return None
        known_then = [one for one in found if on is None or one.as_of <= on]
        newest = max(known_then, key=lambda one: one.as_of, default=None)
        return newest or min(found, key=lambda one: one.as_of)

    def joined(self, tables: Sequence[TierTable]) -> TierData:
        """These tables and others beside them."""
        return self.model_copy(update={"tables": [*self.tables, *tables]})

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
