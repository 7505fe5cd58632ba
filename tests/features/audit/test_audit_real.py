"""Real history: its known defects are found, and little else is called wrong."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from audit_markets import MARKET, needs_market

from features.audit import Audit, audit_market
from features.sources import load_files

pytestmark = needs_market
SYMBOLS = ("BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")
NOW = pd.Timestamp("2025-01-01 01:00", tz="UTC")


@pytest.fixture(scope="module")
def audits() -> dict[str, Audit]:
    return {
        market.symbol: audit_market(market, now=NOW) for market in load_files(MARKET, SYMBOLS, interval="1h")
    }


def spans(audit: Audit, kind: str, table: str = "bars") -> list[tuple[str, str, int]]:
    return [
        (f"{one.start:%Y-%m-%d %H}", f"{one.end:%Y-%m-%d %H}", one.count)
        for one in audit.findings
        if one.kind == kind and one.table == table and one.origin == "audit"
    ]


@pytest.mark.parametrize("symbol", [name for name in SYMBOLS if name != "BTCUSDT"])
def test_the_hours_that_the_spot_part_misses(audits: dict[str, Audit], symbol: str) -> None:
    assert spans(audits[symbol], "missing_bars") == [
        ("2021-04-20 03", "2021-04-20 04", 2),
        ("2021-04-25 06", "2021-04-25 08", 3),
        ("2021-08-13 03", "2021-08-13 06", 4),
        ("2021-09-29 08", "2021-09-29 09", 2),
    ]


def test_the_bars_without_volume(audits: dict[str, Audit]) -> None:
    counts = {
        symbol: sum(count for *_, count in spans(audit, "zero_volume")) for symbol, audit in audits.items()
    }
    assert counts == {**dict.fromkeys(SYMBOLS, 0), "BTCUSDT": 3}


def test_the_month_without_funding_and_the_changes_of_its_interval(audits: dict[str, Audit]) -> None:
    assert spans(audits["SOLUSDT"], "missing_rows", "funding") == [("2023-04-29 08", "2023-05-24 00", 75)]
    changes = [one.detail for one in audits["SOLUSDT"].findings if one.kind == "changed_interval"]
    assert changes == ["from 8 h to 4 h", "from 4 h to 2 h", "from 2 h to 8 h"]
    for symbol in SYMBOLS[:4]:
        assert not spans(audits[symbol], "missing_rows", "funding")


def test_the_jumps_of_open_interest_are_where_its_level_drifts(audits: dict[str, Audit]) -> None:
    jumps = {
        symbol: len(spans(audit, "open_interest_jump", "open_interest")) for symbol, audit in audits.items()
    }
    assert jumps == {"BNBUSDT": 7, "BTCUSDT": 0, "DOGEUSDT": 32, "ETHUSDT": 1, "SOLUSDT": 5}


def test_shocks_of_the_market_are_notes_and_nothing_is_called_an_error(audits: dict[str, Audit]) -> None:
    for symbol, audit in audits.items():
        outliers = [one for one in audit.findings if one.kind == "outlier_bar"]
        assert len(outliers) <= 14
        assert {one.severity for one in outliers} == {"note"}
        counts = Counter(one.severity for one in audit.findings)
        assert counts["error"] == 0, symbol
        assert counts["warning"] <= 40, symbol


def test_funding_that_starts_after_the_price_is_named(audits: dict[str, Audit]) -> None:
    late = {symbol for symbol, audit in audits.items() if spans(audit, "starts_late", "funding")}
    assert late == set(SYMBOLS) - {"BTCUSDT"}
