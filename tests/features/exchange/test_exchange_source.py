"""What a venue knows comes over HTTP through ccxt, whole, in UTC, and never before its time."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from exchange_trials import ALL, BEGIN, LONG, NOW, VENUES, after, asking, everything, fetched, market, utc
from fake_exchange import Fake, start_fake

from features.errors import NothingUsableError, UsageError
from features.raw import interval_delta
from features.sources.exchange import Exchange, Fetched
from features.sources.simulated import simulate
from features.store import Store

HOUR = pd.Timedelta(hours=1)
FIRST = BEGIN + pd.Timedelta(days=3)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with start_fake(market(), now=NOW) as running:
        yield running


def kinds(result: Fetched) -> set[tuple[str, str]]:
    return {(entry.kind, entry.subject) for entry in result.ledger}


def true_bars(interval: str, after_open: pd.Timestamp, now: pd.Timestamp = NOW) -> pd.DataFrame:
    """The market's bars, by resampling the hourly ones."""
    hourly = market()["BTCUSDT"].bars.set_index("open_time")
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    bars = hourly.resample(interval_delta(interval)).agg(rules).reset_index()
    complete = bars["open_time"] + interval_delta(interval) <= now
    bars["open_time"] = bars["open_time"].dt.as_unit("ms")
    return bars.loc[complete & (bars["open_time"] > after_open)].reset_index(drop=True)


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize("interval", ["1h", "4h", "1d"])
def test_bars_are_those_of_the_market_in_utc(fake: Fake, exchange: str, interval: str) -> None:
    since = FIRST if interval == "1h" else BEGIN + interval_delta(interval)
    result = fetched(fake, exchange, {"bars": since}, interval=interval)
    got, true = result.tables[f"bars_{interval}"], true_bars(interval, since)
    assert str(got["open_time"].dtype) == "datetime64[ms, UTC]"
    assert list(got["open_time"]) == list(true["open_time"])
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(got[name], true[name], rtol=1e-12)
    assert kinds(result) == {("forming_bar", f"bars_{interval}")}
    assert ("quote_volume" in got) == (exchange == "binanceusdm")


@pytest.mark.parametrize("exchange", VENUES)
def test_funding_is_what_was_paid_with_its_interval(fake: Fake, exchange: str) -> None:
    since = NOW - pd.Timedelta(days=80)
    result = fetched(fake, exchange, {"funding": since})
    true = market()["BTCUSDT"].funding
    assert true is not None
    true = true.loc[(true["time"] > since) & (true["time"] <= NOW)]
    got = result.tables["funding"]
    assert list(got["time"]) == list(true["time"])
    np.testing.assert_allclose(got["funding_rate"], true["funding_rate"], atol=1e-9)
    assert (got["funding_interval_hours"] == 8).all()
    jitter = {("jittered_stamps", "funding")} if exchange == "binanceusdm" else set()
    assert kinds(result) == jitter


@pytest.mark.parametrize("exchange", VENUES)
def test_statistics_are_hourly_and_in_usd(fake: Fake, exchange: str) -> None:
    since = NOW - pd.Timedelta(days=20)
    result = fetched(fake, exchange, everything(since))
    raw = market()["BTCUSDT"]
    assert raw.open_interest is not None
    assert raw.positioning is not None
    hours = pd.date_range(since.ceil("h"), NOW.floor("h"), freq="h", unit="ms")
    for kind, name, table, true in (
        ("open_interest", "open_interest_value", raw.open_interest, "open_interest_value"),
        ("positioning", "lsr_global", raw.positioning, "lsr_global"),
    ):
        got = result.tables[kind]
        assert list(got["time"]) == list(hours)
        row = table["time"].searchsorted(hours, side="right") - 1
        np.testing.assert_allclose(got[name], table[true].to_numpy()[row], rtol=1e-3)
    interest, closes = result.tables["open_interest"].iloc[-400:], result.tables["bars_1h"]["close"][-400:]
    coins = interest["open_interest_coins"].to_numpy()
    np.testing.assert_allclose(coins * closes.to_numpy(), interest["open_interest_value"], rtol=1e-6)
    assert (("derived_value", "open_interest") in kinds(result)) == (exchange == "bybit")


