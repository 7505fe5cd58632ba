"""The regimes, and in hindsight which one the market was in.

Everything here called *hindsight* has seen the future: a label at ``t`` uses prices up to 20 days
after ``t`` and more until its path is settled. It may be used only from ``confirmed_at`` on.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import DataError
from features.history import History

__all__ = [
    "LABEL_VERSION",
    "REGIMES",
    "Regime",
    "drift_scores",
    "hindsight_regimes",
    "region_costs",
    "settled_path",
]

LABEL_VERSION = "drift-path-1"
"""Changes whenever the definition of the labels does."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Regime(IntEnum):
    """The four regimes; the value is the class index everywhere.

    Examples
    --------
    >>> Regime.RELIEF_RALLY.label, int(Regime.RELIEF_RALLY)
    ('relief_rally', 2)
    """

    BEAR = 0
    RANGING = 1
    RELIEF_RALLY = 2
    BULL = 3

    @property
    def label(self) -> str:
        """The name used in files and answers."""
        return self.name.lower()


REGIMES: tuple[str, ...] = tuple(regime.label for regime in Regime)
"""Class order of every probability vector."""

SLOW_BACK_DAYS, SLOW_AHEAD_DAYS = 120, 20
FAST_BACK_DAYS, FAST_AHEAD_DAYS = 5, 3
HALF_LIFE_DAYS = 42
SLOW_EDGE, FAST_EDGE = 0.3, 0.4
SWITCH_COST = 0.3
_PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def drift_scores(close: FloatArray, per_day: int) -> tuple[FloatArray, FloatArray]:
    """Slow and fast drift score of each bar. Hindsight: uses 20 days after each bar.

    Parameters
    ----------
    close : ndarray of shape (n_bars,)
        Closes; NaN is a missing bar, carried forward here alone.
    per_day : int
        Bars in a day.

    Returns
    -------
    slow, fast : ndarray of shape (n_bars,)
        Standard deviations of drift, NaN in the first 120 and the last 20 days.

    Raises
    ------
    DataError
        If the price did not move at all for so long that it has no volatility.
    """
    price = pd.Series(np.log(close)).ffill()
    squared = price.diff() ** 2
    variance = squared.ewm(halflife=HALF_LIFE_DAYS * per_day, adjust=True).mean() * per_day
    p = price.to_numpy(np.float64)
    sigma = np.sqrt(variance.to_numpy(np.float64))
    slow = np.full(len(p), np.nan)
    fast = np.full(len(p), np.nan)
    t = np.arange(SLOW_BACK_DAYS * per_day, len(p) - SLOW_AHEAD_DAYS * per_day)
    if len(t) == 0:
        return slow, fast
    if not (sigma[t] > 0).all():
        raise DataError(
            "the price does not move: it has no volatility to measure drift by",
            code="flat_price",
            field="close",
        )
    for out, back, ahead in (
        (slow, SLOW_BACK_DAYS, SLOW_AHEAD_DAYS),
        (fast, FAST_BACK_DAYS, FAST_AHEAD_DAYS),
    ):
        out[t] = (p[t + ahead * per_day] - p[t - back * per_day]) / (sigma[t] * np.sqrt(back + ahead))
    return slow, fast


def region_costs(slow: FloatArray, fast: FloatArray) -> FloatArray:
    """Cost of each regime: how far outside its region a bar is.

    Parameters
    ----------
    slow, fast : ndarray of shape (n_bars, ...)
        Drift scores, standard deviations.

    Returns
    -------
    ndarray of shape (n_bars, 4, ...)
    """
    falling = np.maximum(0.0, slow + SLOW_EDGE)
    return np.stack(
        (
            falling + np.maximum(0.0, fast - FAST_EDGE),
            np.maximum(0.0, np.abs(slow) - SLOW_EDGE),
            falling + np.maximum(0.0, FAST_EDGE - fast),
            np.maximum(0.0, SLOW_EDGE - slow),
        ),
        axis=1,
    )


