"""The four signals a trader counts before leaning short, each declared once, each dated by its bar.

Row ``t`` uses bars ``<= t`` and forgets all older than the signal's look-back: a window of exactly
that many bars gives the same bits as the whole history. A signal whose input is missing says
``MISSING``; it never guesses and never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.bars import Bars, FloatArray
from features.funding import rate_per_8h
from features.history import History
from features.open_interest import log_interest
from features.regimes import Regime
from features.rolling import lag

__all__ = [
    "CONFIRMING",
    "SIGNALS",
    "Reading",
    "Signal",
    "SignalColumns",
    "SignalState",
    "agreeing",
    "available",
    "confirmed_bear",
    "readings",
    "signal_table",
]

StateArray = npt.NDArray[np.int8]
CountArray = npt.NDArray[np.int64]
Computed = tuple[StateArray, FloatArray, FloatArray]

CONFIRMING = 3
"""A bear is confirmed when at least so many signals are bearish."""
FAST_MEAN_DAYS, SLOW_MEAN_DAYS = 20, 100
FUNDING_MEAN_DAYS, FUNDING_OVER_DAYS = 7, 90
LOW_SHARE, HIGH_SHARE = 0.20, 0.80
PERCENTILE_COVERAGE = 0.9
"""A percentile stands if at least this share of its 90 days is there."""
INTEREST_DAYS = 3
FEAR, GREED = 25.0, 75.0
_EQUAL = 1e-9
"""Means that differ by less than this share are equal: rounding must not make a cross."""
_EQUAL_RATE = 1e-12
"""The same for 8-hour rates, whose 7-day means are at least 6e-11 apart where they differ."""
_CHUNK = 8192


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
    late_when_bearish : bool
        The move that a bearish reading speaks of is often nearly over.
    """

    name: str
    lookback_days: float
    inputs: tuple[str, ...]
    words: str
    compute: Callable[[Bars], Computed]
    late_when_bearish: bool = False

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


def _state(known: npt.NDArray[np.bool_], bearish: npt.NDArray[np.bool_], bullish: object) -> StateArray:
    state = np.select(
        [~known, bearish, np.asarray(bullish)],
        [SignalState.MISSING, SignalState.BEARISH, SignalState.BULLISH],
        default=SignalState.NEUTRAL,
    )
    return state.astype(np.int8)


def _between(value: FloatArray, low: FloatArray, high: FloatArray, equal: float) -> Computed:
    """Bearish below ``low``, bullish above ``high``; the threshold shown is the nearer of the two."""
    known = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    state = _state(known, value < low - equal, value > high + equal)
    return state, value, np.where(value - low <= high - value, low, high)


def _moving_average_cross(bars: Bars) -> Computed:
    close = bars.column("close")
    fast: FloatArray = bars.mean("close", close, FAST_MEAN_DAYS)
    slow: FloatArray = bars.mean("close", close, SLOW_MEAN_DAYS)
    known = np.isfinite(fast) & np.isfinite(slow) & np.isfinite(close)
    gap = fast - slow
    return _state(known, gap < -_EQUAL * slow, gap > _EQUAL * slow), fast, slow


def _percentiles(values: FloatArray, lags: CountArray, last: int | None) -> tuple[FloatArray, FloatArray]:
    """20th and 80th percentile of each row's earlier ``values``, linear between order statistics.

    Sorting makes the sum of nothing: the result does not depend on the order of the days, to the
    last bit. NaN below :data:`PERCENTILE_COVERAGE`.
    """
    size = len(values)
    low, high = np.full(size, np.nan), np.full(size, np.nan)
    begin = max(int(lags.max()), 0 if last is None else size - last)
    for start in range(begin, size, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, size))
        ordered = np.sort(values[rows[:, None] - lags[None, :]], axis=1)  # NaN go last
        count = np.isfinite(ordered).sum(axis=1)
        enough = count >= np.ceil(PERCENTILE_COVERAGE * len(lags))
        for out, share in ((low, LOW_SHARE), (high, HIGH_SHARE)):
            place = share * np.maximum(count - 1, 0)
            below = np.floor(place).astype(np.int64)
            above = np.minimum(below + 1, np.maximum(count - 1, 0))
            floor = np.take_along_axis(ordered, below[:, None], axis=1)[:, 0]
            ceiling = np.take_along_axis(ordered, above[:, None], axis=1)[:, 0]
            out[rows] = np.where(enough, floor + (ceiling - floor) * (place - below), np.nan)
    return low, high


def _funding(bars: Bars) -> Computed:
    mean: FloatArray = bars.mean("rate_per_8h", rate_per_8h(bars), FUNDING_MEAN_DAYS)
    low, high = _percentiles(mean, np.arange(1, FUNDING_OVER_DAYS + 1) * bars.per_day, bars.last)
    return _between(mean, low, high, _EQUAL_RATE)


