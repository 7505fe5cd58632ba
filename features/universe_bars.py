"""The universe's closes as bars of no symbol: what looks at all symbols alike is computed here.

A board asks for the same bar of hundreds of symbols, and the share of symbols that rise is the same number
for each of them. Histories that carry views of one read-only table, as :func:`features.context.with_context`
makes them, share one such object; it holds on to the closes of one board at most.
"""

from __future__ import annotations

import numpy as np

from features.bars import Bars
from features.context import MIN_SYMBOLS

__all__ = ["universe_bars"]

_FEW_ROWS = 4096
"""Beyond so many rows it is a table, not a board: nothing is held on to."""

_Place = tuple[object, ...]
_latest: tuple[_Place, Bars] | None = None


def universe_bars(bars: Bars) -> Bars:
    """Bars that know the closes of the universe and nothing else.

    Parameters
    ----------
    bars : Bars

    Returns
    -------
    Bars
        With the rows and the universe of ``bars``. They are ``bars`` themselves where nothing can be
        shared: without a universe, for a whole table, for closes that others might change, and for a
        symbol whose own closes are not those of the universe's table.
    """
    global _latest  # noqa: PLW0603 - one board's market, found again by the next symbol of the board
    place = _place(bars)
    if place is None:
        return bars
    latest = _latest
    if latest is not None and latest[0] == place:
        return latest[1]
    market = bars.of_no_symbol()
    _latest = (place, market)
    return market


def _place(bars: Bars) -> _Place | None:
    """Where the closes are in memory, and which of them are read; ``None`` where they are not shared.

    The memory is not given to anything else while the market that was made from it is held.
    """
    if bars.rows > _FEW_ROWS or bars.last is None or len(bars.universe) < MIN_SYMBOLS:
        return None
    at: list[object] = []
    for name in bars.universe:
        closes = bars.closes[name]
        owner = closes if closes.base is None else closes.base
        if closes.flags.writeable or not isinstance(owner, np.ndarray) or owner.flags.writeable:
            return None
        at.append((name, closes.__array_interface__["data"][0], closes.strides))
    own = bars.closes.get(bars.symbol)
    if own is not None and not np.array_equal(own, bars.column("close"), equal_nan=True):
        return None
    return (bars.first, bars.size, bars.rows, bars.per_day, *at)
