"""Names of contracts: ours (``BTCUSDT``) to the venue's USDT-margined perpetual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from features.errors import NothingUsableError

__all__ = ["Perpetual", "find_perpetual", "perpetuals"]

_QUOTE = "USDT"


@dataclass(frozen=True, slots=True)
class Perpetual:
    """One linear perpetual.

    Attributes
    ----------
    name : str
        Ours: base and quote in one word.
    unified : str
        ccxt's: ``BTC/USDT:USDT``.
    id : str
        The venue's own: ``BTCUSDT``, ``BTC-USDT-SWAP``.
    """

    name: str
    unified: str
    id: str


def perpetuals(markets: Iterable[Mapping[str, Any]]) -> dict[str, Perpetual]:
    """USDT-margined perpetuals by our name; of two with one name the one that trades."""
    found: dict[str, Perpetual] = {}
    for market in sorted(markets, key=lambda market: bool(market["active"])):
        if (
            market["swap"] is True
            and market["linear"] is True
            and market["settle"] == _QUOTE == market["quote"]
        ):
            name = f"{market['baseId']}{market['quoteId']}".upper()
            found[name] = Perpetual(name, str(market["symbol"]), str(market["id"]))
    return found


def find_perpetual(symbol: str, known: Mapping[str, Perpetual], exchange: str) -> Perpetual:
    """The contract of a name.

    Raises
    ------
    NothingUsableError
        With the nearest names, if the venue has none of it.
    """
    if symbol in known:
        return known[symbol]
    base = symbol.removesuffix(_QUOTE).lstrip("0123456789")
    kin = [name for name in known if base and name.removesuffix(_QUOTE).lstrip("0123456789") == base]
    near = list(dict.fromkeys([*kin, *get_close_matches(symbol, known, 3, 0.6)]))[:4]
    raise NothingUsableError(
        f"{exchange} has no USDT perpetual named {symbol}",
        code="unknown_symbol",
        field="symbols",
        hint=f"near names are: {', '.join(near)}" if near else f"it lists {len(known)} others, none near it",
    )
