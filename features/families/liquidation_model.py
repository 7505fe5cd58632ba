"""What the estimated liquidation map assumes, all in one place, each with its reason and source.

Nobody publishes open positions. What exchanges publish is open interest, and what a position's
liquidation price is follows from its entry and leverage; the rest is assumption. Paid heatmaps rest
on assumptions of the same kind ("the levels are calculated from market data and different leverage
amounts", Binance Square on Coinglass's map; "when open interest increases, new positions are opened
... levels persist until price wicks through them", BackQuant's terminal) and do not state theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.bars import FloatArray
from features.errors import UsageError

__all__ = ["DEFAULT_MODEL", "LiquidationModel"]


@dataclass(frozen=True)
class LiquidationModel:
    """Assumptions of the map. The defaults are round numbers and were not fitted to anything.

    Attributes
    ----------
    leverages, leverage_weights : tuple of float
        Notional over margin of those who open, and their shares of what is opened. BitMEX
        (blog, 2019-05-15): weighted mean effective leverage 22x of longs and 30x of shorts, 80 % of
        positions at 47x to 54x or less. Binance (2019-12): institutions, 81 % of the volume, prefer
        at most 20x, while most retail trades use 20x or more, the default of its order form. Hence
        80 % at or below 20x, 95 % at or below 50x, mean 21x. One mixture for longs, shorts, all
        symbols and all years: nothing published would tell them apart.
    maintenance_rate : float
        Of the notional, one rate for all. Tiers of BTC and ETH up to 600,000 USDT: 0.4 to 0.5 %;
        others mostly 0.5 to 1.5 %. It moves a level by 0.1 to 1 %, less than a day's noise.
    daily_turnover : float
        Share of the open positions that are closed by choice in a day and, as far as open interest
        does not fall, opened anew by others at the day's prices. No source: a round number, ten
        days' holding on average. Where open interest (in coins) falls by more than this in a day,
        all living positions are thinned by the fall and none is opened.
    memory_days : int
        Positions opened longer ago are forgotten. After 60 days at 10 % a day, 0.2 % would be left.
        It makes the map of a window equal to the map of the whole history.
    slice_hours : int
        A day's openings lie at the volume-weighted mean price of each such slice, in proportion to
        its volume (who opens trades). Open interest itself is read at UTC day ends only, so that
        daily and 5-minute sources give the same map.
    cell : float
        Height of a price cell, in log price. A quarter of a percent: half the distance from entry
        to liquidation at 100x.
    reach : float
        Log price up to which levels are told apart; those beyond count as living, no more.
    wall_width : float
        Height of the band in which weight makes a wall, in daily sigmas.
    wall_share : float
        Share of open interest, on one side, that makes a band a significant wall.

    Notes
    -----
    Who opens: every contract has a long and a short, so an increase of open interest opens as many
    coins of the one as of the other, at the same prices and with the same leverages. All margin is
    isolated and none is added later; cross margin puts the true level farther away. What price has
    swept is gone; whoever takes the place of the swept is seen only as far as open interest at the
    day's end shows it.
    """

    leverages: tuple[float, ...] = (3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
    leverage_weights: tuple[float, ...] = (0.10, 0.20, 0.30, 0.20, 0.15, 0.05)
    maintenance_rate: float = 0.005
    daily_turnover: float = 0.10
    memory_days: int = 60
    slice_hours: int = 8
    cell: float = 0.0025
    reach: float = 0.5
    wall_width: float = 0.5
    wall_share: float = 0.05

    def __post_init__(self) -> None:
        if len(self.leverages) != len(self.leverage_weights) or not self.leverages:
            raise UsageError(
                f"{len(self.leverages)} leverages and {len(self.leverage_weights)} weights",
                code="bad_liquidation_model",
                field="leverage_weights",
                hint="give each leverage its share of what is opened",
            )
        rules = {
            "leverages": all(
                leverage * (1 - self.maintenance_rate) > 1.0 and leverage * self.maintenance_rate < 1.0
                for leverage in self.leverages
            ),
            "leverage_weights": min(self.leverage_weights) >= 0
            and abs(sum(self.leverage_weights) - 1) < 1e-9,
            "maintenance_rate": 0.0 <= self.maintenance_rate < 0.5,
            "daily_turnover": 0.0 <= self.daily_turnover < 1.0,
            "memory_days": 1 <= self.memory_days <= 119,
            "slice_hours": self.slice_hours in {4, 8, 24},
            "cell": 1e-4 <= self.cell <= self.reach <= 5.0,
            "wall_width": self.wall_width > 0,
            "wall_share": 0 < self.wall_share <= 1,
        }
        for name, holds in rules.items():
            if not holds:
                raise UsageError(
                    f"{name} is {getattr(self, name)!r}, outside what the liquidation map can use",
                    code="bad_liquidation_model",
                    field=name,
                    hint="see features/families/liquidation_model.py for each assumption's meaning and unit",
                )

    def log_distance(self, side: int) -> FloatArray:
        """How far above (``side`` 1, shorts) or below (-1, longs) its entry each leverage is liquidated.

        The isolated, one-way formula of Binance ("How to Calculate Liquidation Price of USDT-M
        Futures Contracts") in the first tier, where the amount is zero: ``entry (1 + 1/L) / (1 + m)``
        for a short, ``entry (1 - 1/L) / (1 - m)`` for a long.

        Returns
        -------
        ndarray of shape (n_leverages,)
            Log price, positive: away from the entry, against the position.

        Examples
        --------
        >>> DEFAULT_MODEL.log_distance(1).round(3).tolist()
        [0.283, 0.177, 0.09, 0.044, 0.015, 0.005]
        """
        leverage = np.array(self.leverages)
        return np.asarray(side * np.log((1 + side / leverage) / (1 + side * self.maintenance_rate)))


DEFAULT_MODEL = LiquidationModel()
"""The assumptions that the declared features use."""