@pytest.mark.parametrize("exchange", ["binanceusdm", "okx"])
def test_taker_volume_is_that_of_whole_days(fake: Fake, exchange: str) -> None:
    since = NOW - pd.Timedelta(days=10)
    got = fetched(fake, exchange, {"taker_volume": since}).tables["taker_volume"]
    assert list(got["time"]) == list(pd.date_range("2024-06-11", "2024-06-20", tz="UTC", unit="ms"))
    day = market()["BTCUSDT"].bars.set_index("open_time").loc["2024-06-19"]
    turnover = (day["close"] * day["volume"]).sum()
    np.testing.assert_allclose(got.iloc[-1]["taker_buy_usd"], 0.45 * turnover, rtol=1e-9)
    np.testing.assert_allclose(got.iloc[-1]["taker_sell_usd"], 0.55 * turnover, rtol=1e-6)


@pytest.mark.parametrize("exchange", VENUES)
def test_nothing_is_known_before_its_time(fake: Fake, exchange: str) -> None:
    since = everything(NOW - pd.Timedelta(days=4))
    whole = fetched(fake, exchange, since)
    rng = random.Random(7)
    for minutes in (0, *(rng.randrange(1, 3000) for _ in range(40 if LONG else 1))):
        now = NOW.floor("h") - pd.Timedelta(minutes=minutes)
        fake.now = now
        early = fetched(fake, exchange, since)
        fake.now = NOW
        asked_back = fetched(fake, exchange, since, until=now)
        for kind, table in whole.tables.items():
            name, length = ("open_time", HOUR) if kind == "bars_1h" else ("time", pd.Timedelta(0))
            known = table.loc[table[name] + length <= now]
            pd.testing.assert_frame_equal(early.tables[kind], known)
            pd.testing.assert_frame_equal(asked_back.tables[kind], known)


@pytest.mark.parametrize("exchange", VENUES)
def test_step_by_step_is_all_at_once_and_nothing_new_costs_nothing(fake: Fake, exchange: str) -> None:
    begin = everything(utc("2024-06-17 07:00"))
    whole = fetched(fake, exchange, begin)
    parts: dict[str, list[pd.DataFrame]] = {}
    since = begin
    with asking(fake, exchange) as asked:
        for now in ("2024-06-18 03:10", "2024-06-18 04:00", "2024-06-18 08:00", "2024-06-19 00:00", str(NOW)):
            fake.now = pd.Timestamp(now).tz_localize("UTC") if "+" not in now else pd.Timestamp(now)
            step = asked.fetch("BTCUSDT", "1h", since=since, until=fake.clock())
            for kind, table in step.tables.items():
                parts.setdefault(kind, []).append(table)
            since = after(step, since)
        before = asked.requests
        nothing = asked.fetch("BTCUSDT", "1h", since=since, until=fake.clock())
        settled = nothing.requests
        # Only the next settlement may come at any hour; all else waits for its period.
        assert settled == asked.requests - before <= 1
        assert not nothing.tables
        later = asked.fetch(
            "BTCUSDT", "1h", since={k: v for k, v in since.items() if k != "funding"}, until=fake.clock()
        )
        assert later.requests == 0
    assert set(parts) == set(whole.tables)
    for kind, tables in parts.items():
        joined = pd.concat(tables, ignore_index=True)
        pd.testing.assert_frame_equal(joined, whole.tables[kind], rtol=1e-9)


@pytest.mark.parametrize("exchange", VENUES)
def test_one_new_settlement_has_the_interval_since_the_one_held(exchange: str) -> None:
    times = pd.date_range("2024-06-01", "2024-06-21", freq="4h", tz="UTC", unit="ms")
    funding = pd.DataFrame({"time": times, "funding_rate": 1e-4, "funding_interval_hours": 4.0})
    with start_fake({"BTCUSDT": replace(market()["BTCUSDT"], funding=funding)}, now=NOW) as fake:
        result = fetched(fake, exchange, {"funding": utc("2024-06-20 04:00")})
        assert result.tables["funding"].to_numpy().tolist() == [[utc("2024-06-20 08:00"), 1e-4, 4.0]]
        assert not {entry.kind for entry in result.ledger} - {"jittered_stamps"}
        # Within the hour there can be no other.
        fake.now = utc("2024-06-20 08:59")
        assert fetched(fake, exchange, {"funding": utc("2024-06-20 08:00")}).requests == 0


