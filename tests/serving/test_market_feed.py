"""What a worker keeps of the live store: computed once for each change, never for longer."""

from __future__ import annotations

import asyncio
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_training import Trained, small_markets

from features.errors import BearmodeError
from features.history import History
from features.store import Store
from serving.live_model import LiveModel
from serving.market_feed import MarketFeed
from serving.market_view import MarketView, Newest
from serving.predictor import Predictor
from serving.replayed_bars import ReplayedChunks
from serving.store_stamps import StoreStamps
from serving.store_windows import StoreWindows

NOW = pd.Timestamp("2023-03-15 01:00", tz="UTC")


@pytest.fixture
def store(tmp_path: Path, trained: Trained) -> Store:
    shutil.copytree(trained.places.store, tmp_path / "data")
    return Store(tmp_path / "data")


@pytest.fixture
def live(predictor: Predictor, tmp_path: Path) -> LiveModel:
    found = LiveModel(lambda: predictor, watched=tmp_path / "champion.json")
    found.refresh()
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Symbols of each computation."""
    seen: list[list[str]] = []
    real = MarketView.newest

    def newest(self: MarketView, symbols: list[str]) -> Any:
        seen.append(list(symbols))
        return real(self, symbols)

    monkeypatch.setattr(MarketView, "newest", newest)
    return seen


def test_it_computes_once_for_each_change(store: Store, live: LiveModel, asked: list[list[str]]) -> None:
    told: list[Newest] = []

    async def ask() -> None:
        feed = MarketFeed(store, live, now=lambda: NOW)
        feed.observe(told.append)
        answers = await asyncio.gather(*(feed.answer("SIMBTC") for _ in range(9)))
        assert len({one.content for one in answers}) == 1
        assert (answers[0].age, answers[0].state) == (5 * 3600, "late")
        await feed.signals("SIMBTC")
        board = await feed.board()
        assert asked == [["SIMBTC"], ["SIMETH"]]
        assert (await feed.board()).tag == board.tag
        _, market = small_markets()
        bars = market.bars
        last = bars.iloc[[-1]].assign(open_time=bars["open_time"].iloc[-1] + pd.Timedelta(hours=4))
        with store.writing():
            store.write(replace(market, bars=pd.concat([bars, last], ignore_index=True)))
        assert (await feed.board()).tag != board.tag
        assert asked == [["SIMBTC"], ["SIMETH"], ["SIMETH"]]
        feed.close()

    asyncio.run(ask())
    assert [one.answer.symbol for one in told] == ["SIMBTC", "SIMETH", "SIMETH"]


def test_a_new_model_answers_at_once(
    store: Store, live: LiveModel, predictor: Predictor, asked: list[list[str]]
) -> None:
    async def ask() -> None:
        feed = MarketFeed(store, live, now=lambda: NOW)
        await feed.answer("SIMBTC")
        live.predictor = Predictor(predictor.bundle)
        await feed.answer("SIMBTC")
        live.predictor = None
        with pytest.raises(BearmodeError) as refused:
            await feed.answer("SIMBTC")
        assert refused.value.code == "not_ready"
        feed.close()

    asyncio.run(ask())
    assert len(asked) == 2


def test_who_gives_up_does_not_stop_the_others(
    store: Store, live: LiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    real = MarketView.chart

    def chart(self: MarketView, *given: Any) -> Any:
        entered.set()
        go_on.wait(20)
        return real(self, *given)

    monkeypatch.setattr(MarketView, "chart", chart)

    async def ask() -> None:
        feed = MarketFeed(store, live, now=lambda: NOW)
        first = asyncio.create_task(feed.chart("SIMBTC", None, None, "1d"))
        assert await asyncio.to_thread(entered.wait, 20)
        second = asyncio.create_task(feed.chart("SIMBTC", None, None, "1d"))
        first.cancel()
        await feed.answer("SIMBTC")  # a chart that takes its time holds nobody up
        go_on.set()
        assert (await second).content.startswith(b'{"symbol":"SIMBTC"')
        with pytest.raises(asyncio.CancelledError):
            await first
        feed.close()

    asyncio.run(ask())


def test_a_symbol_that_cannot_be_read_stops_no_other(store: Store, live: LiveModel) -> None:
    for part in (Path(str(store)) / "SIMETH" / "bars_4h").iterdir():
        part.write_bytes(b"no parquet")

    async def ask() -> bytes:
        feed = MarketFeed(store, live, now=lambda: NOW)
        board = await feed.board()
        with pytest.raises(BearmodeError) as damaged:
            await feed.answer("SIMETH")
        assert damaged.value.status == 503
        assert str(store) not in damaged.value.message
        feed.close()
        return board.content

    content = asyncio.run(ask())
    assert b'"symbol":"SIMBTC","as_of":"2023' in content
    assert b'"error":{"code":"damaged_store"' in content


def test_windows_read_from_their_end_are_those_of_the_whole(store: Store) -> None:
    windows = StoreWindows(store, "4h", ("SIMBTC", "SIMETH"))
    for one in windows.last(["SIMBTC", "SIMETH"], 300):
        whole = History.from_raw(store.read(one.symbol, "4h"))
        assert one.result is not None
        pd.testing.assert_frame_equal(one.result.frame, whole.frame.iloc[-300:], check_freq=False)
        other = {"SIMBTC": "SIMETH", "SIMETH": "SIMBTC"}[one.symbol]
        closes = History.from_raw(store.read(other, "4h")).column("close")[-300:]
        np.testing.assert_array_equal(one.result.context[other], closes)
    read = store.read("SIMBTC", "4h", pd.Timestamp("2023-03-01", tz="UTC"))
    assert len(read.bars) < len(store.read("SIMBTC", "4h").bars) / 2
    assert read.bars["open_time"].iloc[0] <= pd.Timestamp("2023-03-01", tz="UTC")


def test_chunks_are_kept_until_what_they_came_from_changes(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History.from_raw(small_markets()[1])
    computed: list[int] = []
    real = Predictor.decided

    def decided(self: Predictor, part: History, count: int) -> Any:
        computed.append(count)
        return real(self, part, count)

    monkeypatch.setattr(Predictor, "decided", decided)
    chunks = ReplayedChunks(predictor)
    since = history.time[-2_000]
    first = chunks.bars(history, since)
    assert len(first.regime) == 2_000
    assert len(computed) >= 2
    before = len(computed)
    again = chunks.bars(history.part(0, len(history) - 1), since)
    np.testing.assert_array_equal(again.regime, first.regime[:-1])
    np.testing.assert_array_equal(again.probabilities, first.probabilities[:-1])
    assert len(computed) == before + 1
    changed = history.frame.copy()
    changed["volume"] = np.append(changed["volume"].to_numpy()[:-1], 1.0)
    chunks.bars(replace(history, frame=changed), since)
    assert len(computed) == before + 2


def test_stamps_follow_the_store(store: Store) -> None:
    stamps = StoreStamps(store)
    first, both = stamps.of(["SIMBTC"]), stamps.of_all()
    assert stamps.of(["SIMBTC"]) == first
    assert stamps.of(["NOPE"]) == (None, None)
    (Path(str(store)) / "NEWUSDT").mkdir()
    assert stamps.of_all() != both
    assert stamps.of(["SIMBTC"]) == first


def test_a_remote_store_is_not_asked_each_time() -> None:
    seconds = [0.0]
    remote = Store("memory://stamps")
    stamps = StoreStamps(remote, clock=lambda: seconds[0])
    assert not stamps.is_local
    before = stamps.of(["SIMBTC"])
    remote.folder.put("SIMBTC/manifest.json", b"{}")
    assert stamps.of(["SIMBTC"]) == before
    seconds[0] = 6.0
    assert stamps.of(["SIMBTC"]) != before


def test_a_model_that_answers_no_more_is_let_go_though_nobody_asks(
    trained: Trained, predictor: Predictor, store: Store, tmp_path: Path
) -> None:
    pointer = tmp_path / "champion.json"
    loads = iter([predictor, Predictor.load(trained.bundle)])
    live = LiveModel(lambda: next(loads), watched=pointer)
    live.refresh()
    feed = MarketFeed(store, live, now=lambda: NOW)
    asyncio.run(feed.answer("SIMBTC"))

    def answering() -> Predictor | None:
        return None if feed._view is None else feed._view.predictor

    assert answering() is predictor
    pointer.write_text("new")
    live.refresh()
    assert answering() is None
    asyncio.run(feed.answer("SIMBTC"))
    assert answering() is live.predictor is not predictor
    feed.close()
