"""The walk: all accounts together, bar by bar; only what happens costs time.

At every bar, in this order:

1. At the open: a position whose liquidation price lies behind the open is liquidated. What was wanted
   at the close ``delay`` bars ago is then done.
2. Against the position, as far as the bar went: tranches that lie before stop and liquidation are filled;
   then the nearer of stop and liquidation, if the bar reached it. A bar does not say in which order its
   prices came, so the worse side is always taken first.
3. For the position: the target.
4. At the close: funding that was settled since the bar's open, of positions open now.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.errors import DataError
from training.backtesting.accounts import Accounts, IndexArray
from training.backtesting.costs import FIRST_EQUITY, Costs
from training.backtesting.ladders import Ladders
from training.backtesting.orders import Orders
from training.backtesting.paths import Paths

__all__ = ["Walked", "walk"]


@dataclass(frozen=True)
class Walked:
    """What became of the accounts; arrays of shape (n_starts, n_strategies, n_paths).

    Attributes
    ----------
    names : tuple of str
    symbol : ndarray of int, shape (n_paths,)
    final, lowest : ndarray
        Equity at the end and the lowest at any day's close, over the first one.
    held : ndarray
        Bars in the market.
    liquidations, trades : ndarray of int
    fees, slippage, funding, gain, kept, traded : ndarray
        Over the first equity: fees, slippage and funding paid (below 0: received), gains of price,
        margin that liquidations kept, notional bought and sold.
    equity : ndarray of shape (n_bars, n_strategies, n_paths) or None
        At each close, of a walk with one start.
    distance : ndarray or None
        How far the bar's worst price was from the liquidation price, fraction of price; NaN without position.
    """

    names: tuple[str, ...]
    symbol: npt.NDArray[np.intp]
    final: FloatArray
    lowest: FloatArray
    held: npt.NDArray[np.int64]
    liquidations: npt.NDArray[np.int64]
    trades: npt.NDArray[np.int64]
    fees: FloatArray
    slippage: FloatArray
    funding: FloatArray
    gain: FloatArray
    kept: FloatArray
    traded: FloatArray
    equity: FloatArray | None = None
    distance: FloatArray | None = None


def walk(
    paths: Paths,
    orders: Orders,
    costs: Costs,
    *,
    starts: npt.NDArray[np.intp] | None = None,
    length: int | None = None,
    record: bool = False,
) -> Walked:
    """Walk accounts through paths.

    Parameters
    ----------
    paths : Paths
    orders : Orders
    costs : Costs
    starts : ndarray of int, optional
        Bars at which accounts begin, ascending; one that begins with the first bar by default.
    length : int, optional
        Bars that an account lives for; to the end by default. Each start has to have them all.
    record : bool
        Keep equity and distance to liquidation bar by bar.

    Raises
    ------
    DataError
        If a start has too few bars, or many starts are to be recorded.
    """
    starts = np.zeros(1, dtype=np.intp) if starts is None else starts
    length = len(paths) if length is None else length
    if not len(starts) or (starts[-1] + length > len(paths)) or (np.diff(starts) <= 0).any() or starts[0] < 0:
        raise DataError(f"{len(starts)} starts with {length} bars each do not fit into {len(paths)} bars")
    if record and len(starts) > 1:
        raise DataError("only a walk with one start is recorded")
    return _Walk(paths, orders, costs, starts, length, record).run()


class _Walk:
    def __init__(
        self, paths: Paths, orders: Orders, costs: Costs, starts: IndexArray, length: int, record: bool
    ) -> None:
        self.paths, self.orders, self.costs = paths, orders, costs
        self.starts, self.length = starts, length
        self.inner = (len(orders.names), paths.open.shape[1])
        self.accounts = Accounts(
            (len(starts), *self.inner), orders, costs, Ladders(paths.symbols), paths.symbol
        )
        self.size = self.inner[0] * self.inner[1]
        self.final = np.full(len(starts) * self.size, np.nan)
        self.lowest = np.full(len(starts) * self.size, FIRST_EQUITY)
        self.equity = np.full((len(paths), *self.inner), np.nan) if record else None
        self.distance = np.full((len(paths), *self.inner), np.nan) if record else None
        self.side = np.ascontiguousarray(orders.side.transpose(1, 2, 0))
        self.same_row = bool((paths.row == paths.row[:, :1]).all())

    def run(self) -> Walked:
        paths, first, last = self.paths, 0, 0
        for step in range(int(self.starts[0]), int(self.starts[-1]) + self.length):
            while last < len(self.starts) and self.starts[last] <= step:
                last += 1
            part = slice(first * self.size, last * self.size)
            if np.isfinite(paths.close[step]).any():
                self._bar(step, part)
            rate, assumed = paths.funding[step], paths.assumed[step]
            if rate.any() or assumed.any():
                self.accounts.pay_funding(part, paths.mark[step], rate, assumed)
            if (step + 1) % paths.per_day == 0 or self.equity is not None or step + 1 == len(paths):
                self._look(step, part)
            while first < last and self.starts[first] + self.length == step + 1:
                mine = slice(first * self.size, (first + 1) * self.size)
                self.final[mine] = self._value(step, mine)
                mark = self._marks(step, mine)
                self.accounts.gain[mine] += self.accounts.quantity[mine] * (mark - self.accounts.entry[mine])
                self.accounts.held[mine] += np.where(
                    self.accounts.quantity[mine] != 0, step + 1 - self.accounts.opened[mine], 0
                )
                first += 1
        return self._walked()

    def _wanted(self, row: int) -> npt.NDArray[np.int8]:
        rows = self.paths.row[row]
        if self.same_row:
            return np.asarray(self.side[rows[0]][self.paths.symbol].T)
        return np.asarray(self.side[rows, self.paths.symbol].T)

    def _bar(self, step: int, part: slice) -> None:
        accounts, paths, begin = self.accounts, self.paths, part.start
        high, low = paths.high[step], paths.low[step]
        shape = (-1, *self.inner)
        with np.errstate(invalid="ignore"):
            hit = (accounts.above[part].reshape(shape) <= high) | (accounts.below[part].reshape(shape) >= low)
        touched = np.flatnonzero(hit) + begin
        if len(touched):
            price, against = paths.open[step][accounts.path(touched)], accounts.side[touched]
            behind = against * (price - accounts.liquidation[touched]) <= 0
            accounts.liquidate(touched[behind], step)
            touched = touched[~behind]
        decided = step - self.costs.delay
        if decided >= 0:
            side = accounts.side[part].reshape(shape)
            act = side != self._wanted(decided)
            resize = self.orders.resize[:, paths.row[decided]]
            if resize.any():
                act |= resize & (side != 0)
            act &= (accounts.again_at[part] <= step).reshape(shape) & np.isfinite(paths.open[step])
            moving = np.flatnonzero(act) + begin
            if len(moving):
                at = accounts.path(moving)
                row, known = paths.row[decided][at], paths.mark[decided][at]
                there = np.isfinite(known)
                moving, at, row, known = moving[there], at[there], row[there], known[there]
                accounts.decide(moving, row, paths.open[step][at], known, step)
                touched = np.union1d(touched, moving)
        if len(touched):
            self._within(touched[accounts.quantity[touched] != 0], step)

    def _within(self, index: IndexArray, step: int) -> None:
        accounts, paths = self.accounts, self.paths
        at = accounts.path(index)
        side = accounts.side[index].astype(np.float64)
        open_, worst = paths.open[step][at], np.where(side < 0, paths.high[step][at], paths.low[step][at])
        best = np.where(side < 0, paths.low[step][at], paths.high[step][at])
        for tranche in ("second", "third"):
            level = getattr(accounts, tranche)[index]
            price = np.where(side * (level - open_) > 0, open_, level)
            ends = np.fmin(side * accounts.stop[index] * -1, side * accounts.liquidation[index] * -1)
            with np.errstate(invalid="ignore"):
                filled = (side * (worst - level) <= 0) & (-side * price < ends)
            if filled.any():
                accounts.fill(index[filled], tranche, price[filled])
        stop, liquidation = accounts.stop[index], accounts.liquidation[index]
        stopped, liquidated = side * (worst - stop) <= 0, side * (worst - liquidation) <= 0
        if not self.costs.stops_at_extreme:
            liquidated &= ~stopped | (side * (liquidation - stop) >= 0)
        stopped &= ~liquidated
        accounts.liquidate(index[liquidated], step)
        if stopped.any():
            price = np.where(side * (open_ - stop) < 0, open_, stop)
            price = worst if self.costs.stops_at_extreme else price
            accounts.close(index[stopped], price[stopped], step, maker=False)
        target = accounts.target[index]
        reached = (side * (best - target) >= 0) & ~stopped & ~liquidated
        if reached.any():
            price = np.where(side * (open_ - target) > 0, open_, target)
            accounts.close(index[reached], price[reached], step, maker=True)

    def _value(self, step: int, part: slice) -> FloatArray:
        return self.accounts.equity(part, self._marks(step, part))

    def _marks(self, step: int, part: slice) -> FloatArray:
        mark = np.nan_to_num(self.paths.mark[step])
        count = (part.stop - part.start) // self.size
        return np.broadcast_to(mark, (count, *self.inner)).reshape(-1)

    def _look(self, step: int, part: slice) -> None:
        value = self._value(step, part)
        self.lowest[part] = np.minimum(self.lowest[part], value)
        if self.equity is not None and self.distance is not None:
            self.equity[step] = value.reshape(self.inner)
            side = self.accounts.side.reshape(self.inner)
            level = self.accounts.liquidation.reshape(self.inner)
            worst = np.where(side < 0, self.paths.high[step], self.paths.low[step])
            with np.errstate(invalid="ignore", divide="ignore"):
                away = np.where(side < 0, level / worst - 1, 1 - level / worst)
            self.distance[step] = np.where(side != 0, np.clip(away, 0.0, 1.0), np.nan)

    def _walked(self) -> Walked:
        accounts, shape = self.accounts, self.accounts.shape

        def over_first(values: FloatArray) -> FloatArray:
            return (values / FIRST_EQUITY).reshape(shape)

        return Walked(
            names=self.orders.names,
            symbol=self.paths.symbol,
            final=over_first(self.final),
            lowest=over_first(self.lowest),
            held=accounts.held.reshape(shape),
            liquidations=accounts.liquidations.reshape(shape),
            trades=accounts.trades.reshape(shape),
            fees=over_first(accounts.fees),
            slippage=over_first(accounts.slippage),
            funding=over_first(accounts.funding),
            gain=over_first(accounts.gain),
            kept=over_first(accounts.kept),
            traded=over_first(accounts.traded),
            equity=None if self.equity is None else self.equity / FIRST_EQUITY,
            distance=self.distance,
        )
