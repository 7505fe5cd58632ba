"""The true open positions behind a simulated market, for tests and documentation only.

Nothing in a simulated history depends on this: prices, funding and open interest come first, and here
traders are drawn who could have held just that open interest. They differ on purpose from what the
estimated liquidation map assumes: leverages are continuous, each trader closes at a random time, some
soon and some late, each hour's positions open at their own prices, and those that were liquidated
are replaced at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import DataError
from features.families.liquidation_levels import SIGN, DailyMaps, cells_of
from features.families.liquidation_model import DEFAULT_MODEL, LiquidationModel
from features.raw import RawMarket
from features.sources.simulated_path import random_stream

__all__ = ["TraderParameters", "TruePositions", "true_positions"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TraderParameters:
    """Who opens positions in the simulated market.

    Attributes
    ----------
    median_leverage, leverage_spread, leverage_bounds
        Leverage is log-normal (``leverage_spread`` is the standard deviation of its log), cut to the
        bounds.
    maintenance_rate : float
        Of the notional.
    hasty_share : float
        Share of the traders who hold ``hasty_hours`` on average; the others hold ``patient_hours``.
        Times are exponential: everyone closes at random.
    opened_an_hour : int
        Positions opened in an hour on each side, of exponential sizes.
    """

    median_leverage: float = 9.0
    leverage_spread: float = 1.0
    leverage_bounds: tuple[float, float] = (1.5, 125.0)
    maintenance_rate: float = 0.004
    hasty_share: float = 0.7
    hasty_hours: float = 18.0
    patient_hours: float = 480.0
    opened_an_hour: int = 12


@dataclass(frozen=True)
class TruePositions:
    """What only the simulator knows of the open positions.

    Attributes
    ----------
    liquidated : pandas.DataFrame
        One row per bar: ``time`` (bar close), ``short`` and ``long`` (coins liquidated during the bar),
        ``open_interest`` (coins at its close; as many long as short).
    days : pandas.DatetimeIndex
        UTC days' ends.
    close : ndarray of shape (n_days,)
        Price at the days' ends.
    books : list of (shorts, longs)
        At each day's end, two arrays of shape (2, n_positions): liquidation price and coins.
    """

    liquidated: pd.DataFrame
    days: pd.DatetimeIndex
    close: FloatArray
    books: list[tuple[FloatArray, FloatArray]]

    def maps(self, model: LiquidationModel = DEFAULT_MODEL) -> DailyMaps:
        """Sort the true positions into the price cells of the estimated map.

        ``ends`` counts bars from the first of the market.
        """
        n_cells = round(model.reach / model.cell)
        base = cells_of(SIGN[:, None] * np.log(self.close), model.cell)
        below = np.zeros((2, len(self.books), n_cells + 2))
        for day, book in enumerate(self.books):
            for side, (price, coins) in enumerate(book):
                cell = cells_of(SIGN[side] * np.log(price), model.cell) - base[side, day] - 1
                counts = np.bincount(np.clip(cell, 0, n_cells), coins, minlength=n_cells + 1)
                below[side, day, 1:] = np.cumsum(counts / coins.sum())
        times = pd.DatetimeIndex(self.liquidated["time"])
        return DailyMaps(times.get_indexer(self.days), base, below)


class _Side:
    """The open positions of one side: liquidation prices, coins, and the chance to close in an hour."""

    def __init__(self, sign: int, traders: TraderParameters, rng: np.random.Generator) -> None:
        self._sign, self._traders, self._rng = sign, traders, rng
        self._table = np.empty((3, 0))

    def book(self) -> FloatArray:
        """Liquidation prices and coins."""
        return self._table[:2].copy()

    def live_through(self, extreme: float) -> float:
        """One bar: who its extreme reaches is liquidated, of the others some close; coins liquidated."""
        price, coins, hazard = self._table
        dead = self._sign * (extreme - price) >= 0
        stays = ~dead & (self._rng.random(len(coins)) >= hazard)
        gone = float(coins[dead].sum())
        self._table = self._table[:, stays]
        return gone

    def adjust(self, target: float, low: float, high: float, close: float) -> None:
        """Open as much as is missing to ``target`` coins; where there are too many, all shrink alike."""
        held = float(self._table[1].sum())
        if held > target:
            self._table[1] *= target / held
        else:
            self._table = np.concatenate([self._table, self._opened(target - held, low, high, close)], axis=1)

    def _opened(self, coins: float, low: float, high: float, close: float) -> FloatArray:
        t, n = self._traders, self._traders.opened_an_hour
        draws = self._rng.random((3, n))
        log_leverage = np.log(t.median_leverage) + t.leverage_spread * self._rng.standard_normal(n)
        leverage = np.clip(np.exp(log_leverage), *t.leverage_bounds)
        factor = (1 + self._sign / leverage) / (1 + self._sign * t.maintenance_rate)
        price = (low + draws[0] * (high - low)) * factor
        # Who would be past liquidation by now opened at the close instead.
        price = np.where(self._sign * (price - close) > 0, price, close * factor)
        size = -np.log1p(-draws[1])
        hours = np.where(draws[2] < t.hasty_share, t.hasty_hours, t.patient_hours)
        return np.stack([price, coins * size / size.sum(), -np.expm1(-1.0 / hours)])


def true_positions(
    market: RawMarket, *, seed: int = 7, traders: TraderParameters | None = None
) -> TruePositions:
    """Draw traders who hold the open interest of a simulated market.

    Open interest in coins moves in equal log steps between the days' ends that the market tells.

    Parameters
    ----------
    market : RawMarket
        An hourly simulated market.
    seed : int, default=7
    traders : TraderParameters, optional

    Returns
    -------
    TruePositions

    Raises
    ------
    DataError
        If the market is not simulated and hourly, with open interest at two days' ends or more.

    Examples
    --------
    >>> from features.sources.simulated import simulate
    >>> week = simulate(["SIMBTC"], until=pd.Timestamp("2021-01-08", tz="UTC")).markets["SIMBTC"]
    >>> truth = true_positions(week)
    >>> len(truth.liquidated), len(truth.books)
    (167, 6)
    """
    interest = market.open_interest
    if market.source != "simulated" or market.interval != "1h" or interest is None or len(interest) < 2:
        raise DataError(
            f"{market.symbol}: true positions are known for the hourly simulated market alone",
            code="not_simulated",
            hint="use features.sources.simulated.simulate with a span of two days or more",
        )
    traders = traders or TraderParameters()
    closes_at = pd.DatetimeIndex(market.bars["open_time"]) + pd.Timedelta(hours=1)
    high, low, close = (market.bars[name].to_numpy(np.float64) for name in ("high", "low", "close"))
    day_rows = closes_at.get_indexer(pd.DatetimeIndex(interest["time"]))
    at_ends = np.log(interest["open_interest_value"].to_numpy(np.float64) / close[day_rows])
    target = np.exp(np.interp(np.arange(len(close)), day_rows, at_ends))
    sides = [
        _Side(sign, traders, random_stream(seed, market.symbol, f"positions {sign}")) for sign in (1, -1)
    ]
    gone = np.zeros((2, len(close)))
    books: list[tuple[FloatArray, FloatArray]] = []
    told = set(day_rows.tolist())
    for t in range(len(close)):
        for side, extreme in enumerate((high[t], low[t])):
            gone[side, t] = sides[side].live_through(float(extreme))
            sides[side].adjust(float(target[t]), float(low[t]), float(high[t]), float(close[t]))
        if t in told:
            books.append((sides[0].book(), sides[1].book()))
    liquidated = pd.DataFrame({"time": closes_at, "short": gone[0], "long": gone[1], "open_interest": target})
    return TruePositions(liquidated, closes_at[day_rows], close[day_rows], books)
