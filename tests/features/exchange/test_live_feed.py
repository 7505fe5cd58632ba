"""Live mode's updates from an exchange and from the archive: the same rows as ``bearmode update`` brings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from exchange_trials import BEGIN, NOW, market
from fake_exchange import start_fake

from benchmarks.faulty_server import serving
from benchmarks.simulated_archive import Listing, SimulatedArchive
from features.store import Store
from serving.live.feeds import FeedJob, open_feed

SYMBOLS = ("BTCUSDT", "ETHUSDT")
HOUR = pd.Timedelta(hours=1)
COLUMNS = ["open_time", "open", "high", "low", "close", "volume"]


def job(
    source: str, store: Path, until: pd.Timestamp, url: str, symbols: tuple[str, ...] = SYMBOLS
) -> FeedJob:
    return FeedJob(source, symbols, "1h", str(store), int(until.timestamp() * 1000), url=url)


def held(store: Path, symbol: str) -> pd.DataFrame:
    table = Store(store).table(symbol, "bars_1h")
    assert table is not None
    return table[COLUMNS]


def expected(symbol: str, until: pd.Timestamp) -> pd.DataFrame:
    bars = market()[symbol].bars
    return bars[bars["open_time"] + HOUR <= until][COLUMNS].reset_index(drop=True)


def test_an_empty_store_is_filled_and_then_extended_bar_by_bar(tmp_path: Path) -> None:
    feed = open_feed("exchange")
    with start_fake(market(), now=NOW) as fake:
        first = {one.symbol: one for one in feed(job("exchange", tmp_path, NOW, fake.url))}
        assert {one.code for one in first.values()} == {None}
        assert first["BTCUSDT"].rows == len(expected("BTCUSDT", NOW))
        fake.now = NOW + 2 * HOUR
        second = feed(job("exchange", tmp_path, fake.now, fake.url))
        assert [(one.rows, one.code) for one in second] == [(2, None), (2, None)]
        again = feed(job("exchange", tmp_path, fake.now, fake.url))
        assert [(one.rows, one.code) for one in again] == [(0, None), (0, None)]
    for symbol in SYMBOLS:
        found = held(tmp_path, symbol)
        pd.testing.assert_frame_equal(
            found, expected(symbol, NOW + 2 * HOUR), check_exact=False, rtol=1e-9, check_dtype=False
        )
        state = Store(tmp_path).state(symbol)
        assert state is not None
        assert {"funding", "open_interest"} <= set(state.kinds)
    assert held(tmp_path, "BTCUSDT")["open_time"].iloc[0] == BEGIN


def test_a_symbol_that_the_venue_does_not_list_stops_no_other(tmp_path: Path) -> None:
    with start_fake(market(), now=NOW) as fake:
        asked = job("exchange", tmp_path, NOW, fake.url, ("NOSUCHUSDT", "ETHUSDT"))
        found = {one.symbol: one for one in open_feed("exchange")(asked)}
    assert found["NOSUCHUSDT"].code == "unknown_symbol"
    assert found["ETHUSDT"].code is None


def test_the_archive_brings_whole_days(tmp_path: Path) -> None:
    folder, store = tmp_path / "archive", tmp_path / "store"
    listings = {"BTCUSDT": Listing("SIMBTC", daily_months=("2024-06",))}
    SimulatedArchive(folder, listings, since="2024-05-25", until="2024-06-10")
    moment = pd.Timestamp("2024-06-10 05:00", tz="UTC")
    with serving(folder) as server:
        (one,) = open_feed("archive")(job("archive", store, moment, server.url, ("BTCUSDT",)))
        assert one.code is None
        assert one.rows > 0
        bars = held(store, "BTCUSDT")
        assert bars["open_time"].iloc[-1] == pd.Timestamp("2024-06-09 23:00", tz="UTC")
        (again,) = open_feed("archive")(job("archive", store, moment, server.url, ("BTCUSDT",)))
        assert (again.rows, again.code) == (0, None)


def test_a_venue_that_is_not_there_is_named_for_every_symbol(tmp_path: Path) -> None:
    asked = replace(job("exchange", tmp_path, NOW, "http://127.0.0.1:1"), symbols=SYMBOLS)
    found = open_feed("exchange")(asked)
    assert [one.code for one in found] == ["exchange_unreachable", "exchange_unreachable"]
