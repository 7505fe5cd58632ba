"""``--every``: due times by the clock alone, an end within seconds, failures that do not end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_training import LONG

from features.errors import UsageError
from features.json_file import write_json
from training.retraining.current import Current
from training.retraining.journal import Journal
from training.retraining.loop import AFTER_CLOSE, Loop, next_time
from training.retraining.request import parse_period

LOOP = """
import sys
from pathlib import Path
import pandas as pd
from training.retraining.loop import Loop
command = [sys.executable, "-c", sys.argv[2]]
say = lambda line: print(line, flush=True)
sys.exit(Loop(command, pd.Timedelta(days=1), Path(sys.argv[1]), say).run())
"""
"""A loop around any command, in a process of its own."""
PATIENCE = 60.0


@given(
    st.integers(0, 10**9),
    st.sampled_from(["1h", "6h", "12h", "1d", "7d"]),
)
def test_due_times_are_fixed_whatever_the_moment(seconds: int, period: str) -> None:
    step = parse_period(period)
    now = pd.Timestamp("2020-01-01", tz="UTC") + pd.Timedelta(seconds=seconds)
    due = next_time(now, step)
    assert now < due <= now + step
    assert (due - AFTER_CLOSE).floor(step) == due - AFTER_CLOSE
    assert next_time(due - pd.Timedelta(seconds=1), step) == due
    assert next_time(due, step) == due + step


@pytest.mark.parametrize("text", ["", "1", "d", "0d", "5h", "25h", "36h", "-1d", "1w", "1.5d", "1 d", "1d\n"])
def test_a_period_that_does_not_fit_the_day_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no period") as refused:
        parse_period(text)
    assert refused.value.exit_code == 2


def loop(bundles: Path, script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOOP, str(bundles), script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"


def told_to_stop(process: subprocess.Popen[str]) -> tuple[float, str]:
    """Seconds until it ended after SIGTERM, and what it printed."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    return time.monotonic() - began, output


def test_sigterm_ends_loop_and_run_within_fifteen_seconds(tmp_path: Path) -> None:
    """With full counts also a run that does not hear SIGTERM."""
    mark = tmp_path / "running"
    script = (
        f"import os, signal, time; {'signal.signal(15, signal.SIG_IGN); ' if LONG else ''}"
        f"open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    process = loop(tmp_path, script)
    wait_for(mark)
    seconds, output = told_to_stop(process)
    assert process.returncode == 0, output
    assert seconds < 15
    assert "stopped; the champion and what was kept are whole" in output
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_failed_run_is_told_and_the_loop_waits_for_the_next_time(tmp_path: Path) -> None:
    process = loop(tmp_path, f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[0] == "the run was killed by signal 9\n"
    assert lines[1] == "the run ended with status -9; the loop goes on\n"
    due = next_time(pd.Timestamp.now(tz="UTC"), pd.Timedelta(days=1))
    assert lines[2] == f"next run at {due:%Y-%m-%d %H:%M} UTC\n"
    seconds, _ = told_to_stop(process)
    assert seconds < 15
    (entry,) = Journal(tmp_path).entries()
    assert (entry["action"], entry["reason"]) == ("failure", "the run was killed by signal 9")


def test_wrong_usage_ends_the_loop(tmp_path: Path) -> None:
    process = loop(tmp_path, "raise SystemExit(2)")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, output


def test_after_a_restart_a_run_that_was_made_is_not_made_again(tmp_path: Path) -> None:
    one = Loop(["true"], pd.Timedelta(days=1), tmp_path, lambda _line: None)
    now = pd.Timestamp.now(tz="UTC")
    assert one._first() <= pd.Timestamp.now(tz="UTC"), "nothing is on record: at once"
    current = Current.begun("key", {}, "2024-01-01T00:00:00+00:00")
    current.write(tmp_path)
    assert one._first() <= pd.Timestamp.now(tz="UTC"), "an interrupted one is continued at once"
    current.finish(tmp_path, "promoted")
    assert one._first() == next_time(now, one.period)
    old = replace(current, outcome="promoted", started_at=(now - pd.Timedelta(days=2)).isoformat())
    write_json(tmp_path / ".retrain" / "current.json", vars(old))
    assert one._first() <= pd.Timestamp.now(tz="UTC"), "the last due time has passed without one"
