"""Bars put into the rows of a chart, against a slow way to do it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from features.history import History
from serving.chart_steps import MAX_POINTS, chart_rows, step_for


def bars(count: int, first: str, interval: str = "1h") -> History:
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    spread = rng.uniform(0, 1, (2, count))
    columns = {"open": close - 0.1, "high": close + spread[0], "low": close - 0.2 - spread[1], "close": close}
    time = pd.date_range(first, periods=count, freq=interval, tz="UTC", unit="ms")
    history = History.from_columns("BTCUSDT", interval, time, columns | {"volume": np.ones(count)})
    holes = history.frame.copy()
    holes.iloc[5:13] = np.nan
    return replace(history, frame=holes)


@pytest.mark.parametrize("step", ["1h", "4h", "1d"])
@pytest.mark.parametrize("first", ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 07:00"])
def test_rows_are_those_of_pandas(step: str, first: str) -> None:
    history = bars(60, first)
    rows = chart_rows(history, step)
    groups = history.frame.groupby(history.time.ceil(step.replace("d", "D")))
    np.testing.assert_array_equal(rows.open, groups["open"].first())
    np.testing.assert_array_equal(rows.high, groups["high"].max())
    np.testing.assert_array_equal(rows.low, groups["low"].min())
    np.testing.assert_array_equal(rows.close, groups["close"].last())
    np.testing.assert_array_equal(history.time[rows.last], [group.index[-1] for _, group in groups])
    assert np.isnan(rows.close).any() == (step != "1d")


def test_the_step_is_chosen_or_refused() -> None:
    day = pd.Timedelta(days=1)
    assert [step_for(days * day, "1h", None) for days in (1, 90, 100, 360, 4_000)] == [
        "1h",
        "1h",
        "4h",
        "4h",
        "1d",
    ]
    assert step_for(10 * day, "4h", "4h") == "4h"
    with pytest.raises(UsageError, match="expected one of 4h, 1d") as finer:
        step_for(day, "4h", "1h")
    assert finer.value.code == "bad_step"
    with pytest.raises(UsageError, match="at most 5,000") as long:
        step_for((MAX_POINTS + 24) * pd.Timedelta(hours=1), "1h", "1h")
    assert long.value.code == "too_many_rows"
