"""The entry plan of one side: tranches, stop and target in prices, and the size that they allow.

Later tranches are filled only at better prices than the first (a short sells into a rise, a long
buys into a fall), so the average entry, and with it the liquidation price, moves away from the
market with each fill: the worst moment is the first fill alone. Distances are log moves in units
of the horizon's volatility. They are chosen, not fitted.
"""

from __future__ import annotations

from math import exp, inf, isfinite, log1p, sqrt
from typing import NamedTuple

from features.regimes import Regime
from serving.margin import Position, liquidation_price
from serving.parameters import AdviceParameters, MarketState

__all__ = ["MEAN_REVERSION_BAND", "SHARES", "TRIGGERS", "EntryPlan", "Size", "band", "entry_plan", "size_of"]

SHARES = (0.30, 0.30, 0.40)
TRIGGERS = ("signal", "confirmation", "reserve")
MEAN_REVERSION_BAND = 0.5
"""Distance from the 20-day mean, in sigma x sqrt(20), beyond which a range is traded."""
_FILLED_AT = (0.0, 1 / 3, 2 / 3)
"""Where the tranches lie, as a part of the way to the stop."""
_STOP = {Regime.BEAR: 1.5, Regime.RANGING: 1.0, Regime.RELIEF_RALLY: 2.0, Regime.BULL: 1.5}
"""Stop distance over the horizon's volatility; wider where a rise is sold into."""
_TARGET = 2.0
_WITHIN_EXCURSION = 0.8
"""The stop lies at most this part of the way to the adverse excursion: well before liquidation."""
_SMALLEST_STOP = 1e-6
_LARGEST_LOG_MOVE = 10.0


class EntryPlan(NamedTuple):
    """Prices of one side's plan; ``entries`` are the average entry after each fill.

    Attributes
    ----------
    prices, entries : tuple of float, length 3
        Quote currency.
    stop : float
    target : float or None
        ``None`` where the 20-day mean that a range goes back to is not known, or not ahead.
    loss : float
        Fraction of the whole notional that is lost where everything is filled and then stopped,
        the taker fee of entry and exit included.
    worst_entry : float
        Average entry over the last close at the moment nearest to liquidation.
    """

    prices: tuple[float, float, float]
    entries: tuple[float, float, float]
    stop: float
    target: float | None
    loss: float
    worst_entry: float

    def worst_liquidation(
        self, side: Position, leverage: float, rate: float, costs: float, close: float
    ) -> float | None:
        """Nearest liquidation price over the fills, costs paid; ``None`` where no price does it."""
        price = liquidation_price(side, close * self.worst_entry, leverage, rate, costs=costs)
        return price if isfinite(price) and price > 0 else None


class Size(NamedTuple):
    """How large the position is with everything filled, quote currency."""

    risk: float
    by_risk: float
    by_leverage: float
    notional: float
    margin: float


def _mean_price(market: MarketState) -> float | None:
    """20-day mean (of log closes) as a price; ``None`` where it is not known."""
    away = market.distance_from_mean_20d * market.sigma_day * sqrt(20)
    if not (isfinite(away) and abs(away) <= _LARGEST_LOG_MOVE):
        return None
    price = market.close * exp(-away)
    return price if isfinite(price) and price > 0 else None


def band(market: MarketState) -> tuple[float, float, float] | None:
    """Lower edge, mean and upper edge of the band that a range is traded outside of, in prices."""
    mean = _mean_price(market) if market.volatility_known else None
    half = MEAN_REVERSION_BAND * market.sigma_day * sqrt(20)
    if mean is None or half > _LARGEST_LOG_MOVE:
        return None
    upper = mean * exp(half)
    return (mean * exp(-half), mean, upper) if isfinite(upper) else None


def _target(side: Position, regime: Regime, market: MarketState, volatility: float) -> float | None:
    against = 1.0 if side == "short" else -1.0
    if regime is Regime.RANGING:
        mean = _mean_price(market)
        return mean if mean is not None and against * (market.close - mean) > 0 else None
    return market.close * exp(-against * min(_TARGET * volatility, _LARGEST_LOG_MOVE))


def entry_plan(
    side: Position,
    regime: Regime,
    market: MarketState,
    excursion: float,
    parameters: AdviceParameters,
    *,
    second_now: bool = False,
) -> EntryPlan | None:
    """Lay out tranches, stop and target from the last close.

    Parameters
    ----------
    side : {"short", "long"}
    regime : Regime
    market : MarketState
    excursion : float
        Adverse move at the survival level, fraction of the close.
    parameters : AdviceParameters
    second_now : bool
        What the second tranche waits for is there: it is filled at the last close, too.

    Returns
    -------
    EntryPlan or None
        ``None`` where price, volatility or excursion give nothing to measure by.
    """
    if not market.volatility_known or (side == "long" and excursion >= 1):
        return None
    against = 1.0 if side == "short" else -1.0
    volatility = market.sigma_day * sqrt(parameters.horizon_days)
    reach = log1p(excursion) if side == "short" else -log1p(-excursion)
    stop = min(_STOP[regime] * volatility, _WITHIN_EXCURSION * reach)
    if not _SMALLEST_STOP < stop <= _LARGEST_LOG_MOVE:
        return None
    first, second, third = _FILLED_AT
    away = [exp(against * stop * part) for part in (first, first if second_now else second, third)]
    edge = exp(against * stop)
    filled = coins = loss = 0.0
    entries = []
    for share, ratio in zip(SHARES, away, strict=True):
        filled += share
        coins += share / ratio
        loss += share * against * (edge / ratio - 1)
        entries.append(filled / coins)
    nearest = min(entries) if side == "short" else max(entries)
    close = market.close
    prices = [close * ratio for ratio in (*away, *entries, edge)]
    if not 0 < min(prices) <= max(prices) < inf:
        return None
    return EntryPlan(
        prices=(prices[0], prices[1], prices[2]),
        entries=(prices[3], prices[4], prices[5]),
        stop=prices[6],
        target=_target(side, regime, market, volatility),
        loss=loss + 2 * parameters.taker_fee,
        worst_entry=nearest,
    )


def size_of(plan: EntryPlan, leverage: float, equity: float, risk_per_trade: float, factor: float) -> Size:
    """Size with everything filled: what the risk allows, and not more than equity x leverage.

    Parameters
    ----------
    plan : EntryPlan
    leverage : float
        Above 0.
    equity : float
        Quote currency.
    risk_per_trade : float
        Share of the equity that may be lost at the stop.
    factor : float
        Of the whole: 0.5 in a range.
    """
    risk = equity * risk_per_trade * factor
    by_risk, by_leverage = risk / plan.loss, equity * leverage * factor
    notional = min(by_risk, by_leverage)
    return Size(risk, by_risk, by_leverage, notional, notional / leverage)
