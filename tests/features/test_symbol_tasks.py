"""Work on many symbols in processes: order, failures, deaths, progress, and no process left behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest
import symbol_work as work
from histories import LONG

from features import errors
from features.errors import BearmodeError, DataError, UsageError
from features.parallel.outcomes import Outcome, Steps
from features.parallel.symbol_tasks import Task, default_workers, each_symbol

NAMES = [f"SYM{number}" for number in range(9)]


def children() -> set[int]:
    """Processes of ours that are work on symbols, not multiprocessing's own tracker."""
    return {
        child.pid
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline())
    }


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_outcomes_come_in_order_whatever_ran_where() -> None:
    alone = list(each_symbol(partial(work.numbers, size=1000), NAMES, workers=1))
    apart = list(each_symbol(partial(work.numbers, size=1000), NAMES, workers=3))
    assert [outcome.symbol for outcome in apart] == NAMES
    assert apart == alone
    assert not children()


def test_one_worker_or_one_symbol_stays_in_this_process() -> None:
    for names, workers in ((NAMES, 1), (NAMES[:1], 4), (NAMES[:1], None), ([], None)):
        found = list(each_symbol(work.name_and_process, names, workers=workers))
        assert [outcome.result for outcome in found] == [(name, os.getpid()) for name in names]


def test_processes_are_as_many_as_asked_for_and_others_than_this_one() -> None:
    found = [outcome.result for outcome in each_symbol(work.name_and_process, NAMES, workers=2)]
    processes = {pid for _, pid in filter(None, found)}
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2
    assert 1 <= default_workers() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_is_an_outcome_and_ends_no_other(workers: int) -> None:
    found = list(each_symbol(work.fail, ["AAA", "DATA1", "BUG1", "BBB"], workers=workers))
    assert [outcome.result for outcome in found] == ["AAA", None, None, "BBB"]
    data, bug = found[1].error, found[2].error
    assert type(data) is DataError
    assert (data.message, data.code, data.field, data.hint) == (
        "close[3] is -1",
        "bad_price",
        "close[3]",
        "mend it",
    )
    assert type(bug) is BearmodeError
    assert bug.message == "BUG1: ZeroDivisionError: of course"
    assert "symbol_work.py" in "".join(bug.__notes__), "the traceback goes along"


def test_every_error_of_the_project_survives_the_way_between_processes() -> None:
    for name in errors.__all__:
        error: BearmodeError = getattr(errors, name)("what", code="a_code", field="a[1]", hint="a hint")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert again.one_line() == error.one_line()


def test_a_dead_worker_costs_only_its_symbol(tmp_path: Path) -> None:
    names = ["AAA", "ONCE1", "BBB", "DEAD1", "CCC", "EXIT1", "DDD", "ONCE2", "EEE"]
    found = list(each_symbol(partial(work.die, folder=tmp_path), names, workers=2))
    assert [outcome.symbol for outcome in found] == names
    assert {outcome.symbol for outcome in found if outcome.error} == {"DEAD1", "EXIT1"}
    begun = {name: (tmp_path / name).stat().st_size for name in names}
    assert begun == {
        name: 3 if name in {"DEAD1", "EXIT1"} else 2 if name.startswith("ONCE") else 1 for name in names
    }
    dead, left = found[3].error, found[5].error
    assert dead is not None
    assert left is not None
    assert (dead.code, left.code) == ("worker_died", "worker_died")
    assert "DEAD1" in dead.message
    assert "SIGKILL" in dead.message
    assert "exit status 7" in left.message
    assert not children()


def test_a_worker_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    killed: list[str] = []

    def strike() -> None:
        work.wait_until(lambda: all(file.exists() and file.read_text() for file in (first, second)))
        killed.extend(first.read_text().split())
        os.kill(int(killed[0]), signal.SIGKILL)
        (tmp_path / "go").touch()

    first, second = tmp_path / "SYM0.pids", tmp_path / "SYM1.pids"
    thread = threading.Thread(target=strike)
    thread.start()
    found = list(each_symbol(partial(work.die_when_told, folder=tmp_path), NAMES[:4], workers=2))
    thread.join()
    assert [outcome.result for outcome in found] == NAMES[:4]
    begun = {path.stem: path.read_text().split() for path in tmp_path.glob("*.pids")}
    assert begun["SYM0"][0] == killed[0]
    assert begun["SYM0"][1] != killed[0]
    assert sum(map(len, begun.values())) == 5, "only the symbol it held was begun again"


