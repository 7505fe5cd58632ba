"""Work on many symbols on a Dask cluster: scheduler and workers are real processes on loopback."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import symbol_work as work
from dask_cluster import Cluster, cluster
from histories import raw_market

from features.build import build_features
from features.errors import BearmodeError, DataError, UsageError
from features.parallel import symbol_cluster
from features.parallel.symbol_tasks import each_symbol
from features.store import Store

NAMES = [f"SYM{number}" for number in range(9)]


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("dask"), allowed_failures=1) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_logged(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def test_the_outcomes_are_those_of_this_machine_to_the_last_bit(dask: Cluster) -> None:
    task = partial(work.numbers, size=100_000)
    assert list(each_symbol(task, NAMES, scheduler=dask.address)) == list(each_symbol(task, NAMES, workers=1))


def test_the_feature_table_is_the_same_file(dask: Cluster, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.writing():
        for seed, name in enumerate(("AAAUSDT", "BBBUSDT", "CCCUSDT")):
            store.write(replace(raw_market(250, "1d", seed=seed), symbol=name))
    there, here = tmp_path / "there.parquet", tmp_path / "here.parquet"
    given: dict[str, Any] = {"store": tmp_path / "store", "interval": "1d", "labels": True}
    assert build_features(out=there, scheduler=dask.address, **given).rows == 3 * 250
    build_features(out=here, workers=1, **given)
    assert there.read_bytes() == here.read_bytes()


def test_both_workers_work_and_this_process_does_not(dask: Cluster) -> None:
    dask.wait_for(2)
    found = list(each_symbol(work.name_and_process, NAMES, scheduler=dask.address))
    assert [outcome.result and outcome.result[0] for outcome in found] == NAMES
    assert {outcome.result[1] for outcome in found if outcome.result} == {one.pid for one in dask.workers}


def test_a_failure_is_an_outcome_and_progress_ends(dask: Cluster) -> None:
    told: list[tuple[str, int, int]] = []
    names = ["AAA", "DATA1", "BUG1"]
    found = list(each_symbol(work.fail, names, scheduler=dask.address, tell=lambda *step: told.append(step)))
    assert [outcome.result for outcome in found] == ["AAA", None, None]
    assert type(found[1].error) is DataError
    assert vars(found[1].error) == vars(
        DataError("close[3] is -1", code="bad_price", field="close[3]", hint="mend it")
    )
    assert found[2].error is not None
    assert found[2].error.message == "BUG1: ZeroDivisionError: of course"
    assert told == [(name, 1, 1) for name in names]


def test_steps_come_from_the_workers(dask: Cluster) -> None:
    told: list[tuple[str, int, int]] = []
    names = NAMES[:3]
    list(each_symbol(work.tell_much, names, scheduler=dask.address, tell=lambda *step: told.append(step)))
    for name in names:
        steps = [(done, total) for symbol, done, total in told if symbol == name]
        assert steps[-1] == (100_000, 100_000)
        assert len(steps) < 100
    assert len(told) > len(names), "at least one step on the way was heard"


def test_a_result_that_cannot_be_read_is_that_symbols_error(dask: Cluster) -> None:
    (outcome,) = each_symbol(work.give_what_cannot_be_read, ["AAA"], scheduler=dask.address)
    assert outcome.error is not None
    assert outcome.error.message.startswith("AAA: ValueError: invalid literal")


def test_leaving_early_waits_for_what_was_begun_and_begins_no_more(
    dask: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Semaphore(0)
    ask = symbol_cluster._asker()

    def asker() -> Callable[[str], int]:
        asked.release()
        return ask

    monkeypatch.setattr(symbol_cluster, "_asker", asker)

    def strike() -> None:
        work.wait_until(lambda: len(list(tmp_path.glob("*.pids"))) == 2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        for _ in range(2):  # the second time, the first was answered
            asked.acquire(timeout=10)
        (tmp_path / "go").touch()

    thread = threading.Thread(target=strike)
    task = partial(work.die_when_told, folder=tmp_path)
    with closing(each_symbol(task, NAMES, scheduler=dask.address)) as outcomes:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            next(outcomes)
    begun = {path.stem for path in tmp_path.glob("*.pids")}
    assert len(begun) == 2
    assert {path.stem for path in tmp_path.glob("*.done")} == begun
    thread.join()


def test_a_killed_worker_costs_only_its_symbols(dask: Cluster, tmp_path: Path) -> None:
    killed: list[int] = []

    def strike() -> None:
        begun = tmp_path / "SYM0.pids"
        work.wait_until(lambda: len(list(tmp_path.glob("*.pids"))) == 2 and begun.read_text())
        killed.append(int(begun.read_text()))
        os.kill(killed[0], signal.SIGKILL)
        (tmp_path / "go").touch()

    thread = threading.Thread(target=strike)
    thread.start()
    task = partial(work.die_when_told, folder=tmp_path)
    found = list(each_symbol(task, NAMES, scheduler=dask.address))
    thread.join()
    assert [outcome.result for outcome in found] == NAMES
    begun = {name: (tmp_path / f"{name}.pids").read_text().split() for name in NAMES}
    assert begun.pop("SYM0")[0] == str(killed[0])
    assert {len(pids) for pids in begun.values()} == {1}


def test_a_symbol_that_kills_its_workers_is_given_up(dask: Cluster, tmp_path: Path) -> None:
    for _ in range(3):
        dask.add()
    dask.wait_for(5)
    found = list(
        each_symbol(partial(work.die, folder=tmp_path), ["AAA", "DEAD1", "BBB"], scheduler=dask.address)
    )
    assert [outcome.result for outcome in found] == ["AAA", None, "BBB"]
    error = found[1].error
    assert error is not None
    assert (error.code, error.message) == (
        "worker_died",
        "DEAD1: its worker process died 2 times (on the cluster)",
    )
    assert (tmp_path / "DEAD1").stat().st_size == 2


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "features":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Blocked())
"""
OTHER = """
from features.parallel import cluster_work
found = cluster_work.versions() | {"numpy": "1.0"}
cluster_work.versions = lambda: found
"""


