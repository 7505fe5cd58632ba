"""Correlations of daily returns: what is known of them, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import DataError
from serving.correlations import CORRELATION_DAYS, correlations_of, daily_closes


def test_correlations_from_closes() -> None:
    rng = np.random.default_rng(3)
    moves = rng.normal(size=(3, 60))
    closes: dict[str, Any] = {
        "A": np.exp(np.cumsum(moves[0]) / 50),
        "B": np.exp(np.cumsum(0.8 * moves[0] + 0.6 * moves[1]) / 50),
        "C": np.where(np.arange(60) < 45, np.nan, np.exp(np.cumsum(moves[2]) / 50)),
        "D": np.ones(60),
    }
    found = correlations_of(closes)
    assert set(found) == {("A", "B")}  # C has too few returns, D does not move
    expected = np.corrcoef(np.diff(np.log(closes["A"])), np.diff(np.log(closes["B"])))[0, 1]
    assert found["A", "B"] == pytest.approx(expected)
    with pytest.raises(DataError, match="lengths"):
        correlations_of({"A": np.ones(3), "B": np.ones(4)})


def hourly(days: int, seed: int, until: str = "2024-06-30 13:00") -> pd.Series:
    time = pd.date_range(end=pd.Timestamp(until, tz="UTC"), periods=24 * days, freq="h")
    steps = np.random.default_rng(seed).normal(0, 0.01, len(time))
    return pd.Series(np.exp(np.cumsum(steps)), index=time)


def test_daily_closes_are_those_of_midnight_on_one_grid() -> None:
    long, short = hourly(150, 1), hourly(40, 2)
    found = daily_closes({"A": long, "B": short})
    assert {len(one) for one in found.values()} == {CORRELATION_DAYS + 1}
    assert found["A"][-1] == long[pd.Timestamp("2024-06-30", tz="UTC")]
    assert found["A"][0] == long[pd.Timestamp("2024-04-01", tz="UTC")]
    assert np.isfinite(found["B"]).sum() == 40
    assert set(correlations_of(found)) == {("A", "B")}


def test_what_closes_later_than_the_others_shifts_no_day() -> None:
    """A symbol whose newest bars are missing is compared on the days that both have."""
    whole = hourly(150, 1)
    cut = whole[whole.index <= pd.Timestamp("2024-06-20 05:00", tz="UTC")]
    found = correlations_of(daily_closes({"A": whole, "B": cut}))
    assert found["A", "B"] == pytest.approx(1.0)


def test_no_bar_at_any_midnight_is_no_correlation() -> None:
    noon = pd.Series([1.0, 2.0], index=pd.to_datetime(["2024-01-01 12:00", "2024-01-02 12:00"], utc=True))
    found = daily_closes({"A": noon, "B": noon})
    assert [len(one) for one in found.values()] == [0, 0]
    assert correlations_of(found) == {}
