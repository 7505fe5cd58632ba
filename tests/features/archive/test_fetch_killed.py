"""Kill -9 at any moment: the store stays whole, and the next run ends with the bytes of a quiet one."""

from __future__ import annotations

import multiprocessing
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import psutil
import pytest
from archive_world import LONG, command, disagreements, fetch, small_archive, store_hashes

from benchmarks.archive_files import archive_path, period_span
from benchmarks.faulty_server import FaultyServer, Rule, serving
from benchmarks.simulated_archive import SimulatedArchive
from features.store import Store

SINCE, UNTIL = "2024-01-02", "2024-03-01"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
ROUNDS = [2, 2] if not LONG else [2] * 23
"""Kills in a row of each round before a run that is left to end; one round with workers comes on top."""

SLOW = (Rule("slow", "*", 0.015),)
"""Spreads the downloads over the time that a commit takes."""


World = tuple[SimulatedArchive, FaultyServer, Path]
Start = Callable[..., BaseProcess]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An archive, its server, and the store of an uninterrupted run of each symbol."""
    root = tmp_path_factory.mktemp("killed")
    archive = small_archive(root / "archive", SYMBOLS)
    with serving(archive.folder) as server:
        ended = fetch(
            server.url, ",".join(SYMBOLS), root / "store", "--workers", "1", since=SINCE, until=UNTIL
        )
        assert ended.code == 0, ended.err
        server.spoil(*SLOW)
        yield archive, server, root / "store"


def arguments(url: str, symbols: str, store: Path) -> list[str]:
    return [
        *("fetch", "--source", "archive", "--archive-url", url, "--symbols", symbols),
        *("--since", SINCE, "--until", UNTIL, "--store", str(store)),
    ]


def run_command(line: list[str], most_bytes: int = 0, words: Path | None = None) -> None:
    """In a process of its own, to be killed, or to be given a disk that takes no file above a size."""
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    ended = command(*line)
    if words is not None:
        words.write_text(ended.err)
    sys.exit(ended.code)


@pytest.fixture(scope="module")
def start() -> Start:
    """Start the command line in a fresh process, forked from one that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_fetch_killed", "training.data.fetch", "features.sources.archive"])

    def started(line: list[str], *more: object) -> BaseProcess:
        process = context.Process(target=run_command, args=(line, *more))
        process.start()
        return process

    started(["--help"]).join()
    return started


def at_a_random_moment(draw: random.Random, server: FaultyServer, store: Path) -> Callable[[], bool]:
    """Whether the moment to kill has come: requests made, files in the store, or time gone by."""
    kind = draw.choice(["requests", "requests", "files", "time"])
    if kind == "requests":
        before, count = len(server.log()), draw.randint(1, 30)
        return lambda: len(server.log()) >= before + count
    if kind == "files":
        # Written files and temporary ones: this is in the middle of a commit.
        held, more = len(list(store.rglob("*"))), draw.randint(1, 12)
        return lambda: len(list(store.rglob("*"))) >= held + more
    until = time.monotonic() + draw.uniform(0.01, 0.6)
    return lambda: time.monotonic() >= until


def kill_when(process: BaseProcess, come: Callable[[], bool], pause: float) -> bool:
    """Kill -9 once the moment has come; False if the process ended before."""
    while process.is_alive() and not come():
        time.sleep(0.001)
    time.sleep(pause)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def kept_files(archive: SimulatedArchive, store: Path, symbol: str) -> set[str]:
    """Paths of the zips that a run need not download again: committed, or complete among the downloads."""
    state = Store(store).state(symbol)
    found = set()
    if state is not None:
        for name, file in state.files.items():
            dataset, _, period = name.partition("/")
            if file.status == "read":
                found.add(archive_path(symbol, dataset.removesuffix("-1h"), period))
    downloads = Store(store).downloads
    complete = [path.name for path in downloads.rglob("*") if path.is_file() and path.suffix != ".part"]
    for path in archive.files[symbol]:
        stem = path.rpartition("/")[2].removesuffix(".zip")
        if any(stem in name and not name.endswith(".part") for name in complete):
            found.add(path)
    return found


