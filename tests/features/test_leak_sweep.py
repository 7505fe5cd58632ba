"""The leak sweep: no feature sees the future, its history's start, or a column it does not declare.

Everything is computed once per interval and history; each test then compares one feature's column,
to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from histories import LONG, history, raw_market, with_table

from features.bar_rules import PRICE_COLUMNS
from features.catalog import CATALOG, feature_names
from features.declaration import Feature
from features.history import History
from features.pipeline import feature_matrix, feature_table
from features.raw import INTERVALS, bars_per_day

Bits = npt.NDArray[np.uint32]
COLUMNS = (*PRICE_COLUMNS, "volume", "funding_rate", "funding_interval_hours", "open_interest")
EXTRAS = ("lsr_global", "fear_greed")
INDEX = {name: column for column, name in enumerate(feature_names())}
DAYS = {"1h": 160, "4h": 180, "1d": 330}
CUTS = 25 if LONG else 4
PRESENCE_ONLY = {("funding_negative_7d", "funding_interval_hours")}
"""Inputs whose value does not matter, only whether it is there: a sign has no interval."""

every_feature = pytest.mark.parametrize("feature", CATALOG, ids=lambda feature: feature.name)
every_interval = pytest.mark.parametrize("interval", INTERVALS)


def bits(made: History) -> Bits:
    """The feature table to the last bit, shape (n_bars, n_features)."""
    return feature_matrix(made).view(np.uint32)


def changed(made: History, rows: slice, columns: dict[str, npt.NDArray[np.float64]]) -> History:
    """The same history with other values in some rows; no rule of the data is checked."""
    frame = made.frame.copy()
    for name, values in columns.items():
        whole = frame[name].to_numpy(np.float64).copy()
        whole[rows] = values
        frame[name] = whole
    return replace(made, frame=frame)


@dataclass(frozen=True)
class Sweep:
    """One interval's histories and their features."""

    whole: History
    table: Bits
    cuts: list[int]
    bumped: Bits
    truncated: dict[int, Bits]
    futures: dict[tuple[int, str], Bits]
    perturbed: dict[str, Bits]
    emptied: dict[str, Bits]


