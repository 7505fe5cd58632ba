"""Whether one model answers better than another, on the same bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.errors import DataError
from training.bootstrap import BlockBootstrap, Interval
from training.dataset import Dataset
from training.evaluation.answers import Answers, scored_rows
from training.evaluation.blocks import market_blocks
from training.evaluation.metrics import row_log_loss

__all__ = ["Difference", "Test", "diebold_mariano", "difference", "overlap_days"]

MILLISECONDS_A_DAY = 86_400_000


@dataclass(frozen=True)
class Test:
    """Diebold-Mariano test of two losses with errors that are correlated in time.

    Attributes
    ----------
    mean : float
        Mean loss of the first less the second; below zero, the first is better.
    statistic, p_value : float
        t statistic and two-sided p; NaN where there are too few stamps for the lags.
    low, high : float
        95 % interval of the mean.
    stamps, lags : int
        Points in time, and lags whose covariance counts (Newey & West 1987).
    """

    __test__ = False  # the name is the statistician's, not pytest's

    mean: float
    statistic: float
    p_value: float
    low: float
    high: float
    stamps: int
    lags: int


@dataclass(frozen=True)
class Difference:
    """Log loss of one model less that of another on the same bars; below zero, the first is better.

    Attributes
    ----------
    name, against : str
    interval : Interval
        Blocks are spells of one symbol each.
    market : Interval
        Blocks are the spells of the leading symbol, with all symbols' bars of that time in them: wider
        where the symbols move together.
    diebold_mariano : Test
        Losses averaged over symbols at each stamp.
    """

    name: str
    against: str
    interval: Interval
    market: Interval
    diebold_mariano: Test

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` only if both intervals exclude zero; else ``cannot tell``."""
        if self.interval.below_zero and self.market.below_zero:
            return "better"
        return "worse" if self.interval.above_zero and self.market.above_zero else "cannot tell"


def diebold_mariano(loss_a: FloatArray, loss_b: FloatArray, time: pd.DatetimeIndex, lags_days: float) -> Test:
    """Test whether two losses have the same mean (Diebold & Mariano 1995).

    The losses of all symbols at one stamp are averaged first: they share the market, so that counting
    each would claim too much. The mean's error is that of a regression on a constant with
    heteroskedasticity and autocorrelation consistent errors (Bartlett weights).

    Parameters
    ----------
    loss_a, loss_b : ndarray of shape (n_rows,)
        Loss of each row, finite.
    time : pandas.DatetimeIndex of length n_rows
        In any order, symbols pooled.
    lags_days : float
        How long two labels overlap, days: losses closer than that are not independent.

    Raises
    ------
    DataError
        If the lengths differ, there is no row, or a loss is not finite.
    """
    if not len(time) or not len(loss_a) == len(loss_b) == len(time):
        raise DataError(f"losses of {len(loss_a)} and {len(loss_b)} rows at {len(time)} times")
    gap = np.asarray(loss_a - loss_b, dtype=np.float64)
    if not np.isfinite(gap).all():
        raise DataError("a loss is not finite: a test of it would not be one")
    stamps, inverse = np.unique(time.as_unit("ms").asi8, return_inverse=True)
    series = np.bincount(inverse, weights=gap) / np.bincount(inverse)
    mean, count = float(series.mean()), len(stamps)
    step = float(np.median(np.diff(stamps))) if count > 1 else float("inf")
    lags = int(np.ceil(lags_days * MILLISECONDS_A_DAY / step))
    nothing = float("nan")
    if np.ptp(series) == 0:  # the same answers: no difference, and no doubt about it
        return Test(mean, nothing, 1.0 if mean == 0 else nothing, mean, mean, count, lags)
    if count < 2 * max(lags, 1) + 1:
        return Test(mean, nothing, nothing, nothing, nothing, count, lags)
    from statsmodels.regression.linear_model import OLS  # noqa: PLC0415

    fitted = OLS(series, np.ones(count)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True
    )
    low, high = fitted.conf_int(0.05)[0]
    return Test(
        mean, float(fitted.tvalues[0]), float(fitted.pvalues[0]), float(low), float(high), count, lags
    )


def overlap_days(dataset: Dataset) -> float:
    """Longest time from a bar to the confirmation of its label, days: how far labels overlap."""
    known = dataset.confirmed_at.notna().to_numpy()
    waited = pd.DatetimeIndex(dataset.confirmed_at[known]) - dataset.time[known]
    return float(waited.max() / pd.Timedelta(days=1))


def difference(dataset: Dataset, a: Answers, b: Answers, *, draws: int = 2000, seed: int = 7) -> Difference:
    """Compare the log losses of two models.

    Raises
    ------
    DataError
        If they did not answer the same bars: a difference on other bars is none.
    """
    rows, others = scored_rows(dataset, a), scored_rows(dataset, b)
    if not np.array_equal(rows, others):
        raise DataError(
            f"{a.name} answered {len(rows)} scored bars and {b.name} {len(others)}, "
            f"{len(np.intersect1d(rows, others))} of them the same",
            code="other_bars",
            hint="compare models that were walked over the same folds",
        )
    loss_a = row_log_loss(a.probabilities[rows], dataset.y[rows])
    loss_b = row_log_loss(b.probabilities[rows], dataset.y[rows])
    spells = BlockBootstrap(dataset.spell[rows], draws=draws, seed=seed)
    market = BlockBootstrap(market_blocks(dataset)[rows], draws=draws, seed=seed)
    return Difference(
        name=a.name,
        against=b.name,
        interval=spells.mean_difference(loss_a, loss_b),
        market=market.mean_difference(loss_a, loss_b),
        diebold_mariano=diebold_mariano(loss_a, loss_b, dataset.time[rows], overlap_days(dataset)),
    )
