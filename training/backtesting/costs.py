"""What trading costs, and how late and how badly orders are done: the knobs of a stress test."""

from __future__ import annotations

from dataclasses import dataclass

from features.errors import UsageError
from serving.margin import TAKER_FEE

__all__ = ["DEAD_BELOW", "FIRST_EQUITY", "MAKER_FEE", "SLIPPAGE", "Costs"]

MAKER_FEE = 0.0002
"""Regular maker fee, fraction of notional."""
SLIPPAGE = 0.0003
"""Of an order at market, fraction of its price. Chosen, not fitted: large perpetuals trade closer."""
FIRST_EQUITY = 10_000.0
"""What every account begins with, quote currency; it decides the margin tiers."""
DEAD_BELOW = 0.01
"""An account with no more than this part of its first equity trades no more."""


@dataclass(frozen=True)
class Costs:
    """Fees and the manner of execution.

    Attributes
    ----------
    taker, maker : float
        Fees, fraction of notional; orders at market pay the first, tranches and targets the second.
    slippage : float
        Of orders at market, fraction of price.
    funding_multiple : float
        Every funding payment, paid or received, times this.
    delay : int
        Bars from the close that was decided on to the open that is traded at; 1 is the next open.
    stops_at_extreme : bool
        Price jumps over every stop to the bar's worst price.
    """

    taker: float = TAKER_FEE
    maker: float = MAKER_FEE
    slippage: float = SLIPPAGE
    funding_multiple: float = 1.0
    delay: int = 1
    stops_at_extreme: bool = False

    def __post_init__(self) -> None:
        if self.delay < 1:
            raise UsageError(
                f"a delay of {self.delay} bars would act before it has decided, expected 1 or more"
            )
        if min(self.taker, self.maker, self.slippage, self.funding_multiple) < 0:
            raise UsageError("fees, slippage and funding multiple must not be below 0")