@pytest.mark.parametrize("exchange", VENUES)
def test_an_update_of_an_hour_is_one_request_a_table(fake: Fake, exchange: str) -> None:
    since = everything(NOW.floor("h") - HOUR)
    since["bars"] = NOW.floor("h") - 2 * HOUR
    with asking(fake, exchange) as asked:
        asked.symbols()
        result = asked.fetch("BTCUSDT", "1h", since=since, until=NOW)
        assert result.requests == 4
        assert {kind: len(table) for kind, table in result.tables.items()} == {
            "bars_1h": 1,
            "open_interest": 1,
            "positioning": 1,
        }
        again = asked.fetch("ETHUSDT", "1h", since=since, until=NOW)
        assert again.requests == 4


def test_what_a_venue_does_not_keep_is_named(fake: Fake) -> None:
    asked = NOW - pd.Timedelta(days=60)
    for exchange, days in (("binanceusdm", 30), ("okx", 60)):
        result = fetched(fake, exchange, everything(asked - pd.Timedelta(days=20)))
        for kind in ("open_interest", "positioning"):
            (entry,) = [e for e in result.ledger if (e.kind, e.subject) == ("no_data", kind)]
            assert f"keeps {days} days" in entry.detail
            assert entry.start == asked - pd.Timedelta(days=20)
            assert entry.end == result.tables[kind]["time"].iloc[0]
            assert entry.end > NOW - pd.Timedelta(days=days)
    funding = fetched(fake, "okx", {"funding": BEGIN})
    (entry,) = funding.ledger
    assert (entry.kind, entry.detail) == ("no_data", "okx has no funding before")


def test_a_contract_that_was_not_yet_listed_is_no_gap(fake: Fake) -> None:
    result = fetched(fake, "binanceusdm", {"bars": BEGIN - pd.Timedelta(days=200)})
    (entry,) = [e for e in result.ledger if e.kind == "no_data"]
    assert entry.end == BEGIN
    assert result.tables["bars_1h"]["open_time"].iloc[0] == BEGIN
    assert "missing_bars" not in {e.kind for e in result.ledger}


def test_none_means_as_far_back_as_there_is(fake: Fake) -> None:
    since: dict[str, pd.Timestamp | None] = dict.fromkeys(ALL)
    since["bars"] = NOW - pd.Timedelta(days=2)
    for exchange, days in (("binanceusdm", 30), ("okx", 60), ("bybit", 90)):
        result = fetched(fake, exchange, since)
        reach = NOW - result.tables["open_interest"]["time"].iloc[0]
        assert pd.Timedelta(days=days) - 2 * HOUR < reach <= pd.Timedelta(days=days)
        assert len(result.tables["funding"]) >= 260
        assert not [e for e in result.ledger if e.kind == "no_data"]


def test_latest_candles_of_okx_come_from_their_own_path() -> None:
    now = pd.Timestamp.now(tz="UTC").as_unit("ms")
    since = now.floor("h") - pd.Timedelta(days=6)
    recent = simulate(["BTCUSDT"], since=since, until=now.floor("h") + pd.Timedelta(seconds=1)).markets
    with start_fake(recent, now=now) as fake:
        result = fetched(fake, "okx", {"bars": since - HOUR})
        assert "/api/v5/market/candles" in fake.paths()
    assert len(result.tables["bars_1h"]) == 6 * 24
    assert result.tables["bars_1h"]["open_time"].iloc[0] == since


@pytest.mark.parametrize("exchange", VENUES)
def test_names_are_mapped_and_unknown_ones_get_near_ones(fake: Fake, exchange: str) -> None:
    with asking(fake, exchange) as asked:
        # Neither the inverse, nor the USDC-margined, nor the dated contracts.
        assert asked.symbols() == ["BTCUSDT", "ETHUSDT"]
        for wrong, near in (("BTCUSD", "BTCUSDT"), ("1000ETHUSDT", "ETHUSDT"), ("BTUSDT", "BTCUSDT")):
            with pytest.raises(NothingUsableError) as error:
                asked.fetch(wrong, "1h", since={"bars": FIRST}, until=NOW)
            assert error.value.code == "unknown_symbol"
            assert near in error.value.one_line()
            assert error.value.exit_code == 3
        with pytest.raises(NothingUsableError) as error:
            asked.fetch("ZZ", "1h", since={"bars": FIRST}, until=NOW)
        assert "none near" in error.value.one_line()


