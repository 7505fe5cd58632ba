"""``update``: past days from the archive, the rest from the exchange, nothing where nothing is new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_exchange import Fake, Fault, start_fake

from benchmarks.faulty_server import FaultyServer, serving
from benchmarks.simulated_archive import Listing, SimulatedArchive
from features.errors import BearmodeError, NothingUsableError, UsageError
from features.history import History
from features.raw import RawMarket
from features.sources.simulated import simulate
from features.store import Store
from training.data.fetch import fetch
from training.data.update import update
from training.settings import Places

BEGIN, PUBLISHED, END = "2024-03-28", "2024-06-18", "2024-06-30"
NOW = pd.Timestamp("2024-06-20 10:20", tz="UTC").as_unit("ms")
NAMES = {"BTCUSDT": "SIMBTC", "ETHUSDT": "SIMETH"}


@dataclass
class World:
    """An archive that ends two days before the exchange's now."""

    archive: FaultyServer
    exchange: Fake
    markets: dict[str, RawMarket]
    places: Places

    def update(
        self, symbols: str = "", now: pd.Timestamp = NOW, *, archive: bool = True
    ) -> dict[str, list[dict[str, Any]]]:
        self.exchange.now = now
        out = Path(str(self.places.store)).parent / "out.json"
        update(symbols, self.places, until=now.isoformat(), archive=archive, workers=1, json=out)
        found: dict[str, list[dict[str, Any]]] = json.loads(out.read_text())
        return found

    def bars(self, symbol: str, now: pd.Timestamp = NOW) -> pd.DataFrame:
        """What is to be held of a symbol."""
        bars = self.markets[symbol].bars
        closed = bars["open_time"] + pd.Timedelta(hours=1)
        first = pd.Timestamp(BEGIN, tz="UTC")
        return bars.loc[(bars["open_time"] >= first) & (closed <= now)].reset_index(drop=True)


@pytest.fixture(scope="module")
def archive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    listings = {name: Listing(simulated, daily_months=("2024-06",)) for name, simulated in NAMES.items()}
    SimulatedArchive(folder, listings, since=BEGIN, until=PUBLISHED)
    return folder


@pytest.fixture(scope="module")
def archive(archive_folder: Path) -> Iterator[FaultyServer]:
    with serving(archive_folder) as server:
        yield server


@pytest.fixture(scope="module")
def markets() -> dict[str, RawMarket]:
    begin = pd.Timestamp(BEGIN, tz="UTC") - pd.Timedelta(days=2)  # as the archive is made
    made = simulate(list(NAMES.values()), since=begin, until=pd.Timestamp(END, tz="UTC")).markets
    return {name: replace(made[simulated], symbol=name) for name, simulated in NAMES.items()}


