"""Processes of live mode: updates that hang or die, and the supervisor of the whole."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import psutil
import pytest

from features.store import Store
from serving.live import feeds, supervisor
from serving.live.feed_process import FeedProcess
from serving.live.feeds import FeedJob, FeedResult, open_feed
from serving.live.state_files import STATUS
from serving.live.supervisor import Supervisor

MARCH = 1_614_556_800_000
"""2021-03-01, Unix milliseconds."""


def job(store: Path, until: int = MARCH, source: str = "simulated", **changes: str) -> FeedJob:
    symbols = changes.pop("symbols", "SIMBTC,SIMETH").split(",")
    return FeedJob(source, tuple(symbols), "4h", str(store), until, **changes)


def finished(process: FeedProcess, seconds: float = 60.0) -> list[FeedResult]:
    deadline = time.monotonic() + seconds
    while (found := process.results()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def script(text: str) -> Callable[[Path, Path], list[str]]:
    return lambda job_file, result: [sys.executable, "-c", text, str(job_file), str(result)]


# --- what an update does -------------------------------------------------------------------------


def test_the_simulated_market_grows_with_its_clock(tmp_path: Path) -> None:
    feed = open_feed("simulated")
    first = feed(job(tmp_path))
    assert [(one.symbol, one.code) for one in first] == [("SIMBTC", None), ("SIMETH", None)]
    assert first[0].rows == 59 * 6
    assert [one.rows for one in feed(job(tmp_path))] == [0, 0]
    later = feed(job(tmp_path, MARCH + 9 * 3_600_000))
    assert [one.rows for one in later] == [2, 2]
    bars = Store(tmp_path).table("SIMBTC", "bars_4h")
    assert bars is not None
    assert len(bars) == 59 * 6 + 2
    # What was added bar by bar is what would have come at once.
    whole = tmp_path / "whole"
    feed(job(whole, MARCH + 9 * 3_600_000))
    again = Store(whole).table("SIMBTC", "bars_4h")
    assert again is not None
    assert bars.equals(again)


def test_files_are_read_again_and_a_missing_one_is_its_own_failure(tmp_path: Path) -> None:
    folder, store = tmp_path / "files", tmp_path / "store"
    open_feed("simulated")(job(tmp_path / "made"))
    table = Store(tmp_path / "made").table("SIMBTC", "bars_4h")
    assert table is not None
    (folder / "AAUSDT").mkdir(parents=True)
    names = ["open_time", "open", "high", "low", "close", "volume"]
    table[names].head(100).to_csv(folder / "AAUSDT" / "bars_4h.csv", index=False)
    asked = job(store, source="files", symbols="AAUSDT,BBUSDT", path=str(folder))
    found = {one.symbol: one for one in open_feed("files")(asked)}
    assert (found["AAUSDT"].rows, found["AAUSDT"].code) == (100, None)
    assert found["BBUSDT"].code is not None
    table[names].head(103).to_csv(folder / "AAUSDT" / "bars_4h.csv", index=False)
    found = {one.symbol: one for one in open_feed("files")(asked)}
    assert found["AAUSDT"].rows == 3


def test_a_locked_store_is_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LOCK_SECONDS", 0.3)
    tmp_path.joinpath("store").mkdir()
    with filelock.FileLock(tmp_path / "store" / ".lock"):
        found = open_feed("simulated")(job(tmp_path / "store"))
    assert [one.code for one in found] == ["locked", "locked"]
    assert [one.code for one in open_feed("simulated")(job(tmp_path / "store"))] == [None, None]


def test_rows_of_another_venue_are_not_mixed(tmp_path: Path) -> None:
    open_feed("simulated")(job(tmp_path))
    dead = "http://127.0.0.1:1"
    found = open_feed("exchange")(job(tmp_path, source="exchange", url=dead))
    assert [one.code for one in found] == ["mixed_sources", "mixed_sources"]


# --- an update in its own process ------------------------------------------------------------------


def test_an_update_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    with FeedProcess(job(tmp_path), 60) as running:
        assert [(one.symbol, one.rows) for one in finished(running)] == [("SIMBTC", 354), ("SIMETH", 354)]


def test_one_that_hangs_is_ended_and_named(tmp_path: Path) -> None:
    text = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); time.sleep(600)"
    with FeedProcess(job(tmp_path), 0.3, command=script(text)) as running:
        found = finished(running, 20)
    assert [(one.symbol, one.code) for one in found] == [
        ("SIMBTC", "source_timeout"),
        ("SIMETH", "source_timeout"),
    ]
    assert not [one for one in psutil.Process().children() if "time.sleep(600)" in " ".join(one.cmdline())]


@pytest.mark.parametrize(
    "text",
    [
        "import os; os._exit(3)",
        "import sys; open(sys.argv[2], 'w').write('{')",
        "import sys; open(sys.argv[2], 'w').write('[{\"symbol\": 1}]')",
    ],
)
def test_one_that_dies_or_writes_nonsense_is_named(tmp_path: Path, text: str) -> None:
    with FeedProcess(job(tmp_path), 60, command=script(text)) as running:
        assert [one.code for one in finished(running)] == ["update_died", "update_died"]


# --- the supervisor --------------------------------------------------------------------------------


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def supervised(tmp_path: Path, text: str, clock: Clock) -> tuple[Supervisor, list[str]]:
    said: list[str] = []
    command = [sys.executable, "-c", text, str(tmp_path)]
    return Supervisor(tmp_path, os.environ, said.append, command=command, monotonic=clock), said


def until(found: Callable[[], bool], look: Callable[[], None]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        look()
        time.sleep(0.02)


def test_a_child_that_ends_is_started_again_later_each_time(tmp_path: Path) -> None:
    clock = Clock()
    beside, said = supervised(tmp_path, "import sys; sys.exit(7)", clock)
    waits = []
    for number in range(1, 9):
        until(lambda number=number: beside.restarts == number, beside.look)  # type: ignore[misc]
        before = clock.now
        beside.look()
        assert beside.restarts == number
        while beside._child is None:
            clock.now += 0.5
            beside.look()
        waits.append(clock.now - before)
    beside.end()
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "ended with status 7" in said[0]


def test_one_that_gives_no_sign_of_life_is_killed(tmp_path: Path) -> None:
    clock = Clock()
    text = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path(sys.argv[1], {STATUS!r}).write_text('x'); time.sleep(600)"
    )
    beside, said = supervised(tmp_path, text, clock)
    until((tmp_path / STATUS).is_file, beside.look)
    child = beside._child
    assert child is not None
    clock.now += 50
    beside.look()
    (tmp_path / STATUS).write_text("alive")
    clock.now += 50
    beside.look()
    assert child.poll() is None
    clock.now += supervisor.SILENT_SECONDS + 1
    beside.look()
    assert child.poll() == -9
    assert "no sign of life" in said[0]
    beside.end()


def test_the_end_takes_the_children_of_the_child(tmp_path: Path) -> None:
    text = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1], 'pid').write_text(str(child.pid)); time.sleep(600)"
    )
    beside, _ = supervised(tmp_path, text, Clock())
    until(lambda: (tmp_path / "pid").is_file() and bool((tmp_path / "pid").read_text()), beside.look)
    grandchild = psutil.Process(int((tmp_path / "pid").read_text()))
    beside.end()
    until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE, lambda: None)
    beside.look()
    assert beside._child is None


def test_results_survive_their_way_through_json() -> None:
    one = FeedResult("AA", 3, "locked", "x")
    assert FeedResult.from_dict(json.loads(json.dumps(one.__dict__))) == one
