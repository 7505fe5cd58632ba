"""Many isolated positions as arrays, and what can happen to some of them at one price.

Every account has one symbol and at most one position. Each quote-currency amount moves once, and is
booked once: ``cash + margin + quantity x (price - entry)`` is always the first equity plus price gains
less fees, slippage, funding and what liquidations kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from training.backtesting.costs import DEAD_BELOW, FIRST_EQUITY, Costs
from training.backtesting.ladders import Ladders
from training.backtesting.orders import Orders

__all__ = ["Accounts", "IndexArray"]

IndexArray = npt.NDArray[np.intp]
_NEVER = np.iinfo(np.int64).max
_AMOUNTS = (
    *("cash", "margin", "quantity", "entry", "leverage", "liquidation", "stop", "target"),
    *("second", "third", "second_amount", "third_amount", "above", "below"),
    *("fees", "slippage", "funding", "gain", "kept", "traded"),
)


class Accounts:
    """Accounts of shape (n_starts, n_strategies, n_paths); every array here is flat.

    Parameters
    ----------
    shape : tuple of int
    orders : Orders
    costs : Costs
    ladders : Ladders
    symbol : ndarray of int, shape (n_paths,)
        Of each path, as the ladders count them.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        orders: Orders,
        costs: Costs,
        ladders: Ladders,
        symbol: npt.NDArray[np.intp],
    ) -> None:
        self.shape, self.orders, self.costs, self.ladders = shape, orders, costs, ladders
        count = shape[0] * shape[1] * shape[2]
        for name in _AMOUNTS:
            setattr(self, name, np.zeros(count))
        self.cash: FloatArray = np.full(count, FIRST_EQUITY)
        self.margin: FloatArray
        self.quantity: FloatArray
        self.entry: FloatArray
        self.leverage: FloatArray
        self.liquidation: FloatArray
        self.stop: FloatArray
        self.target: FloatArray
        self.second: FloatArray
        self.third: FloatArray
        self.second_amount: FloatArray
        self.third_amount: FloatArray
        self.above: FloatArray
        self.below: FloatArray
        self.fees: FloatArray
        self.slippage: FloatArray
        self.funding: FloatArray
        self.gain: FloatArray
        self.kept: FloatArray
        self.traded: FloatArray
        self.above[:], self.below[:] = np.inf, -np.inf
        self.side = np.zeros(count, dtype=np.int8)
        self.tier = np.zeros(count, dtype=np.intp)
        self.again_at = np.zeros(count, dtype=np.int64)
        self.opened = np.zeros(count, dtype=np.int64)
        self.held = np.zeros(count, dtype=np.int64)
        self.liquidations = np.zeros(count, dtype=np.int64)
        self.trades = np.zeros(count, dtype=np.int64)
        self._symbol = symbol

    def strategy(self, index: IndexArray) -> IndexArray:
        """Strategy of some accounts."""
        return (index // self.shape[2]) % self.shape[1]

    def path(self, index: IndexArray) -> IndexArray:
        """Path of some accounts."""
        return index % self.shape[2]

    def symbol(self, index: IndexArray) -> IndexArray:
        """Symbol of some accounts."""
        return self._symbol[index % self.shape[2]]

    def decide(
        self, index: IndexArray, row: IndexArray, price: FloatArray, known: FloatArray, step: int
    ) -> None:
        """Do at a price what was wanted at an earlier close: close, turn, open or resize.

        Parameters
        ----------
        index : ndarray of int, shape (n,)
        row : ndarray of int, shape (n,)
            Of the tables: the bar that was decided on.
        price, known : ndarray of shape (n,)
            Open of this bar; close of the bar that was decided on.
        step : int
        """
        orders, which, symbol = self.orders, self.strategy(index), self.symbol(index)
        cell = (which, row, symbol)
        equity = self.equity(index, price)
        wanted = orders.side[cell].astype(np.float64)
        wanted[equity <= DEAD_BELOW * FIRST_EQUITY] = 0.0
        with np.errstate(invalid="ignore"):  # nothing wanted, no stop: 0 x infinity
            stop = known * np.exp(-wanted * orders.stop[cell])
            target = known * np.exp(wanted * orders.target[cell])
            wanted[(wanted != 0) & (wanted * (price - stop) <= 0)] = 0.0  # past its stop before it began
        leverage, costs = orders.leverage[cell], self.costs
        whole = equity * orders.notional[cell] / (1 + leverage * (costs.taker + costs.slippage))
        whole = np.minimum(whole, self.ladders.largest(symbol, leverage))
        shares, early = orders.shares[which], orders.second[cell] <= 0
        first = np.where(early, shares[:, 0] + shares[:, 1], shares[:, 0])
        quantity = wanted * whole * first / price
        old = self.quantity[index]
        gain = old * (price - self.entry[index])
        traded = np.abs(quantity - old) * price
        fee, slip = traded * costs.taker, traded * costs.slippage
        self.gain[index] += gain
        self.fees[index] += fee
        self.slippage[index] += slip
        self.traded[index] += traded
        margin = np.divide(np.abs(quantity) * price, leverage, out=np.zeros_like(price), where=quantity != 0)
        self.cash[index] += self.margin[index] + gain - fee - slip - margin
        self.margin[index], self.quantity[index], self.entry[index] = margin, quantity, price
        self.leverage[index] = leverage
        was_open, is_open = old != 0, quantity != 0
        self.held[index] += np.where(was_open, step - self.opened[index], 0)
        self.opened[index] = step
        self.trades[index] += is_open & (np.sign(quantity) != np.sign(old))
        self.side[index] = np.sign(quantity).astype(np.int8)
        self.stop[index] = stop
        self.target[index] = target
        second, third = (known * np.exp(-wanted * table[cell]) for table in (orders.second, orders.third))
        later = np.where(early, 0.0, whole * shares[:, 1])
        self.second_amount[index], self.third_amount[index] = later, whole * shares[:, 2]
        self.second[index] = np.where(is_open & (later > 0), second, np.nan)
        self.third[index] = np.where(is_open & (shares[:, 2] > 0), third, np.nan)
        self.arm(index)
        self._bury(index)

    def equity(self, index: IndexArray | slice, price: FloatArray) -> FloatArray:
        """What is there if all is closed at a price without costs."""
        return np.asarray(
            self.cash[index] + self.margin[index] + self.quantity[index] * (price - self.entry[index])
        )

    def fill(self, index: IndexArray, tranche: str, price: FloatArray) -> None:
        """Fill a tranche, ``second`` or ``third``, as a maker."""
        amount = getattr(self, f"{tranche}_amount")[index]
        added = self.side[index] * amount / price
        quantity, margin = self.quantity[index] + added, amount / self.leverage[index]
        fee = amount * self.costs.maker
        self.entry[index] = (self.quantity[index] * self.entry[index] + added * price) / quantity
        self.quantity[index] = quantity
        self.margin[index] += margin
        self.cash[index] -= margin + fee
        self.fees[index] += fee
        self.traded[index] += amount
        getattr(self, tranche)[index] = np.nan
        self.arm(index)

    def close(self, index: IndexArray, price: FloatArray, step: int, *, maker: bool) -> None:
        """Close at a stop (at market) or at a target (as a maker), then stay out for a while."""
        quantity = self.quantity[index]
        gain, traded = quantity * (price - self.entry[index]), np.abs(quantity) * price
        fee = traded * (self.costs.maker if maker else self.costs.taker)
        slip = traded * (0.0 if maker else self.costs.slippage)
        self.gain[index] += gain
        self.fees[index] += fee
        self.slippage[index] += slip
        self.traded[index] += traded
        self.cash[index] += self.margin[index] + gain - fee - slip
        self._leave(index, step)

    def liquidate(self, index: IndexArray, step: int) -> None:
        """Take the isolated margin, all of it: what the price left over is kept by the exchange."""
        gain = self.quantity[index] * (self.liquidation[index] - self.entry[index])
        self.gain[index] += gain
        self.kept[index] += self.margin[index] + gain
        self.traded[index] += np.abs(self.quantity[index]) * self.liquidation[index]
        self.liquidations[index] += 1
        self._leave(index, step)

    def _leave(self, index: IndexArray, step: int) -> None:
        self.margin[index], self.quantity[index], self.side[index] = 0.0, 0.0, 0
        self.above[index], self.below[index] = np.inf, -np.inf
        self.held[index] += step - self.opened[index] + 1
        self.again_at[index] = step + self.orders.wait[self.strategy(index)]
        self._bury(index)

    def _bury(self, index: IndexArray) -> None:
        dead = (self.quantity[index] == 0) & (self.cash[index] <= DEAD_BELOW * FIRST_EQUITY)
        self.again_at[index[dead]] = _NEVER

    def pay_funding(self, part: slice, mark: FloatArray, rate: FloatArray, assumed: FloatArray) -> None:
        """Settle funding of a whole slice of accounts; all arrays broadcast to its 3-d shape.

        It comes out of, or goes into, the position's own margin.
        """
        quantity = self.quantity[part].reshape(-1, *self.shape[1:])
        paid = (quantity * (mark * rate) + np.abs(quantity) * (mark * assumed)).reshape(-1)
        paid = np.where(self.quantity[part] == 0, 0.0, paid * self.costs.funding_multiple)
        self.margin[part] -= paid
        self.funding[part] += paid
        index = np.flatnonzero(paid) + (part.start or 0)
        if not len(index):
            return
        symbol, quantity, tier = self.symbol(index), self.quantity[index], self.tier[index]
        level = self.ladders.at(symbol, tier, quantity, self.entry[index], self.margin[index])
        notional = np.abs(quantity) * level
        moved = (notional <= self.ladders.floor[symbol, tier]) | (
            notional > self.ladders.open_end[symbol, tier]
        )
        self.liquidation[index] = level
        self._trigger(index[~moved])
        self.arm(index[moved])

    def arm(self, index: IndexArray) -> None:
        """Find the liquidation price again, and the nearest price on either side that does something."""
        open_now = self.quantity[index] != 0
        empty, index = index[~open_now], index[open_now]
        self.above[empty], self.below[empty] = np.inf, -np.inf
        if len(index):
            level, tier = self.ladders.liquidation(
                self.symbol(index), self.quantity[index], self.entry[index], self.margin[index]
            )
            self.liquidation[index], self.tier[index] = level, tier
            self._trigger(index)

    def _trigger(self, index: IndexArray) -> None:
        short = self.side[index] < 0
        against = [self.liquidation[index], self.stop[index], self.second[index], self.third[index]]
        nearest_up = np.fmin.reduce(against)
        nearest_down = np.fmax.reduce(against)
        target = self.target[index]
        self.above[index] = np.where(short, nearest_up, target)
        self.below[index] = np.where(short, target, nearest_down)
