"""Two sources side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from audit_markets import audited, clean, close_of, found, kinds, with_bars, with_table

from features.audit import Agreement
from features.raw import RawMarket


def agreement(market: RawMarket, other: RawMarket) -> dict[str, Agreement]:
    return {one.column: one for one in audited(market, against=other).agreement}


def test_the_same_market_agrees_with_itself() -> None:
    market = clean()
    audit = audited(market, against=market)
    assert audit.findings == ()
    assert audit.against == "simulated"
    assert {one.column: (one.compared, one.beyond, one.largest) for one in audit.agreement} == {
        **dict.fromkeys(("open", "high", "low", "close", "volume"), (2_400, 0, 0.0)),
        "funding_rate": (301, 0, 0.0),
        "open_interest_value": (101, 0, 0.0),
    }


def test_prices_that_differ_are_counted_with_the_largest_and_its_time() -> None:
    market = clean()
    other = with_bars(market, [70, 900], close=lambda values: values * np.array([1.002, 0.99]))
    one = agreement(market, other)["close"]
    assert (one.beyond, one.first, one.last) == (2, close_of(market, 70), close_of(market, 900))
    assert one.largest == pytest.approx(0.01)
    assert one.largest_at == close_of(market, 900)
    (finding,) = [one for one in audited(market, against=other).findings if one.kind == "disagreement"]
    assert (finding.table, finding.count, finding.severity) == ("bars", 2, "warning")
    assert "close: 2 of 2,400 differ by more than 0.1 %, most by 1 %" in finding.detail


def test_what_is_within_the_tolerance_agrees() -> None:
    market = clean()
    other = with_bars(market, slice(None), close=lambda values: values * 1.0009)
    assert market.funding is not None
    other = with_table(
        other, "funding", market.funding.assign(funding_rate=market.funding["funding_rate"] + 9e-7)
    )
    assert audited(market, against=other).findings == ()
    beyond = market.funding.assign(funding_rate=market.funding["funding_rate"] + 1.1e-6)
    assert kinds(market, against=with_table(market, "funding", beyond)) == {"disagreement"}


def test_another_level_throughout_is_told_apart_from_single_rows() -> None:
    market = clean()
    assert market.open_interest is not None
    level = market.open_interest.assign(open_interest_value=market.open_interest["open_interest_value"] * 3)
    (finding,) = found(market, "disagreement", against=with_table(market, "open_interest", level))
    assert "3 times this one throughout" in finding.detail


def test_times_that_only_one_of_them_has() -> None:
    market = clean()
    cut = with_table(market, "bars", market.bars.drop(index=[300, 301, 500]).reset_index(drop=True))
    (finding,) = found(cut, "only_there", against=market)
    assert (finding.count, finding.start, finding.end) == (3, close_of(market, 300), close_of(market, 500))
    assert agreement(market, cut)["close"].only_here == 3
    assert "only_there" not in kinds(market, against=cut)
    shorter = with_table(market, "bars", market.bars.iloc[:100])
    assert "only_there" not in kinds(shorter, against=market, now=close_of(market, 2_399))


def test_settlements_meet_in_spite_of_jitter() -> None:
    market = clean()
    assert market.funding is not None
    jitter = pd.to_timedelta(np.arange(len(market.funding)) % 17, unit="ms")
    other = with_table(market, "funding", market.funding.assign(time=market.funding["time"] + jitter))
    assert agreement(market, other)["funding_rate"].compared == 301


def test_values_that_only_one_has_are_not_compared() -> None:
    market = clean()
    other = with_bars(market, [3, 4], volume=np.nan)
    one = agreement(market, other)["volume"]
    assert (one.compared, one.beyond) == (2_398, 0)
    assert not agreement(market, RawMarket("TESTUSDT", "1h", market.bars)).keys() & {"funding_rate"}


def test_tables_without_a_common_time_are_named() -> None:
    market = clean()
    later = market.bars.assign(open_time=market.bars["open_time"] + pd.Timedelta("300D"))
    (finding,) = found(market, "not_comparable", against=RawMarket("TESTUSDT", "1h", later))
    assert finding.table == "bars"
    assert "2022-01-03 01:00 to 2022-04-13 00:00" in finding.detail
