"""How long the accounts of a backtest take: five symbols, five years of hours, twelve strategies.

``python -m benchmarks.backtest`` prints seconds of the walk over the span, and of the accounts begun on
every day with a year left. Prices are random: what matters is how often something happens.
"""

from __future__ import annotations

import time

import numpy as np

from training.backtesting.costs import Costs
from training.backtesting.engine import walk
from training.backtesting.orders import Strategy, stacked
from training.backtesting.paths import Paths

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "DOGEUSDT")
YEARS, STRATEGIES = 5, 12


def random_paths(bars: int, rng: np.random.Generator) -> Paths:
    """Hours of a random walk with 60 % volatility a year."""
    shape = (bars, len(SYMBOLS))
    move = rng.normal(0, 0.6 / np.sqrt(8760), shape)
    close = 100 * np.exp(np.cumsum(move, axis=0))
    open_ = close * np.exp(-move)
    wick = np.exp(np.abs(rng.normal(0, 0.004, shape)))
    settled = (np.arange(bars) % 8 == 7)[:, None]
    return Paths(
        time=None,
        open=open_,
        high=np.maximum(open_, close) * wick,
        low=np.minimum(open_, close) / wick,
        close=close,
        mark=close,
        funding=np.where(settled, rng.normal(0, 1e-4, shape), 0.0),
        assumed=np.zeros(shape),
        row=np.tile(np.arange(bars)[:, None], (1, len(SYMBOLS))),
        symbol=np.arange(len(SYMBOLS)),
        symbols=SYMBOLS,
        per_day=24,
    )


def planned(place: int, bars: int, rng: np.random.Generator) -> Strategy:
    """A strategy that turns every few days, with tranches, a stop and a target."""
    shape = (bars, len(SYMBOLS))
    side = np.repeat(rng.integers(-1, 2, (bars // 72 + 1, len(SYMBOLS))), 72, axis=0)[:bars]
    leverage = np.full(shape, 1.0 + place % 5)
    return Strategy(
        name=f"planned_{place}",
        words="",
        side=side.astype(np.int8),
        notional=0.5 * leverage,
        leverage=leverage,
        second=np.full(shape, 0.03),
        third=np.full(shape, 0.06),
        stop=np.full(shape, 0.09),
        target=np.full(shape, 0.12),
        resize=np.zeros(bars, dtype=bool),
        shares=(0.3, 0.3, 0.4),
    )


def main() -> None:
    rng = np.random.default_rng(7)
    bars = YEARS * 8760
    paths = random_paths(bars, rng)
    orders = stacked([planned(place, bars, rng) for place in range(STRATEGIES)])
    begun = time.perf_counter()
    walk(paths, orders, Costs(), record=True)
    print(
        f"{YEARS} years, {len(SYMBOLS)} symbols, {STRATEGIES} strategies: {time.perf_counter() - begun:.1f} s"
    )
    begun = time.perf_counter()
    starts = np.arange(0, bars - 8760 + 1, 24)
    walk(paths, orders, Costs(), starts=starts, length=8760)
    count = len(starts) * len(SYMBOLS) * STRATEGIES
    print(f"{count:,} accounts of a year, begun on {len(starts):,} days: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
