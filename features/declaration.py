"""How a feature is declared: once, and everything else reads the declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from features.bars import Bars, FloatArray

__all__ = ["GROUPS", "Feature"]

GROUPS: dict[str, str] = {
    "trend": "Where price has been going, and how far",
    "label_path": "What each regime would cost the labels' own path, if price stood still",
    "exhaustion": "How old, how straight and how stretched the move is",
    "volatility": "How price moves, whichever way",
    "volume": "What trading says of the move",
    "funding": "What longs pay shorts",
    "calendar": "The clock of the contract",
    "open_interest": "Positions opened and closed",
    "liquidation_map": "Where open positions would be liquidated (estimated)",
    "positioning": "Who is on which side, and who is forced out",
    "sentiment": "How the crowd feels",
    "cross_market": "What the leader and the other symbols do",
}
"""Groups of features, in the order of the catalogue, and what each is about."""


@dataclass(frozen=True)
class Feature:
    """One declared feature.

    Attributes
    ----------
    name : str
        Snake case, unique in the catalogue.
    group : str
        One of :data:`GROUPS`.
    lookback_days : float
        Time before the bar that the value may depend on. In bars: ``days x bars per day + 1``,
        the bar itself included.
    unit : str
        Such as ``sd`` (standard deviations of drift) or ``share``.
    inputs : tuple of str
        Columns of the history that it reads.
    words : str
        The formula in words.
    compute : callable
        From :class:`~features.bars.Bars` to float64 of shape (n_bars,) or, where only the last rows
        will be read, of those alone; row ``t`` uses bars ``<= t``.
    source : str
        Where the idea comes from: a paper, an exchange's page, or ``trader practice: ...``.
    tells : str
        Which regimes it is meant to tell apart, and how.
    """

    name: str
    group: str
    lookback_days: float
    unit: str
    inputs: tuple[str, ...]
    words: str
    compute: Callable[[Bars], FloatArray]
    source: str
    tells: str

    def lookback(self, per_day: int) -> int:
        """Bars that the value may depend on, the bar itself included."""
        return round(self.lookback_days * per_day) + 1

    def schema(self, per_day: int) -> dict[str, object]:
        """What a bundle's manifest says of it; a bundle is refused where this changed."""
        return {
            "name": self.name,
            "group": self.group,
            "lookback_bars": self.lookback(per_day),
            "unit": self.unit,
            "inputs": list(self.inputs),
            "words": self.words,
        }
