"""History: the whole grid, joins by availability, staleness, cuts, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from histories import LONG, FloatArray, bar_table, frame_bits, history, raw_market, utc, with_table
from hypothesis import given, settings
from hypothesis import strategies as st

from features.bar_rules import check_bars
from features.errors import HistoryError, NothingUsableError, UsageError
from features.history import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, History
from features.raw import INTERVALS, LedgerEntry, RawMarket

MILLISECOND = pd.Timedelta(milliseconds=1)


def bare(n: int = 72, **tables: pd.DataFrame) -> RawMarket:
    market = RawMarket("TESTUSDT", "1h", bar_table(n, start="2024-03-01"))
    for name, table in tables.items():
        market = with_table(market, name, table)
    return market


def entries(made: History, kind: str, subject: str) -> list[LedgerEntry]:
    return [entry for entry in made.ledger if (entry.kind, entry.subject) == (kind, subject)]


def funding(*rows: tuple[str | pd.Timestamp, float]) -> pd.DataFrame:
    times = [utc(time) if isinstance(time, str) else time for time, _ in rows]
    return pd.DataFrame(
        {
            "time": pd.DatetimeIndex(times),
            "funding_rate": [rate for _, rate in rows],
            "funding_interval_hours": [8.0] * len(rows),
        }
    )


def test_the_columns_are_those_of_the_contract_and_time_is_the_close() -> None:
    made = History.from_raw(bare(5))
    assert tuple(made.frame.columns) == REQUIRED_COLUMNS
    assert made.time[0] == utc("2024-03-01 01:00")
    assert (str(made.time.tz), made.time.unit, made.frame.index.name) == ("UTC", "ms", "time")
    assert made.table().columns[0] == "time"
    assert {str(kind) for kind in made.frame.dtypes} == {"float64"}
    whole = History.from_raw(raw_market(50))
    assert tuple(whole.frame.columns) == (*REQUIRED_COLUMNS, "lsr_global", "fear_greed")
    assert set(whole.frame.columns) <= {*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS}


@pytest.mark.parametrize("interval", INTERVALS)
def test_missing_bars_are_rows_of_nan_named_in_the_ledger(interval: str) -> None:
    whole = history(60, interval)
    made = history(60, interval, missing=(7, 20, 21, 22))
    assert made.time.equals(whole.time)
    gone = np.zeros(60, dtype=bool)
    gone[[7, 20, 21, 22]] = True
    assert made.frame[gone].isna().all(axis=None)
    assert frame_bits(made.frame[~gone]) == frame_bits(whole.frame[~gone])
    assert [(e.start, e.end, e.count) for e in entries(made, "missing_bars", "bars")] == [
        (whole.time[7], whole.time[7], 1),
        (whole.time[20], whole.time[22], 3),
    ]
    assert entries(whole, "missing_bars", "bars") == []


def test_a_row_without_prices_is_a_missing_bar() -> None:
    raw = raw_market(60)
    raw.bars.loc[7, ["open", "high", "low", "close"]] = np.nan
    assert frame_bits(History.from_raw(raw).frame) == frame_bits(history(60, missing=(7,)).frame)


def test_a_settlement_joins_the_bar_that_closes_at_it_and_not_one_known_a_millisecond_later() -> None:
    at = utc("2024-03-01 08:00")
    exact = History.from_raw(bare(funding=funding(("2024-03-01 00:00", 1e-4), (at, 2e-4))))
    late = History.from_raw(bare(funding=funding(("2024-03-01 00:00", 1e-4), (at + MILLISECOND, 2e-4))))
    assert exact.frame.loc[at, "funding_rate"] == 2e-4
    assert late.frame.loc[at, "funding_rate"] == 1e-4
    assert late.frame.loc[at + pd.Timedelta(hours=1), "funding_rate"] == 2e-4
    assert exact.frame.loc[at - pd.Timedelta(hours=1), "funding_rate"] == 1e-4


def test_daily_open_interest_joins_at_the_days_end() -> None:
    interest = pd.DataFrame(
        {
            "time": pd.DatetimeIndex([utc("2024-03-02"), utc("2024-03-03")]),
            "open_interest_value": [5e8, 7e8],
        }
    )
    made = History.from_raw(bare(open_interest=interest))
    column = made.frame["open_interest"]
    assert column[: utc("2024-03-01 23:00")].isna().all()
    assert (column[utc("2024-03-02") : utc("2024-03-02 23:00")] == 5e8).all()
    assert (column[utc("2024-03-03") :] == 7e8).all()
    unpublished = entries(made, "no_data", "open_interest")
    assert [(e.start, e.end, e.count) for e in unpublished] == [(made.time[0], utc("2024-03-01 23:00"), 23)]


@pytest.mark.parametrize(
    ("subject", "column", "value", "hours"),
    [
        ("funding", "funding_rate", "funding_rate", 24),
        ("open_interest", "open_interest", "open_interest_value", 48),
        ("positioning", "lsr_global", "lsr_global", 48),
        ("fear_greed", "fear_greed", "fear_greed", 48),
    ],
)
def test_a_value_is_stale_after_its_limit_and_the_ledger_says_so(
    subject: str, column: str, value: str, hours: int
) -> None:
    known = utc("2024-03-01 05:00")
    table = pd.DataFrame({"time": pd.DatetimeIndex([known]), value: [0.05]})
    if subject == "funding":
        table["funding_interval_hours"] = 8.0
    made = History.from_raw(with_table(bare(96), subject, table))
    edge = known + pd.Timedelta(hours=hours)
    there = made.frame[column].notna()
    assert there[there].index.equals(pd.date_range(known, edge, freq="h", unit="ms"))
    stale = entries(made, "stale_value", subject)
    assert [(e.start, e.end) for e in stale] == [(edge + pd.Timedelta(hours=1), made.time[-1])]
    assert stale[0].count == len(made) - 4 - 1 - hours
    assert str(hours) in stale[0].detail


def test_a_source_that_is_not_there_is_nan_everywhere_and_named() -> None:
    made = History.from_raw(bare())
    for subject, column in (("funding", "funding_rate"), ("open_interest", "open_interest")):
        assert made.frame[column].isna().all()
        assert [(e.start, e.count) for e in entries(made, "no_data", subject)] == [(made.time[0], 72)]
    assert entries(made, "no_data", "fear_greed") == []


def test_an_empty_value_is_passed_over_and_a_later_revision_of_the_same_time_wins() -> None:
    table = funding(
        ("2024-03-01 08:00", 9e-4),
        ("2024-03-01 00:00", 1e-4),
        ("2024-03-01 08:00", 2e-4),
        ("2024-03-01 16:00", np.nan),
    )
    made = History.from_raw(bare(funding=table))
    assert made.frame.loc[utc("2024-03-01 07:00"), "funding_rate"] == 1e-4
    assert made.frame.loc[utc("2024-03-01 16:00"), "funding_rate"] == 2e-4


def test_a_positioning_column_does_not_depend_on_which_others_there_are() -> None:
    days = pd.DatetimeIndex([utc("2024-03-01"), utc("2024-03-02"), utc("2024-03-03")])
    three = pd.DataFrame(
        {
            "time": days,
            "lsr_global": [1.0, np.nan, 3.0],
            "taker_buy_usd": [10.0, 20.0, 30.0],
            "taker_sell_usd": [11.0, 21.0, 31.0],
        }
    )
    whole = History.from_raw(bare(positioning=three))
    part = History.from_raw(bare(positioning=three.drop(columns="taker_sell_usd")))
    assert part.frame.loc[utc("2024-03-02 12:00"), "taker_buy_usd"] == 20.0
    names = ["lsr_global", "taker_buy_usd"]
    assert frame_bits(whole.frame[names]) == frame_bits(part.frame[names])


@settings(max_examples=200 if LONG else 40, deadline=None)
@given(
    bounds=st.tuples(st.integers(-5, 205), st.integers(-5, 205)).filter(lambda pair: pair[0] < pair[1]),
    half=st.booleans(),
)
def test_a_cut_history_is_rows_of_the_whole(bounds: tuple[int, int], half: bool) -> None:
    raw = raw_market(200)
    whole = History.from_raw(raw)
    shift = pd.Timedelta(minutes=30 if half else 0)
    since, until = (whole.time[0] + pd.Timedelta(hours=hours) + shift for hours in bounds)
    keep = (whole.time >= since) & (whole.time < until)
    if not keep.any():
        with pytest.raises(NothingUsableError):
            History.from_raw(raw, since=since, until=until)
        return
    cut = History.from_raw(raw, since=since, until=until)
    pd.testing.assert_frame_equal(cut.frame, whole.frame[keep], check_exact=True, check_freq=False)


def test_dates_the_wrong_way_round_are_wrong_usage() -> None:
    with pytest.raises(UsageError) as caught:
        History.from_raw(bare(), since=utc("2024-03-02"), until=utc("2024-03-02"))
    assert caught.value.field == "since"


def test_a_window_ends_with_its_row_and_never_starts_before_the_history() -> None:
    made = history(50)
    assert made.window(30, 10).time.equals(made.time[21:31])
    assert made.window(3, 10).time.equals(made.time[:4])


def test_joined_columns_give_the_same_history_as_the_raw_tables() -> None:
    made = history(80, missing=(11, 40))
    sent = made.frame.drop(index=made.time[[11]])
    columns = {str(name): sent[name].to_numpy(np.float64) for name in sent}
    again = History.from_columns("TESTUSDT", "1h", pd.DatetimeIndex(sent.index), columns)
    pd.testing.assert_frame_equal(again.frame, made.frame, check_exact=True, check_freq=False)


def test_columns_that_were_not_sent_are_nan() -> None:
    made = history(30)
    columns = {name: made.column(name) for name in ("open", "high", "low", "close", "volume")}
    again = History.from_columns("TESTUSDT", "1h", made.time, columns)
    assert tuple(again.frame.columns) == REQUIRED_COLUMNS
    assert again.frame[["funding_rate", "funding_interval_hours", "open_interest"]].isna().all(axis=None)
    assert np.isnan(again.column("fear_greed")).all()


def test_an_infinite_joined_value_is_refused() -> None:
    made = history(30)
    columns = {name: made.column(name).copy() for name in REQUIRED_COLUMNS}
    columns["open_interest"][4] = np.inf
    with pytest.raises(HistoryError) as caught:
        History.from_columns("TESTUSDT", "1h", made.time, columns)
    assert (caught.value.code, caught.value.field) == ("bad_value", "open_interest[4]")


def good(n: int = 30) -> tuple[pd.DatetimeIndex, dict[str, FloatArray]]:
    made = history(n)
    return made.time, {name: made.column(name).copy() for name in ("open", "high", "low", "close", "volume")}


@pytest.mark.parametrize(
    ("name", "value", "code", "field"),
    [
        ("close", -1.0, "bad_price", "close[17]"),
        ("open", 0.0, "bad_price", "open[17]"),
        ("high", np.inf, "bad_price", "high[17]"),
        ("low", np.nan, "bad_price", "low[17]"),
        ("high", 1e-3, "high_below_low", "high[17]"),
        ("close", 1e9, "price_outside_range", "high[17]"),
        ("open", 1e-9, "price_outside_range", "high[17]"),
        ("volume", -1.0, "bad_volume", "volume[17]"),
        ("volume", np.inf, "bad_volume", "volume[17]"),
    ],
)
def test_bad_values_are_refused_with_code_and_field(name: str, value: float, code: str, field: str) -> None:
    time, columns = good()
    columns[name][17] = value
    with pytest.raises(HistoryError) as caught:
        check_bars(time, columns, "1h")
    assert (caught.value.code, caught.value.field) == (code, field)


def test_three_missing_prices_of_four_are_refused_and_a_missing_volume_is_not() -> None:
    time, columns = good()
    columns["volume"][3] = np.nan
    check_bars(time, columns, "1h")
    for name in ("open", "high", "low"):
        columns[name][5] = np.nan
    with pytest.raises(HistoryError) as caught:
        check_bars(time, columns, "1h")
    assert caught.value.field == "open[5]"


@pytest.mark.parametrize(
    ("rows", "code", "field"),
    [
        ([0, 1, 3, 2, 4], "unsorted_time", "time[3]"),
        ([0, 1, 1, 2], "double_time", "time[2]"),
        ([0, 2, 4, 6], "wrong_interval", "interval"),
        ([], "no_bars", "time"),
    ],
)
def test_bad_order_is_refused_with_code_and_field(rows: list[int], code: str, field: str) -> None:
    time, columns = good()
    with pytest.raises(HistoryError) as caught:
        check_bars(time[rows], {name: values[rows] for name, values in columns.items()}, "1h")
    assert (caught.value.code, caught.value.field) == (code, field)


def test_off_grid_naive_unknown_and_forming_bars_are_refused() -> None:
    time, columns = good()
    shifted = pd.DatetimeIndex([*time[:9], *(time[9:] + pd.Timedelta(minutes=1))])
    bad: list[tuple[pd.DatetimeIndex, str, pd.Timestamp | None, str, str]] = [
        (shifted, "1h", None, "wrong_interval", "time[9]"),
        (time + pd.Timedelta(microseconds=1), "1h", None, "wrong_interval", "time[0]"),
        (time, "4h", None, "wrong_interval", "time[0]"),
        (time.tz_localize(None), "1h", None, "naive_time", "time"),
        (time, "2h", None, "unknown_interval", "interval"),
        (time, "1h", time[-1] - MILLISECOND, "future_time", "time[29]"),
    ]
    for stamps, interval, now, code, field in bad:
        with pytest.raises(HistoryError) as caught:
            check_bars(stamps, columns, interval, now=now)
        assert (caught.value.code, caught.value.field) == (code, field)
    check_bars(time, columns, "1h", now=time[-1])


def test_a_raw_market_whose_last_bar_is_still_forming_is_refused() -> None:
    now = pd.Timestamp.now(tz="UTC").floor("h")
    raw = bare(10)
    raw.bars["open_time"] = pd.date_range(now, periods=10, freq="h", unit="ms") - pd.Timedelta(hours=9)
    with pytest.raises(HistoryError) as caught:
        History.from_raw(raw)
    assert caught.value.code == "future_time"
    assert len(History.from_raw(replace(raw, bars=raw.bars.iloc[:-1]))) == 9


def test_no_bar_at_all_is_nothing_usable() -> None:
    with pytest.raises(NothingUsableError):
        History.from_raw(replace(bare(), bars=bar_table(3).iloc[:0]))