def assert_whole(archive: SimulatedArchive, store: Path, symbol: str) -> None:
    """Each file that the store says it has read is in to the last row, and no row is of any other."""
    state = Store(store).state(symbol)
    if state is None or "bars_1h" not in state.kinds:
        return
    held = Store(store).read(symbol, "1h")
    truth = archive.truth(symbol, SINCE, UNTIL)
    wrong = disagreements(held, truth, SINCE, UNTIL)
    assert not [line for line in wrong if "too many" in line or "differ" in line], wrong
    read = {name for name, file in state.files.items() if file.status == "read"}
    spans = {
        "klines": (list(held.bars["open_time"]), list(truth.bars["open_time"]), "klines-1h"),
        "fundingRate": (_time(held.funding), _time(truth.funding), "fundingRate"),
        "metrics": (_time(held.open_interest), _time(truth.open_interest), "metrics"),
    }
    for path, (dataset, period) in archive.files[symbol].items():
        there, right, name = spans[dataset]
        first, after = period_span(period)
        count, due = (sum(first <= stamp < after for stamp in stamps) for stamps in (there, right))
        assert count == (due if f"{name}/{period}" in read else 0), (path, count, due)


def _time(table: pd.DataFrame | None) -> list[pd.Timestamp]:
    return [] if table is None else list(table["time"])


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    world: World, start: Start, tmp_path: Path, number: int
) -> None:
    archive, server, clean = world
    symbol, store = "BTCUSDT", tmp_path / "store"
    line = arguments(server.url, symbol, store)
    draw, kills = random.Random(number), 0
    for _ in range(ROUNDS[number]):
        kept = kept_files(archive, store, symbol)
        server.forget()
        process = start(line)
        pause = draw.choice([0, 0, 0.01, 0.05])
        kills += kill_when(process, at_a_random_moment(draw, server, store), pause)
        again = kept & {path.lstrip("/") for path in server.asked()}
        assert not again, "downloaded although it was there"
        assert_whole(archive, store, symbol)
    assert kills, "every run had ended before it was to be killed"
    kept = kept_files(archive, store, symbol)
    server.forget()
    process = start(line)
    process.join()
    assert process.exitcode == 0
    assert not kept & {path.lstrip("/") for path in server.asked()}
    assert_whole(archive, store, symbol)
    quiet = {path: sha for path, sha in store_hashes(clean).items() if path.startswith(symbol)}
    assert {path: sha for path, sha in store_hashes(store).items() if path.startswith(symbol)} == quiet
    assert not [path for path in Store(store).downloads.rglob("*") if path.is_file()]


@pytest.mark.parametrize("most_bytes", [1_000, 9_000, 30_000])
def test_a_disk_that_is_full_is_one_line_and_the_next_run_goes_on(
    world: World, start: Start, tmp_path: Path, most_bytes: int
) -> None:
    archive, server, clean = world
    store, words = tmp_path / "store", tmp_path / "words"
    line = arguments(server.url, "BTCUSDT", store)
    process = start(line, most_bytes, words)
    process.join()
    assert process.exitcode == 1
    (said,) = [one for one in words.read_text().splitlines() if one.startswith("bearmode:")]
    assert "full" in said or "space" in said
    assert "internal error" not in said
    assert_whole(archive, store, "BTCUSDT")
    assert not list(store.rglob("*.part*"))
    process = start(line)
    process.join()
    assert process.exitcode == 0
    quiet = {path: sha for path, sha in store_hashes(clean).items() if path.startswith("BTCUSDT")}
    assert store_hashes(store) == quiet


def test_killed_with_workers_the_next_run_ends_with_the_same_bytes(world: World, tmp_path: Path) -> None:
    """Only the first process is killed; the workers that it leaves must not write into the next run."""
    archive, server, clean = world
    store = tmp_path / "store"
    line = [sys.executable, "-m", "bearmode", *arguments(server.url, ",".join(SYMBOLS), store)]
    root = Path(__file__).resolve().parents[3]
    draw = random.Random(99)
    for _ in range(1 if not LONG else 4):
        server.forget()
        process = subprocess.Popen(line, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        workers: list[psutil.Process] = []
        enough = draw.randint(3, 40)
        while process.poll() is None and len(server.log()) < enough:
            time.sleep(0.002)
        if process.poll() is None:
            workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for symbol in Store(store).symbols("1h"):
            assert_whole(archive, store, symbol)
        ended = command(*line[3:], "--workers", "1")
        assert ended.code == 0, ended.err
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive, "workers outlive the run that started them"
    assert store_hashes(store) == store_hashes(clean)
