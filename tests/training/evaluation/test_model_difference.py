"""Differences between models: the test against formulas by hand, and what it promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scored_samples import noisy_answers
from small_training import LONG

from features.errors import DataError
from training.dataset import Dataset
from training.evaluation import Answers, diebold_mariano, difference, overlap_days, row_log_loss, scored_rows

FloatArray = npt.NDArray[np.float64]


def stamps(count: int) -> pd.DatetimeIndex:
    return pd.date_range("2022-01-01", periods=count, freq="6h", tz="UTC")


def newey_west(values: FloatArray, lags: int) -> float:
    """Standard error of a mean, term by term (Newey & West 1987), with the small-sample factor."""
    n = len(values)
    gap = values - values.mean()
    total = (gap**2).sum()
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * (gap[lag:] * gap[:-lag]).sum()
    return float(np.sqrt(total / n**2 * n / (n - 1)))


def wandering(count: int, rng: np.random.Generator, memory: float = 0.95) -> FloatArray:
    values = np.zeros(count)
    shocks = rng.normal(size=count)
    for i in range(1, count):
        values[i] = memory * values[i - 1] + shocks[i]
    return values


def test_the_statistic_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(2)
    a, b = 0.3 + wandering(400, rng), wandering(400, rng)
    found = diebold_mariano(a, b, stamps(400), lags_days=5)
    assert found.lags == 20
    assert found.stamps == 400
    assert found.mean == pytest.approx((a - b).mean())
    error = newey_west(a - b, 20)
    assert found.statistic == pytest.approx(found.mean / error)
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * 1.9659 * error, rel=1e-3)


def test_symbols_of_one_stamp_are_one_piece_of_evidence() -> None:
    rng = np.random.default_rng(4)
    gap = 0.1 + rng.normal(size=300)
    once = diebold_mariano(gap, np.zeros(300), stamps(300), 2)
    five = diebold_mariano(
        np.tile(gap, 5), np.zeros(1500), pd.DatetimeIndex(stamps(300).append([stamps(300)] * 4)), 2
    )
    assert five == replace(once, mean=five.mean)
    assert five.mean == pytest.approx(once.mean)


def test_equal_models_are_rejected_as_often_as_promised() -> None:
    """Losses that wander: with the lags about one in twenty, without them far too often."""
    rng = np.random.default_rng(9)
    trials = 600 if LONG else 150
    honest = naive = 0
    for _ in range(trials):
        gap = wandering(1200, rng, 0.9)
        honest += diebold_mariano(gap, np.zeros(1200), stamps(1200), 12).p_value < 0.05
        naive += diebold_mariano(gap, np.zeros(1200), stamps(1200), 0).p_value < 0.05
    assert honest / trials < 0.13
    assert naive / trials > 0.4


def test_too_few_stamps_say_nothing_and_equal_losses_differ_by_nothing() -> None:
    gap = np.random.default_rng(1).normal(size=60)
    short = diebold_mariano(gap, np.zeros(60), stamps(60), 30)
    assert short.mean == pytest.approx(gap.mean())
    assert np.isnan([short.statistic, short.p_value, short.low]).all()
    same = diebold_mariano(gap, gap, stamps(60), 2)
    assert (same.mean, same.p_value, same.low) == (0.0, 1.0, 0.0)
    assert np.isnan(diebold_mariano(gap[:1], gap[:1] - 1, stamps(1), 2).p_value)
    with pytest.raises(DataError, match="0 times"):
        diebold_mariano(gap[:0], gap[:0], stamps(0), 2)
    with pytest.raises(DataError, match="59 rows at 60 times"):
        diebold_mariano(gap[:59], gap[:59], stamps(60), 2)
    with pytest.raises(DataError, match="not finite"):
        diebold_mariano(np.where(gap > 1, np.nan, gap), gap, stamps(60), 2)


def test_labels_overlap_for_as_long_as_the_slowest_is_confirmed(dataset: Dataset) -> None:
    waits = [
        (known - time) / pd.Timedelta(days=1)
        for known, time in zip(dataset.confirmed_at, dataset.time, strict=True)
        if pd.notna(known)
    ]
    assert overlap_days(dataset) == pytest.approx(max(waits))
    assert overlap_days(dataset) >= 20


def test_a_better_model_is_told_from_a_worse_one(dataset: Dataset) -> None:
    good, bad = noisy_answers(dataset, "good", hit=0.9), noisy_answers(dataset, "bad", seed=4, hit=0.3)
    found = difference(dataset, good, bad)
    rows = scored_rows(dataset, good)
    losses = [row_log_loss(one.probabilities[rows], dataset.y[rows]) for one in (good, bad)]
    assert found.interval.estimate == pytest.approx((losses[0] - losses[1]).mean())
    assert found.verdict == "better"
    assert found.market.below_zero
    assert found.market.blocks < found.interval.blocks
    assert found.diebold_mariano.p_value < 0.01
    back = difference(dataset, bad, good)
    assert back.verdict == "worse"
    assert back.interval.estimate == pytest.approx(-found.interval.estimate)
    assert difference(dataset, good, good).verdict == "cannot tell"


def test_one_interval_alone_is_no_verdict(dataset: Dataset) -> None:
    found = difference(dataset, noisy_answers(dataset, hit=0.9), noisy_answers(dataset, "x", hit=0.3))
    wide = replace(found.market, high=0.1)
    assert replace(found, market=wide).verdict == "cannot tell"
    assert replace(found, interval=wide).verdict == "cannot tell"


def test_models_that_answered_other_bars_are_not_compared(dataset: Dataset) -> None:
    answers = noisy_answers(dataset)
    row = scored_rows(dataset, answers)[0]
    regime = answers.regime.copy()
    regime[row] = -1
    with pytest.raises(DataError, match="of them the same"):
        difference(dataset, answers, Answers("less", answers.probabilities, regime))
