"""What the source said, beside what is in the tables."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from audit_markets import START, audited, clean

from features.raw import LedgerEntry, RawMarket

DAY = pd.Timedelta(days=1)


def entry(subject: str, first: int, last: int, kind: str = "missing_file") -> LedgerEntry:
    return LedgerEntry(kind, subject, START + first * DAY, START + last * DAY, 0, "not published (yet)")


def told(market: RawMarket, one: LedgerEntry) -> tuple[str, str]:
    (finding,) = [f for f in audited(replace(market, ledger=(one,))).findings if f.origin == "ledger"]
    return finding.severity, finding.detail


@pytest.mark.parametrize("subject", ["fundingRate", "klines-1h", "TESTUSDT-1h-2022-02.zip", "metrics"])
def test_a_missing_file_whose_rows_are_there_is_a_note(subject: str) -> None:
    market = replace(clean(), positioning=None)
    severity, detail = told(market, entry(subject, 30, 60))
    assert severity == "note"
    assert detail == "not published (yet); its rows came from elsewhere"


@pytest.mark.parametrize("span", [(-30, 5), (95, 130), (-30, 130)])
@pytest.mark.parametrize("subject", ["fundingRate", "klines-1h", "metrics"])
def test_a_missing_file_before_or_after_the_rows_is_a_warning(subject: str, span: tuple[int, int]) -> None:
    market = replace(clean(), positioning=None)
    assert told(market, entry(subject, *span)) == ("warning", "not published (yet)")


def test_a_missing_file_with_a_gap_in_its_span_is_a_warning() -> None:
    market = clean()
    assert market.funding is not None
    spoilt = replace(market, funding=market.funding.drop(index=[120]).reset_index(drop=True))  # day 40
    assert told(spoilt, entry("fundingRate", 30, 60))[0] == "warning"
    assert told(spoilt, entry("fundingRate", 50, 60))[0] == "note"


def test_a_missing_file_of_a_table_that_is_not_there_is_a_warning() -> None:
    assert told(replace(clean(), open_interest=None, positioning=None), entry("metrics", 30, 60))[0] == (
        "warning"
    )


def test_a_refused_file_stays_an_error_wherever_rows_came_from() -> None:
    assert told(clean(), entry("fundingRate", 30, 60, "refused_file"))[0] == "error"
