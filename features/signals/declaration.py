"""How a signal is declared, and what it reads as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.bars import Bars, FloatArray

__all__ = ["Computed", "Reading", "Signal", "SignalColumns", "SignalState", "StateArray"]

StateArray = npt.NDArray[np.int8]
Computed = tuple[StateArray, FloatArray, FloatArray]


class SignalState(IntEnum):
    """What a signal says; the value is what the int8 columns hold.

    Examples
    --------
    >>> SignalState(-1).label
    'bearish'
    """

    BEARISH = -1
    NEUTRAL = 0
    BULLISH = 1
    MISSING = 2

    @property
    def label(self) -> str:
        """The name used in answers."""
        return self.name.lower()


@dataclass(frozen=True)
class Signal:
    """One declared signal.

    Attributes
    ----------
    name : str
        Snake case, unique.
    lookback_days : float
        Time before the bar that the reading may depend on, as for features.
    inputs : tuple of str
        Columns of the history that it reads.
    words : str
        The rule in words.
    compute : callable
        From :class:`~features.bars.Bars` to ``state`` (int8, :class:`SignalState`), ``value`` and
        ``threshold`` (float64), each of shape (n_bars,); row ``t`` uses bars ``<= t``. Where the
        state is missing the caller sees NaN in the other two.
    measure : callable
        From Bars to float64 of shape (n_bars,): what the signal goes by, as one number a bar that
        rises with what is bullish. Signals are correlated by it, see
        :func:`~features.signals.independence.effective_signals`.
    measure_days : float
        Look-back of ``measure``: short, since 90 days of it must fit in a window.
    source : str
        Where the rule comes from.
    late_when_bearish : bool
        The move that a bearish reading speaks of is often nearly over.
    extra : bool
        Its input has no free history: it is there where the user brings it.
    """

    name: str
    lookback_days: float
    inputs: tuple[str, ...]
    words: str
    compute: Callable[[Bars], Computed]
    measure: Callable[[Bars], FloatArray]
    measure_days: float
    source: str
    late_when_bearish: bool = False
    extra: bool = False

    def lookback(self, per_day: int) -> int:
        """Bars that the reading may depend on, the bar itself included."""
        return round(self.lookback_days * per_day) + 1


@dataclass(frozen=True)
class SignalColumns:
    """One signal over many bars: four arrays of shape (n_rows,).

    Attributes
    ----------
    state : ndarray of int8
        Values of :class:`SignalState`.
    value, threshold : ndarray of float64
        What was measured and the edge it is held against, in the signal's unit; NaN where missing.
    late : ndarray of bool
    """

    state: StateArray
    value: FloatArray
    threshold: FloatArray
    late: npt.NDArray[np.bool_]


class Reading(NamedTuple):
    """One signal at one bar; ``value`` and ``threshold`` are NaN where the state is missing."""

    name: str
    state: SignalState
    value: float
    threshold: float
    late: bool