@cache
def sweep(interval: str) -> Sweep:
    n = DAYS[interval] * bars_per_day(interval)
    rng = np.random.default_rng(20)
    gaps = (n // 3, n - n // 9) if interval == "1d" else (40, n // 6, n // 6 + 1, n - 60, n - 59)
    whole = history(n, interval, seed=3, missing=gaps)
    unknown = np.full(6, np.nan)
    whole = changed(whole, slice(n - 30, n - 24), {"funding_rate": unknown, "open_interest": unknown})
    other = history(n, interval, seed=4)
    last = slice(n - 1, n)
    bump = {name: whole.column(name)[last] * 1.7 for name in (*COLUMNS, *EXTRAS)}
    cuts = sorted(int(cut) for cut in rng.integers(n // 3, n - 2, CUTS))
    futures: dict[tuple[int, str], Bits] = {}
    for cut in cuts:
        after = slice(cut + 1, n)
        order = rng.permutation(np.arange(cut + 1, n))
        for kind, values in {
            "shuffled": {name: whole.column(name)[order] for name in COLUMNS},
            "replaced": {name: other.column(name)[after] for name in COLUMNS},
            "empty": {name: np.full(n - cut - 1, np.nan) for name in COLUMNS},
        }.items():
            futures[cut, kind] = bits(changed(whole, after, values))
    everything = slice(0, n)
    noise = {name: whole.column(name) * rng.lognormal(0, 0.5, n) for name in (*COLUMNS, *EXTRAS)}
    noise["funding_rate"] = whole.column("funding_rate") + rng.normal(0, 3e-4, n)
    nothing = np.full(n, np.nan)
    return Sweep(
        whole,
        bits(whole),
        cuts,
        bits(changed(whole, last, bump)),
        {cut: bits(whole.window(cut, cut + 1)) for cut in cuts},
        futures,
        {name: bits(changed(whole, everything, {name: values})) for name, values in noise.items()},
        {name: bits(changed(whole, everything, {name: nothing})) for name in (*COLUMNS, *EXTRAS)},
    )


def numbers(column: Bits) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(column).view(np.float32)


@every_interval
@every_feature
def test_there_is_something_to_compare(feature: Feature, interval: str) -> None:
    made = sweep(interval)
    column = numbers(made.table[:, INDEX[feature.name]])
    lookback = feature.lookback(bars_per_day(interval))
    assert np.isnan(column[: lookback // 4]).all() or lookback < 10
    assert np.isfinite(column[lookback - 1 :]).mean() > 0.3
    assert len(np.unique(column[np.isfinite(column)])) >= 4


@every_interval
@every_feature
def test_bumping_the_last_bar_changes_no_earlier_row(feature: Feature, interval: str) -> None:
    made = sweep(interval)
    column = INDEX[feature.name]
    assert (made.bumped[:-1, column] == made.table[:-1, column]).all()


@every_interval
@every_feature
def test_rows_do_not_need_what_comes_after_them(feature: Feature, interval: str) -> None:
    made = sweep(interval)
    column = INDEX[feature.name]
    for cut in made.cuts:
        assert (made.truncated[cut][:, column] == made.table[: cut + 1, column]).all()


@every_interval
@every_feature
def test_another_future_changes_nothing(feature: Feature, interval: str) -> None:
    made = sweep(interval)
    column = INDEX[feature.name]
    for (cut, kind), table in made.futures.items():
        assert (table[: cut + 1, column] == made.table[: cut + 1, column]).all(), (cut, kind)


@every_interval
@every_feature
def test_a_window_of_the_declared_look_back_gives_the_same_bits(feature: Feature, interval: str) -> None:
    made = sweep(interval)
    size = feature.lookback(bars_per_day(interval))
    n = len(made.whole)
    # around the gaps and the stretches without funding and open interest, too
    ends = {size - 1, n - 1, n - 20, n - 61, n - 2, *(cut for cut in made.cuts if cut >= size - 1)}
    seen = 0
    for end in sorted(ends):
        row = feature_matrix(made.whole.window(end, size), (feature,), last=1)
        assert row.view(np.uint32)[0, 0] == made.table[end, INDEX[feature.name]], end
        seen += bool(np.isfinite(row[0, 0]))
    assert seen >= 1


@every_interval
@every_feature
def test_exactly_the_declared_inputs_are_read(feature: Feature, interval: str) -> None:
    made = sweep(interval)
    column = INDEX[feature.name]
    for name in (*COLUMNS, *EXTRAS):
        touched = bool((made.perturbed[name][:, column] != made.table[:, column]).any())
        expected = name in feature.inputs and (feature.name, name) not in PRESENCE_ONLY
        assert touched == expected, name


@every_interval
@every_feature
def test_without_an_input_a_feature_is_nan_and_the_others_stay(feature: Feature, interval: str) -> None:
    made = sweep(interval)
    column = INDEX[feature.name]
    for name, table in made.emptied.items():
        if name in feature.inputs:
            assert np.isnan(numbers(table[:, column])).all(), name
        else:
            assert (table[:, column] == made.table[:, column]).all(), name


@every_interval
def test_the_last_rows_alone_are_the_last_rows_of_all(interval: str) -> None:
    made = sweep(interval)
    for last in (1, 9, 10**6):
        rows = feature_matrix(made.whole, last=last).view(np.uint32)
        assert (rows == made.table[-last:]).all()


@every_interval
def test_no_bit_depends_on_which_other_features_are_asked_for(interval: str) -> None:
    made = sweep(interval)
    backwards = feature_matrix(made.whole, CATALOG[::-1]).view(np.uint32)
    assert (backwards[:, ::-1] == made.table).all()


@pytest.mark.parametrize("subject", ["funding", "open_interest"])
def test_a_source_published_7_hours_later_changes_only_rows_from_then(subject: str) -> None:
    raw = raw_market(140 * 24, seed=9)
    table: pd.DataFrame = getattr(raw, subject)
    at = table["time"].iloc[-4]
    late = table.copy()
    late.loc[late["time"] == at, "time"] = at + pd.Timedelta(hours=7)
    base = feature_table(History.from_raw(raw))
    delayed = feature_table(History.from_raw(with_table(raw, subject, late)))
    same = (base.eq(delayed) | (base.isna() & delayed.isna())).to_numpy()
    before = np.asarray(base.index < at)
    assert same[before].all()
    assert not same[~before][:7].all()
    affected = {feature.group for feature, ok in zip(CATALOG, np.all(same, axis=0), strict=True) if not ok}
    assert affected == {subject}


def test_a_whole_funding_table_8_hours_late_is_the_same_column_8_rows_later() -> None:
    raw = raw_market(20 * 24, seed=9)
    assert raw.funding is not None
    late = raw.funding.assign(time=raw.funding["time"] + pd.Timedelta(hours=8))
    base = History.from_raw(raw).column("funding_rate")
    delayed = History.from_raw(replace(raw, funding=late)).column("funding_rate")
    np.testing.assert_array_equal(delayed[8:], base[:-8])
