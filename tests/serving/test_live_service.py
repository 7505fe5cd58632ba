"""``bearmode serve --live`` as real processes: stream and webhook, failures by name, a clean end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
from live_fixtures import install, make_champion, served, workers
from receiver import receiving
from service_fixtures import Served
from small_training import Trained

from features.history import History
from features.sources import load_simulated
from serving.live.event_log import EventLog, Known
from serving.predictor import Predictor

SYMBOL = "SIMBTC"
SECRET = "a secret of the desk 0123"
BAR = pd.Timedelta(hours=4)
SPEED = 1_800
"""A four-hour bar in eight seconds."""


def last_change(predictor: Predictor) -> tuple[pd.Timestamp, str, str]:
    """Close, old and new regime of a change in the simulated market."""
    (market,) = load_simulated([SYMBOL], interval="4h", until=pd.Timestamp("2021-11-15", tz="UTC"))
    history = History.from_raw(market)
    before = None
    for row in predictor.replay(history, pd.Timestamp("2021-07-01", tz="UTC"), None):
        after = None if row.answer is None else row.answer.regime
        if before is not None and after is not None and after != before:
            return row.time, before, after
        before = after
    raise AssertionError("the small model names one regime throughout")


def until(process: Served, path: str, found: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> Any:
    """Ask until the answer is as wanted."""
    deadline = time.monotonic() + seconds
    while True:
        content = httpx.get(f"{process.url}{path}", trust_env=False, timeout=10).json()
        if found(content):
            return content
        assert time.monotonic() < deadline, (content, process.output()[-3_000:])
        time.sleep(0.05)


def heard(process: Served, last: int, kind: str) -> dict[str, Any]:
    """The first event of a kind after an id, from the stream."""
    url = f"{process.url}/v1/events?types={kind}"
    with httpx.stream(
        "GET", url, headers={"last-event-id": str(last)}, trust_env=False, timeout=60
    ) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        named = None
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            named = value if name == "event" else named
            if name == "data" and named == kind:
                content: dict[str, Any] = json.loads(value)
                return content
    raise AssertionError("the stream ended")


def test_live_mode_from_the_source_to_stream_and_webhook(trained: Trained, tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    predictor = install(trained.bundle, bundles)
    make_champion(bundles, predictor)
    close, before, after = last_change(predictor)
    # What was known before the process starts: so it has a change to tell at its first look.
    log = EventLog(tmp_path / "live", 100)
    log.write(
        known={SYMBOL: Known(predictor.version, close - BAR, before)}, facts={"model": predictor.version}
    )
    log.close()
    with receiving() as receiver:
        receiver.answer = lambda number: 500 if number == 0 else 204
        settings = {
            "WEBHOOK_SECRET": SECRET,
            "LIVE_SIMULATED_FROM": (close + pd.Timedelta(minutes=2)).isoformat(),
            "LIVE_SIMULATED_SPEED": str(SPEED),
            "LIVE_DELAY_SECONDS": "0",
            "LIVE_JITTER_SECONDS": "0",
            "LIVE_RETRY_SECONDS": "0.5",
            "LIVE_WEBHOOK_RETRY_SECONDS": "0.2",
        }
        options = ("--live", SYMBOL, "--live-source", "simulated", "--webhook", f"desk={receiver.url}")
        with served(tmp_path, *options, settings=settings) as process:
            process.wait_for("/readyz", 200)
            for one in workers(process):
                assert not [name for name in one.environ() if name.startswith("BEARMODE_WEBHOOK")]
            change = heard(process, 0, "regime_change")
            assert (change["symbol"], change["from"], change["to"]) == (SYMBOL, before, after)
            assert (pd.Timestamp(change["as_of"]), change["cause"]) == (close, "market")

            first, second = receiver.wait_for(2)[:2]
            assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
            assert json.loads(first.body) == change
            signed = f"{second.headers['webhook-id']}.{second.headers['webhook-timestamp']}.".encode()
            digest = hmac.new(SECRET.encode(), signed + second.body, hashlib.sha256).digest()
            assert second.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
            until(process, "/v1/live", lambda one: one["webhooks"][0]["delivered"] >= 1)

            check_a_killed_live_process_is_started_again(process, change["id"])
            check_a_failing_source_is_stale_by_name(process, tmp_path, change["id"])

            family = psutil.Process(process.process.pid).children(recursive=True)
            with httpx.stream("GET", f"{process.url}/v1/events", trust_env=False, timeout=30) as stream:
                lines = stream.iter_lines()
                assert "ready" in next(line for line in lines if line.startswith("event"))
                assert process.stop() < 15
                assert [line for line in lines if line.startswith("event: gap")] == []  # to its end, whole
            assert process.process.returncode == 0
            assert [one for one in family if one.is_running() and one.status() != "zombie"] == []
        written = process.output() + (tmp_path / "live" / "status.json").read_text()
        assert SECRET not in written
        assert "token=hidden" not in written


def check_a_killed_live_process_is_started_again(process: Served, last: int) -> None:
    """Requests go on, and nothing is told twice."""
    pid = until(process, "/v1/live", lambda one: "pid" in one)["pid"]
    psutil.Process(pid).send_signal(signal.SIGKILL)
    assert httpx.get(f"{process.url}/readyz", trust_env=False).status_code == 200
    until(process, "/v1/live", lambda one: one["pid"] != pid)
    assert "is started again" in process.output()
    assert pid not in {one.pid for one in psutil.Process(process.process.pid).children(recursive=True)}
    with httpx.stream(
        "GET", f"{process.url}/v1/events?last_event_id={last}", trust_env=False, timeout=30
    ) as stream:
        ready = next(line for line in stream.iter_lines() if line.startswith("data: "))
    assert json.loads(ready.removeprefix("data: ")) == {"last_event_id": last}


def check_a_failing_source_is_stale_by_name(process: Served, folder: Path, last: int) -> None:
    """The store goes away: the answer gets old, says so, and comes back."""
    store = folder / "data"
    store.rename(folder / "gone")
    store.write_text("no folder")

    def failed(content: dict[str, Any]) -> bool:
        (row,) = content["symbols"]
        return row["stale"] and "store_unreachable" in row["degraded"] and content["state"] == "degraded"

    until(process, "/v1/live", failed)
    assert heard(process, last, "data_stale")["symbol"] == SYMBOL
    store.unlink()
    (folder / "gone").rename(store)
    until(process, "/v1/live", lambda one: one["symbols"][0]["source_error"] is None)
