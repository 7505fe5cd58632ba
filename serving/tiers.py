"""Margin tiers in use, and the caps of the funding rate.

Tiers change, sometimes for open positions too. ``tiers.json`` ships with the code; a file of newer
tables (``BEARMODE_TIERS``, else ``tiers`` in ``bearmode.toml``, else ``margin-tiers.json`` in the working
directory), as ``bearmode tiers update`` writes it, stands beside it. The newest table that has a symbol
counts, so that no file makes what ships worse. Both are read once a process.

A bundle is proven with what ships alone (:func:`shipped_tiers_only`): the proof is the same everywhere.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from features.errors import DataError
from serving.tier_tables import Exchange, MarginTier, NewerTiers, TierData, TierTable

__all__ = [
    "TIERS_SETTING",
    "Exchange",
    "MarginTier",
    "TierData",
    "forget_tiers",
    "funding_cap",
    "has_tiers",
    "largest_notional",
    "maintenance_margin",
    "newer_tables",
    "shipped_tiers",
    "shipped_tiers_only",
    "tier_for",
    "tiers",
    "tiers_as_of",
    "tiers_file",
    "tiers_in_use",
]

TIERS_SETTING = "BEARMODE_TIERS"
TIERS_FILE = Path("margin-tiers.json")
_SETTINGS_FILE = Path("bearmode.toml")
_shipped_only: ContextVar[bool] = ContextVar("shipped_tiers_only", default=False)


def tiers_file() -> Path:
    """Where newer tables are kept, absolute; the file need not be there."""
    named = os.environ.get(TIERS_SETTING)
    if not named and _SETTINGS_FILE.is_file():
        try:
            found = tomllib.loads(_SETTINGS_FILE.read_text(encoding="utf-8")).get("tiers")
        except (OSError, ValueError) as error:
            raise DataError(f"{_SETTINGS_FILE} is not readable: {error}", code="bad_tiers") from error
        named = found if isinstance(found, str) else None
    return (Path(named) if named else TIERS_FILE).absolute()


def newer_tables(file: Path) -> list[TierTable]:
    """Read the tables of a file; none where it is missing.

    Raises
    ------
    DataError
        ``bad_tiers``: it is there and cannot be read, or a table in it cannot be.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", code="bad_tiers") from error
    try:
        return NewerTiers.model_validate_json(content).tables
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{file} holds no margin tiers: {where}: {first['msg']}",
            code="bad_tiers",
            hint="remove it, or write it again with bearmode tiers update",
        ) from error


@contextmanager
def shipped_tiers_only() -> Iterator[None]:
    """Within it only what ships counts."""
    token = _shipped_only.set(True)
    try:
        yield
    finally:
        _shipped_only.reset(token)


def forget_tiers() -> None:
    """Read the file of newer tables again at the next question."""
    _in_use.cache_clear()
    _ladder.cache_clear()
    _as_of.cache_clear()


@cache
def shipped_tiers() -> TierData:
    """The tables of ``tiers.json``."""
    return TierData.model_validate_json(Path(__file__).with_name("tiers.json").read_bytes())


def tiers_in_use() -> TierData:
    """What ships, and the newer tables beside it."""
    return shipped_tiers() if _shipped_only.get() else _in_use()


@cache
def _in_use() -> TierData:
    return shipped_tiers().joined(newer_tables(tiers_file()))


@cache
def _ladder(_shipped: bool, exchange: Exchange, symbol: str) -> tuple[MarginTier, ...]:
    return tiers_in_use().ladder(exchange, symbol)


@cache
def _as_of(_shipped: bool, exchange: Exchange, symbol: str) -> str | None:
    return tiers_in_use().as_of(exchange, symbol)


def tiers_as_of(exchange: Exchange, symbol: str) -> str | None:
    """Month or day of the symbol's table, ``None`` where it has none."""
    return _as_of(_shipped_only.get(), exchange, symbol)


def tiers(exchange: Exchange, symbol: str) -> tuple[MarginTier, ...]:
    """Every tier of a symbol by the newest table, smallest first.

    The last one reaches to infinity and is the assumption for what has no source, unless the table
    reaches to the exchange's own last tier.
    """
    return _ladder(_shipped_only.get(), exchange, symbol)


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
