"""The file of live mode: events, what is known, deliveries; together or not at all."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from serving.live.database import FILE, LiveStateError, open_database
from serving.live.deliveries import Deliveries
from serving.live.event_log import EventLog, Known, NewEvent, read_events
from serving.live.settings import Webhook

DESK = Webhook(name="desk", url="http://127.0.0.1:1/x", symbols=("AAUSDT",))
ALL = Webhook(name="all", url="http://127.0.0.1:1/y", events=("regime_change", "data_stale"))
AS_OF = pd.Timestamp("2024-01-01 04:00", tz="UTC")


def change(symbol: str = "AAUSDT") -> NewEvent:
    return NewEvent("regime_change", symbol, {"from": "bear", "to": "bull"})


def test_ids_go_up_also_where_the_file_was_removed(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 100)
    first, second = log.write([change(), change("BBUSDT")])
    assert second == first + 1
    log.close()
    (tmp_path / FILE).unlink()
    again = EventLog(tmp_path, 100)
    assert again.write([change()])[0] > second
    again.close()


def test_an_event_its_state_and_its_deliveries_are_written_together(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 100, [DESK, ALL])
    known = Known("v1", AS_OF, "bull")
    numbers = log.write([change(), change("BBUSDT"), NewEvent("data_stale", "AAUSDT")], {"AAUSDT": known})
    assert log.known() == {"AAUSDT": known}
    events, oldest, newest = read_events(tmp_path, 0)
    assert [event.id for event in events] == numbers == list(range(oldest, newest + 1))
    assert json.loads(events[0].data) == {
        "id": numbers[0],
        "type": "regime_change",
        "symbol": "AAUSDT",
        "from": "bear",
        "to": "bull",
    }
    queue = Deliveries(tmp_path)
    assert [one.id for one in queue.due("desk", 0.0)] == [f"evt_{numbers[0]}_desk"]
    assert [one.id for one in queue.due("all", 0.0)] == [f"evt_{number}_all" for number in numbers]
    assert queue.due("all", 0.0)[0].body == events[0].data
    queue.close()
    log.close()


def test_what_cannot_be_written_whole_is_not_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 100, [ALL])
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.write(
            [change(), NewEvent("regime_change", "AAUSDT", {"p": float("nan")})],
            {"A": Known("v", AS_OF, "x")},
        )
    assert (read_events(tmp_path, 0)[0], log.known()) == ([], {})
    log.write([change()])
    log.close()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 10)
    numbers = log.write([change() for _ in range(25)])
    events, oldest, newest = read_events(tmp_path, 0)
    assert [event.id for event in events] == numbers[-10:]
    assert (oldest, newest) == (numbers[15], numbers[24])
    assert [event.id for event in read_events(tmp_path, numbers[-3])[0]] == numbers[-2:]
    assert len(read_events(tmp_path, 0, most=4)[0]) == 4
    log.close()


def test_facts_are_kept_and_removed(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 10)
    log.write(facts={"model": "v1", "stale:AA": "1"})
    log.write(facts={"stale:AA": None, "model": "v2"})
    assert log.facts() == {"model": "v2"}
    log.close()


def test_a_kill_in_the_middle_leaves_all_or_nothing(tmp_path: Path) -> None:
    EventLog(tmp_path, 10).close()
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from serving.live.database import open_database, transaction\n"
        "c = open_database(Path(sys.argv[1]))\n"
        "with transaction(c):\n"
        "    c.execute(\"INSERT INTO events (kind, body) VALUES ('regime_change', 'x')\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert read_events(tmp_path, 0) == ([], 0, 0)
    log = EventLog(tmp_path, 10)
    assert len(log.write([change()])) == 1
    log.close()


def test_a_log_that_is_not_there_is_empty_and_a_broken_one_an_error(tmp_path: Path) -> None:
    assert read_events(tmp_path / "nowhere", 0) == ([], 0, 0)
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(LiveStateError, match="cannot be"):
        read_events(tmp_path, 0)
    with pytest.raises(LiveStateError, match="cannot be used"):
        EventLog(tmp_path, 10)


def test_a_file_that_somebody_holds_is_an_error_and_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.live.database.BUSY_SECONDS", 0.05)
    log = EventLog(tmp_path, 10)
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LiveStateError, match="locked"):
        log.write([change()])
    other.rollback()
    other.close()
    assert len(log.write([change()])) == 1
    log.close()


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    EventLog(tmp_path, 10).close()
    reader = open_database(tmp_path, read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM events")
    reader.close()


def test_a_delivery_is_done_dead_or_due_again(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 100, [ALL])
    log.write([change() for _ in range(3)])
    log.close()
    queue = Deliveries(tmp_path)
    first, second, third = queue.due("all", 100.0)
    queue.delivered(first, 204, 100.0)
    queue.failed(second, 100.0, 130.0, 500, "it answered 500")
    queue.failed(third, 100.0, None, None, "ConnectError")
    assert queue.due("all", 129.0) == []
    (again,) = queue.due("all", 130.0)
    assert (again.id, again.body, again.attempts) == (second.id, second.body, 1)
    (shown,) = queue.summary([ALL])
    assert (shown["pending"], shown["delivered"], shown["dead"]) == (1, 1, 1)
    assert "127.0.0.1" not in str(shown)
    (dead,) = queue.listed("dead")
    assert (dead["id"], dead["error"], dead["attempts"]) == (third.id, "ConnectError", 1)
    assert queue.revive("desk") == 0
    assert queue.revive() == 1
    assert [one.attempts for one in queue.due("all", 130.0)] == [1, 0]
    queue.close()


def test_a_clock_that_was_set_back_does_not_hold_a_delivery(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 100, [ALL])
    log.write([change()])
    log.close()
    queue = Deliveries(tmp_path)
    (one,) = queue.due("all", 1_000_000.0)
    queue.failed(one, 1_000_000.0, 1_000_060.0, 500, "it answered 500")
    assert queue.due("all", 999_990.0) == []
    assert len(queue.due("all", 900_000.0)) == 1
    queue.close()
