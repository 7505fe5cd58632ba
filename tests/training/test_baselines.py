"""The baselines, each against its formula in plain loops."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from small_training import LONG, small_histories

from features.history import History
from training.dataset import Dataset
from training.models.baselines import CountedAnswers, last_confirmed_label, moving_average_rule


def rule(log_price: list[float], per_day: int, t: int) -> int:
    """The rule at one bar, as the contract words it."""
    decay = 0.5 ** (1 / (42 * per_day))
    weights = [decay**age for age in range(t)]
    squares = [(log_price[t - age] - log_price[t - age - 1]) ** 2 for age in range(t)]
    sigma = math.sqrt(per_day * sum(w * s for w, s in zip(weights, squares, strict=True)) / sum(weights))

    def distance(days: int) -> float:
        n = days * per_day
        if t + 1 < n:
            return math.nan
        return (log_price[t] - sum(log_price[t + 1 - n : t + 1]) / n) / (sigma * math.sqrt(days))

    week = math.nan
    if t >= 7 * per_day:
        week = (log_price[t] - log_price[t - 7 * per_day]) / (sigma * math.sqrt(7))
    if distance(120) < -0.3:
        return 2 if week > 0.5 else 0
    return 3 if distance(60) > 0.3 else 1


def test_moving_average_rule_is_its_formula() -> None:
    history = small_histories()[0]
    found = moving_average_rule(history)
    log_price = np.log(history.column("close")).tolist()
    rows = range(10, len(history), 7 if LONG else 61)
    assert [int(found[t]) for t in rows] == [rule(log_price, 6, t) for t in rows]
    assert set(np.unique(found)) == {0, 1, 2, 3}


def test_moving_average_rule_uses_no_later_bar() -> None:
    history = small_histories()[0]
    whole = moving_average_rule(history)
    for end in (900, 2500, 4000):
        part = History(history.symbol, history.interval, history.frame.iloc[:end])
        assert np.array_equal(moving_average_rule(part), whole[:end])


def test_last_confirmed_label_is_the_newest_that_was_known(dataset: Dataset) -> None:
    mine = np.flatnonzero(dataset.symbol == 1)
    time, y = dataset.time[mine], dataset.y[mine]
    confirmed = dataset.confirmed_at.iloc[mine].reset_index(drop=True)
    found = last_confirmed_label(time, y, confirmed)
    known_at = [(row, at) for row, at in enumerate(confirmed) if pd.notna(at)]
    for t in range(0, len(mine), 97):
        known = [row for row, at in known_at if at <= time[t]]
        assert found[t] == (y[known[-1]] if known else 4)
    assert set(np.unique(found)) == {0, 1, 2, 3, 4}


def test_counted_answers_by_hand() -> None:
    """Two answers; class 3 was never seen, and gets what the model gives such a class."""
    answer = np.array([0, 0, 0, 1])
    y = np.array([0, 0, 1, 2], dtype=np.int8)
    p = CountedAnswers(answer, y, 3).probabilities(np.array([0, 1, 2]))
    prior = [0.5, 0.25, 0.25, 0.0]
    expected = [[2 + 2.5, 1 + 1.25, 1.25, 0.0], [2.5, 1.25, 1 + 1.25, 0.0], [5 * one for one in prior]]
    for row, weights in zip(p, expected, strict=True):
        share = np.array(weights) / sum(weights)
        share[3] = math.exp(-8)
        assert row == pytest.approx(share / share.sum())