@pytest.fixture(scope="module")
def half_full(archive: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that ends a month before now."""
    store = tmp_path_factory.mktemp("half") / "store"
    places = Places(store=store, archive_url=archive.url)
    fetch("archive", ",".join(NAMES), places, since=BEGIN, until="2024-05-20", workers=1)
    return store


@pytest.fixture
def world(
    archive: FaultyServer, markets: dict[str, RawMarket], half_full: Path, tmp_path: Path
) -> Iterator[World]:
    archive.forget()
    shutil.copytree(half_full, tmp_path / "store")
    with start_fake(markets, now=NOW) as exchange:
        places = Places(store=tmp_path / "store", archive_url=archive.url, exchange_url=exchange.url)
        yield World(archive, exchange, markets, places)


def test_old_rows_come_from_the_archive_and_new_ones_from_the_exchange(world: World) -> None:
    found = world.update()
    store = Store(world.places.store)
    for symbol in NAMES:
        market = store.read(symbol, "1h")
        columns = ["open_time", "open", "high", "low", "close", "volume"]
        expected = world.bars(symbol)
        expected["open_time"] = expected["open_time"].dt.as_unit("ms")
        pd.testing.assert_frame_equal(market.bars[columns], expected[columns], check_exact=False, rtol=1e-12)
        assert market.source == "binance"
        history = History.from_raw(market)
        assert history.time[-1] == NOW.floor("h")
        assert np.isfinite(history.frame.iloc[-1][["funding_rate", "open_interest"]].astype(float)).all()
        assert [one["changed"] for one in found[symbol]] == [True, True]
    days = {path.split("/")[-1] for path in world.archive.asked("*1h-2024-06-1*.zip")}
    assert "BTCUSDT-1h-2024-06-17.zip" in days


def test_nothing_new_asks_nobody(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.update()
    world.update()  # the archive's ledger learns to which day the exchange's rows reach
    before = contents(world)
    world.archive.forget()
    world.exchange.asked.clear()
    capsys.readouterr()
    assert world.update(archive=False) == {}
    assert world.exchange.asked == []
    assert capsys.readouterr().out == "nothing new\n"
    assert contents(world) == before
    world.update()  # days of which the archive has no file yet are asked for, and nothing is read
    assert not world.archive.asked("*.zip")
    assert contents(world) == before


def test_an_hour_later_only_that_hour_is_asked_for(world: World) -> None:
    world.update()
    later = NOW + pd.Timedelta(hours=1)
    found = world.update(now=later, archive=False)
    assert found["BTCUSDT"][0]["rows"]["bars_1h"] == 1
    assert len(Store(world.places.store).read("BTCUSDT", "1h").bars) == len(world.bars("BTCUSDT", later))


def test_a_venue_that_refuses_is_one_error_and_the_archive_s_rows_stay(world: World) -> None:
    world.exchange.faults.append(
        Fault("/fapi/", status=451, body='{"code": 0, "msg": "restricted location"}')
    )
    with pytest.raises(BearmodeError) as caught:
        world.update()
    assert caught.value.code == "exchange_restricted"
    history = History.from_raw(Store(world.places.store).read("BTCUSDT", "1h"))
    assert history.time[-1] == pd.Timestamp(PUBLISHED, tz="UTC")
    world.exchange.faults.clear()
    world.update()
    assert History.from_raw(Store(world.places.store).read("BTCUSDT", "1h")).time[-1] == NOW.floor("h")


def test_without_the_archive_the_exchange_still_brings_what_is_new(world: World) -> None:
    world.places = world.places.model_copy(update={"archive_url": "http://127.0.0.1:9"})
    with pytest.raises(BearmodeError) as caught:
        world.update()
    assert caught.value.code == "archive_unreachable"
    assert History.from_raw(Store(world.places.store).read("BTCUSDT", "1h")).time[-1] == NOW.floor("h")


def test_one_symbol_that_fails_leaves_the_others_done(world: World) -> None:
    store = Store(world.places.store)
    state = store.state("ETHUSDT")
    assert state is not None
    broken = next(iter(state.kinds["bars_1h"].partitions.values())).file
    last = list(state.kinds["bars_1h"].partitions.values())[-1].file
    assert broken != last
    (Path(str(store.root)) / "ETHUSDT" / "bars_1h" / last).unlink()
    with pytest.raises(BearmodeError, match="ETHUSDT"):
        world.update()
    assert History.from_raw(store.read("BTCUSDT", "1h")).time[-1] == NOW.floor("h")


def test_a_symbol_that_only_the_exchange_has_is_brought_up_to_date(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.places = world.places.model_copy(update={"store": tmp_path / "new"})
    fetch("exchange", "BTCUSDT", world.places, since="2024-05-01", until="2024-05-20", interval="1d")
    capsys.readouterr()
    found = world.update()  # the archive has no daily bars of it
    assert "BTCUSDT: left to the exchange" in capsys.readouterr().out
    assert found["BTCUSDT"][1]["changed"]
    bars = Store(world.places.store).read("BTCUSDT", "1d").bars
    assert bars["open_time"].iloc[-1] == NOW.floor("D") - pd.Timedelta(days=1)
    with pytest.raises(NothingUsableError, match="no file of 1d bars"):
        update("", world.places, until=NOW.isoformat(), exchange=False, workers=1)


def test_since_is_included_and_until_is_not(world: World, tmp_path: Path) -> None:
    world.places = world.places.model_copy(update={"store": tmp_path / "new"})
    since, until = (pd.Timestamp(day, tz="UTC") for day in ("2024-06-01", "2024-06-05"))
    fetch("exchange", "BTCUSDT", world.places, since=since.isoformat(), until=until.isoformat())
    market = Store(world.places.store).read("BTCUSDT", "1h")
    assert market.funding is not None
    assert market.open_interest is not None
    closes = market.bars["open_time"] + pd.Timedelta(hours=1)
    assert [closes.iloc[0], closes.iloc[-1]] == [since, until - pd.Timedelta(hours=1)]
    for table, step in ((market.funding, 8), (market.open_interest, 1)):
        assert [table["time"].iloc[0], table["time"].iloc[-1]] == [since, until - pd.Timedelta(hours=step)]


def test_what_is_yet_to_come_is_not_asked_for(world: World) -> None:
    before = contents(world)
    with pytest.raises(UsageError, match="in the future"):
        fetch("exchange", "BTCUSDT", world.places, since="2999-01-01")
    assert contents(world) == before
    world.exchange.now = None
    update("BTCUSDT", world.places, until="2999-01-01", exchange=False, workers=1)
    state = Store(world.places.store).state("BTCUSDT")
    assert state is not None
    ends = [entry.end for entries in state.ledger.values() for entry in entries if entry.end is not None]
    assert max(ends) < pd.Timestamp.now(tz="UTC")


def test_what_is_of_no_venue_is_left_alone_by_name(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch("simulated", "SIMBTC", world.places, interval="1d")
    capsys.readouterr()
    assert world.update("SIMBTC") == {}
    assert "SIMBTC: from 'simulated', not brought up to date" in capsys.readouterr().out
    with pytest.raises(NothingUsableError, match="NOSUCH"):
        world.update("NOSUCH")


def contents(world: World) -> dict[str, bytes]:
    root = Path(str(world.places.store))
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
