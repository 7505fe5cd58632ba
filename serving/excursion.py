"""How far price goes against a position: quantiles of one bar's adverse excursion, and chances from them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, expm1, isfinite, isnan, log, log1p, nan, sqrt

from features.regimes import Regime
from serving.margin import Position
from serving.parameters import AdviceParameters, MarketState

__all__ = ["Squeeze", "Tail", "table_move", "table_squeeze"]

_LARGEST_LOG_MOVE = 10.0  # exp() of it is still a number that JSON can carry
_SAME_LEVEL = 1e-9
_NO_SHAPE = 1e-9  # below it the law is the exponential one, to the last digits


@dataclass(frozen=True, slots=True)
class Tail:
    """Generalised Pareto law of the log move beyond the last quantile.

    ``scale`` is in units of the last quantile's log move; ``shape`` is at least 0: no move is impossible.
    """

    shape: float
    scale: float

    def factor(self, rarer: float) -> float:
        """Log move whose chance is ``rarer`` times that of the last quantile, over that one's."""
        if self.shape < _NO_SHAPE:
            return 1 - self.scale * log(rarer)
        return 1 + self.scale * expm1(-self.shape * log(rarer)) / self.shape

    def rarer(self, factor: float) -> float:
        """Inverse of :meth:`factor`."""
        beyond = (factor - 1) / self.scale
        return exp(-beyond) if self.shape < _NO_SHAPE else exp(-log1p(self.shape * beyond) / self.shape)


@dataclass(frozen=True, slots=True)
class Squeeze:
    """Quantiles of the adverse excursion after one bar.

    Between quantiles the log of the chance of a larger move falls linearly with the move, from a
    chance of 1 at no move: monotone, and exact at the quantiles themselves. Beyond the last one the
    fitted tail holds, where there is one.

    Attributes
    ----------
    levels : tuple of float
        Ascending, each in (0, 1), such as 0.5, 0.9, 0.99.
    short : mapping of int to tuple of float
        By horizon in days: the largest rise, fraction of the close, at each level. NaN: not known.
    long : mapping of int to tuple of float
        The largest fall, likewise.
    tails : mapping of (side, int) to Tail
        By side and horizon; without one nothing is said beyond the last level.

    Examples
    --------
    >>> squeeze = Squeeze((0.5, 0.99), {7: (0.05, 0.20)}, {7: (0.04, 0.15)})
    >>> squeeze.quantile("short", 7, 0.99)
    0.2
    >>> squeeze.chance("short", 7, 0.05)
    0.5
    """

    levels: tuple[float, ...]
    short: Mapping[int, tuple[float, ...]]
    long: Mapping[int, tuple[float, ...]]
    tails: Mapping[tuple[Position, int], Tail] = field(default_factory=dict)

    @classmethod
    def of_log_moves(
        cls,
        levels: tuple[float, ...],
        short: Mapping[int, tuple[float, ...]],
        long: Mapping[int, tuple[float, ...]],
        tails: Mapping[tuple[Position, int], Tail],
    ) -> Squeeze:
        """The same from adverse log moves in place of fractions of the close."""
        return cls(
            levels,
            {days: tuple(_fraction("short", one) for one in row) for days, row in short.items()},
            {days: tuple(_fraction("long", one) for one in row) for days, row in long.items()},
            tails,
        )

    def _moves(self, side: Position, days: int) -> tuple[float, ...]:
        return (self.short if side == "short" else self.long).get(days, ())

    def quantile(self, side: Position, days: int, level: float) -> float:
        """Adverse move that is not exceeded within ``days`` at ``level``, fraction of the close.

        NaN where it is not known: no such horizon, or a level beyond the largest one without a tail.
        """
        moves = self._moves(side, days)
        for known, move in zip(self.levels, moves, strict=False):
            if abs(known - level) <= _SAME_LEVEL:
                return move
        above = bisect_right(self.levels, level)
        if len(moves) < 2 or not 0 <= level < 1:
            return nan
        if above == len(moves):
            tail = self.tails.get((side, days))
            if tail is None or isnan(moves[-1]):
                return nan
            return _fraction(side, _log(side, moves[-1]) * tail.factor((1 - level) / (1 - self.levels[-1])))
        low = (0.0, 0.0) if above == 0 else (log1p(-self.levels[above - 1]), moves[above - 1])
        high = (log1p(-self.levels[above]), moves[above])
        part = (log1p(-level) - low[0]) / (high[0] - low[0])
        return low[1] + part * (high[1] - low[1])

    def log_move(self, side: Position, days: int, level: float) -> float:
        """:meth:`quantile` as an adverse log move."""
        found = self.quantile(side, days, level)
        return _log(side, found) if side == "short" or found < 1 else _LARGEST_LOG_MOVE

    def chance(self, side: Position, days: int, move: float) -> float:
        """Chance that price goes ``move`` or more against the side within ``days``.

        Parameters
        ----------
        side : {"short", "long"}
        days : int
        move : float
            Fraction of the close; none or less has happened already.

        Returns
        -------
        float
            Beyond the largest quantile, without a tail, it is that one's chance: an upper bound. NaN
            where fewer than two quantiles of the horizon are known.
        """
        if move <= 0:
            return 1.0
        moves = self._moves(side, days)
        if len(moves) < 2 or any(map(isnan, moves)):
            return nan
        above = bisect_right(moves, move)
        if above == len(moves):
            tail = self.tails.get((side, days))
            last = 1 - self.levels[-1]
            if tail is None or not moves[-1] > 0:
                return last
            if side == "long" and move >= 1:
                return 0.0  # a price cannot fall below nothing
            return last * tail.rarer(_log(side, move) / _log(side, moves[-1]))
        low = (0.0, 0.0) if above == 0 else (moves[above - 1], log1p(-self.levels[above - 1]))
        high = (moves[above], log1p(-self.levels[above]))
        part = (move - low[0]) / (high[0] - low[0])
        return exp(low[1] + part * (high[1] - low[1]))


def _fraction(side: Position, log_move: float) -> float:
    """An adverse log move as a fraction of the close."""
    size = min(max(log_move, 0.0), _LARGEST_LOG_MOVE)
    return expm1(size) if side == "short" else -expm1(-size)


def _log(side: Position, move: float) -> float:
    """Inverse of :func:`_fraction`."""
    return log1p(move) if side == "short" else -log1p(-move)


def _scale(side: Position, regime: Regime, market: MarketState, parameters: AdviceParameters) -> float:
    """Scale of the regime and volatility bucket; the widest where the bucket is unknown."""
    row = (parameters.excursion_short if side == "short" else parameters.excursion_long)[regime]
    if not isnan(market.volatility_ratio):
        return row[bisect_right(parameters.volatility_edges, market.volatility_ratio)]
    return max(row) if all(map(isfinite, row)) else nan


def table_move(
    side: Position, regime: Regime, market: MarketState, parameters: AdviceParameters
) -> tuple[float, float]:
    """Scale of the fitted table and the adverse move it makes, fraction of the close; NaN where unknown."""
    scale = _scale(side, regime, market, parameters)
    if not (isfinite(scale) and market.volatility_known):
        return nan, nan
    return scale, _fraction(side, scale * market.sigma_day * sqrt(parameters.horizon_days))


def table_squeeze(regime: Regime, market: MarketState, parameters: AdviceParameters) -> Squeeze:
    """The fitted table as a squeeze: one level, one horizon; NaN where it is not known."""
    days = parameters.horizon_days
    short, long = (table_move(side, regime, market, parameters)[1] for side in ("short", "long"))
    return Squeeze((parameters.survival_level,), {days: (short,)}, {days: (long,)})
