"""Coverage and size of prediction sets, over all rows and over trailing windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import DataError
from training.evaluation import set_coverage


def test_by_hand() -> None:
    sets = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)
    y = np.array([0, 1, 1, 3])
    time = pd.date_range("2022-01-01", periods=4, freq="6h", tz="UTC")
    found = set_coverage(sets, y, time)
    assert (found.coverage, found.mean_size, found.rows) == (0.5, 1.0, 4)
    assert found.size_shares == (0.25, 0.5, 0.25, 0.0, 0.0)
    assert found.by_class["bear"] == 1.0
    assert found.by_class["ranging"] == 0.5
    assert np.isnan(found.by_class["relief_rally"])
    assert found.rolling.empty  # four rows are no quarter
    assert set(found.metrics()) == {
        *("coverage", "mean_size", "coverage_bear", "coverage_ranging", "coverage_bull")
    }


def test_rolling_windows_against_loops() -> None:
    rng = np.random.default_rng(6)
    own = pd.date_range("2022-01-01 06:00", periods=400, freq="6h", tz="UTC")
    time = pd.DatetimeIndex(own.append(own[100:]))  # two symbols
    sets = rng.random((len(time), 4)) < 0.5
    y = rng.integers(0, 4, len(time))
    found = set_coverage(sets, y, time, days=20)
    assert found.rolling.index[0] == pd.Timestamp("2022-01-22", tz="UTC")
    assert found.rolling.index[-1] == own[-1].ceil("D")
    for midnight, row in found.rolling.iterrows():
        assert isinstance(midnight, pd.Timestamp)
        inside = np.asarray((time > midnight - pd.Timedelta(days=20)) & (time <= midnight))
        assert row["rows"] == inside.sum()
        assert row["coverage"] == pytest.approx(sets[inside, y[inside]].mean())
        assert row["size"] == pytest.approx(sets[inside].sum(axis=1).mean())
    flat = found.metrics()
    assert flat["rolling_20d_coverage_lowest"] == found.rolling["coverage"].min()
    assert flat["rolling_20d_coverage_below_80"] == 1.0


def test_a_quarter_that_fails_shows_where_the_pooled_figure_does_not() -> None:
    time = pd.date_range("2022-01-01", periods=1460, freq="6h", tz="UTC")
    y = np.zeros(1460, dtype=np.int64)
    sets = np.tile([True, False, False, False], (1460, 1))
    sets[600:720, 0] = False  # a month in which nothing is held
    found = set_coverage(sets, y, time)
    assert found.coverage > 0.9
    assert found.metrics()["rolling_90d_coverage_lowest"] == pytest.approx(240 / 360)


def test_what_cannot_be_counted_is_refused() -> None:
    time = pd.date_range("2022-01-01", periods=2, tz="UTC")
    sets = np.ones((2, 4), dtype=bool)
    with pytest.raises(DataError, match="without a label"):
        set_coverage(sets, np.array([0, -1]), time)
    with pytest.raises(DataError, match="3 labels"):
        set_coverage(sets, np.array([0, 1, 2]), time)
    with pytest.raises(DataError, match="0 labels"):
        set_coverage(sets[:0], np.array([], dtype=np.int64), time[:0])
