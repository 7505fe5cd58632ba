"""The journal: nothing acknowledged is ever lost, whoever is killed while writing."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_training import LONG

from features.errors import BearmodeError
from training.retraining.journal import JOURNAL, TORN, Journal

WRITER = """
import sys
from pathlib import Path
from training.retraining.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("ready", flush=True)
for count in range(100_000):
    print(journal.append({"action": "promotion", "reason": "x" * 20_000})["number"], flush=True)
"""


def test_an_entry_is_numbered_dated_and_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "bundles")
    assert journal.entries() == []
    first = journal.append({"action": "promotion", "version": "a", "value": math.inf, "path": Path("x")})
    second = journal.append({"action": "refusal", "reason": "größer\nals \u2028 erlaubt"})
    assert (first["number"], second["number"]) == (1, 2)
    assert first["value"] is None
    assert first["path"] == "x"
    assert first["at"].endswith("+00:00")
    assert Journal(tmp_path / "bundles").entries() == [first, second]
    assert len(journal.path.read_bytes().split(b"\n")) == 3


@pytest.mark.parametrize("entry", [{}, {"action": ""}, {"action": 3}])
def test_an_entry_without_an_action_is_refused(tmp_path: Path, entry: dict[str, object]) -> None:
    with pytest.raises(BearmodeError, match="needs an action"):
        Journal(tmp_path).append(entry)
    assert not (tmp_path / JOURNAL).exists()


@settings(
    max_examples=300 if LONG else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cut=st.integers(0, 400))
def test_wherever_the_last_write_was_cut_no_other_line_is_lost(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.path.unlink(missing_ok=True)
    kept = [journal.append({"action": "promotion", "version": str(index)}) for index in range(3)]
    whole = journal.path.read_bytes()
    last = len(whole) - whole[:-1].rfind(b"\n") - 1
    torn = whole[: len(whole) - last + min(cut, last - 1)]
    journal.path.write_bytes(torn)
    complete = min(cut, last - 1) == last - 1  # all but the end of the line
    assert journal.entries() == kept[: 3 if complete else 2]
    added = journal.append({"action": "refusal"})
    assert added["number"] == (4 if complete else 3)
    found = journal.entries()
    assert [entry for entry in found if entry["action"] != TORN] == [*kept[: 3 if complete else 2], added]
    assert journal.path.read_bytes().startswith(torn), "only ever added to"


def test_a_line_edited_by_hand_is_shown_and_the_rest_stands(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first = journal.append({"action": "promotion"})
    with journal.path.open("ab") as file:
        file.write(b'what?\n[1]\n{"action": "no number"}\n\xff\n')
    second = journal.append({"action": "refusal"})
    assert second["number"] == 2
    assert [entry["action"] for entry in journal.entries()] == ["promotion", *[TORN] * 4, "refusal"]
    assert journal.entries()[0] == first


@pytest.mark.parametrize("round_", range(12 if LONG else 2))
def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path, root: Path, round_: int) -> None:
    rng = random.Random(round_)
    told: list[int] = []
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            told += [int(writer.stdout.readline()) for _ in range(rng.randint(1, 20))]
            deadline = time.monotonic() + rng.random() * 0.01
            while time.monotonic() < deadline:
                pass
            os.kill(writer.pid, signal.SIGKILL)
            told += [int(line) for line in writer.stdout.read().split("\n")[:-1] if line]
    found = [entry for entry in Journal(tmp_path).entries() if entry["action"] != TORN]
    numbers = [entry["number"] for entry in found]
    assert numbers == list(range(1, len(numbers) + 1))
    assert set(told) <= set(numbers)
    assert all(len(entry["reason"]) == 20_000 for entry in found)
    after = Journal(tmp_path).append({"action": "prune"})
    assert Journal(tmp_path).entries()[-1] == after


def _append(folder: str, count: int) -> None:
    for _ in range(count):
        Journal(Path(folder)).append({"action": "promotion"})


def test_many_writers_at_once_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(str(tmp_path), 15)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert [entry["number"] for entry in Journal(tmp_path).entries()] == list(range(1, 61))


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "bundles").write_text("a file")
    with pytest.raises(BearmodeError, match="cannot be written") as refused:
        Journal(tmp_path / "bundles").append({"action": "promotion"})
    assert refused.value.code == "journal_unreachable"
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(BearmodeError, match="cannot be"):
        Journal(tmp_path).append({"action": "promotion"})


def test_every_line_is_json_that_others_can_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append({"action": "promotion", "checks": [{"name": "ece", "value": math.nan}]})
    (line,) = journal.path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["checks"] == [{"name": "ece", "value": None}]