def settled_path(costs: FloatArray, switch_cost: float = SWITCH_COST) -> tuple[IntArray, IntArray]:
    """Cheapest path through four states, as far as it is settled.

    Parameters
    ----------
    costs : ndarray of shape (n_bars, 4)
        Cost of being in each state at each bar.
    switch_cost : float
        Added for every switch; one is taken only if strictly cheaper than staying, from the
        cheapest state, the lowest index first.

    Returns
    -------
    states : ndarray of shape (n_bars,)
        State of the path; -1 where the surviving paths have not merged.
    settled_at : ndarray of shape (n_bars,)
        First row ``u >= t`` at which the four back-pointer paths that end at ``u`` agree at
        ``t``; -1 where they never do. Nothing after ``u`` can change ``states[t]``.

    Examples
    --------
    >>> states, settled_at = settled_path(np.array([[0.0, 9, 9, 9]] * 3))
    >>> states.tolist(), settled_at.tolist()
    ([0, 0, -1], [1, 2, -1])
    """
    n_bars = len(costs)
    states = np.full(n_bars, -1, dtype=np.int64)
    settled_at = np.full(n_bars, -1, dtype=np.int64)
    total = [0.0, 0.0, 0.0, 0.0]
    switches: list[tuple[int, int, tuple[int, int, int, int]]] = []  # row, cheapest before, came from
    meet = dict.fromkeys(_PAIRS, -1)  # last row at which the paths that end in this pair agree
    merged = -1
    for u, row in enumerate(costs.tolist()):
        if u:
            cheapest = min(total)
            source = total.index(cheapest)
            entry = cheapest + switch_cost
            came_from = (
                source if entry < total[0] else 0,
                source if entry < total[1] else 1,
                source if entry < total[2] else 2,
                source if entry < total[3] else 3,
            )
            if came_from != (0, 1, 2, 3):
                total = [entry if entry < value else value for value in total]
                switches.append((u, source, came_from))
                before = meet
                meet = {}
                for a, b in _PAIRS:
                    x, y = came_from[a], came_from[b]
                    meet[a, b] = u - 1 if x == y else before[(x, y) if x < y else (y, x)]
                now_merged = min(meet.values())
                if now_merged > merged:
                    settled_at[merged + 1 : now_merged + 1] = u
                    merged = now_merged
        total = [value + cost for value, cost in zip(total, row, strict=True)]
    state = 0  # beyond `merged` any surviving path will do: they agree before it
    end = n_bars
    for u, _, came_from in reversed(switches):
        states[u:end] = state
        end = u
        state = came_from[state]
    states[:end] = state
    states[merged + 1 :] = -1
    return states, settled_at


def hindsight_regimes(history: History) -> pd.DataFrame:
    """Label each bar with the regime it was in, as far as that is settled.

    Parameters
    ----------
    history : History
        At least 140 days for any label at all.

    Returns
    -------
    pandas.DataFrame
        Index ``time`` (bar close). ``regime``: nullable Int8 class index, null where not
        confirmed within this history (always in the first 120 days). ``confirmed_at``: close of
        the bar from which on the label may be used; nothing after it can change the label.
    """
    per_day = history.per_day
    time = history.time
    regime = np.full(len(history), -1, dtype=np.int64)
    confirmed = np.full(len(history), -1, dtype=np.int64)
    slow, fast = drift_scores(history.column("close"), per_day)
    scored = np.flatnonzero(np.isfinite(slow) & np.isfinite(fast))
    if len(scored):
        first = int(scored[0])
        last = int(scored[-1])
        costs = region_costs(slow[first : last + 1], fast[first : last + 1]) / per_day
        states, settled_at = settled_path(costs)
        regime[first : last + 1] = states
        settled = settled_at >= 0
        confirmed[first : last + 1][settled] = settled_at[settled] + first + SLOW_AHEAD_DAYS * per_day
    known = regime >= 0
    confirmed_at = pd.Series(pd.NaT, index=time, dtype=time.dtype)
    confirmed_at[known] = time[confirmed[known]]
    return pd.DataFrame(
        {
            "regime": pd.array(np.where(known, regime, 0), dtype="Int8"),
            "confirmed_at": confirmed_at.array,
        },
        index=time,
    ).assign(regime=lambda frame: frame["regime"].mask(~known))
