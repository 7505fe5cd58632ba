"""Checks of funding, open interest and the other tables; what is declared is what is done."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from audit_markets import LONG, START, audited, clean, close_of, found, kinds, now_of, with_bars, with_table
from hypothesis import given, settings
from hypothesis import strategies as st

from features.audit import CHECKS, LEDGER_KINDS, SEVERITIES, audit_market
from features.audit.checks import severity_of_ledger
from features.audit.funding_caps import funding_caps
from features.errors import UsageError
from features.raw import LedgerEntry, RawMarket, Series


def set_values(market: RawMarket, table: str, column: str, values: dict[int, float]) -> RawMarket:
    frame: pd.DataFrame = getattr(market, table).copy()
    cells = frame[column].to_numpy(np.float64, copy=True)
    for row, value in values.items():
        cells[row] = value
    frame[column] = cells
    return with_table(market, table, frame)


@pytest.mark.parametrize(
    ("symbol", "rate", "is_beyond"),
    [
        ("BTCUSDT", 0.003, False),
        ("ETHUSDT", -0.00301937, False),
        ("BTCUSDT", 0.0032, True),
        ("ETHUSDT", -0.0075, True),
        ("SOLUSDT", -0.02, False),
        ("ANYUSDT", 0.0175, False),
        ("ANYUSDT", -0.021, True),
    ],
)
def test_funding_outside_of_its_cap(symbol: str, rate: float, is_beyond: bool) -> None:
    market = set_values(clean(symbol=symbol), "funding", "funding_rate", {40: rate, 41: rate, 90: rate})
    assert market.funding is not None
    times = market.funding["time"]
    spans = [(one.start, one.end, one.count, one.severity) for one in found(market, "beyond_funding_cap")]
    assert spans == (
        [(times[40], times[41], 2, "error"), (times[90], times[90], 1, "error")] if is_beyond else []
    )


def test_the_caps_say_where_they_are_from() -> None:
    caps = funding_caps()
    assert caps.source
    assert pd.Period(caps.as_of, "M") >= pd.Period("2024-01", "M")
    assert all(0 < cap <= caps.others for cap in caps.symbols.values())


@pytest.mark.parametrize(
    ("factor", "is_jump"), [(1.49, False), (1.5, True), (0.6, True), (0.7, False), (40.0, True)]
)
def test_open_interest_that_jumps_by_half_and_stays(factor: float, is_jump: bool) -> None:
    market = clean()
    assert market.open_interest is not None
    level = np.full(101, 1e9)
    level[50:] *= factor
    market = with_table(market, "open_interest", market.open_interest.assign(open_interest_value=level))
    jumps = found(market, "open_interest_jump")
    assert [one.start for one in jumps] == ([START + pd.Timedelta("50D")] if is_jump else [])
    assert all(one.worst == pytest.approx(factor) for one in jumps)


def test_five_minute_open_interest_that_is_wrong_for_hours_is_one_finding() -> None:
    stamps = pd.date_range(START, periods=288 * 100 + 1, freq="5min", unit="ms")
    level = np.full(len(stamps), 1e9)
    level[1_000:1_024] *= 0.4
    level[5_000] *= 3
    market = with_table(
        clean(), "open_interest", pd.DataFrame({"time": stamps, "open_interest_value": level})
    )
    long, short = found(market, "open_interest_jump")
    assert (long.start, long.end, long.count) == (stamps[1_000], stamps[1_023], 24)
    assert "back after 2 h" in long.detail
    assert (short.start, short.count) == (stamps[5_000], 1)


def test_open_interest_across_a_long_gap_may_differ() -> None:
    market = clean()
    assert market.open_interest is not None
    table = market.open_interest.drop(index=range(40, 50)).reset_index(drop=True)
    table.loc[40:, "open_interest_value"] *= 3
    assert kinds(with_table(market, "open_interest", table)) == {"missing_rows"}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("open_interest", "open_interest_value", 0.0),
        ("open_interest", "open_interest_value", -5.0),
        ("open_interest", "open_interest_value", np.inf),
        ("funding", "funding_rate", 0.5),
        ("funding", "funding_interval_hours", 0.0),
        ("positioning", "lsr_global", -1.0),
        ("fear_greed", "fear_greed", 130.0),
    ],
)
def test_values_that_cannot_be(table: str, column: str, value: float) -> None:
    market = set_values(clean(), table, column, {30: value})
    (one,) = found(market, "impossible_value")
    assert (one.table, one.severity, one.count) == (table, "error", 1)
    assert column in one.detail


def test_a_value_that_is_not_there_is_a_gap_not_an_error() -> None:
    market = set_values(clean(), "open_interest", "open_interest_value", {30: np.nan})
    assert kinds(market) == {"missing_rows"}


def test_rows_of_the_future_and_rows_in_disorder() -> None:
    market = clean()
    now = now_of(market) - pd.Timedelta("3D")
    tables = {one.table for one in found(market, "future_rows", now=now)}
    assert tables == {"bars", "funding", "open_interest", "positioning", "fear_greed", "put_call"}
    assert market.funding is not None
    shuffled = market.funding.sample(frac=1, random_state=0)
    assert kinds(with_table(market, "funding", shuffled)) == {"unsorted_rows"}
    twice = pd.concat([market.funding, market.funding.iloc[[7]]]).sort_values("time")
    assert kinds(with_table(market, "funding", twice)) == {"double_rows"}


def test_the_ledger_of_the_source_is_kept_under_its_own_names() -> None:
    at = START + pd.Timedelta("1D")
    entries = (
        LedgerEntry("refused_file", "BTC-2024-01.zip", at, at, 3, "checksum"),
        LedgerEntry("no_header", "klines", detail="by position"),
        LedgerEntry("something_new", "klines"),
    )
    findings = audited(replace(clean(), ledger=entries)).findings
    assert [(one.kind, one.table, one.severity, one.origin) for one in findings] == [
        ("refused_file", "BTC-2024-01.zip", "error", "ledger"),
        ("no_header", "klines", "note", "ledger"),
        ("something_new", "klines", "note", "ledger"),
    ]
    assert (findings[0].start, findings[0].count, findings[0].detail) == (at, 3, "checksum")
    assert severity_of_ledger("missing_file") == "warning"


def spoilt_in_every_way() -> tuple[RawMarket, RawMarket]:
    """A market with something for every check, and one that differs from it."""
    other = clean(symbol="BTCUSDT")
    assert other.open_interest is not None
    market = with_bars(other, 400, open=200.0, high=200.0, low=200.0, close=200.0)
    market = with_bars(market, 500, close=-1.0)
    market = with_bars(market, slice(600, 610), open=90.0, high=90.0, low=90.0, close=90.0, volume=0.0)
    bars = market.bars.drop(index=range(700, 705))
    market = with_table(market, "bars", pd.concat([bars, bars.iloc[[30]]]))
    market = set_values(market, "funding", "funding_rate", {30: 0.01, 40: 0.7})
    market = set_values(market, "funding", "funding_interval_hours", {50: 4.0})
    assert market.funding is not None
    market = with_table(market, "funding", market.funding.iloc[[*range(25, 60), *range(70, 301)]])
    level = other.open_interest["open_interest_value"] * np.where(np.arange(101) > 50, 3.0, 1.0)
    jumping = other.open_interest.assign(open_interest_value=level).iloc[:-8]
    return with_table(market, "open_interest", jumping), other


def test_every_declared_check_can_fire_and_nothing_undeclared_does() -> None:
    market, other = spoilt_in_every_way()
    assert other.funding is not None
    moved = other.funding.assign(time=other.funding["time"] + pd.Timedelta("7min"))
    shifted = with_table(other, "funding", moved)
    now = close_of(other, len(other.bars) - 1)
    findings = [
        *audit_market(market, now=now, against=shifted).findings,
        *audit_market(market, now=now - pd.Timedelta("50D")).findings,
        *audit_market(market, now=now + pd.Timedelta("50D")).findings,
        *audit_market(RawMarket("X2", "1h", market.bars), now=now).findings,
    ]
    assert {one.kind for one in findings} == set(CHECKS)
    for one in findings:
        check = CHECKS[one.kind]
        assert one.detail
        assert one.severity in SEVERITIES
        assert (one.start is None) == (one.end is None)
        assert one.start is None or one.end is None or one.start <= one.end, one
        assert one.worst is None or check.unit or one.kind == "impossible_value", one
    assert all(check.rule and check.why and check.looks_at for check in CHECKS.values())
    assert all(kind.meaning for kind in LEDGER_KINDS.values())


def test_an_audit_is_json_and_does_not_depend_on_how_often_it_is_made() -> None:
    market, other = spoilt_in_every_way()
    now = now_of(other)
    texts = {
        json.dumps(audit_market(market, now=now, against=other).as_dict(), allow_nan=False) for _ in range(2)
    }
    assert len(texts) == 1
    found = json.loads(texts.pop())
    assert found["now"] == now.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert sum(found["counts"].values()) == len(found["findings"])


def test_what_makes_no_sense_is_refused() -> None:
    market = clean(10)
    with pytest.raises(UsageError, match="time zone"):
        audit_market(market, now=pd.Timestamp("2022-01-01"))
    with pytest.raises(UsageError, match="cannot be compared"):
        audited(market, against=clean(10, "4h"))


@settings(max_examples=200 if LONG else 25, deadline=None)
@given(data=st.data())
def test_no_table_makes_it_fail(data: st.DataObject) -> None:
    """Any floats at any times: an audit, not a crash, and JSON."""
    numbers = st.floats(allow_nan=True, allow_infinity=True)
    moments = st.integers(0, 4_000_000_000_000)

    def table(key: str, *columns: str) -> pd.DataFrame:
        n = data.draw(st.integers(0, 8))
        stamps = data.draw(st.lists(moments, min_size=n, max_size=n))
        cells = {
            name: np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)), dtype=np.float64)
            for name in columns
        }
        times = pd.to_datetime(np.array(stamps, dtype=np.int64), unit="ms", utc=True).as_unit("ms")
        return pd.DataFrame({key: times, **cells})

    market = RawMarket(
        "XUSDT",
        "1h",
        table("open_time", "open", "high", "low", "close", "volume"),
        table("time", "funding_rate", "funding_interval_hours"),
        table("time", "open_interest_value"),
        table("time", "lsr_global", "taker_ratio"),
        table("time", "fear_greed"),
        extras={"mine": Series(table("time", "value"))},
    )
    audit = audit_market(market, now=START, against=market)
    json.dumps(audit.as_dict(), allow_nan=False)


def test_five_years_with_five_minute_tables_take_well_under_a_second() -> None:
    market = clean(365 * 5)
    stamps = pd.date_range(START, periods=288 * 365 * 5, freq="5min", unit="ms")
    rng = np.random.default_rng(0)
    keep = rng.random(len(stamps)) > 0.01
    values = {
        name: rng.lognormal(0, 0.01, len(stamps))
        for name in ("lsr_global", "lsr_top_accounts", "taker_ratio")
    }
    rows = pd.DataFrame({"time": stamps, "open_interest_value": 1e9, **values})[keep].reset_index(drop=True)
    market = with_table(market, "open_interest", rows[["time", "open_interest_value"]])
    market = with_table(market, "positioning", rows.drop(columns="open_interest_value"))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        audited(market)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0
