"""What a request computes of its last rows are the last rows of a whole history, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from histories import LONG, FloatArray
from hypothesis import given, settings
from hypothesis import strategies as st
from rich_histories import rich_history

from features.bars import Bars, flags
from features.history import History

N = 170 * 6

RECENT: dict[str, Callable[[Bars], FloatArray]] = {
    "mean": lambda bars: bars.recent_mean("log_close", bars.log_close, 20),
    "exact mean": lambda bars: bars.recent_mean("up", flags(bars.log_return > 0), 20, exact=True),
    "sd": lambda bars: bars.sd("log_close", bars.log_close, 10),
    "zscore": lambda bars: bars.zscore("log_close", bars.log_close, 3, 30),
    "correlation": lambda bars: bars.correlation(bars.log_return, bars.column("volume"), 30),
    "rank": lambda bars: bars.rank("log_close", bars.log_close, 30),
    "trend": lambda bars: bars.trend("log_close", bars.log_close, 30),
    "highest": lambda bars: bars.recent_highest("log_high", bars.log_high, 17),
    "lowest": lambda bars: bars.recent_lowest("log_low", bars.log_low, 17),
    "age": lambda bars: bars.age("log_high", bars.log_high, 17, largest=True),
    "move": lambda bars: bars.move(5),
    "sigma": lambda bars: bars.recent_sigma,
    "in sd": lambda bars: bars.in_sd(bars.move(5), 5),
    "day ends": lambda bars: bars.rank_of_day_ends("d", bars.day_end(bars.column("open_interest")), 30),
}


@cache
def history(part: int = 0) -> History:
    made = rich_history(N, "4h", seed=8, missing=(40, 500, 501, N - 20))
    return made.part(part, N)


@pytest.mark.parametrize("name", RECENT)
@pytest.mark.parametrize("last", [1, 9, 49, 400, N + 5])
@pytest.mark.parametrize("part", [0, 5])
def test_the_last_rows_are_those_of_all(name: str, last: int, part: int) -> None:
    made = history(part)
    with np.errstate(all="ignore"):
        whole, recent = RECENT[name](Bars(made)), RECENT[name](Bars(made, last=last))
    rows = min(last, len(made))
    assert whole.shape == (len(made),)
    assert recent.shape == (rows,)
    assert recent.tobytes() == whole[len(made) - rows :].tobytes()
    assert np.isfinite(whole).any()


@pytest.mark.parametrize("last", [None, 30])
@pytest.mark.parametrize("part", [0, 1, 3])
def test_a_rank_of_day_ends_is_the_rank_hour_by_hour(last: int | None, part: int) -> None:
    bars = Bars(history(part), last=last)
    values = bars.day_end(bars.column("open_interest"))
    np.testing.assert_array_equal(bars.rank_of_day_ends("a", values, 40), bars.rank("b", values, 40))


@settings(max_examples=300 if LONG else 40, deadline=None)
@given(rows=st.integers(1, 60), days=st.integers(1, 12), kept=st.integers(1, 60))
def test_ago_reads_what_stood_before_the_rows_that_are_read(rows: int, days: int, kept: int) -> None:
    bars = Bars(history().part(N - 60, N), last=rows)
    values = np.arange(60.0)[60 - max(kept, rows) :]
    expected = np.arange(60.0 - rows, 60.0) - days * bars.per_day
    expected[expected < values[0]] = np.nan
    np.testing.assert_array_equal(bars.ago(values, days), expected)
    np.testing.assert_array_equal(bars.now(values), np.arange(60.0 - rows, 60.0))
    np.testing.assert_array_equal(bars.change(values, days), bars.now(values) - expected)
