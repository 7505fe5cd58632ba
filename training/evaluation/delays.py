"""How soon each turn of the hindsight regime is answered.

A turn is a bar whose hindsight regime differs from that of the bar before, both labelled. Turns at the
edge of what is labelled or answered are told apart rather than dropped or counted as missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.evaluation.calibration_error import IntArray

__all__ = ["GAP", "HOUR", "Delay", "Turn", "hindsight_turns", "joined"]

HOUR = 3_600_000
GAP = 24 * HOUR
"""Bars further apart do not follow each other, ms."""


@dataclass(frozen=True)
class Turn:
    """One turn of the hindsight regime and when it was answered.

    Attributes
    ----------
    symbol, regime : int
        Whose turn, and to what.
    time : pandas.Timestamp
        Close of the first bar of the new regime.
    spell_days : float
        How long the regime lasted, as far as it is labelled.
    delay_days : float or None
        From that close to the close of the first bar that answers the new regime, ``None`` if no bar of
        the spell does.
    already : bool
        The answer was the new regime before the turn, too.
    cut_off : bool
        Not answered, and the spell is not seen to its end (labels or span end, or more than a day of it
        has no answer): nobody knows whether it would have been.
    """

    symbol: int
    regime: int
    time: pd.Timestamp
    spell_days: float
    delay_days: float | None
    already: bool
    cut_off: bool


@dataclass(frozen=True)
class Delay:
    """Delays of some turns.

    Attributes
    ----------
    turns : int
        Answered and missed ones; those that are cut off do not count.
    missed : int
        Not answered while the regime lasted.
    cut_off : int
        See :class:`Turn`; in neither of the two.
    already : int
        Of ``turns``: the answer was the new regime before the turn.
    median_days, days_90 : float or None
        Quantiles over the turns that were answered; ``None`` where none was.
    low_days, high_days : float or None
        95 % interval of the median by its order statistics, turns taken as independent.
    median_all_days, all_90_days : float or None
        Quantiles over all turns, a missed one taking for ever; ``None`` where that is the answer.
    """

    turns: int
    missed: int
    cut_off: int
    already: int
    median_days: float | None
    days_90: float | None
    low_days: float | None
    high_days: float | None
    median_all_days: float | None
    all_90_days: float | None

    @classmethod
    def of(cls, found: Iterable[Turn]) -> Delay:
        """Count some turns."""
        seen = list(found)
        judged = [one for one in seen if not one.cut_off]
        days = np.array([one.delay_days for one in judged if one.delay_days is not None])
        every = np.concatenate((days, np.full(len(judged) - len(days), np.inf)))
        low, high = _median_interval(days)
        return cls(
            turns=len(judged),
            missed=len(judged) - len(days),
            cut_off=len(seen) - len(judged),
            already=sum(one.already for one in judged),
            median_days=_quantile(days, 0.5),
            days_90=_quantile(days, 0.9),
            low_days=low,
            high_days=high,
            median_all_days=_quantile(every, 0.5),
            all_90_days=_quantile(every, 0.9),
        )


def hindsight_turns(
    answer: IntArray, truth: IntArray, symbol: IntArray, time: pd.DatetimeIndex
) -> list[Turn]:
    """Every turn of the truth between the first and the last answer of its symbol.

    Parameters as for :func:`training.evaluation.turns`. Turns before a symbol's first answer or after
    its last one were not put to the model, and are not here.
    """
    stamps = time.as_unit("ms").asi8
    follows = joined(symbol, stamps)
    asked = _asked(answer, symbol)
    # A run: consecutive bars of one symbol with one label.
    edge = np.flatnonzero(np.concatenate(([len(truth) > 0], ~follows | (np.diff(truth) != 0))))
    ends = np.append(edge, len(truth))[1:]
    result = []
    for begin, end in zip(edge.tolist(), ends.tolist(), strict=True):
        turned = begin > 0 and follows[begin - 1] and truth[begin] >= 0 and truth[begin - 1] >= 0
        if not (turned and asked[begin]):
            continue
        whole = end < len(truth) and bool(follows[end - 1]) and bool(truth[end] >= 0)
        hit = np.flatnonzero(answer[begin:end] == truth[begin])
        last = begin + int(hit[0]) if len(hit) else end - 1
        silent = _longest_silence(answer[begin : last + 1], stamps[begin : last + 1]) > GAP
        delay = (int(stamps[last]) - int(stamps[begin])) / HOUR / 24 if len(hit) and not silent else None
        result.append(
            Turn(
                symbol=int(symbol[begin]),
                regime=int(truth[begin]),
                time=pd.Timestamp(time[begin]),
                spell_days=(int(stamps[end - 1]) - int(stamps[begin])) / HOUR / 24,
                delay_days=delay,
                already=bool(answer[begin - 1] == truth[begin] == answer[begin]),
                cut_off=delay is None and (silent or not whole),
            )
        )
    return result


def joined(symbol: IntArray, stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each bar but the first follows the one before: same symbol, a day later at most."""
    return np.asarray((np.diff(symbol) == 0) & (np.diff(stamps) <= GAP))


def _asked(answer: IntArray, symbol: IntArray) -> npt.NDArray[np.bool_]:
    """Bars between the first and the last answer of their symbol."""
    asked = np.zeros(len(answer), dtype=bool)
    for one in np.unique(symbol):
        given = np.flatnonzero((symbol == one) & (answer >= 0))
        if len(given):
            asked[given[0] : given[-1] + 1] = True
    return asked


def _longest_silence(answer: IntArray, stamps: npt.NDArray[np.int64]) -> int:
    """Milliseconds of the longest run of bars without an answer."""
    silent = answer < 0
    if not silent.any():
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], silent, [False])).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2] - 1
    return int((stamps[ends] - stamps[begins]).max())


def _quantile(days: npt.NDArray[np.float64], share: float) -> float | None:
    """Quantile that is one of the delays: between a finite and an endless one there is nothing."""
    if not len(days):
        return None
    found = float(np.quantile(days, share, method="inverted_cdf"))
    return found if np.isfinite(found) else None


def _median_interval(days: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    from scipy.stats import quantile_test  # noqa: PLC0415

    if len(days) < 2:
        return None, None
    found = quantile_test(days, p=0.5).confidence_interval(0.95)
    low, high = float(found.low), float(found.high)
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)
