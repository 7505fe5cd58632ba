"""Which positions were liquidated: every bar an entry, by the adverse extremes of the bars after it.

A short of one coin that was entered at ``e`` with leverage ``L`` is liquidated in the first bar whose
high ``p`` leaves no more than the maintenance margin:

    e / L - fee e + amount - (p - e) + (F - F_e) <= c p

``F`` is the funding a short has received up to the bar's beginning, ``c`` the tier's rate (on OKX with
the taker fee of the liquidation). Rearranged, ``p (1 + c) - F`` of the bar reaches a bound that is
fixed at the entry; so does ``p (1 - c) - F`` of a long's lows. A running extreme therefore answers
for all entries at once, signed funding at its real settlements included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from features.errors import DataError
from serving.margin import TAKER_FEE, Exchange, Position, liquidation_in_tiers, tier_for
from training.survival.prices import FloatArray, Prices

__all__ = ["NOTIONAL", "Outcomes", "Rules"]

NOTIONAL = 1_000.0
"""Quote currency: the first tier of every symbol that has a table."""

_CHUNK = 4_096


@dataclass(frozen=True)
class Rules:
    """Under which rules positions are held.

    Attributes
    ----------
    exchange : {"binance", "okx"}
    notional : float
        Of each position at entry, quote currency: it decides the tier.
    fee : float
        Taken from the margin at entry, fraction of notional.
    """

    exchange: Exchange = "binance"
    notional: float = NOTIONAL
    fee: float = TAKER_FEE

    def largest_leverage(self, symbol: str) -> float:
        """What the tier of the notional allows."""
        return float(tier_for(self.exchange, symbol, self.notional).max_leverage)


@dataclass(frozen=True)
class _Bound:
    """``charged`` as ``c`` above; ``share`` is the bound at entry over the entry price, no funding."""

    charged: float
    share: float


class Outcomes:
    """What became of positions in one symbol.

    Parameters
    ----------
    prices : Prices
    rules : Rules
    """

    def __init__(self, prices: Prices, rules: Rules | None = None) -> None:
        self.prices = prices
        self.rules = rules or Rules()
        self._kept: dict[tuple[Position, float, int], FloatArray] = {}

    def liquidated(self, side: Position, leverage: float, days: float) -> FloatArray:
        """Whether a position opened at each bar's close was liquidated within some days.

        Hindsight: uses the bars after ``t``, up to ``days`` later, and none else.

        Parameters
        ----------
        side : {"short", "long"}
        leverage : float
            Notional over isolated margin at entry.
        days : float

        Returns
        -------
        ndarray of shape (n_bars,)
            1 liquidated, 0 not; NaN where a bar within the time is missing or has not been yet.

        Raises
        ------
        DataError
            For a leverage that the tier does not allow.
        """
        bound = self._bound(side, leverage)
        worst = self._worst(side, bound.charged, round(days * self.prices.per_day))
        limit = self.prices.close * bound.share - self.prices.funding
        hit = worst >= limit if side == "short" else worst <= limit
        return np.where(np.isfinite(worst) & np.isfinite(limit), hit.astype(np.float64), np.nan)

    def bars_to_liquidation(
        self, side: Position, leverage: float, entries: npt.NDArray[np.integer], days: float
    ) -> npt.NDArray[np.int64]:
        """Bars from each entry to the one that liquidated it; -1 where none did within ``days``.

        Missing bars liquidate nobody; entries whose time reaches beyond the last bar are refused.
        """
        bars = round(days * self.prices.per_day)
        if len(entries) and int(entries.max()) + bars >= len(self.prices):
            raise DataError(f"an entry has fewer than {bars} bars after it")
        bound = self._bound(side, leverage)
        limit = self.prices.close * bound.share - self.prices.funding
        met = sliding_window_view(self._met(side, bound.charged), bars)
        found = np.full(len(entries), -1, dtype=np.int64)
        for start in range(0, len(entries), _CHUNK):
            part = np.asarray(entries[start : start + _CHUNK])
            path, edge = met[part + 1], limit[part][:, None]
            hit = path >= edge if side == "short" else path <= edge
            found[start : start + len(part)] = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, -1)
        return found

    def _bound(self, side: Position, leverage: float) -> _Bound:
        rules, symbol = self.rules, self.prices.symbol
        allowed = rules.largest_leverage(symbol)
        if not 0 < leverage <= allowed:
            raise DataError(
                f"{leverage:g}x on {symbol}, expected above 0 and at most the tier's {allowed:g}x",
                code="leverage_beyond_tier",
                field="leverage",
            )
        _, tier = liquidation_in_tiers(
            rules.exchange, symbol, side, 1.0, leverage, rules.notional, costs=rules.fee
        )
        okx = rules.exchange == "okx"
        amount = 0.0 if okx else tier.amount / rules.notional
        margin = 1 / leverage - rules.fee + amount
        return _Bound(tier.rate + (TAKER_FEE if okx else 0.0), 1 + margin if side == "short" else 1 - margin)

    def _met(self, side: Position, charged: float) -> FloatArray:
        """What each bar holds against the bound: its extreme, less the funding before it."""
        before = np.concatenate((self.prices.funding[:1], self.prices.funding[:-1]))
        if side == "short":
            return self.prices.high * (1 + charged) - before
        return self.prices.low * (1 - charged) - before

    def _worst(self, side: Position, charged: float, bars: int) -> FloatArray:
        """Extreme of the ``bars`` bars after each bar; NaN where one of them is missing."""
        key = (side, charged, bars)
        if key not in self._kept:
            rolled = pd.Series(self._met(side, charged)).rolling(bars, min_periods=bars)
            seen = (rolled.max() if side == "short" else rolled.min()).to_numpy()
            ahead = np.full(len(seen), np.nan)
            ahead[: max(len(seen) - bars, 0)] = seen[bars:]
            self._kept[key] = ahead
        return self._kept[key]