@pytest.mark.parametrize(
    ("preload", "words"),
    [(BLOCKED, "No module named 'features'"), (OTHER, "has numpy 1.0, not ")],
    ids=["without bearmode", "of other versions"],
)
def test_a_worker_that_is_not_like_us_is_refused(
    dask: Cluster, tmp_path: Path, preload: str, words: str
) -> None:
    dask.clear()
    file = tmp_path / "preload_it.py"
    file.write_text(preload)
    dask.add("--preload", str(file))
    with pytest.raises(BearmodeError) as caught:
        list(each_symbol(work.name_and_process, NAMES, scheduler=dask.address))
    assert caught.value.code == "worker_differs"
    assert words in caught.value.message
    assert caught.value.hint


def test_a_cluster_without_workers_is_not_waited_for_for_ever(
    dask: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask.clear()
    monkeypatch.setattr(symbol_cluster, "IDLE_SECONDS", 0.3)
    with pytest.raises(BearmodeError) as caught:
        list(each_symbol(work.name_and_process, NAMES, scheduler=dask.address))
    assert caught.value.code == "no_workers"


def test_a_scheduler_that_goes_away_is_one_clear_error(dask: Cluster, tmp_path: Path) -> None:
    """The last one with this cluster: it is gone afterwards."""
    dask.clear()
    dask.add()

    def strike() -> None:
        work.wait_until(lambda: list(tmp_path.glob("*.pids")))
        dask.scheduler.kill()

    thread = threading.Thread(target=strike)
    thread.start()
    with pytest.raises(BearmodeError) as caught:
        list(each_symbol(partial(work.die_when_told, folder=tmp_path), NAMES, scheduler=dask.address))
    thread.join()
    assert caught.value.code == "scheduler_lost"


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:1", "tcp://", ""])
def test_what_is_no_address_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(each_symbol(work.name_and_process, NAMES, scheduler=address))
    assert caught.value.field == "scheduler"


@pytest.mark.parametrize("listens", [False, True], ids=["nobody listens", "something silent listens"])
def test_no_scheduler_there_is_one_clear_error(listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbol_cluster, "CONNECT_SECONDS", 0.3)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:
            other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BearmodeError) as caught:
            list(each_symbol(work.name_and_process, NAMES, scheduler=address))
    assert caught.value.code == "scheduler_unreachable"
    assert address in caught.value.message


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError) as caught:
        list(each_symbol(work.name_and_process, NAMES, scheduler="tcp://127.0.0.1:1"))
    assert caught.value.hint is not None
    assert "bearmode[dask]" in caught.value.hint