def _price_and_open_interest(bars: Bars) -> Computed:
    n = bars.bars(INTEREST_DAYS)
    level, price = log_interest(bars), bars.day_end(bars.log_close)
    usd = level - lag(level, n)
    moved = price - lag(price, n)
    opened = np.expm1(np.minimum(usd, usd - moved))  # the smaller of the changes in USD and in coins
    known = np.isfinite(opened) & np.isfinite(moved)
    risen = opened > _EQUAL
    return (
        _state(known, risen & (moved < -_EQUAL), risen & (moved > _EQUAL)),
        opened,
        np.zeros(bars.size),
    )


def _fear_greed(bars: Bars) -> Computed:
    value = bars.column("fear_greed")
    value = np.where((value >= 0) & (value <= 100), value, np.nan)
    return _between(value, np.full(bars.size, FEAR), np.full(bars.size, GREED), 0.0)


SIGNALS: tuple[Signal, ...] = (
    Signal(
        "moving_average_cross",
        SLOW_MEAN_DAYS,
        ("close",),
        "20-day mean of the close below its 100-day mean: bearish; above: bullish",
        _moving_average_cross,
    ),
    Signal(
        "funding",
        FUNDING_MEAN_DAYS + FUNDING_OVER_DAYS,
        ("funding_rate", "funding_interval_hours"),
        "7-day mean of the 8-hour funding rate below the 20th percentile of its values at the same "
        "hour of the last 90 days: bearish; above the 80th: bullish",
        _funding,
    ),
    Signal(
        "price_and_open_interest",
        INTEREST_DAYS + 1,
        ("open_interest", "close"),
        "day ends 3 days apart: open interest up (in USD and in coins) while price fell: bearish, "
        "often late; while price rose: bullish; open interest not up: neutral",
        _price_and_open_interest,
        late_when_bearish=True,
    ),
    Signal(
        "fear_greed",
        0,
        ("fear_greed",),
        "fear & greed index below 25: bearish; above 75: bullish",
        _fear_greed,
    ),
)
"""All signals, in the order of the answer."""


def signal_table(history: History, last: int | None = None) -> dict[str, SignalColumns]:
    """Read every signal at each bar.

    Parameters
    ----------
    history : History
    last : int, optional
        Only the last so many rows.

    Returns
    -------
    dict of str to SignalColumns
        By signal name, in the order of :data:`SIGNALS`; row ``t`` uses bars ``<= t``.
    """
    rows = len(history) if last is None else min(last, len(history))
    bars = Bars(history, last=rows)
    begin = len(history) - rows
    table: dict[str, SignalColumns] = {}
    with np.errstate(all="ignore"):
        for signal in SIGNALS:
            state, value, threshold = signal.compute(bars)
            state, value, threshold = state[begin:], value[begin:], threshold[begin:]
            known = state != SignalState.MISSING
            table[signal.name] = SignalColumns(
                state,
                np.where(known, value, np.nan),
                np.where(known, threshold, np.nan),
                (state == SignalState.BEARISH) & signal.late_when_bearish,
            )
    return table


def readings(table: Mapping[str, SignalColumns], row: int) -> tuple[Reading, ...]:
    """Read off one row of a :func:`signal_table`; ``row`` may be negative."""
    return tuple(
        Reading(
            name,
            SignalState(int(columns.state[row])),
            float(columns.value[row]),
            float(columns.threshold[row]),
            bool(columns.late[row]),
        )
        for name, columns in table.items()
    )


def _count(table: Mapping[str, SignalColumns], state: int | StateArray, *, other: bool = False) -> CountArray:
    """How many signals are in ``state`` (``other``: are not) at each row."""
    states = np.stack([columns.state for columns in table.values()])
    hits = (states != state) if other else (states == state)
    count: CountArray = hits.sum(axis=0, dtype=np.int64)
    return count


def available(table: Mapping[str, SignalColumns]) -> CountArray:
    """How many signals are not missing at each row, shape (n_rows,)."""
    return _count(table, SignalState.MISSING, other=True)


def confirmed_bear(table: Mapping[str, SignalColumns]) -> npt.NDArray[np.bool_]:
    """Whether at least :data:`CONFIRMING` signals are bearish at each row, shape (n_rows,).

    With fewer than that available a bear is never confirmed.
    """
    confirmed: npt.NDArray[np.bool_] = _count(table, SignalState.BEARISH) >= CONFIRMING
    return confirmed


def agreeing(table: Mapping[str, SignalColumns], regimes: npt.ArrayLike) -> CountArray:
    """How many signals say what the regime says at each row, shape (n_rows,).

    Parameters
    ----------
    table : mapping of str to SignalColumns
    regimes : array-like of int, shape (n_rows,) or scalar
        Class indices. Bear and relief rally (a rise within a fall, entered short) agree with
        bearish signals, bull with bullish ones, ranging with neutral ones.
    """
    says = np.empty(len(Regime), dtype=np.int8)
    says[Regime.BEAR] = says[Regime.RELIEF_RALLY] = SignalState.BEARISH
    says[Regime.RANGING], says[Regime.BULL] = SignalState.NEUTRAL, SignalState.BULLISH
    return _count(table, says[np.asarray(regimes)])
