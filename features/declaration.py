"""How a feature is declared: once, and everything else reads the declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from features.bars import Bars, FloatArray

__all__ = ["Feature"]


@dataclass(frozen=True)
class Feature:
    """One declared feature.

    Attributes
    ----------
    name : str
        Snake case, unique in the catalogue.
    group : str
        ``trend``, ``volatility``, ``volume``, ``funding`` or ``open_interest``.
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
        From :class:`~features.bars.Bars` to float64 of shape (n_bars,); row ``t`` uses bars
        ``<= t``.
    """

    name: str
    group: str
    lookback_days: float
    unit: str
    inputs: tuple[str, ...]
    words: str
    compute: Callable[[Bars], FloatArray]

    def lookback(self, per_day: int) -> int:
        """Bars that the value may depend on, the bar itself included."""
        return round(self.lookback_days * per_day) + 1

    def schema(self, per_day: int) -> dict[str, object]:
        """What the manifest and the documentation say of it."""
        return {
            "name": self.name,
            "group": self.group,
            "lookback_bars": self.lookback(per_day),
            "unit": self.unit,
            "inputs": list(self.inputs),
            "words": self.words,
        }
