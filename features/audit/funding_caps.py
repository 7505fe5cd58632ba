"""Caps of the funding rate: data with a date and a source (``funding_caps.json``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["FundingCaps", "funding_caps"]


@dataclass(frozen=True)
class FundingCaps:
    """Largest absolute funding rate that an exchange settles.

    Attributes
    ----------
    as_of : str
        Month to which the source speaks.
    source : str
    symbols : dict of str to float
        Fraction per interval.
    others : float
        Of symbols that are not named.
    """

    as_of: str
    source: str
    symbols: dict[str, float]
    others: float

    def of(self, symbol: str) -> float:
        """Cap of a symbol, a fraction per interval.

        Examples
        --------
        >>> funding_caps().of("BTCUSDT"), funding_caps().of("ANYUSDT")
        (0.003, 0.02)
        """
        return self.symbols.get(symbol, self.others)


@cache
def funding_caps() -> FundingCaps:
    """The shipped caps."""
    return FundingCaps(**json.loads(Path(__file__).with_name("funding_caps.json").read_bytes()))