def test_numbered_names_are_plain() -> None:
    numbered = simulate(["1000PEPEUSDT"], since=utc("2024-06-18"), until=NOW).markets
    with start_fake(numbered, now=NOW) as fake:
        for exchange in VENUES:
            result = fetched(fake, exchange, {"bars": NOW - pd.Timedelta(days=1)}, symbol="1000PEPEUSDT")
            assert len(result.tables["bars_1h"]) == 23


@pytest.mark.parametrize("minutes", [-150, 150])
def test_clocks_that_differ_are_named_and_the_earlier_counts(fake: Fake, minutes: int) -> None:
    ours = NOW - pd.Timedelta(minutes=minutes)
    with Exchange("bybit", url=fake.url, now=lambda: ours) as asked:
        result = asked.fetch("BTCUSDT", "1h", since={"bars": utc("2024-06-20 00:00")}, until=ours)
    (entry,) = [e for e in result.ledger if e.kind == "clock_differs"]
    assert "9,000 s " + ("ahead of" if minutes > 0 else "behind") in entry.detail
    last = result.tables["bars_1h"]["open_time"].iloc[-1]
    assert last == min(NOW, ours).floor("h") - HOUR


@pytest.mark.parametrize("exchange", VENUES)
def test_a_change_goes_into_the_store(fake: Fake, exchange: str, tmp_path: Path) -> None:
    since = everything(NOW - pd.Timedelta(days=65))
    result = fetched(fake, exchange, since)
    change = result.change("BTCUSDT")
    assert all(scope.startswith(f"exchange/{result.venue}/") for scope in change.ledger)
    assert not {e.kind for entries in change.ledger.values() for e in entries} & {
        "forming_bar",
        "missing_bars",
        "clock_differs",
    }
    with pytest.raises(ValueError, match="ETHUSDT"):
        result.change("ETHUSDT")
    store = Store(tmp_path / "store")
    with store.writing():
        state = store.commit("BTCUSDT", change)
        assert state.source == result.venue
        assert {kind: held.rows for kind, held in state.kinds.items()} == {
            kind: len(table) for kind, table in result.tables.items()
        }
        # A later fetch adds its rows and leaves what was said about the earlier span.
        later = fetched(fake, exchange, after(result, since), until=NOW)
        assert set(store.commit("BTCUSDT", later.change("BTCUSDT")).ledger) >= set(change.ledger)
    raw = store.read("BTCUSDT", "1h")
    assert raw.source == result.venue
    pd.testing.assert_frame_equal(
        raw.bars[list(true_bars("1h", NOW).columns)], true_bars("1h", since["bars"] or NOW)
    )


def test_what_makes_no_sense_is_said(fake: Fake) -> None:
    with pytest.raises(UsageError, match="binanceusdm, okx, bybit"):
        Exchange("kraken")
    for url in ("ftp://x", "127.0.0.1:80", "http://", "http://host/?a=b"):
        with pytest.raises(UsageError, match="--exchange-url"):
            Exchange("okx", url=url)
    with asking(fake, "okx") as asked:
        for since, interval, until in (
            ({"bars": FIRST}, "2h", NOW),
            ({"bars": None}, "1h", NOW),
            ({"candles": FIRST}, "1h", NOW),
            ({"bars": FIRST.tz_localize(None)}, "1h", NOW),
            ({"bars": FIRST}, "1h", NOW.tz_localize(None)),
        ):
            with pytest.raises(UsageError):
                asked.fetch("BTCUSDT", interval, since=since, until=until)
        # The wrong way round, or all in the future: there is nothing to ask for.
        assert asked.fetch("BTCUSDT", "1h", since={"bars": NOW}, until=FIRST).requests == 0
        assert asked.fetch("BTCUSDT", "1h", since={"bars": NOW}, until=NOW + 900 * HOUR).requests == 0
    assert not fake.asked


def test_asking_nothing_loads_no_ccxt() -> None:
    code = (
        "import sys, features.sources.exchange as e\n"
        "e.Exchange('okx').close()\n"
        "print('ccxt' in sys.modules, 'requests' in sys.modules)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
