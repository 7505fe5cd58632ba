"""Joins by availability: each column by itself, a user's series, and nothing from the future."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from histories import LONG, FloatArray, bar_table, frame_bits, raw_market, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from features.as_of_join import join_as_of
from features.bar_rules import POSITIONING_COLUMNS, out_of_range
from features.errors import HistoryError, UsageError
from features.history import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, History, check_series_name
from features.raw import LedgerEntry, RawMarket, Series

HOUR = pd.Timedelta(hours=1)
RATIOS = ("lsr_global", "lsr_top_accounts", "lsr_top_positions", "taker_ratio")


def five_minutes(hours: int, seed: int, start: str = "2022-01-03") -> RawMarket:
    """A market with 5-minute open interest and ratios, daily taker sums and two series; with blanks."""
    rng = np.random.default_rng(seed)
    raw = raw_market(hours, seed=seed, start=start)
    stamps = pd.date_range(start, periods=hours * 12, freq="5min", tz="UTC", unit="ms")
    daily = np.where(np.arange(len(stamps)) % 288 == 0, 1.0, np.nan)
    positioning = pd.DataFrame({"time": stamps})
    for name in RATIOS:
        values = rng.lognormal(0, 0.3, len(stamps))
        values[rng.random(len(stamps)) < 0.3] = np.nan
        positioning[name] = values
    for name in ("taker_buy_usd", "taker_sell_usd"):
        positioning[name] = daily * rng.lognormal(20, 0.3, len(stamps))
    interest = pd.DataFrame({"time": stamps, "open_interest_value": rng.lognormal(20, 0.3, len(stamps))})
    days = pd.date_range(start, periods=hours // 24 + 1, freq="D", tz="UTC", unit="ms")
    extras = {
        name: Series(pd.DataFrame({"time": days + 3 * HOUR, "value": rng.normal(1.0, 0.1, len(days))}), limit)
        for name, limit in (("put_call", 30.0), ("own_series", 12.0))
    }
    return replace(raw, open_interest=interest, positioning=positioning, extras=extras)


def slow_join(grid: pd.DatetimeIndex, table: pd.DataFrame, name: str, hours: float) -> FloatArray:
    """The last row at or before each close that has a value; too old or out of range: none."""
    found = []
    for close in grid:
        rows = table[(table["time"] <= close) & table[name].notna()].sort_values("time", kind="stable")
        fresh = len(rows) and close - rows["time"].iloc[-1] <= pd.Timedelta(hours=hours)
        found.append(rows[name].iloc[-1] if fresh else np.nan)
    values = np.array(found, np.float64)
    return np.where(out_of_range(name, values), np.nan, values)


@settings(max_examples=300 if LONG else 40, deadline=None)
@given(data=st.data())
def test_the_join_is_the_last_value_known_of_each_column(data: st.DataObject) -> None:
    names = ["lsr_global", "taker_ratio"]
    cell = st.one_of(st.just(np.nan), st.floats(-1, 5), st.just(np.inf))
    rows = data.draw(st.lists(st.tuples(st.integers(-30 * 60, 80 * 60), cell, cell), min_size=1, max_size=25))
    grid = pd.date_range("2024-03-01", periods=60, freq="h", tz="UTC", unit="ms")
    table = pd.DataFrame(
        {"time": grid[0] + pd.to_timedelta([minutes for minutes, *_ in rows], unit="min")}
        | {name: [row[number + 1] for row in rows] for number, name in enumerate(names)}
    )
    table["time"] = table["time"].dt.as_unit("ms")
    joined = join_as_of(grid, "positioning", table, names, stale_after_hours=10)
    for name in names:
        expected = slow_join(grid, table, name, 10)
        np.testing.assert_array_equal(joined.columns[name], expected)
        assert sum(
            entry.count for entry in joined.ledger if entry.kind == "refused_value" and entry.subject == name
        ) == int(out_of_range(name, table[name].to_numpy(np.float64)).sum())


def test_daily_sums_and_five_minute_ratios_do_not_hide_one_another() -> None:
    made = History.from_raw(five_minutes(72, seed=3))
    raw = five_minutes(72, seed=3)
    assert raw.positioning is not None
    for name in ("taker_buy_usd", "taker_sell_usd", *RATIOS):
        assert made.frame[name].notna().mean() > 0.9
        expected = slow_join(made.time, raw.positioning, name, 48)
        np.testing.assert_array_equal(made.column(name), expected)
    assert made.frame["taker_buy_usd"].nunique() == 3
    assert tuple(made.frame.columns) == (
        *REQUIRED_COLUMNS,
        *(name for name in OPTIONAL_COLUMNS if name in {*RATIOS, "taker_buy_usd", "taker_sell_usd"}),
        "fear_greed",
        "put_call",
        "own_series",
    )


def later_bumped(table: pd.DataFrame, after: pd.Timestamp) -> pd.DataFrame:
    future = table["time"] > after
    changed = table.copy()
    for name in table.columns.drop("time"):
        changed.loc[future, name] = changed.loc[future, name] * 1.01 + 1e-4
    return changed


def later_shuffled(table: pd.DataFrame, after: pd.Timestamp) -> pd.DataFrame:
    past, future = table[table["time"] <= after], table[table["time"] > after]
    return pd.concat([future.sample(frac=1, random_state=5), past])


def later_gone(table: pd.DataFrame, after: pd.Timestamp) -> pd.DataFrame:
    return table[table["time"] <= after]


@settings(max_examples=60 if LONG else 8, deadline=None)
@given(minutes=st.integers(0, 95 * 60), seed=st.integers(0, 3))
@pytest.mark.parametrize("change", [later_bumped, later_shuffled, later_gone])
def test_rows_known_later_change_no_earlier_bar(change: object, minutes: int, seed: int) -> None:
    assert callable(change)
    raw = five_minutes(96, seed)
    whole = History.from_raw(raw).frame
    after = utc("2022-01-03") + pd.Timedelta(minutes=minutes)
    tables = {
        name: change(getattr(raw, name), after)
        for name in ("funding", "open_interest", "positioning", "fear_greed")
    }
    extras = {name: replace(series, table=change(series.table, after)) for name, series in raw.extras.items()}
    changed = History.from_raw(replace(raw, **tables, extras=extras)).frame
    known = whole.index <= after
    assert frame_bits(changed[known]) == frame_bits(whole[known])
    if change is later_shuffled:
        assert frame_bits(changed) == frame_bits(whole)


def test_a_bumped_last_row_shows_from_its_time_on_and_not_before() -> None:
    raw = five_minutes(96, seed=1)
    whole = History.from_raw(raw).frame
    for name in ("open_interest", "positioning"):
        table = getattr(raw, name).copy()
        at = table["time"].iloc[-30]
        values = [column for column in table.columns if column != "time"]
        table.loc[table.index[-30:], values] = 2.5
        changed = History.from_raw(replace(raw, **{name: table})).frame
        differs = (changed.fillna(-1.0) != whole.fillna(-1.0)).any(axis=1)
        assert differs.any()
        assert differs.idxmax() == at.ceil("h")


def bare(extras: dict[str, Series] | None = None, hours: int = 72) -> RawMarket:
    return RawMarket("TESTUSDT", "1h", bar_table(hours, start="2024-03-01"), extras=extras or {})


def series(*rows: tuple[str, float], stale_after_hours: float = 48.0) -> Series:
    table = pd.DataFrame(
        {"time": pd.DatetimeIndex([utc(text) for text, _ in rows]), "value": [value for _, value in rows]}
    )
    return Series(table, stale_after_hours)


def entries(made: History, subject: str) -> list[LedgerEntry]:
    return [entry for entry in made.ledger if entry.subject == subject]


def test_a_series_joins_from_when_it_was_known_until_it_is_stale() -> None:
    made = History.from_raw(
        bare({"active_addresses": series(("2024-03-01 05:30", 7.0), stale_after_hours=6)})
    )
    column = made.frame["active_addresses"]
    assert (
        column.dropna().index.tolist()
        == pd.date_range("2024-03-01 06:00", periods=6, freq="h", tz="UTC").tolist()
    )
    assert (column.dropna() == 7.0).all()
    assert [(entry.kind, entry.count, entry.start) for entry in entries(made, "active_addresses")] == [
        ("no_data", 5, made.time[0]),
        ("stale_value", 61, utc("2024-03-01 12:00")),
    ]


def test_a_series_without_rows_is_no_data_by_name() -> None:
    made = History.from_raw(bare({"put_call": series()}))
    assert made.frame["put_call"].isna().all()
    assert [(entry.kind, entry.count) for entry in entries(made, "put_call")] == [("no_data", 72)]


def test_a_series_of_a_known_name_is_read_in_place_of_the_tables_column() -> None:
    raw = raw_market(72, start="2024-03-01")
    assert raw.positioning is not None
    late = raw.positioning.assign(time=raw.positioning["time"] + 24 * HOUR)
    raw = replace(raw, positioning=late)
    given_series = series(("2024-03-01", 3.0))
    made = History.from_raw(replace(raw, extras={"lsr_global": given_series, "fear_greed": given_series}))
    assert set(made.frame["lsr_global"].dropna()) == set(made.frame["fear_greed"].dropna()) == {3.0}
    assert [entry.subject for entry in made.ledger if entry.kind == "ignored_column"] == [
        "fear_greed",
        "lsr_global",
    ]
    assert entries(made, "positioning") == []
    assert list(made.frame.columns) == [*REQUIRED_COLUMNS, "lsr_global", "fear_greed"]


@pytest.mark.parametrize(
    ("name", "bad"),
    [("put_call", -0.1), ("exchange_inflow", np.inf), ("taker_ratio", -1.0), ("mine", -np.inf)],
)
def test_a_value_out_of_range_is_none_and_named(name: str, bad: float) -> None:
    made = History.from_raw(bare({name: series(("2024-03-01 00:00", 1.0), ("2024-03-01 10:00", bad))}))
    assert made.frame[name].notna().sum() == 9
    (entry,) = [entry for entry in made.ledger if entry.kind == "refused_value"]
    assert (entry.subject, entry.count, entry.start) == (name, 1, utc("2024-03-01 10:00"))


@pytest.mark.parametrize("name", [*REQUIRED_COLUMNS, "time", "Big", "9th", "a b", "", "x" * 41, "a-b"])
def test_names_that_a_series_may_not_bear(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        History.from_raw(bare({name: series(("2024-03-01", 1.0))}))
    assert caught.value.code in {"bad_series_name", "reserved_series_name"}
    assert caught.value.field == "signal"


def test_every_optional_column_may_come_as_a_series() -> None:
    for name in (*OPTIONAL_COLUMNS, "mine", "x" * 40):
        check_series_name(name)
    assert {*POSITIONING_COLUMNS, "fear_greed", "put_call", "exchange_inflow"} == {*OPTIONAL_COLUMNS}


def test_a_value_known_a_microsecond_after_the_close_waits_for_the_next_bar() -> None:
    at = pd.Timestamp("2024-03-01 10:00:00.000001", tz="UTC")
    table = pd.DataFrame({"time": pd.DatetimeIndex([at]), "value": [1.0]})
    made = History.from_raw(bare({"mine": Series(table)}))
    assert made.frame["mine"].first_valid_index() == utc("2024-03-01 11:00")


def test_times_that_are_naive_or_empty_are_refused() -> None:
    naive = pd.DataFrame({"time": pd.DatetimeIndex(["2024-03-01"]), "value": [1.0]})
    empty = pd.DataFrame({"time": pd.DatetimeIndex([utc("2024-03-01"), pd.NaT]), "value": [1.0, 2.0]})
    for table, code in ((naive, "naive_time"), (empty, "bad_time")):
        with pytest.raises(HistoryError) as caught:
            History.from_raw(bare({"mine": Series(table)}))
        assert caught.value.code == code


def test_five_years_with_five_minute_tables_join_in_a_moment() -> None:
    raw = five_minutes(5 * 365 * 24, seed=2, start="2019-01-01")
    seconds = []
    for _ in range(3):
        start = time.process_time()
        made = History.from_raw(raw)
        seconds.append(time.process_time() - start)
    assert len(made) == 43_800
    assert min(seconds) < 0.3
