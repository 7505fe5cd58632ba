"""Features of the universe: how many of its symbols rise, and how alike they move.

A symbol counts as a member of its own universe. A share or a spread stands if at least
:data:`COVERAGE` of the symbols are there at that bar; it is the same number for every symbol at the
same close.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from features.bars import Bars, FloatArray
from features.context import CONTEXT, MIN_SYMBOLS
from features.declaration import Feature
from features.rolling.table import table_max, table_mean
from features.tail_rows import at_rows, missing, over, tail_of
from features.universe_bars import universe_bars

__all__ = ["COVERAGE", "breadth_features"]

GROUP = "cross_market"
COVERAGE = 0.6
"""Share of the universe that has to be there at a bar."""
MEMBER_DAYS = 60
"""Longest look-back of what is computed for each symbol of the universe."""
SPREAD_DAYS = 30
"""Days that a member's volatility and its correlations are measured over."""
FALL_DAYS = 20
BREADTH = "Zweig (1986), Winning on Wall Street: breadth of the market"
DISPERSION = "Stivers, Sun (2010), Cross-sectional return dispersion and time variation in value and momentum"
CORRELATION = "Pollet, Wilson (2010), Average correlation and stock market returns"


def _universe(bars: Bars) -> FloatArray:
    """Log closes of the universe, a row a symbol in its order, as far back as any feature looks."""
    start = max(0, bars.size - bars.rows - bars.bars(MEMBER_DAYS))
    return bars.keep(
        "universe", lambda: np.log(np.stack([bars.context(name)[start:] for name in bars.universe]))
    )


def _returns(bars: Bars) -> FloatArray:
    """One-bar log returns of the universe, as far back as :data:`SPREAD_DAYS` need."""

    def compute() -> FloatArray:
        logs = _universe(bars)[:, -(bars.rows + bars.bars(SPREAD_DAYS)) :]
        out = np.full(logs.shape, np.nan)
        np.subtract(logs[:, 1:], logs[:, :-1], out=out[:, 1:])
        return out

    return bars.keep("universe returns", compute)


def _moments(bars: Bars) -> FloatArray:
    """Means over :data:`SPREAD_DAYS` of products of one-bar returns.

    A row for each symbol's square, one for its product with the equal-weight mean of all, and the
    square of that.
    """

    def compute() -> FloatArray:
        returns = _returns(bars)
        market = _mean_of(returns)[None]
        products = np.concatenate((returns * returns, returns * market, market * market))
        return tail_of(bars, "universe products", products, SPREAD_DAYS, table_mean)

    return bars.keep("universe moments", compute)


def _spread(bars: Bars, days: float) -> FloatArray:
    """Standard deviation of each symbol's drift over ``days``."""
    return np.asarray(np.sqrt(_moments(bars)[: len(bars.universe)] * (bars.per_day * days)))


def _total(values: FloatArray) -> FloatArray:
    """Sum over the symbols, one after another: the same bits however many bars there are."""
    total: FloatArray = values[0].copy()
    for row in values[1:]:
        total += row
    return total


def _mean_of(values: FloatArray) -> FloatArray:
    """Mean over the symbols that are there; NaN where fewer are than :data:`COVERAGE` asks."""
    there = np.isfinite(values)
    if there.all():
        return _total(values) / len(values)
    count = _total(there * 1.0)
    needed = max(MIN_SYMBOLS, np.ceil(COVERAGE * len(values)))
    mean = np.full(values.shape[1], np.nan)
    np.divide(_total(np.where(there, values, 0.0)), count, out=mean, where=count >= needed)
    return mean


def _share(holds: npt.NDArray[np.floating[Any]], known: FloatArray) -> FloatArray:
    """Share of the symbols, of those that are known, for which something holds."""
    return _mean_of(np.where(np.isfinite(known), holds, np.nan))


def _of_universe(
    name: str,
    days: int,
    unit: str,
    words: str,
    compute: Callable[[Bars], FloatArray],
    source: str,
    tells: str,
) -> Feature:
    def whole(bars: Bars) -> FloatArray:
        if len(bars.universe) < MIN_SYMBOLS:
            return missing(bars)
        market = universe_bars(bars)
        return market.keep(name, lambda: compute(market))

    return Feature(name, GROUP, days, unit, ("close", CONTEXT), words, whole, source, tells)


def _breadth(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        logs = _universe(bars)
        above = at_rows(bars, logs) - tail_of(bars, "universe", logs, days, table_mean)
        return _share((np.sign(above) + 1.0) / 2.0, above)

    return _of_universe(
        f"breadth_{days}d",
        days,
        "share",
        f"share of the universe with a log close above its own mean of {days} d",
        compute,
        BREADTH,
        "bear (few) from bull (most); a relief rally lifts the short one first",
    )


def _dispersion(bars: Bars) -> FloatArray:
    logs = _universe(bars)
    moves = at_rows(bars, logs) - at_rows(bars, logs, 7)
    scaled = over(moves, _spread(bars, 7))
    return np.asarray(np.sqrt(_mean_of((scaled - _mean_of(scaled)) ** 2)))


def _market_correlation(bars: Bars) -> FloatArray:
    means, n = _moments(bars), len(bars.universe)
    r = over(means[n : 2 * n], np.sqrt(means[:n] * means[-1]))
    return _mean_of(np.clip(r, -1.0, 1.0))


def _fallen(bars: Bars) -> FloatArray:
    logs = _universe(bars)
    below = at_rows(bars, logs) - tail_of(bars, "universe high", logs, MEMBER_DAYS, table_max)
    scaled = over(below, _spread(bars, FALL_DAYS))
    return _share((scaled < -2) * 1.0, scaled)


def breadth_features() -> list[Feature]:
    """Declare the features of the universe."""
    return [
        *(_breadth(days) for days in (20, 60)),
        _of_universe(
            "dispersion_7d",
            SPREAD_DAYS,
            "sd",
            "standard deviation over the universe of the log return over 7 d / "
            "(root of its mean square of 30 d, x sqrt(7))",
            _dispersion,
            DISPERSION,
            "bear (all alike) from bull and ranging, where each goes its own way",
        ),
        _of_universe(
            "market_correlation_30d",
            SPREAD_DAYS,
            "correlation",
            "mean over the universe of the correlation of one-bar log returns with their equal-weight "
            "mean, 30 d, not demeaned",
            _market_correlation,
            CORRELATION,
            "bear (one trade) from bull and ranging",
        ),
        _of_universe(
            "fallen_share_60d",
            MEMBER_DAYS,
            "share",
            f"share of the universe more than 2 standard deviations of a {FALL_DAYS}-day drift below its "
            f"highest close of {MEMBER_DAYS} d",
            _fallen,
            BREADTH,
            "bear (many) from bull (none)",
        ),
    ]
