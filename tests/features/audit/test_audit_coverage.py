"""Coverage and gaps: counted against a slow oracle, at every cadence that tables come in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from audit_markets import LONG, START, audited, clean, close_of, found, kinds, now_of, with_table
from hypothesis import given, settings
from hypothesis import strategies as st

from features.audit import Audit, Coverage
from features.audit.cadence import find_gaps
from features.raw import RawMarket, Series

HOUR = 3_600_000
DAYS = st.sets(st.integers(1, 98), max_size=40)


def of(audit: Audit, table: str) -> Coverage:
    (one,) = [one for one in audit.coverage if one.table == table]
    return one


def dropped(frame: pd.DataFrame | None, rows: object) -> pd.DataFrame:
    assert frame is not None
    return frame.drop(index=list(rows)).reset_index(drop=True)  # type: ignore[call-overload]


def five_minutes(days: int, *, seed: int = 2) -> pd.DataFrame:
    """Five-minute open interest with small changes."""
    time = pd.date_range(START, periods=days * 288 + 1, freq="5min", unit="ms")
    steps = np.random.default_rng(seed).normal(0, 0.001, len(time))
    return pd.DataFrame({"time": time, "open_interest_value": 1e9 * np.exp(np.cumsum(steps))})


@settings(max_examples=200 if LONG else 20, deadline=None)
@given(rows=st.sets(st.integers(1, 2_398), max_size=300))
def test_missing_bars_are_counted_and_named_run_by_run(rows: set[int]) -> None:
    market = clean()
    cut = with_table(market, "bars", dropped(market.bars, rows))
    gaps = found(cut, "missing_bars")
    told = {moment for one in gaps for moment in pd.date_range(str(one.start), str(one.end), freq="h")}
    assert told == {close_of(market, row) for row in rows}
    assert sum(one.count for one in gaps) == len(rows)
    assert all(
        one.count == (one.end - one.start) / pd.Timedelta("1h") + 1 for one in gaps if one.start and one.end
    )
    bars = audited(cut).coverage[0]
    assert (bars.expected, bars.present) == (2_400, 2_400 - len(rows))


def test_weekly_shares_agree_with_a_slow_count() -> None:
    market = clean()
    rows = {*range(100, 400), *range(1_000, 1_003), 2_000}
    bars = audited(with_table(market, "bars", dropped(market.bars, rows))).coverage[0]
    assert bars.week is not None
    all_closes = [close_of(market, row) for row in range(2_400)]
    kept = [close for row, close in enumerate(all_closes) if row not in rows]
    for number, share in enumerate(bars.weekly):
        start = bars.week + pd.Timedelta(7 * number, unit="D")
        inside = [start < close <= start + pd.Timedelta("7D") for close in all_closes]
        there = [start < close <= start + pd.Timedelta("7D") for close in kept]
        assert share == pytest.approx(sum(there) / sum(inside), abs=6e-5), start
    assert bars.week.day_of_week == 0
    assert len(bars.weekly) == 15


def test_a_gap_is_not_filled_and_the_longest_is_told() -> None:
    market = clean()
    before = market.bars.copy()
    cut = with_table(market, "bars", dropped(market.bars, range(500, 520)))
    bars = audited(cut).coverage[0]
    assert bars.longest_gap_hours == 21
    assert bars.share == pytest.approx(2_380 / 2_400)
    pd.testing.assert_frame_equal(market.bars, before)


@settings(max_examples=100 if LONG else 15, deadline=None)
@given(rows=DAYS)
def test_daily_tables_are_counted_at_their_own_cadence(rows: set[int]) -> None:
    market = clean()
    for table in ("open_interest", "positioning", "fear_greed"):
        cut = with_table(market, table, dropped(getattr(market, table), rows))
        gaps = found(cut, "missing_rows")
        assert sum(one.count for one in gaps) == len(rows)
        assert {one.table.partition(":")[0] for one in gaps} <= {table}


def test_a_table_that_turns_from_daily_to_five_minutes_has_no_gap_there() -> None:
    market = clean()
    assert market.open_interest is not None
    late = five_minutes(40).assign(time=lambda rows: rows["time"] + pd.Timedelta("60D"))
    both = pd.concat([market.open_interest.iloc[:60], late], ignore_index=True)
    table = with_table(market, "open_interest", both)
    assert not found(table, "missing_rows")
    spoilt = with_table(market, "open_interest", dropped(both, [10, 11, *range(3_000, 3_100)]))
    assert [one.count for one in found(spoilt, "missing_rows")] == [2, 100]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_five_minute_rows_that_are_missing_at_random_are_counted(share: float) -> None:
    """Half of the rows gone: the cadence is still five minutes."""
    rng = np.random.default_rng(0)
    full = five_minutes(100)
    lost = rng.choice(np.arange(1, len(full) - 1), int(share * len(full)), replace=False)
    market = with_table(clean(), "open_interest", dropped(full, lost))
    one = of(audited(market), "open_interest")
    assert one.cadence_minutes == 5
    assert one.expected == pytest.approx(len(full), rel=0.003)
    gaps = found(market, "missing_rows")
    assert len(gaps) < 110
    assert sum(gap.count for gap in gaps) == one.expected - one.present


def test_short_gaps_of_five_minute_rows_are_one_note_a_month_and_long_ones_told_by_day() -> None:
    rows = [5, 900, 1_500, *range(2_000, 2_050)]
    market = with_table(clean(), "open_interest", dropped(five_minutes(100), rows))
    assert [(one.count, one.severity) for one in found(market, "missing_rows")] == [
        (3, "note"),
        (50, "warning"),
    ]


@given(st.lists(st.integers(1, 60 * 24 * 400), min_size=0, max_size=60))
@settings(max_examples=300 if LONG else 60, deadline=None)
def test_any_distances_have_a_cadence_and_gaps_that_add_up(minutes: list[int]) -> None:
    time = np.cumsum(np.array([0, *minutes], dtype=np.int64)) * 60_000
    gaps = find_gaps(time)
    assert (gaps.missing >= 1).all()
    assert (np.diff(time)[gaps.before] > 1.5 * gaps.cadence).all()
    assert gaps.usual is None or gaps.usual > 0


def test_funding_is_counted_by_its_own_interval() -> None:
    """Eight hours, then four, then eight again: no gap; and a month without settlements is one."""
    hours = [8] * 60 + [4] * 90 + [8] * 60
    time = START + pd.to_timedelta(np.cumsum(hours), unit="h")
    funding = pd.DataFrame(
        {"time": time.as_unit("ms"), "funding_rate": 1e-4, "funding_interval_hours": np.array(hours, float)}
    )
    market = with_table(clean(55), "funding", funding)
    assert kinds(market) == {"changed_interval"}
    assert [one.detail for one in found(market, "changed_interval")] == ["from 8 h to 4 h", "from 4 h to 8 h"]
    spoilt = with_table(market, "funding", dropped(funding, range(80, 100)))
    (gap,) = found(spoilt, "missing_rows")
    assert (gap.table, gap.count, gap.severity) == ("funding", 20, "warning")
    assert gap.start == time[80]
    assert gap.end == time[99]


@pytest.mark.parametrize(("before", "after"), [(8, 4), (4, 8), (8, 1)])
def test_a_settlement_may_say_its_interval_as_it_was_or_as_it_will_be(before: int, after: int) -> None:
    """At a change the distance to the settlement before is the old interval or the new one."""
    for distance in (before, after):
        hours = [before] * 60 + [distance] + [after] * 60
        said = [before] * 60 + [after] * 61
        time = START + pd.to_timedelta(np.cumsum(hours), unit="h")
        rows = {"funding_rate": 1e-4, "funding_interval_hours": np.array(said, float)}
        days = (time[-1] - START).days + 1
        funding = pd.DataFrame({"time": time.as_unit("ms"), **rows})
        assert not found(with_table(clean(days), "funding", funding), "missing_rows")


@pytest.mark.parametrize("every", [100, 5_000])
def test_extra_rows_between_the_regular_ones_are_no_gaps(every: int) -> None:
    full = five_minutes(100)
    extra = full.iloc[::every].assign(time=lambda rows: rows["time"] + pd.Timedelta("1min54s"))
    both = pd.concat([full, extra]).sort_values("time", ignore_index=True).iloc[:-1]
    assert kinds(with_table(clean(), "open_interest", both)) == set()


def test_a_series_of_trading_days_has_no_gap_at_week_ends() -> None:
    time = pd.bdate_range(START, periods=71, tz="UTC").as_unit("ms")
    table = pd.DataFrame({"time": time, "value": 1.0})
    market = clean()
    market = replace(market, extras={"put_call": Series(table, stale_after_hours=96)})
    assert kinds(market) == set()
    holiday = replace(
        market, extras={"put_call": Series(dropped(table, range(30, 35)), stale_after_hours=96)}
    )
    (one,) = found(holiday, "missing_rows")
    assert (one.table, one.severity) == ("put_call", "note")


def test_columns_that_are_there_at_different_times_are_covered_apart() -> None:
    market = clean()
    assert market.positioning is not None
    rows = market.positioning.assign(liq_long_usd=1.0, liq_short_usd=2.0, taker_buy_usd=3.0)
    rows.loc[:49, ["liq_long_usd", "liq_short_usd"]] = np.nan
    rows.loc[70, "taker_buy_usd"] = np.nan
    audit = audited(with_table(market, "positioning", rows))
    tables = {one.table: one.present for one in audit.coverage if one.table.startswith("positioning")}
    assert tables == {
        "positioning: lsr_global, taker_buy_usd": 100,
        "positioning: liq_long_usd, liq_short_usd": 51,
    }
    assert {one.kind for one in audit.findings} == {"missing_rows", "starts_late"}


def test_tables_that_start_late_end_early_or_are_old() -> None:
    market = clean()
    assert market.funding is not None
    late = with_table(market, "funding", market.funding.iloc[60:].reset_index(drop=True))
    (one,) = audited(late).findings
    assert (one.kind, one.table, one.severity) == ("starts_late", "funding", "note")
    assert one.worst == pytest.approx(19.96, abs=0.01)
    early = with_table(market, "funding", market.funding.iloc[:-5].reset_index(drop=True))
    assert kinds(early) == {"ends_early", "stale_table"}
    old = audited(market, now=now_of(market) + pd.Timedelta("30D")).findings
    assert [(one.kind, one.table) for one in old] == [("stale_table", "bars")]
    assert of(audited(market), "bars").newest_age_hours == pytest.approx(1 / 6)


def test_what_speaks_of_all_symbols_counts_from_the_first_bar() -> None:
    market = clean()
    assert market.fear_greed is not None
    before = market.fear_greed.assign(time=market.fear_greed["time"] - pd.Timedelta("400D")).iloc[:50:3]
    table = pd.concat([before, market.fear_greed], ignore_index=True)
    assert kinds(with_table(market, "fear_greed", table)) == set()


def test_tables_that_are_not_there() -> None:
    market = clean()
    bare = RawMarket("TESTUSDT", "1h", market.bars)
    assert [(one.kind, one.table, one.severity) for one in audited(bare).findings] == [
        ("no_data", "funding", "warning"),
        ("no_data", "open_interest", "warning"),
    ]
    empty = RawMarket("TESTUSDT", "1h", market.bars.iloc[:0], open_interest=market.open_interest)
    audit = audited(empty, now=now_of(market))
    assert ("no_data", "bars", "error") in [(one.kind, one.table, one.severity) for one in audit.findings]
    assert np.isnan(audit.coverage[0].share)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_tables_of_a_few_rows(rows: int) -> None:
    market = clean(1)
    small = RawMarket(
        "TESTUSDT",
        "1h",
        market.bars.iloc[:rows],
        market.funding.iloc[:rows] if market.funding is not None else None,
        market.open_interest.iloc[:rows] if market.open_interest is not None else None,
    )
    audit = audited(small, now=now_of(market))
    assert audit.coverage[0].present == rows
