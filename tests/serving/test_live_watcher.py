"""The steps of live mode with a real model, the simulated market and a clock that the test sets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from live_fixtures import install, make_champion
from small_training import SYMBOLS, Trained

from features.errors import BearmodeError
from features.history import History
from features.raw import RawMarket
from features.regimes import Regime
from features.sources import load_simulated
from features.store import Store
from serving.live.database import LiveStateError
from serving.live.event_log import EventLog, read_events
from serving.live.feeds import FeedJob, FeedResult, open_feed
from serving.live.settings import LiveSettings
from serving.live.state_files import read_board, read_status
from serving.live.watcher import Watcher
from serving.loading import open_live_model
from serving.predictor import Predictor
from serving.settings import ServingSettings

BAR = pd.Timedelta(hours=4)
START = pd.Timestamp("2021-08-01 00:01", tz="UTC")
END = pd.Timestamp("2022-02-01", tz="UTC")


@cache
def markets() -> dict[str, RawMarket]:
    """What the simulated market will have been."""
    return {market.symbol: market for market in load_simulated(list(SYMBOLS), interval="4h", until=END)}


@cache
def whole() -> dict[str, History]:
    """The same, joined."""
    return {name: History.from_raw(market) for name, market in markets().items()}


def known_by(market: RawMarket, moment: pd.Timestamp) -> RawMarket:
    """As much of a market as was known then."""

    def rows(table: pd.DataFrame | None) -> pd.DataFrame | None:
        return None if table is None else table[table["time"] <= moment].reset_index(drop=True)

    bars = market.bars[market.bars["open_time"] + BAR <= moment].reset_index(drop=True)
    return replace(
        market,
        bars=bars,
        funding=rows(market.funding),
        open_interest=rows(market.open_interest),
        positioning=rows(market.positioning),
        fear_greed=rows(market.fear_greed),
    )


def regimes(predictor: Predictor, symbol: str, since: pd.Timestamp, until: pd.Timestamp) -> list[Any]:
    """Close and regime of each bar in a span, both ends included, as the model decides them."""
    history = whole()[symbol]
    first, end = int(history.time.searchsorted(since)), int(history.time.searchsorted(until, side="right"))
    decided = predictor.decided(history.part(0, end), end - first)
    labels = [Regime(int(index)).label for index in decided.decision.regime]
    return [
        pair
        for pair, answered in zip(zip(decided.time, labels, strict=True), decided.answered, strict=True)
        if answered
    ]


def changes(predictor: Predictor, symbol: str, since: pd.Timestamp, until: pd.Timestamp) -> list[Any]:
    """Close, old and new regime of each change in a span."""
    found = regimes(predictor, symbol, since, until)
    return [(after[0], before[1], after[1]) for before, after in pairwise(found) if before[1] != after[1]]


@dataclass
class Feed:
    """An update that is done at once, fails, or hangs."""

    jobs: list[FeedJob] = field(default_factory=list)
    failure: str | None = None
    hangs: bool = False
    ended: int = 0

    def __call__(self, job: FeedJob) -> Feed:
        self.jobs.append(job)
        return self

    def results(self) -> list[FeedResult] | None:
        if self.hangs:
            return None
        job = self.jobs[-1]
        if self.failure is not None:
            return [FeedResult(name, 0, self.failure, "it failed") for name in job.symbols]
        if job.interval != "4h":
            return open_feed("simulated")(job)
        store = Store(job.store)
        with store.writing():
            return [
                FeedResult(name, store.write(known_by(markets()[name], job.moment))) for name in job.symbols
            ]

    def end(self) -> None:
        self.ended += 1


@dataclass
class World:
    """Live mode in a folder, and its clocks."""

    folder: Path
    bundles: Path
    now: pd.Timestamp = START
    mark: float = 1_000.0
    feed: Feed = field(default_factory=Feed)
    opened: list[EventLog] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "live"

    def watcher(self, **options: Any) -> Watcher:
        settings = LiveSettings.load(
            symbols=",".join(SYMBOLS),
            source="simulated",
            state=self.state,
            delay_seconds=30.0,
            jitter_seconds=0.0,
            simulated_from=START.to_pydatetime(),
        )
        log = EventLog(self.state, 1_000)
        self.opened.append(log)
        model = open_live_model(ServingSettings.load(bundles=self.bundles), Predictor.load)
        return Watcher(
            settings,
            Store(self.folder / "data"),
            model,
            log,
            self.feed,
            now=lambda: self.now,
            monotonic=lambda: self.mark,
            reload_seconds=0.0,
            **options,
        )

    def passes(self, watcher: Watcher, span: pd.Timedelta, steps: int = 3) -> None:
        """Let time go by, then step."""
        self.now += span
        self.mark += span.total_seconds()
        for _ in range(steps):
            watcher.step()
            self.mark += 0.25
            self.now += pd.Timedelta(seconds=0.25)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """All events, oldest first."""
        found = [json.loads(event.data) for event in read_events(self.state, 0)[0]]
        return [one for one in found if kind in {None, one["type"]}]

    def status(self) -> dict[str, Any]:
        content = read_status(self.state)
        assert content is not None
        return content


@pytest.fixture
def world(trained: Trained, tmp_path: Path) -> Iterator[World]:
    bundles = tmp_path / "bundles"
    make_champion(bundles, install(trained.bundle, bundles))
    found = World(tmp_path, bundles)
    yield found
    for log in found.opened:
        log.close()


@pytest.fixture
def other(trained: Trained) -> Path:
    """Another bundle."""
    return sorted(trained.bundle.with_name(f"{trained.bundle.name}.walk-forward").iterdir())[0]


def test_each_change_of_regime_is_told_once_in_order_and_kept_over_restarts(
    world: World, predictor: Predictor
) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    assert world.events("regime_change") == []
    begun = world.now.floor(BAR)
    # Bar by bar, then a pause of weeks with a restart: nothing is left out, nothing told twice.
    for _ in range(4):
        world.passes(watcher, BAR)
    world.passes(watcher, pd.Timedelta(days=30))
    for _ in range(2):
        watcher = world.watcher()
        world.passes(watcher, pd.Timedelta(days=45))
    ended = world.now.floor(BAR)
    found = world.events("regime_change")
    assert len(found) >= 2
    for symbol in SYMBOLS:
        told = [one for one in found if one["symbol"] == symbol]
        expected = changes(predictor, symbol, begun, ended)
        assert [(pd.Timestamp(one["as_of"]), one["from"], one["to"]) for one in told] == expected
    assert {one["cause"] for one in found} == {"market"}
    assert [one["id"] for one in found] == sorted({one["id"] for one in found})
    assert all(one["late"] == (pd.Timestamp(one["as_of"]) < ended) for one in found[-1:])
    assert {"probabilities", "advice", "degraded", "model_version", "disclaimer", "at"} <= set(found[0])


def test_the_board_is_what_the_model_says_of_the_newest_bar(world: World, predictor: Predictor) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    world.passes(watcher, BAR)
    board = read_board(world.state)
    assert board is not None
    assert board["model_version"] == predictor.version
    for row in board["rows"]:
        history = whole()[row["symbol"]]
        end = int(history.time.searchsorted(world.now.floor(BAR)))
        right = predictor.answer(
            replace(history.window(end, predictor.manifest.window_bars), source="simulated"),
            as_of=history.time[end],
        )
        assert row["answer"] == right.model_dump(mode="json")
    status = world.status()
    assert [one["stale"] for one in status["symbols"]] == [False, False]
    assert (status["interval"], status["model_version"], status["trouble"]) == ("4h", predictor.version, [])


def test_a_source_is_asked_once_a_bar_and_again_where_it_failed(world: World) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    for _ in range(3):
        world.passes(watcher, BAR, steps=6)
    assert len(world.feed.jobs) == 4
    assert {job.symbols for job in world.feed.jobs} == {SYMBOLS}
    world.feed.failure = "exchange_unreachable"
    world.passes(watcher, BAR)
    world.passes(watcher, pd.Timedelta(seconds=20))
    assert len(world.feed.jobs) == 6


def test_a_source_that_fails_makes_the_answer_stale_by_name_and_not_wrong(
    world: World, predictor: Predictor
) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    before = read_board(world.state)
    world.feed.failure = "exchange_unreachable"
    world.passes(watcher, 1.5 * BAR)
    (first, second) = world.events("data_stale")
    assert {first["symbol"], second["symbol"]} == set(SYMBOLS)
    assert first["degraded"] == ["data_late", "exchange_unreachable"]
    row = world.status()["symbols"][0]
    assert (row["source_error"]["code"], row["regime"] is None) == ("exchange_unreachable", False)
    after = read_board(world.state)
    assert before is not None
    assert after is not None
    assert [one["answer"] for one in after["rows"]] == [one["answer"] for one in before["rows"]]
    # A restart does not tell it again; the recovery is told.
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    assert len(world.events("data_stale")) == 2
    world.feed.failure = None
    world.passes(watcher, BAR)
    assert len(world.events("data_fresh")) == 2
    assert world.status()["symbols"][0]["source_error"] is None


def test_a_source_that_hangs_stops_no_sign_of_life(world: World) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    world.feed.hangs = True
    beats = set()
    for _ in range(4):
        world.passes(watcher, BAR, steps=1)
        beats.add(world.status()["clock"])
        assert world.status()["updating"]
    assert len(beats) == 4
    assert len(world.events("data_stale")) == 2
    watcher.end()
    assert world.feed.ended == 1


def test_a_new_model_is_told_and_its_changes_are_its_own(
    world: World, predictor: Predictor, other: Path
) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(days=20))
    new = install(other, world.bundles)
    make_champion(world.bundles, new)
    world.passes(watcher, pd.Timedelta(seconds=60))
    (told,) = world.events("model_changed")
    assert (told["from"], told["to"], told["symbol"]) == (predictor.version, new.version, None)
    close = world.now.floor(BAR)
    for symbol in SYMBOLS:
        ((_, old_regime),) = regimes(predictor, symbol, close, close)
        ((_, new_regime),) = regimes(new, symbol, close, close)
        by_model = [
            (one["from"], one["to"])
            for one in world.events("regime_change")
            if one["symbol"] == symbol and one["cause"] == "model"
        ]
        assert by_model == ([] if old_regime == new_regime else [(old_regime, new_regime)])


@pytest.mark.parametrize("days", [-40, 40])
def test_a_clock_that_jumps_is_noticed_and_survived(world: World, days: int) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    asked = len(world.feed.jobs)
    world.now += pd.Timedelta(days=days)
    world.passes(watcher, pd.Timedelta(seconds=1))
    status = world.status()
    assert status["clock_jump"]["seconds"] == pytest.approx(days * 86_400, abs=1)
    assert len(world.feed.jobs) == asked + 1
    assert [one["error"] for one in status["symbols"]] == [None, None]
    degraded = {name for one in status["symbols"] for name in one["degraded"]}
    assert degraded == ({"data_ahead"} if days < 0 else set())
    if days < 0:
        assert world.events("regime_change") == []
        world.now -= pd.Timedelta(days=days)
        world.passes(watcher, pd.Timedelta(seconds=1))
        assert [one["degraded"] for one in world.status()["symbols"]] == [[], []]


def test_without_a_model_the_store_is_kept_and_the_board_says_why(tmp_path: Path) -> None:
    world = World(tmp_path, tmp_path / "bundles")
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    status = world.status()
    assert {one["error"]["code"] for one in status["symbols"]} == {"no_champion"}
    assert status["interval"] == "1h"
    assert Store(tmp_path / "data").symbols("1h") == sorted(SYMBOLS)
    world.opened[0].close()


def test_a_change_that_cannot_be_written_down_is_told_later(
    world: World, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    first = changes(predictor, SYMBOLS[0], world.now.floor(BAR), END)[0][0]
    write = EventLog.write

    def full(*_: Any, **__: Any) -> list[int]:
        raise LiveStateError("no space left on device")

    monkeypatch.setattr(EventLog, "write", full)
    world.passes(watcher, first - world.now + pd.Timedelta(minutes=2))
    assert world.events("regime_change") == []
    assert world.status()["trouble"] == ["no space left on device"]
    assert world.status()["state"] == "degraded"
    monkeypatch.setattr(EventLog, "write", write)
    world.passes(watcher, pd.Timedelta(seconds=30))
    told = [one for one in world.events("regime_change") if one["symbol"] == SYMBOLS[0]]
    assert [pd.Timestamp(one["as_of"]) for one in told] == [first]
    assert world.status()["trouble"] == []


def test_a_store_that_is_gone_is_named_and_filled_again(world: World) -> None:
    watcher = world.watcher()
    world.passes(watcher, pd.Timedelta(0))
    shutil.rmtree(world.folder / "data")
    world.feed.failure = "store_unreachable"
    world.passes(watcher, BAR)
    row = world.status()["symbols"][0]
    assert row["error"]["code"] == "nothing_usable"
    assert row["newest_close"] is not None
    assert row["regime"] is None
    world.feed.failure = None
    world.passes(watcher, BAR)
    assert world.status()["symbols"][0]["error"] is None


def test_one_symbol_that_fails_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = world.watcher()
    read: Callable[..., Any] = Store.read

    def broken(self: Store, symbol: str, *rest: Any, **options: Any) -> Any:
        if symbol == SYMBOLS[0]:
            raise BearmodeError("its table is damaged", code="damaged_store")
        return read(self, symbol, *rest, **options)

    monkeypatch.setattr(Store, "read", broken)
    world.passes(watcher, pd.Timedelta(0))
    first, second = world.status()["symbols"]
    assert first["error"]["code"] == "damaged_store"
    assert (second["error"], second["regime"] is None) == (None, False)
