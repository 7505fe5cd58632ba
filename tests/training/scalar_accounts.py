"""One account, bar by bar, in plain Python: what the arrays of the engine have to come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf, isfinite, isnan

from serving.margin import Position, liquidation_in_tiers, tiers
from training.backtesting.costs import DEAD_BELOW, FIRST_EQUITY, Costs
from training.backtesting.orders import Strategy
from training.backtesting.paths import Paths

__all__ = ["ScalarAccount", "scalar_walk"]


@dataclass
class ScalarAccount:
    """The book of one account; quote currency."""

    cash: float = FIRST_EQUITY
    margin: float = 0.0
    quantity: float = 0.0
    entry: float = 0.0
    leverage: float = 1.0
    stop: float = 0.0
    target: float = 0.0
    pending: list[tuple[float, float]] = field(default_factory=list)
    fees: float = 0.0
    slippage: float = 0.0
    funding: float = 0.0
    gain: float = 0.0
    kept: float = 0.0
    again_at: float = 0
    liquidations: int = 0
    lowest: float = FIRST_EQUITY
    equity: list[float] = field(default_factory=list)

    def value(self, price: float) -> float:
        return self.cash + self.margin + self.quantity * (price - self.entry) if self.quantity else self.cash

    def liquidation(self, symbol: str) -> float:
        side: Position = "short" if self.quantity < 0 else "long"
        size = abs(self.quantity)
        left = size * self.entry / self.margin if self.margin else inf
        if self.margin <= 0:  # used up by funding: any price does it
            return -inf if side == "short" else inf
        return liquidation_in_tiers("binance", symbol, side, self.entry, left, size)[0]

    def close(self, price: float, fee: float, slip: float, out_until: float) -> None:
        traded = abs(self.quantity) * price
        gain = self.quantity * (price - self.entry)
        self.gain += gain
        self.fees += traded * fee
        self.slippage += traded * slip
        self.cash += self.margin + gain - traded * (fee + slip)
        self.leave(out_until)

    def liquidate(self, price: float, out_until: float) -> None:
        gain = self.quantity * (price - self.entry)
        self.gain += gain
        self.kept += self.margin + gain
        self.liquidations += 1
        self.leave(out_until)

    def leave(self, out_until: float) -> None:
        self.quantity = self.margin = 0.0
        self.pending = []
        self.again_at = inf if self.cash <= DEAD_BELOW * FIRST_EQUITY else out_until


def scalar_walk(paths: Paths, strategy: Strategy, costs: Costs, column: int) -> ScalarAccount:
    """Walk one account through one path."""
    one = ScalarAccount()
    symbol = paths.symbols[paths.symbol[column]]
    for t in range(len(paths)):
        o, h, low, c = (float(x[t, column]) for x in (paths.open, paths.high, paths.low, paths.close))
        if not isnan(c):
            _bar(one, paths, strategy, costs, column, t, symbol, o, h, low)
        mark = float(paths.mark[t, column])
        rate, assumed = float(paths.funding[t, column]), float(paths.assumed[t, column])
        if one.quantity:
            paid = mark * (one.quantity * rate + abs(one.quantity) * assumed) * costs.funding_multiple
            one.margin -= paid
            one.funding += paid
        now = one.value(mark)
        one.equity.append(now)
        one.lowest = min(one.lowest, now)
    if one.quantity:
        one.gain += one.quantity * (float(paths.mark[-1, column]) - one.entry)
    return one


def _bar(
    one: ScalarAccount,
    paths: Paths,
    strategy: Strategy,
    costs: Costs,
    column: int,
    t: int,
    symbol: str,
    o: float,
    h: float,
    low: float,
) -> None:
    out_until = t + strategy.wait
    side = int(one.quantity > 0) - int(one.quantity < 0)
    if side and side * (o - one.liquidation(symbol)) <= 0:
        one.liquidate(one.liquidation(symbol), out_until)
        side = 0
    d = t - costs.delay
    if d >= 0 and one.again_at <= t and isfinite(paths.mark[d, column]):
        row, m = paths.row[d, column], paths.symbol[column]
        wanted = int(strategy.side[row, m])
        if wanted != side or (side and strategy.resize[row]):
            _decide(one, strategy, costs, int(row), int(m), wanted, o, float(paths.mark[d, column]), symbol)
    side = int(one.quantity > 0) - int(one.quantity < 0)
    if not side:
        return
    worst, best = (h, low) if side < 0 else (low, h)

    def reached(level: float) -> bool:
        return worst >= level if side < 0 else worst <= level

    for level, amount in list(one.pending):
        price = (max if side < 0 else min)(level, o)
        liquidation = one.liquidation(symbol)
        before = price < min(one.stop, liquidation) if side < 0 else price > max(one.stop, liquidation)
        if reached(level) and before:
            added = side * amount / price
            one.entry = (one.quantity * one.entry + added * price) / (one.quantity + added)
            one.quantity += added
            one.margin += amount / one.leverage
            one.cash -= amount / one.leverage + amount * costs.maker
            one.fees += amount * costs.maker
            one.pending.remove((level, amount))
    liquidation = one.liquidation(symbol)
    liquidation_first = liquidation <= one.stop if side < 0 else liquidation >= one.stop
    if reached(liquidation) and (liquidation_first or not reached(one.stop) or costs.stops_at_extreme):
        one.liquidate(liquidation, out_until)
    elif reached(one.stop):
        price = (max if side < 0 else min)(one.stop, o)
        price = worst if costs.stops_at_extreme else price
        one.close(price, costs.taker, costs.slippage, out_until)
    elif (best <= one.target) if side < 0 else (best >= one.target):
        one.close((min if side < 0 else max)(one.target, o), costs.maker, 0.0, out_until)


def _decide(
    one: ScalarAccount,
    strategy: Strategy,
    costs: Costs,
    row: int,
    m: int,
    wanted: int,
    o: float,
    known: float,
    symbol: str,
) -> None:
    equity = one.value(o)
    old = one.quantity
    if equity <= DEAD_BELOW * FIRST_EQUITY:
        wanted = 0
    stop = known * exp(-wanted * strategy.stop[row, m]) if wanted else 0.0
    if wanted and wanted * (o - stop) <= 0:
        wanted = 0
    leverage = float(strategy.leverage[row, m])
    whole = first = 0.0
    if wanted:
        whole = equity * strategy.notional[row, m] / (1 + leverage * (costs.taker + costs.slippage))
        allowed = [tier.up_to for tier in tiers("binance", symbol) if tier.max_leverage >= leverage]
        whole = min(whole, max(allowed, default=0.0))
        early = strategy.second[row, m] <= 0
        first = strategy.shares[0] + (strategy.shares[1] if early else 0.0)
        one.pending = []
        if not early and strategy.shares[1] > 0:
            one.pending.append((known * exp(-wanted * strategy.second[row, m]), whole * strategy.shares[1]))
        if strategy.shares[2] > 0:
            one.pending.append((known * exp(-wanted * strategy.third[row, m]), whole * strategy.shares[2]))
    new = wanted * whole * first / o
    gain = old * (o - one.entry) if old else 0.0
    traded = abs(new - old) * o
    one.gain += gain
    one.fees += traded * costs.taker
    one.slippage += traded * costs.slippage
    margin = abs(new) * o / leverage if new else 0.0
    one.cash += one.margin + gain - traded * (costs.taker + costs.slippage) - margin
    one.margin, one.quantity, one.entry, one.leverage = margin, new, o, leverage
    one.stop = stop
    one.target = known * exp(wanted * strategy.target[row, m]) if wanted else 0.0
    if not new:
        one.pending = []
        if one.cash <= DEAD_BELOW * FIRST_EQUITY:
            one.again_at = inf
