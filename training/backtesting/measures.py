"""Figures of accounts: of one equity curve, and of many accounts that began on different days."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray

__all__ = ["Curve", "Share", "Survival", "curve_of", "share_of", "survival_of"]

DAYS_A_YEAR = 365.0
TAIL = 0.05
_TWO_SIDED_95 = 1.959963984540054


@dataclass(frozen=True)
class Curve:
    """One equity curve, daily closes; fractions, a year where it is a rate.

    Attributes
    ----------
    total, yearly : float
        Return over the span, and as a rate of growth.
    volatility, sharpe, calmar : float
        Of daily returns times the root of 365; without a riskless rate; growth over the drawdown.
    drawdown : float
        Largest fall from a peak, hour by hour.
    cvar : float
        Mean of the worst 5 % of daily returns.
    """

    total: float
    yearly: float
    volatility: float
    sharpe: float
    calmar: float
    drawdown: float
    cvar: float


def curve_of(equity: FloatArray, per_day: int) -> Curve:
    """Measure a curve of shape (n_bars,) that begins at 1.

    Examples
    --------
    >>> curve = curve_of(np.array([1.0, 1.2, 0.9, 1.1]), 1)
    >>> round(curve.total, 3), round(curve.drawdown, 3)
    (0.1, 0.25)
    """
    days = np.concatenate([[1.0], equity[per_day - 1 :: per_day]])
    before = days[:-1]
    returns = np.divide(days[1:], before, out=np.ones_like(before), where=before > 1e-9) - 1
    years = max(len(equity) / per_day / DAYS_A_YEAR, 1e-9)
    last = max(float(equity[-1]), 0.0)
    yearly = last ** (1 / years) - 1
    peak = np.maximum.accumulate(np.concatenate([[1.0], equity]))[1:]
    drawdown = float(np.max(1 - equity / peak, initial=0.0))
    spread = float(returns.std())
    worst = np.sort(returns)[: max(int(np.ceil(TAIL * len(returns))), 1)]
    return Curve(
        total=last - 1,
        yearly=yearly,
        volatility=spread * sqrt(DAYS_A_YEAR),
        sharpe=float(returns.mean()) / spread * sqrt(DAYS_A_YEAR) if spread > 0 else nan,
        calmar=yearly / drawdown if drawdown > 0 else nan,
        drawdown=drawdown,
        cvar=float(worst.mean()),
    )


@dataclass(frozen=True)
class Share:
    """A share with the interval that so few independent years allow."""

    share: float
    low: float
    high: float
    trials: float


def share_of(hits: npt.NDArray[np.bool_], independent: float) -> Share:
    """Wilson interval of a share as if each independent year were one trial.

    Accounts that began a day apart live through the same year, and symbols fall together: however
    many accounts there are, there is no more evidence than years.

    Examples
    --------
    >>> found = share_of(np.array([True, True, True, False]), 4.0)
    >>> round(found.low, 2), round(found.high, 2)
    (0.3, 0.95)
    """
    n, p, z = max(independent, 1e-9), float(hits.mean()), _TWO_SIDED_95
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Share(p, max(middle - half, 0.0), min(middle + half, 1.0), n)


@dataclass(frozen=True)
class Survival:
    """What became of many accounts of one strategy, each a year old.

    Attributes
    ----------
    accounts : int
    survived : Share
        Ended the year with at least half of what they began with.
    never_below_half : float
        Share that was not below half at any day's close either.
    liquidations : float
        For 1,000 days in the market.
    position_days : float
    median, low, high : float
        Return of the year: median, and the 2.5th and 97.5th percentile of the accounts.
    """

    accounts: int
    survived: Share
    never_below_half: float
    liquidations: float
    position_days: float
    median: float
    low: float
    high: float


def survival_of(
    final: FloatArray,
    lowest: FloatArray,
    liquidations: npt.NDArray[np.int64],
    held: npt.NDArray[np.int64],
    per_day: int,
    independent: float,
) -> Survival:
    """Count over accounts, all arrays of shape (n_accounts,)."""
    days = float(held.sum()) / per_day
    low, middle, high = np.quantile(final - 1, (0.025, 0.5, 0.975))
    return Survival(
        accounts=len(final),
        survived=share_of(final >= 0.5, independent),
        never_below_half=float((np.minimum(lowest, final) >= 0.5).mean()),
        liquidations=1000 * float(liquidations.sum()) / days if days > 0 else nan,
        position_days=days,
        median=float(middle),
        low=float(low),
        high=float(high),
    )
