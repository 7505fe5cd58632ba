"""The prediction log: rows, days, crashes, several writers, and what never delays a request."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_fixtures import ANSWER, HOUR, START, request_body

from serving.schemas import Answer, PredictRequest
from serving.watching import PredictionLog, close_days, read_predictions
from serving.watching.prediction_files import drop_days, open_day
from serving.watching.prediction_log import LoggedAnswer
from serving.watching.window_hash import hash_of_request

DAY = date(2024, 5, 1)
WRITER = "0123456789ab"


def answer(symbol: str = "BTCUSDT", **changes: Any) -> Answer:
    return Answer.model_validate(ANSWER | {"symbol": symbol} | changes)


def logged(symbol: str = "BTCUSDT", **changes: Any) -> LoggedAnswer:
    given: dict[str, Any] = {
        "request": PredictRequest.model_validate(request_body(symbol)),
        "request_id": "r-1",
    } | changes
    return LoggedAnswer(answer(symbol), "request", START + 2 * HOUR, **given)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_row_says_what_was_answered_and_nothing_of_the_account(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "log", seconds=0.01)
    log.put(logged(key="desk"))
    log.close()
    frame = read_predictions(tmp_path / "log")
    assert len(frame) == 1
    row = frame.iloc[0]
    assert (row["request_id"], row["source"], row["key"], row["symbol"]) == (
        "r-1",
        "request",
        "desk",
        "BTCUSDT",
    )
    assert row["time"].value // 10**6 == START + 2 * HOUR
    assert row["as_of"].isoformat() == "2024-01-01T00:00:00+00:00"
    assert row["model_version"] == "fake"
    assert not row["in_sample"]
    assert [row[f"p_{name}"] for name in ("bear", "ranging", "relief_rally", "bull")] == [0.7, 0.1, 0.1, 0.1]
    assert (row["regime"], row["side"], row["leverage"], row["short_share"]) == ("bear", "short", 2.5, 0.65)
    assert len(row["window_hash"]) == 64
    assert not {"notional", "margin", "equity", "position"} & set(frame.columns)


def test_a_bar_that_the_model_had_seen_is_marked(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, seconds=0.01)
    log.put(LoggedAnswer(answer(), "live", int(datetime(2023, 12, 31, tzinfo=UTC).timestamp() * 1e3)))
    log.put(LoggedAnswer(answer(), "live", int(datetime(2023, 12, 31, 1, tzinfo=UTC).timestamp() * 1e3)))
    log.close()
    assert read_predictions(tmp_path)["in_sample"].tolist() == [True, False]


def test_rows_are_on_disk_after_the_seconds(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, seconds=0.05)
    for index in range(3):
        log.put(logged(request_id=f"r-{index}"))
    until(lambda: len(read_predictions(tmp_path)) == 3)
    log.close()
    (name,) = names(tmp_path)
    assert name.endswith(".jsonl")


def test_a_day_that_is_over_is_parquet(tmp_path: Path) -> None:
    days = [DAY]
    log = PredictionLog(tmp_path, seconds=0.01, today=lambda: days[0])
    log.put(logged(request_id="first"))
    until(lambda: len(read_predictions(tmp_path)) == 1)
    days[0] += timedelta(days=1)
    log.put(logged(request_id="second"))
    until(lambda: len(read_predictions(tmp_path)) == 2)
    log.close()
    assert [name[:10] + name[23:] for name in names(tmp_path)] == ["2024-05-01.parquet", "2024-05-02.jsonl"]
    assert read_predictions(tmp_path)["request_id"].tolist() == ["first", "second"]
    assert read_predictions(tmp_path, since=date(2024, 5, 2))["request_id"].tolist() == ["second"]


def test_a_line_that_a_crash_cut_off_costs_that_row_only(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, seconds=0.01, today=lambda: DAY)
    log.put(logged(request_id="whole"))
    log.close()
    (file,) = tmp_path.iterdir()
    line = file.read_bytes()
    file.write_bytes(line + line[: len(line) // 2])
    assert read_predictions(tmp_path)["request_id"].tolist() == ["whole"]
    (made,) = close_days(tmp_path, DAY + timedelta(days=1))
    assert made.suffix == ".parquet"
    assert read_predictions(tmp_path)["request_id"].tolist() == ["whole"]


def test_a_file_that_is_written_to_is_left_alone(tmp_path: Path) -> None:
    descriptor = open_day(tmp_path, DAY, WRITER)
    try:
        assert close_days(tmp_path, DAY + timedelta(days=1)) == []
    finally:
        os.close(descriptor)
    close_days(tmp_path, DAY + timedelta(days=1))
    assert names(tmp_path) == []


def test_old_days_go(tmp_path: Path) -> None:
    for day in ("2024-01-01", "2024-04-30", "2024-05-01"):
        (tmp_path / f"{day}.{WRITER}.parquet").touch()
    (tmp_path / "notes.parquet").touch()
    assert drop_days(tmp_path, date(2024, 4, 30)) == 1
    assert names(tmp_path) == [
        f"2024-04-30.{WRITER}.parquet",
        f"2024-05-01.{WRITER}.parquet",
        "notes.parquet",
    ]


KILLED = """
import sys, time; from pathlib import Path
sys.path[:0] = ["tests/serving"]
from service_fixtures import ANSWER
from serving.schemas import Answer
from serving.watching import PredictionLog
from serving.watching.prediction_log import LoggedAnswer
log = PredictionLog(Path(sys.argv[1]), seconds=0.05)
for index in range(int(sys.argv[2])):
    log.put(LoggedAnswer(Answer.model_validate(ANSWER), "live", 0, request_id=f"{sys.argv[3]}-{index}"))
