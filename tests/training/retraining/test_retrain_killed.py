"""``kill -9`` at every step, inside it and between two: the champion serves on, the next run completes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import pytest
from retrain_places import REQUEST, Start, environment_of, lenient, retrain_command, serving_version
from small_training import LONG

from training.promotion import load_champion
from training.retraining.current import FOLDER
from training.retraining.job import retrain
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked
from training.settings import Places
from training.tracking import MODEL

FOLD = "fold-2022-01"
INSIDE = [f".making-{FOLD}", ".making-export", ".making-gate"]
MAKING = [
    name
    for step in (FOLD, "evaluate", "final-fit", "export")
    for name in (f".making-{step}", f"{step}/done.json")
]
DECIDING = [
    name for step in ("gate", "decision", "promote") for name in (f".making-{step}", f"{step}/done.json")
]
POINTS = ["current.json", *MAKING, "run.json", *DECIDING, "champion"] if LONG else INSIDE
"""Appearances in the work folder at which the process is killed, one after the other."""
LATE = {*DECIDING[1:], "champion"}
"""From here to the end it is a matter of milliseconds: the run may be quicker than the kill."""
PATIENCE = 180.0


def appeared(places: Places, name: str, before: str | None) -> bool:
    """Whether a point has been reached."""
    if name == "champion":
        return serving_version(places) != before
    if name == "run.json":
        return any(path.parent.name != before for path in places.bundles.glob("[0-9a-f]*/run.json"))
    root = places.bundles / FOLDER
    return (root / name).exists() if name == "current.json" else any(root.glob(f"*/{name}"))


def killed_at(start: Start, name: str) -> bool:
    """Run until a point appears, then kill the process; false where it had ended before."""
    child = subprocess.Popen(
        retrain_command(start.places),
        env=environment_of(start.places),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    over = threading.Event()
    while child.poll() is None and not appeared(start.places, name, start.champion):
        assert time.monotonic() < deadline, f"{name} did not appear"
        over.wait(0.005)  # leaves the processor to the child
    child.send_signal(signal.SIGKILL)
    output, _ = child.communicate()
    assert child.returncode in {-signal.SIGKILL, 0}, output
    return child.returncode != 0


@contextmanager
def loading_all_the_while(places: Places) -> Iterator[list[str]]:
    """A server that loads the champion again and again; gives the versions that it saw."""
    seen: list[str] = []
    failures: list[Exception] = []
    over = threading.Event()

    def load() -> None:
        while not over.wait(1.0):
            try:
                seen.append(load_champion(places.bundles).version)
            except Exception as error:  # noqa: BLE001 - any failure at all is one of the test
                failures.append(error)
                return

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
    assert not failures, failures[0]


def test_killed_at_every_step_the_champion_serves_and_the_next_run_completes(start: Start) -> None:
    with loading_all_the_while(start.places) as seen:
        for name in POINTS:
            was_killed = killed_at(start, name)
            if name not in LATE:
                assert was_killed, f"the run ended before {name}"
                assert serving_version(start.places) == start.champion
        outcome = retrain(REQUEST, start.places, gate_settings=lenient())
    assert outcome.outcome in {"promoted", "unchanged"}
    version = serving_version(start.places)
    assert version == outcome.version != start.champion
    assert set(seen) <= {start.champion, version}
    assert start.champion in seen
    assert not list((start.places.bundles / FOLDER).rglob(".making-*"))
    promotions = [one for one in Journal(start.places.bundles).entries() if one["action"] == "promotion"]
    assert [one["version"] for one in promotions] == [start.champion, version]
    assert promotions[-1]["checks"]
    client = mlflow.MlflowClient(start.places.tracking_uri, start.places.tracking_uri)
    crowned = client.get_model_version_by_alias(MODEL, "champion")
    assert crowned.run_id == promotions[-1]["run_id"]
    experiments = [one.experiment_id for one in client.search_experiments()]
    assert not [run for run in client.search_runs(experiments) if run.info.status == "RUNNING"]
    again = [one for one in client.search_model_versions(f"name='{MODEL}'") if one.run_id == crowned.run_id]
    assert len(again) == 1, "registered once"


@pytest.mark.long
def test_a_continued_run_makes_the_bytes_of_one_that_ran_through(retrained: Start, start: Start) -> None:
    """That of the fixture was not interrupted."""
    assert killed_at(start, f"{FOLD}/done.json")
    assert killed_at(start, "final-fit/done.json")
    outcome = retrain(REQUEST, start.places, gate_settings=lenient())
    assert outcome.version == serving_version(retrained.places)


def test_a_second_process_is_told_at_once_and_leaves_no_trace(start: Start) -> None:
    with bundles_locked(start.places.bundles, "prune"):
        second = subprocess.run(
            retrain_command(start.places),
            env=environment_of(start.places),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert json.loads((start.places.bundles / ".lock.json").read_text())["pid"] == os.getpid()
    assert second.returncode == 5
    assert f"locked by prune (pid {os.getpid()} on " in second.stderr
    assert second.stderr.count("\n") == 1
    assert "Traceback" not in second.stderr
    actions = [one["action"] for one in Journal(start.places.bundles).entries()]
    assert actions == ["promotion"]