@pytest.mark.parametrize("task", [work.give_a_function, work.give_what_cannot_be_read])
def test_a_result_that_does_not_travel_is_that_symbols_error(task: Task[object]) -> None:
    found: list[Outcome[object]] = list(each_symbol(task, NAMES[:3], workers=2))
    assert [outcome.symbol for outcome in found] == NAMES[:3]
    for outcome in found:
        assert outcome.result is None
        assert outcome.error is not None
        assert outcome.error.code == "internal"
        assert outcome.error.message.startswith(f"{outcome.symbol}: ")


def test_leaving_early_ends_the_processes_at_once(tmp_path: Path) -> None:
    names = ["SYM0", "SYM1"]
    outcomes = each_symbol(partial(work.hold, folder=tmp_path), names, workers=2)
    holders: set[int] = set()

    def look() -> None:
        work.wait_until(
            lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in names)
        )
        holders.update(int((tmp_path / name).read_text()) for name in names)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=look)
    thread.start()
    with pytest.raises(KeyboardInterrupt), closing(outcomes):
        next(outcomes)
    thread.join()
    assert len(holders) == 2
    assert all(gone(pid) for pid in holders)
    assert not children()


SCRIPT = """
import sys
from functools import partial
from pathlib import Path
import symbol_work
from features.parallel.symbol_tasks import each_symbol
if __name__ == "__main__":
    list(each_symbol(partial(symbol_work.hold, folder=Path(sys.argv[1])), ["AAA", "BBB"], workers=2))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    held = tmp_path / "held"
    held.mkdir()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path(work.__file__).parent)])
    }
    with subprocess.Popen(
        [sys.executable, str(script), str(held)],
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        files = [held / "AAA", held / "BBB"]
        work.wait_until(lambda: all(file.exists() and file.read_text() for file in files))
        holders = [int(file.read_text()) for file in files]
        os.killpg(parent.pid, how) if how == signal.SIGINT else parent.send_signal(how)
        assert parent.wait(10) != 0
        work.wait_until(lambda: all(gone(pid) for pid in holders), 5)
        said = (parent.stderr.read() if parent.stderr else b"").decode()
    assert said.count("Traceback") == (how == signal.SIGINT), "only the parent speaks of Ctrl-C"


def test_processes_that_cannot_start_are_one_clear_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path(work.__file__).parent)])
    }
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "BearmodeError: worker processes cannot start: exit status 1" in done.stderr


def test_steps_never_hold_work_up_and_the_last_one_is_always_told() -> None:
    told: list[tuple[str, int, int]] = []

    def slowly(symbol: str, done: int, total: int) -> None:
        time.sleep(0.05)
        told.append((symbol, done, total))

    names = NAMES[:3]
    started = time.monotonic()
    assert all(outcome.result for outcome in each_symbol(work.tell_much, names, workers=2, tell=slowly))
    assert time.monotonic() - started < 20
    for name in names:
        steps = [(done, total) for symbol, done, total in told if symbol == name]
        assert steps[-1] == (100_000, 100_000)
        assert steps == sorted(steps)
        assert len(steps) < 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_symbol_is_finished_too(workers: int) -> None:
    told: list[tuple[str, int, int]] = []
    list(each_symbol(work.fail, ["AAA", "BUG1"], workers=workers, tell=lambda *step: told.append(step)))
    assert sorted(told) == [("AAA", 1, 1), ("BUG1", 1, 1)]


def test_the_last_step_is_not_told_twice() -> None:
    told: list[tuple[str, int, int]] = []
    steps = Steps(lambda *step: told.append(step))
    steps("AAA", 2, 2)
    steps.finish("AAA")
    steps("BBB", 1, 2)
    steps.finish("BBB")
    steps("CCC", 0, 0)
    steps.finish("CCC")
    assert told == [("AAA", 2, 2), ("BBB", 1, 2), ("BBB", 2, 2), ("CCC", 0, 0), ("CCC", 1, 1)]


def test_only_a_few_outcomes_are_held(tmp_path: Path) -> None:
    names = [f"SYM{number}" for number in range(200 if LONG else 40)]
    with closing(each_symbol(partial(work.die, folder=tmp_path), names, workers=2)) as outcomes:
        for taken, _ in enumerate(outcomes, 1):
            time.sleep(0.002)
            assert len(list(tmp_path.iterdir())) <= taken + 3 * 2


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"workers": 0}, "workers"),
        ({"workers": -3}, "workers"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, "workers"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_any_work(
    options: dict[str, object], field: str
) -> None:
    with pytest.raises(UsageError) as caught:
        each_symbol(work.fail, NAMES, **options)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_an_outcome_travels() -> None:
    outcome: Outcome[int] = Outcome("AAA", error=DataError("x", hint="y"))
    again = pickle.loads(pickle.dumps(outcome))
    assert again.symbol == "AAA"
    assert again.error.one_line() == "x (y)"