if sys.argv[4] == "stay":
    time.sleep(600)
log.close()
"""


def writer(folder: Path, root: Path, name: str, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, str(folder), "50", name, then]
    return subprocess.Popen(command, text=True, cwd=root)


def test_writers_at_once_and_one_that_is_killed(tmp_path: Path, root: Path) -> None:
    one, two = writer(tmp_path, root, "one", "end"), writer(tmp_path, root, "two", "stay")
    assert one.wait(60) == 0
    until(lambda: len(read_predictions(tmp_path)) == 100, 60)
    two.send_signal(signal.SIGKILL)
    two.wait(10)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    assert len(close_days(tmp_path, tomorrow)) == 2
    frame = read_predictions(tmp_path)
    assert sorted(frame["request_id"]) == sorted(f"{name}-{i}" for name in ("one", "two") for i in range(50))
    assert all(name.endswith(".parquet") for name in names(tmp_path))


def test_a_full_queue_loses_rows_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.watching.prediction_log.WAITING", 3)
    held = threading.Event()
    lost: list[tuple[str, int]] = []

    def bars() -> int:
        held.wait(10)
        return 100

    log = PredictionLog(
        tmp_path, seconds=0.01, window_bars=bars, lost=lambda why, rows: lost.append((why, rows))
    )
    for _ in range(10):
        log.put(logged())
    assert len(lost) >= 6
    assert set(lost) == {("queue_full", 1)}
    held.set()
    log.close()
    assert len(read_predictions(tmp_path)) == 10 - len(lost)


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lost: list[tuple[str, int]] = []
    log = PredictionLog(tmp_path / "file" / "log", seconds=0.01, lost=lambda *told: lost.append(told))
    log.put(logged())
    until(lambda: bool(lost))
    log.put(logged())
    until(lambda: len(lost) == 2)
    log.close()
    assert set(lost) == {("not_written", 1)}


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = PredictionLog(folder, seconds=0.01)
    log.put(logged(request_id="before"))
    until(lambda: len(read_predictions(folder)) == 1)
    shutil.rmtree(folder)
    log.put(logged(request_id="after"))
    log.close()
    assert read_predictions(folder)["request_id"].tolist() == ["after"]


def test_no_log_is_an_empty_table(tmp_path: Path) -> None:
    assert read_predictions(tmp_path / "none").empty
    assert "model_version" in read_predictions(tmp_path / "none").columns


def test_the_hash_is_of_the_window_and_nothing_else() -> None:
    def hashed(bars: int = 100, **changes: Any) -> str:
        return hash_of_request(PredictRequest.model_validate(request_body(bars=6) | changes), bars)

    plain = hashed()
    assert hashed(account={"equity": 100.0}) == plain
    assert hashed(as_of=START + 9 * HOUR) == plain
    assert hashed(funding_rate=[None] * 6) == plain
    assert hashed(close=[1.5] * 5 + [1.6]) != plain
    assert hashed(symbol="ETHUSDT") != plain
    assert hashed(funding_rate=[0.0] * 6) != plain
    earlier = [9.0] + [1.5] * 5
    assert hashed(5, open=earlier) == hashed(5)
    assert hashed(6, open=earlier) != hashed(6)
    context = {"ETHUSDT": {"time": [START], "close": [np.pi]}}
    assert hashed(context=context) != plain
