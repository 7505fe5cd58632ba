"""Axes of splitting: later time, unseen symbols, both; the same rows tested, nothing told beforehand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import LONG

from features.errors import TrainingError
from training.dataset import Dataset
from training.splits import AXES, Axis, Fold, WalkForward, along_axis

DAY = pd.Timedelta(days=1)
EXAMPLES = 300 if LONG else 40
Rows = tuple[pd.DatetimeIndex, pd.Series, npt.NDArray[np.int64]]


@st.composite
def symbols_rows(draw: st.DrawFn) -> Rows:
    """Rows of one to four symbols with starts, gaps and lags of confirmation of their own."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    times: list[pd.Timestamp] = []
    confirmed: list[pd.Timestamp | None] = []
    symbol: list[int] = []
    for index in range(draw(st.integers(1, 4))):
        start = pd.Timestamp("2020-01-01", tz="UTC") + draw(st.integers(0, 600)) * DAY
        own = pd.date_range(start, periods=draw(st.integers(2, 200)), freq="5D")
        lags = rng.integers(20, draw(st.integers(21, 90)), size=len(own))
        never = rng.random(len(own)) < draw(st.floats(0, 0.5))
        times += list(own)
        confirmed += [None if no else t + int(lag) * DAY for t, lag, no in zip(own, lags, never, strict=True)]
        symbol += [index] * len(own)
    return pd.DatetimeIndex(times), pd.Series(pd.DatetimeIndex(confirmed, tz="UTC")), np.array(symbol)


def folds_along(axis: Axis, walk: WalkForward, rows: Rows) -> tuple[list[Fold], list[Fold]]:
    """Folds of the walk, and of the axis; none where the history is too short."""
    time, confirmed, symbol = rows
    try:
        folds = walk.split(time, confirmed)
    except TrainingError:
        return [], []
    names = [f"S{index}" for index in range(symbol.max() + 1)]
    if axis != "time" and len(names) < 2:
        with pytest.raises(TrainingError, match="only S0"):
            along_axis(folds, axis, symbol=symbol, names=names, confirmed_at=confirmed)
        return [], []
    return folds, along_axis(folds, axis, symbol=symbol, names=names, confirmed_at=confirmed)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    rows=symbols_rows(),
    axis=st.sampled_from(AXES),
    embargo=st.floats(0, 40),
    window=st.none() | st.floats(160, 700),
)
def test_every_axis(rows: Rows, axis: Axis, embargo: float, window: float | None) -> None:
    time, confirmed, symbol = rows
    folds, found = folds_along(axis, WalkForward(embargo, 150.0, window), rows)
    for fold in found:
        # Nothing is learned that was not known at the cut; and the cut lies before what is tested.
        assert (confirmed.iloc[fold.train] < fold.cut).all()
        assert confirmed.iloc[fold.train].notna().all()
        if axis != "symbols":
            assert fold.cut == fold.start - pd.Timedelta(days=embargo)
            assert (confirmed.iloc[fold.train] < fold.start - pd.Timedelta(days=embargo)).all()
            if window is not None:
                assert (time[fold.train] >= fold.start - pd.Timedelta(days=window)).all()
        # No row, and off the time axis no symbol, on both sides.
        assert not set(fold.train) & set(fold.test)
        if axis == "time":
            assert fold.unseen is None
        else:
            assert set(symbol[fold.test]) == {fold.unseen}
            assert fold.unseen not in set(symbol[fold.train])
        assert ((time[fold.test] >= fold.start) & (time[fold.test] < fold.end)).all()
    # Each tested row of the walk is answered once, unless no other symbol was there to learn from.
    count = Counter(row for fold in found for row in fold.test.tolist())
    assert set(count.values()) <= {1}
    tested = {row for fold in folds for row in fold.test.tolist()}
    assert set(count) <= tested
    for row in tested - set(count):
        assert axis != "time"
        inside = [fold for fold in folds if row in fold.test]
        others = symbol[inside[0].train] != symbol[row]
        assert not others.any() if axis == "both" else not (confirmed.notna() & (symbol != symbol[row])).any()


def test_axes_of_a_known_calendar() -> None:
    """Two symbols, daily bars, labels known after 30 days: dates as they should be."""
    own = pd.date_range("2020-01-01", "2021-12-31", tz="UTC")
    time = pd.DatetimeIndex(own.append(own))
    symbol = np.repeat([0, 1], len(own))
    confirmed = pd.Series(time + 30 * DAY)
    folds = WalkForward().split(time, confirmed)

    def dates(axis: Axis) -> list[tuple[str, ...]]:
        found = along_axis(folds, axis, symbol=symbol, names=["A", "B"], confirmed_at=confirmed)
        return [
            (fold.name, *(str(time[row].date()) for row in (*fold.train[[0, -1]], *fold.test[[0, -1]])))
            for fold in found
        ]

    assert dates("both")[:3] == [
        ("2021-01 A", "2020-01-01", "2020-11-26", "2021-01-01", "2021-06-30"),
        ("2021-01 B", "2020-01-01", "2020-11-26", "2021-01-01", "2021-06-30"),
        ("2021-07 A", "2020-01-01", "2021-05-26", "2021-07-01", "2021-12-31"),
    ]
    assert dates("symbols") == [
        ("A", "2020-01-01", "2021-12-31", "2021-01-01", "2021-12-31"),
        ("B", "2020-01-01", "2021-12-31", "2021-01-01", "2021-12-31"),
    ]
    assert [name for name, *_ in dates("time")] == ["2021-01", "2021-07"]


def test_axes_of_a_true_table(dataset: Dataset) -> None:
    confirmed = dataset.confirmed_at.where(dataset.usable)
    folds = WalkForward().split(dataset.time, confirmed)
    for axis in AXES:
        found = along_axis(folds, axis, symbol=dataset.symbol, names=dataset.symbols, confirmed_at=confirmed)
        tested = np.concatenate([fold.test for fold in found])
        assert sorted(tested) == sorted(np.concatenate([fold.test for fold in folds]))
        assert all(dataset.usable[fold.train].all() for fold in found)


def test_an_axis_that_is_none() -> None:
    time = pd.date_range("2020-01-01", "2021-12-31", tz="UTC")
    confirmed = pd.Series(time + 30 * DAY)
    folds = WalkForward().split(time, confirmed)
    with pytest.raises(TrainingError, match="axis 'space', expected one of time, symbols, both"):
        along_axis(folds, "space", symbol=np.zeros(len(time), int), names=["A"], confirmed_at=confirmed)  # type: ignore[arg-type]
