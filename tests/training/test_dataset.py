"""The training table: labels only where confirmed, weights by spell, hashes of the content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_training import SYMBOLS, small_histories

from features.errors import NothingUsableError
from features.history import History
from features.raw import RawMarket
from features.sources import load_simulated
from training.dataset import Dataset, build_dataset, spell_weights
from training.pipeline import default_features

FEATURES = default_features()[:2]


def test_a_label_is_there_exactly_where_it_is_confirmed(dataset: Dataset) -> None:
    confirmed = pd.DatetimeIndex(dataset.confirmed_at)
    labelled = dataset.y >= 0
    assert labelled.any()
    assert (labelled == np.asarray(confirmed.notna())).all()
    assert (confirmed[labelled] >= dataset.time[labelled] + pd.Timedelta(days=20)).all()
    # No label of the last 20 days can be known, of neither symbol.
    for history in dataset.histories:
        late = dataset.time > history.time[-1] - pd.Timedelta(days=20)
        assert not labelled[late].any()


def test_a_shorter_history_gives_the_same_labels_or_none(dataset: Dataset) -> None:
    until = pd.Timestamp("2022-09-10", tz="UTC")
    cut = build_dataset([history.between(None, until) for history in small_histories()], FEATURES)
    start = 0
    for index, history in enumerate(dataset.histories):
        mine = np.flatnonzero(cut.symbol == index)
        whole = dataset.y[start : start + len(mine)]
        known = np.asarray(dataset.confirmed_at.iloc[start : start + len(mine)] < until)
        assert np.array_equal(cut.y[mine], np.where(known, whole, -1))
        assert known.any()
        assert (~known & (whole >= 0)).any()
        start += len(history)


def test_rows_to_learn_from_have_a_bar_and_lie_on_the_six_hour_grid() -> None:
    hourly = History.from_raw(_hourly())
    table = build_dataset([hourly], FEATURES)
    assert set(table.time[table.sampled].hour) == {0, 6, 12, 18}
    assert table.rows_per_day == 4
    missing = np.flatnonzero(~table.present)
    assert len(missing) == 2
    assert not table.usable[missing].any()


def _hourly() -> RawMarket:
    (market,) = load_simulated(["SIMBTC"], until=pd.Timestamp("2021-06-15", tz="UTC"))
    bars = market.bars[~market.bars.index.isin([3599, 3600])].reset_index(drop=True)
    return replace(market, bars=bars)


def test_a_spell_never_crosses_symbols_or_labels(dataset: Dataset) -> None:
    expected, number = [], 0
    for row in range(len(dataset.y)):
        new = row == 0 or (dataset.y[row], dataset.symbol[row]) != (
            dataset.y[row - 1],
            dataset.symbol[row - 1],
        )
        number += new
        expected.append(number if dataset.y[row] >= 0 else -1)
    assert dataset.spell.tolist() == expected


@given(
    spells=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30)), min_size=1, max_size=12),
    power=st.floats(0.05, 1),
)
def test_weights_keep_each_class_and_let_long_spells_weigh_less_a_bar(
    spells: list[tuple[int, int]], power: float
) -> None:
    y = np.concatenate([np.full(length, kind, dtype=np.int8) for kind, length in spells])
    spell = np.repeat(np.arange(len(spells)), [length for _, length in spells])
    weight = spell_weights(y, spell, power)
    assert weight.mean() == pytest.approx(1.0)
    for kind in range(4):
        assert weight[y == kind].sum() == pytest.approx((y == kind).sum())
    for one, (kind, length) in enumerate(spells):
        for two, (other, longer) in enumerate(spells):
            if kind == other and length < longer:
                a_bar = weight[spell == one][0], weight[spell == two][0]
                assert a_bar[0] > a_bar[1]
                assert a_bar[0] / a_bar[1] == pytest.approx((longer / length) ** power)


@given(hnp.arrays(np.int8, 20, elements=st.integers(0, 3)))
def test_power_nought_counts_bars(y: npt.NDArray[np.int8]) -> None:
    assert spell_weights(y, np.arange(20) // 5, 0.0) == pytest.approx(np.ones(20))


@pytest.mark.parametrize("column", ["close", "funding_rate", "open_interest", "volume", "fear_greed"])
def test_one_changed_bit_changes_the_data_hash(dataset: Dataset, column: str) -> None:
    first, second = small_histories()
    frame = second.frame.copy()
    row = len(frame) // 2
    frame.loc[frame.index[row], column] = np.nextafter(frame[column].iloc[row], np.inf)
    changed = replace(second, frame=frame)
    assert _hash(dataset, (first, changed)) != dataset.data_hash()
    assert _hash(dataset, (first, second)) == dataset.data_hash()


def test_data_hash_sees_time_symbol_and_a_missing_bar(dataset: Dataset) -> None:
    first, second = small_histories()
    shifted = second.frame.set_axis(second.frame.index + pd.Timedelta(hours=4))
    missing = second.frame.copy()
    missing.iloc[100] = np.nan
    changed = [
        replace(second, frame=shifted),
        replace(second, symbol="SIMSOL"),
        replace(second, frame=missing),
        replace(second, frame=second.frame.iloc[:-1]),
    ]
    hashes = {_hash(dataset, (first, one)) for one in changed} | {dataset.data_hash()}
    assert len(hashes) == 5
    # What is only said about the data is not the data.
    assert _hash(dataset, (first, replace(second, ledger=()))) == dataset.data_hash()


def test_feature_hash_is_of_features_and_labels(dataset: Dataset) -> None:
    again = build_dataset(small_histories(), default_features())
    assert again.feature_hash() == dataset.feature_hash()
    X = dataset.X.copy()
    row, column = np.argwhere(np.isfinite(X))[7]
    X[row, column] = np.nextafter(X[row, column], np.float32(np.inf))
    y = dataset.y.copy()
    y[np.flatnonzero(y == 0)[0]] = 1
    changed = [
        replace(dataset, X=X),
        replace(dataset, y=y),
        replace(dataset, features=dataset.features[::-1]),
    ]
    assert len({dataset.feature_hash(), *(one.feature_hash() for one in changed)}) == 4


def test_no_history_is_said() -> None:
    with pytest.raises(NothingUsableError, match="no history"):
        build_dataset([], FEATURES)


def test_symbols_in_order(dataset: Dataset) -> None:
    assert dataset.symbols == SYMBOLS
    assert [len(history) for history in dataset.histories] == np.bincount(dataset.symbol).tolist()


def _hash(dataset: Dataset, histories: tuple[History, ...]) -> str:
    return replace(dataset, histories=histories).data_hash()
