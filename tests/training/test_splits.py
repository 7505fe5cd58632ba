"""Folds and blocks: nothing that was not known is ever learned from."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import LONG

from features.errors import TrainingError
from training.splits import Fold, WalkForward, purged_blocks

DAY = pd.Timedelta(days=1)
EXAMPLES = 400 if LONG else 40


@st.composite
def pooled_rows(draw: st.DrawFn) -> tuple[pd.DatetimeIndex, pd.Series]:
    """Times of several symbols, each with its own start and lag of confirmation; some never confirmed."""
    times: list[pd.Timestamp] = []
    confirmed: list[pd.Timestamp | None] = []
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    for _ in range(draw(st.integers(1, 3))):
        start = pd.Timestamp("2020-01-01", tz="UTC") + draw(st.integers(0, 400)) * DAY
        days = draw(st.integers(200, 900))
        step = draw(st.sampled_from([1, 3, 7]))
        own = pd.date_range(start, periods=max(2, days // step), freq=f"{step}D")
        lags = rng.integers(20, draw(st.integers(21, 90)), size=len(own))
        never = rng.random(len(own)) < draw(st.floats(0, 0.5))
        times += list(own)
        confirmed += [None if no else t + int(lag) * DAY for t, lag, no in zip(own, lags, never, strict=True)]
    return pd.DatetimeIndex(times), pd.Series(pd.DatetimeIndex(confirmed, tz="UTC"))


def folds_of(walk: WalkForward, time: pd.DatetimeIndex, confirmed: pd.Series) -> list[Fold]:
    try:
        return walk.split(time, confirmed)
    except TrainingError:
        return []


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    rows=pooled_rows(),
    embargo=st.floats(0, 40),
    least=st.floats(30, 400),
    window=st.none() | st.floats(10, 500),
)
def test_a_fold_learns_only_what_was_confirmed_before_it(
    rows: tuple[pd.DatetimeIndex, pd.Series], embargo: float, least: float, window: float | None
) -> None:
    time, confirmed = rows
    if window is not None:
        window += least
    walk = WalkForward(embargo_days=embargo, min_train_days=least, window_days=window)
    folds = folds_of(walk, time, confirmed)
    for fold in folds:
        cut = fold.start - pd.Timedelta(days=embargo)
        assert fold.cut == cut
        assert fold.unseen is None
        expected = [
            row
            for row in range(len(time))
            if pd.notna(confirmed[row])
            and confirmed[row] < cut
            and (window is None or time[row] >= fold.start - pd.Timedelta(days=window))
        ]
        assert fold.train.tolist() == expected
        assert fold.test.tolist() == [row for row in range(len(time)) if fold.start <= time[row] < fold.end]
        assert time[fold.train].max() - time[fold.train].min() >= least * DAY
        assert confirmed[fold.test].notna().any()
    for one, two in combinations(folds, 2):
        assert not set(one.test) & set(two.test)
    assert [fold.start for fold in folds] == sorted(fold.start for fold in folds)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (
            None,
            [
                ("2021-01", "2020-01-01", "2020-11-26", "2021-01-01", "2021-06-30"),
                ("2021-07", "2020-01-01", "2021-05-26", "2021-07-01", "2021-12-31"),
                ("2022-01", "2020-01-01", "2021-11-26", "2022-01-01", "2022-06-30"),
                ("2022-07", "2020-01-01", "2022-05-26", "2022-07-01", "2022-12-15"),
            ],
        ),
        (
            365.0,
            [
                ("2021-01", "2020-01-02", "2020-11-26", "2021-01-01", "2021-06-30"),
                ("2021-07", "2020-07-01", "2021-05-26", "2021-07-01", "2021-12-31"),
                ("2022-01", "2021-01-01", "2021-11-26", "2022-01-01", "2022-06-30"),
                ("2022-07", "2021-07-01", "2022-05-26", "2022-07-01", "2022-12-15"),
            ],
        ),
    ],
)
def test_splits_of_a_known_calendar(window: float | None, expected: list[tuple[str, ...]]) -> None:
    """Daily bars, labels known after 30 days, 5 days of embargo: the last row is 35 days before."""
    time = pd.date_range("2020-01-01", "2022-12-15", tz="UTC")
    folds = WalkForward(window_days=window).split(time, pd.Series(time + 30 * DAY))
    dates = [
        (f.name, *(str(time[row].date()) for row in (f.train[0], f.train[-1], f.test[0], f.test[-1])))
        for f in folds
    ]
    assert dates == expected


def test_too_little_history_says_how_much_is_needed() -> None:
    time = pd.date_range("2020-01-01", periods=120, tz="UTC")
    with pytest.raises(TrainingError, match=r"spans 119 days; a first fold needs 150 days of labels"):
        WalkForward().split(time, pd.Series(time + 30 * DAY))
    with pytest.raises(TrainingError, match="no label is confirmed"):
        WalkForward().split(time, pd.Series(pd.NaT, index=range(len(time)), dtype="datetime64[ms, UTC]"))


@pytest.mark.parametrize("window", [None, 400.0])
@pytest.mark.parametrize(("lag", "embargo"), [(30, 5.0), (60, 0.0), (21, 40.0)])
def test_the_purge_takes_rows_away(lag: int, embargo: float, window: float | None) -> None:
    """Labels known late: exactly the rows of the last days before the fold are gone, and they are many."""
    time = pd.date_range("2019-01-01", "2022-12-31", freq="6h", tz="UTC")
    walk = WalkForward(embargo_days=embargo, window_days=window)
    for fold in walk.split(time, pd.Series(time + lag * DAY)):
        before = np.flatnonzero(np.asarray(time < fold.start))
        if window is not None:
            before = before[np.asarray(time[before] >= fold.start - window * DAY)]
        purged = np.setdiff1d(before, fold.train)
        assert len(purged) == (lag + embargo) * 4
        assert (purged == before[-len(purged) :]).all()


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"embargo_days": -1.0}, "embargo of -1.0 days"),
        ({"embargo_days": float("nan")}, "embargo of nan days"),
        ({"min_train_days": 0.0}, "expected more than 0"),
        ({"window_days": 100.0}, "cannot hold the 150 days"),
        ({"window_days": float("nan")}, "cannot hold"),
    ],
)
def test_splits_that_leak_or_cannot_be_are_refused(settings_: dict[str, float], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        WalkForward(**settings_)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=pooled_rows(), embargo=st.floats(0, 30), blocks=st.integers(2, 6))
def test_no_label_that_is_learned_from_overlaps_its_block(
    rows: tuple[pd.DatetimeIndex, pd.Series], embargo: float, blocks: int
) -> None:
    time, confirmed = rows
    known = np.flatnonzero(confirmed.notna())
    if len(known) < blocks * 2:
        return
    made = purged_blocks(time, confirmed, known, blocks=blocks, embargo_days=embargo)
    for block in made:
        first, last = time[block.test].min(), confirmed.iloc[block.test].max()
        for row in block.train.tolist():
            before = confirmed[row] < first - embargo * DAY
            after = time[row] > last + embargo * DAY
            assert before or after
        kept = set(block.train.tolist()) | set(block.test.tolist())
        for row in set(known.tolist()) - kept:  # and no row is thrown away without need
            assert confirmed[row] >= first - embargo * DAY
            assert time[row] <= last + embargo * DAY
    tested = [row for block in made for row in block.test]
    assert len(tested) == len(set(tested))
    assert set(tested) <= set(known)


def test_blocks_cover_everything_that_is_known() -> None:
    time = pd.date_range("2020-01-01", periods=1000, tz="UTC")
    confirmed = pd.Series(time + 30 * DAY)
    made = purged_blocks(time, confirmed, np.arange(1000), blocks=4, embargo_days=5)
    assert sorted(row for block in made for row in block.test) == list(range(1000))
    assert [len(block.test) for block in made] == pytest.approx([250] * 4, abs=2)
    # An inner block loses 30 + 5 days before it and as many after it, and nothing else.
    assert len(made[1].train) == pytest.approx(1000 - 250 - 2 * 35, abs=3)
