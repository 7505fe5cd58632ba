"""Whether 1 to 2 % of the account at risk in a trade survives its losing streaks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.regimes import Regime
from training.claims.claim import Checked, Measure, Verdict, within
from training.claims.evidence import DOWN, HOLD_DAYS, Evidence, Market
from training.survival.prices import FloatArray

__all__ = ["risk_survives_streaks", "trades"]

TRADES = 150
"""Of a path: about three years of trades that last a week at most."""
TOGETHER = 10
"""Trades drawn in a row, so that streaks of bad weeks stay streaks."""
RISKS = (0.02, 0.01, 0.05, 0.10)
SIGMA_DAYS = 60
HALF = 0.5


def trades(market: Market) -> tuple[FloatArray, pd.DatetimeIndex]:
    """Outcomes in units of what was at risk, one trade after the other, by the online regime.

    Short where bear or relief rally is answered, long in a bull; the stop lies one standard deviation
    of seven days away; closed there, or after seven days. Fees and funding in.

    Returns
    -------
    outcome : ndarray of shape (n_trades,)
        -1 and a little more where the stop was hit.
    time : pandas.DatetimeIndex
        Entries.
    """
    prices, bars = market.prices, HOLD_DAYS * market.prices.per_day
    moved = pd.Series(np.diff(np.log(prices.close), prepend=np.nan))
    sigma = moved.rolling(SIGMA_DAYS * prices.per_day, min_periods=bars).std().to_numpy() * np.sqrt(bars)
    outcome: list[float] = []
    when: list[int] = []
    at, fee = 0, 2 * market.outcomes.rules.fee
    while at + bars < len(prices):
        regime = market.online[at]
        usable = np.isfinite(prices.close[at]) and np.isfinite(sigma[at]) and sigma[at] > 0
        if not usable or (regime not in DOWN and regime != Regime.BULL):
            at += 1
            continue
        side = 1.0 if regime == Regime.BULL else -1.0
        entry, stop = prices.close[at], 1 - np.exp(-sigma[at]) if side > 0 else np.exp(sigma[at]) - 1
        path = slice(at + 1, at + 1 + bars)
        adverse = 1 - prices.low[path] / entry if side > 0 else prices.high[path] / entry - 1
        hit = np.flatnonzero(adverse >= stop)
        end = at + 1 + (int(hit[0]) if len(hit) else bars - 1)
        gained = -stop if len(hit) else side * (prices.close[end] / entry - 1)
        gained -= side * (prices.funding[end] - prices.funding[at]) / entry + fee
        if np.isfinite(gained):
            outcome.append(float(gained / stop))
            when.append(at)
        at = end
    return np.array(outcome), prices.time[np.array(when, dtype=np.int64)]


def risk_survives_streaks(evidence: Evidence, seed: int = 7) -> Checked:
    """1 to 2 % of the account at risk in a trade survives losing streaks."""
    made = [trades(one) for one in evidence.markets]
    usable = [outcome for outcome, _ in made if len(outcome) >= TOGETHER]
    count = sum(len(outcome) for outcome, _ in made)
    weeks = len({(week.year, week.week) for _, time in made for week in time.isocalendar().itertuples()})
    paths = _paths(usable, evidence.draws, seed)
    measures = [_drawdown(paths, risk, count, weeks) for risk in RISKS]
    streak = max((_longest(outcome[None, :])[0] for outcome in usable), default=0)
    if len(paths):
        low, high = np.quantile(_longest(paths), (0.025, 0.975))
        measures.append(
            Measure(
                "longest losing streak in history; interval over paths",
                "count",
                float(streak),
                float(low),
                float(high),
                count,
                weeks,
            )
        )
    verdict: Verdict = within(measures[0], 0.0, HALF)
    return Checked(
        "small_risk_survives_streaks",
        "1 to 2 % at risk in a trade survives losing streaks.",
        "Trades by the answered (online) regime, one after the other in each symbol, stop one standard "
        f"deviation of seven days away, fees and funding in; {TRADES} of them (about three years) drawn "
        f"{TOGETHER} in a row; the deepest loss from a peak. A stop is filled at its price: gaps would add "
        "to it.",
        "At 2 % the deepest loss stays below half of the account in 97.5 of 100 paths.",
        verdict,
        f"At 2 % the account loses {measures[0].words()} from its peak (median and 95 % of paths), at 10 % "
        f"{measures[-2 if len(paths) else -1].words()}; the longest streak of losses was {streak}.",
        tuple(measures),
    )


def _paths(outcomes: list[FloatArray], draws: int, seed: int) -> FloatArray:
    """Paths of trades, shape (draws, TRADES): runs of consecutive trades of one symbol."""
    if not outcomes:
        return np.empty((0, TRADES))
    rng = np.random.default_rng(seed)
    pool = np.concatenate(outcomes)
    starts, begin = [], 0
    for one in outcomes:
        starts.append(begin + np.arange(len(one) - TOGETHER + 1))
        begin += len(one)
    chosen = rng.choice(np.concatenate(starts), size=(draws, TRADES // TOGETHER))
    return np.asarray(pool[chosen[:, :, None] + np.arange(TOGETHER)].reshape(draws, -1))


def _drawdown(paths: FloatArray, risk: float, count: int, weeks: int) -> Measure:
    name = f"deepest loss from a peak with {100 * risk:.0f} % at risk in a trade"
    if not len(paths):
        return Measure(name, "share", float("nan"), float("nan"), float("nan"), count, weeks)
    equity = np.cumprod(np.maximum(1 + risk * paths, 0.0), axis=1)
    equity = np.concatenate((np.ones((len(paths), 1)), equity), axis=1)
    deepest = (1 - equity / np.maximum.accumulate(equity, axis=1)).max(axis=1)
    middle, low, high = np.quantile(deepest, (0.5, 0.025, 0.975))
    return Measure(name, "share", float(middle), float(low), float(high), count, weeks)


def _longest(paths: FloatArray) -> npt.NDArray[np.int64]:
    """Longest run of losses in each row.

    Examples
    --------
    >>> _longest(np.array([[1.0, -1.0, -1.0, 2.0, -1.0]])).tolist()
    [2]
    """
    run = np.zeros(len(paths), dtype=np.int64)
    longest = run.copy()
    for column in paths.T:
        run = np.where(column < 0, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest
