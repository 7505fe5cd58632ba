"""Margin tiers of many positions at once: the arithmetic of :mod:`serving.margin` on arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from serving.margin import Exchange, tiers

__all__ = ["Ladders"]

IndexArray = npt.NDArray[np.intp]


class Ladders:
    """Tier tables of some symbols, padded to one length.

    Parameters
    ----------
    symbols : sequence of str
    exchange : {"binance"}
        Whose rules; only Binance's are counted here.
    """

    def __init__(self, symbols: Sequence[str], exchange: Exchange = "binance") -> None:
        found = [tiers(exchange, symbol) for symbol in symbols]
        longest = max(len(ladder) for ladder in found)
        padded = [[*ladder, *[ladder[-1]] * (longest - len(ladder))] for ladder in found]

        def table(name: str) -> FloatArray:
            return np.array([[getattr(tier, name) for tier in ladder] for ladder in padded])

        self.floor, self.rate, self.amount = table("floor"), table("rate"), table("amount")
        self.up_to, self.max_leverage = table("up_to"), table("max_leverage")
        self.open_end = self.up_to.copy()
        for place, ladder in enumerate(found):
            self.open_end[place, len(ladder) - 1 :] = np.inf
        self.known = tuple(ladder[0].known for ladder in found)

    def largest(self, symbol: IndexArray, leverage: FloatArray) -> FloatArray:
        """Largest notional that may be opened at a leverage, shape (n,)."""
        allowed = self.max_leverage[symbol] >= leverage[:, None] * (1 - 1e-12)
        return np.asarray(np.where(allowed, self.up_to[symbol], 0.0).max(axis=1))

    def liquidation(
        self, symbol: IndexArray, quantity: FloatArray, entry: FloatArray, margin: FloatArray
    ) -> tuple[FloatArray, IndexArray]:
        """Liquidation prices and the tiers of the notional there.

        Parameters
        ----------
        symbol : ndarray of int, shape (n,)
        quantity : ndarray of shape (n,)
            Coins, negative for a short, never 0.
        entry, margin : ndarray of shape (n,)
            Price, and what is left of the isolated margin.

        Returns
        -------
        price : ndarray of shape (n,)
            Zero or less for a long that no price liquidates.
        tier : ndarray of int, shape (n,)
        """
        n, longest = len(symbol), self.rate.shape[1]
        size = np.abs(quantity)
        price, tier = np.full(n, np.nan), np.full(n, -1, dtype=np.intp)
        for short in (True, False):
            mine = quantity < 0 if short else quantity > 0
            if not mine.any():
                continue
            for place in range(longest) if short else reversed(range(longest)):
                floor, end = self.floor[symbol, place] / size, self.open_end[symbol, place] / size
                level = self.at(symbol, np.full(n, place), quantity, entry, margin)
                if short:
                    fits = (end >= entry) & (level <= end)
                    level = np.maximum(level, floor)
                else:
                    fits = (floor < entry) & ((level > floor) | (floor == 0))
                new = mine & fits & (tier < 0)
                price[new], tier[new] = level[new], place
        return price, tier

    def at(
        self,
        symbol: IndexArray,
        tier: IndexArray,
        quantity: FloatArray,
        entry: FloatArray,
        margin: FloatArray,
    ) -> FloatArray:
        """Liquidation price by the rate and amount of given tiers."""
        sign = np.where(quantity > 0, 1.0, -1.0)
        size = np.abs(quantity)
        rate, amount = self.rate[symbol, tier], self.amount[symbol, tier]
        return np.asarray((entry * size - sign * (margin + amount)) / (size * (1 - sign * rate)))
