"""Options become symbols, dates and raw tables, or wrong usage that names the option."""

from __future__ import annotations

import string
from pathlib import Path

import pandas as pd
import pytest
from histories import LONG, raw_market, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import NothingUsableError, UsageError
from features.sources.loading import load_histories, load_raw, parse_date, parse_symbols
from features.store import Store


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        (None, []),
        ("", []),
        ("BTCUSDT", ["BTCUSDT"]),
        (" ETHUSDT , BTCUSDT,", ["ETHUSDT", "BTCUSDT"]),
        ("1000PEPEUSDT", ["1000PEPEUSDT"]),
    ],
)
def test_symbols(text: str | None, symbols: list[str]) -> None:
    assert parse_symbols(text) == symbols


@pytest.mark.parametrize("text", ["btcusdt", "BTC/USDT", "B", "A" * 25, "../ETC", "BTC ETH", "BTC\u0660"])
def test_what_is_no_symbol_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_symbols(f"ETHUSDT,{text}")
    assert caught.value.field == "symbols"
    assert repr(text) in caught.value.message
    assert caught.value.hint


def test_a_symbol_named_twice_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_symbols("BTCUSDT,ETHUSDT, BTCUSDT")


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2024-02", "2024-02-01"),
        ("2024-01-31T12:30", "2024-01-31 12:30"),
        ("2024-01-31 12:30:00Z", "2024-01-31 12:30"),
        ("2024-01-31T12:30:00+02:00", "2024-01-31 10:30"),
    ],
)
def test_dates(text: str, stamp: str) -> None:
    got = parse_date(text, "since")
    assert got is not None
    assert (got, str(got.tz), got.unit) == (utc(stamp), "UTC", "ms")


def test_no_date_is_none() -> None:
    assert parse_date(None, "until") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "31.01.2024", "2024", "20240131", "1704067200000"),
        *("2024-13-01", "2024-02-30", "9999-99-99", "2024-01-31T25:00"),
        *("2024-01-31T12:00 NOWHERE/CITY", "2024-01-31T12:00 PDT"),
    ],
)
def test_what_is_no_date_is_wrong_usage_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_date(text, "until")
    assert caught.value.field == "until"
    assert repr(text) in caught.value.message


@settings(max_examples=2000 if LONG else 300, deadline=None)
@given(tail=st.text(string.digits + "T :-+Z.aezPMST/", max_size=12))
def test_any_text_is_a_utc_time_or_wrong_usage(tail: str) -> None:
    try:
        got = parse_date("2024-01-31" + tail, "since")
    except UsageError:
        return
    assert got is not None
    assert str(got.tz) == "UTC"
    assert not pd.isna(got)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"source": "files"}, "path"),
        ({"source": None, "path": Path()}, "path"),
        ({"source": "simulated", "path": Path()}, "path"),
        ({"source": "oracle"}, "source"),
        ({"source": None, "interval": "2h"}, "interval"),
        ({"source": "files", "path": Path("nowhere-at-all")}, "path"),
        ({"source": None, "store": Path("nowhere-at-all")}, "store"),
    ],
)
def test_options_that_make_no_sense_together(options: dict[str, object], field: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_raw(symbols=[], **options)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.exit_code) == (field, 2)


def test_without_a_source_the_store_answers(tmp_path: Path) -> None:
    market = raw_market(100)
    Store(tmp_path).write(market)
    for symbols in ([], ["TESTUSDT"]):
        found = load_raw(None, symbols, store=tmp_path)
        assert [one.symbol for one in found] == ["TESTUSDT"]
        pd.testing.assert_frame_equal(found[0].bars, market.bars)
    with pytest.raises(NothingUsableError) as caught:
        load_raw(None, ["BTCUSDT"], store=tmp_path)
    assert caught.value.exit_code == 3
    assert "TESTUSDT" in caught.value.message


def test_histories_are_cut_to_the_dates(tmp_path: Path) -> None:
    Store(tmp_path).write(raw_market(100))
    since, until = utc("2022-01-04"), utc("2022-01-05")
    (made,) = load_histories(None, [], store=tmp_path, since=since, until=until)
    assert (made.time[0], made.time[-1], len(made)) == (since, until - pd.Timedelta(hours=1), 24)


def test_the_simulated_market_needs_no_path() -> None:
    (market,) = load_raw("simulated", ["SIMBTC"], interval="1d")
    assert (market.symbol, market.source, market.interval) == ("SIMBTC", "simulated", "1d")
