"""How the answer follows the truth in time: delays, switches without a turn, agreement nearby."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import DataError
from features.regimes import REGIMES
from training.evaluation.calibration_error import IntArray
from training.evaluation.delays import HOUR, Delay, hindsight_turns, joined
from training.evaluation.metrics import switches_per_year

__all__ = ["FALSE_SWITCH_DAYS", "Turns", "turns"]

FALSE_SWITCH_DAYS = 3.0
"""A switch of the answer is false if the truth has its regime nowhere within so many days."""
AGREEMENT_DAYS = (0.0, 1.0, 3.0)
YEAR_HOURS = 365.25 * 24
IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Turns:
    """How answers follow the turns of the truth.

    Attributes
    ----------
    all : Delay
    by_class : dict of str to Delay
        By the regime that is turned to.
    false_switches : int
        Switches of the answer to a regime that the truth has nowhere within ``within_days``.
    judged_switches : int
        Switches of the answer whose surroundings are labelled, so that they can be judged.
    false_switches_per_year, switches_per_year, true_switches_per_year : float or None
        A year and symbol, ``None`` without two consecutive bars; the first over the bars where a switch
        could be judged.
    agreement_within : dict of str to float
        By a number of days: share of the answered, labelled bars whose answer the truth has somewhere
        within so many days. ``"0"`` is accuracy on all bars.
    within_days : float
    delays : dict of str to list of float
        Delays in days of the turns that were answered, by class; for pictures.
    """

    all: Delay
    by_class: dict[str, Delay]
    false_switches: int
    judged_switches: int
    false_switches_per_year: float | None
    switches_per_year: float | None
    true_switches_per_year: float | None
    agreement_within: dict[str, float]
    within_days: float
    delays: dict[str, list[float]] = field(repr=False)

    @property
    def delay_median_days(self) -> float | None:
        """Median delay of all turns that were answered."""
        return self.all.median_days

    @property
    def delay_90_days(self) -> float | None:
        """Delay that nine of ten answered turns kept within."""
        return self.all.days_90

    @property
    def turns(self) -> int:
        """Turns of the truth that were answered or missed."""
        return self.all.turns

    @property
    def missed(self) -> int:
        """Turns of the truth that were not answered while the regime lasted."""
        return self.all.missed

    def metrics(self) -> dict[str, float]:
        """Flat names; what is undefined is left out."""
        found: dict[str, float | None] = {
            "false_switches": self.false_switches,
            "false_switches_per_year": self.false_switches_per_year,
            "switches_per_year": self.switches_per_year,
            "true_switches_per_year": self.true_switches_per_year,
        }
        for name, delay in (("", self.all), *((f"_{key}", one) for key, one in self.by_class.items())):
            found |= {
                f"turns{name}": delay.turns,
                f"missed_turns{name}": delay.missed,
                f"delay_median_days{name}": delay.median_days,
                f"delay_90_days{name}": delay.days_90,
            }
        found |= {f"agreement_within_{days}d": share for days, share in self.agreement_within.items()}
        return {name: float(value) for name, value in found.items() if value is not None}


def turns(
    answer: IntArray,
    truth: IntArray,
    symbol: IntArray,
    time: pd.DatetimeIndex,
    span: tuple[pd.Timestamp, pd.Timestamp] | None = None,
    *,
    within_days: float = FALSE_SWITCH_DAYS,
) -> Turns:
    """Follow the turns of the truth and those of the answer, symbol by symbol.

    Parameters
    ----------
    answer, truth : ndarray of int, shape (n_bars,)
        Class index; -1 where not answered, not labelled.
    symbol : ndarray of int, shape (n_bars,)
        Symbol after symbol.
    time : pandas.DatetimeIndex of length n_bars
        Bar closes, ascending within a symbol; every bar, not only those that scores are pooled over.
    span : (Timestamp, Timestamp), optional
        Only answers at or after the first and before the second; all by default.
    within_days : float, default=3
        See :attr:`Turns.false_switches`.

    Raises
    ------
    DataError
        If the lengths differ or the bars are not in order.
    """
    _check(answer, truth, symbol, time)
    stamps = time.as_unit("ms").asi8
    if span is not None:
        answer = np.where(np.asarray((time >= span[0]) & (time < span[1])), answer, -1)
    found = hindsight_turns(answer, truth, symbol, time)
    false, judged, years = _false_switches(answer, truth, symbol, stamps, within_days)
    both = (answer >= 0) & (truth >= 0)
    agreement = {}
    for days in AGREEMENT_DAYS if both.any() else ():
        agreement[f"{days:g}"] = float(_truth_near(answer, truth, symbol, stamps, days)[both].mean())
    return Turns(
        all=Delay.of(found),
        by_class={name: Delay.of(one for one in found if one.regime == k) for k, name in enumerate(REGIMES)},
        false_switches=false,
        judged_switches=judged,
        false_switches_per_year=false / years if years else None,
        switches_per_year=_rate(answer, symbol, time, answer >= 0),
        true_switches_per_year=_rate(truth, symbol, time, both),
        agreement_within=agreement,
        within_days=within_days,
        delays={
            name: [one.delay_days for one in found if one.regime == k and one.delay_days is not None]
            for k, name in enumerate(REGIMES)
        },
    )


def _check(answer: IntArray, truth: IntArray, symbol: IntArray, time: pd.DatetimeIndex) -> None:
    if not len(answer) == len(truth) == len(symbol) == len(time):
        raise DataError(
            f"{len(answer)} answers, {len(truth)} labels, {len(symbol)} symbols and {len(time)} times: "
            f"expected as many of each"
        )
    if not len(symbol):
        return
    same = np.diff(symbol) == 0
    ascending = (np.diff(time.as_unit("ms").asi8)[same] > 0).all()
    if not ascending or len(np.unique(symbol)) != 1 + np.count_nonzero(~same):
        raise DataError("bars are not in order: expected symbol after symbol, times ascending in each")


def _windows(symbol: IntArray, stamps: npt.NDArray[np.int64], days: float) -> tuple[IndexArray, IndexArray]:
    """First row, and one past the last, within some days of each row in its own symbol."""
    width = round(days * 24 * HOUR)
    low, high = np.empty((2, len(stamps)), dtype=np.intp)
    edges = np.flatnonzero(np.diff(symbol, prepend=-2, append=-2) != 0)
    for begin, end in pairwise(edges.tolist()):
        own = stamps[begin:end]
        low[begin:end] = begin + np.searchsorted(own, own - width, side="left")
        high[begin:end] = begin + np.searchsorted(own, own + width, side="right")
    return low, high


def _truth_near(
    answer: IntArray, truth: IntArray, symbol: IntArray, stamps: npt.NDArray[np.int64], days: float
) -> npt.NDArray[np.bool_]:
    """Whether the truth is the answer of each row somewhere within some days of it."""
    low, high = _windows(symbol, stamps, days)
    near = np.zeros(len(answer), dtype=bool)
    for k in range(len(REGIMES)):
        count = np.concatenate(([0], np.cumsum(truth == k)))
        near |= (answer == k) & (count[high] > count[low])
    return near


def _false_switches(
    answer: IntArray, truth: IntArray, symbol: IntArray, stamps: npt.NDArray[np.int64], days: float
) -> tuple[int, int, float]:
    """False switches, switches that can be judged, and the years in which they could be.

    Steps are those of :func:`switches_per_year`: from one answered bar to the next, a day at most.
    """
    given = np.flatnonzero(answer >= 0)
    low, high = _windows(symbol, stamps, days)
    unlabelled = np.concatenate(([0], np.cumsum(truth < 0)))
    near = _truth_near(answer, truth, symbol, stamps, days)[given[1:]]
    judged = (unlabelled[high] == unlabelled[low])[given[1:]] & joined(symbol[given], stamps[given])
    switch = (np.diff(answer[given].astype(np.int64)) != 0) & judged
    years = np.diff(stamps[given])[judged].sum() / HOUR / YEAR_HOURS
    return int((switch & ~near).sum()), int(switch.sum()), float(years)


def _rate(
    regime: IntArray, symbol: IntArray, time: pd.DatetimeIndex, where: npt.NDArray[np.bool_]
) -> float | None:
    rate = switches_per_year(regime[where], symbol[where], time[where])
    return None if np.isnan(rate) else rate
