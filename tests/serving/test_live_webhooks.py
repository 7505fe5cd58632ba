"""Webhooks against a real receiver on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from receiver import Receiver, receiving

from serving.live.deliveries import Deliveries
from serving.live.event_log import EventLog, NewEvent
from serving.live.settings import LiveSettings
from serving.live.signature import signature, verify
from serving.live.webhooks import WebhookSender

SECRET = b"0123456789abcdef0123"
NOW = 1_704_067_200.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def settings(tmp_path: Path, receiver: Receiver, **changes: object) -> LiveSettings:
    hooks = [{"name": "desk", "url": receiver.url}]
    given = {"symbols": "AAUSDT", "state": tmp_path, "webhooks": hooks, "webhook_attempts": 3}
    return LiveSettings.load(**(given | {"webhook_retry_seconds": 10.0} | changes))


def queue_events(found: LiveSettings, count: int = 1) -> None:
    log = EventLog(found.state, 100, found.webhooks)
    log.write([NewEvent("regime_change", "AAUSDT", {"to": "bear"}) for _ in range(count)])
    log.close()


def deliver(found: LiveSettings, now: float = NOW) -> int:
    sender = WebhookSender(found, {"desk": SECRET}, clock=lambda: now)
    return asyncio.run(sender.deliver_due(found.webhooks[0]))


def counts(found: LiveSettings) -> tuple[int, int, int]:
    queue = Deliveries(found.state)
    (one,) = queue.summary(found.webhooks)
    queue.close()
    return one["pending"], one["delivered"], one["dead"]


def test_a_delivery_is_signed_so_that_six_lines_can_check_it(tmp_path: Path, receiver: Receiver) -> None:
    found = settings(tmp_path, receiver)
    queue_events(found)
    assert deliver(found) == 1
    (got,) = receiver.got
    # As in docs/live.md.
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    right = "v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert hmac.compare_digest(right, got.headers["webhook-signature"])
    event = json.loads(got.body)
    assert (event["type"], event["symbol"], event["to"]) == ("regime_change", "AAUSDT", "bear")
    assert got.headers["webhook-id"] == f"evt_{event['id']}_desk"
    assert got.headers["content-type"] == "application/json"
    assert counts(found) == (0, 1, 0)
    assert deliver(found) == 0


def test_a_receiver_refuses_what_was_changed_replayed_or_not_signed(tmp_path: Path) -> None:
    headers = {"webhook-id": "evt_1_desk", "webhook-timestamp": str(int(NOW))}
    headers["webhook-signature"] = "v1,other " + signature(SECRET, "evt_1_desk", int(NOW), b"{}")
    assert verify(SECRET, headers, b"{}", NOW + 200)
    assert not verify(SECRET, headers, b"{ }", NOW)
    assert not verify(SECRET, headers, b"{}", NOW + 301)
    assert not verify(b"another secret 1", headers, b"{}", NOW)
    assert not verify(SECRET, headers | {"webhook-id": "evt_2_desk"}, b"{}", NOW)
    assert not verify(SECRET, headers | {"webhook-timestamp": "soon"}, b"{}", NOW)
    assert not verify(SECRET, {}, b"{}", NOW)


def test_a_failure_is_repeated_with_the_same_id_and_body_and_given_up_in_the_end(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    found = settings(tmp_path, receiver)
    queue_events(found)
    receiver.answer = lambda _: 500
    assert deliver(found) == 1
    assert deliver(found, NOW + 7) == 0
    assert deliver(found, NOW + 13) == 1
    assert counts(found) == (1, 0, 0)
    assert deliver(found, NOW + 60) == 1
    assert counts(found) == (0, 0, 1)
    assert deliver(found, NOW + 10_000) == 0
    assert len({(got.headers["webhook-id"], got.body) for got in receiver.got}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.got}) == 3
    queue = Deliveries(tmp_path)
    (dead,) = queue.listed("dead")
    queue.close()
    assert (dead["status"], dead["error"], dead["attempts"]) == (500, "it answered 500", 3)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("bearmode")]
    assert len(ours) == 3
    assert "hidden" not in str(ours)
    assert SECRET.decode() not in caplog.text


@pytest.mark.parametrize(
    ("answer", "words"),
    [(404, "it answered 404"), (307, "it answered 307"), (None, "no answer within 0.3 s")],
)
def test_only_a_success_in_time_counts_and_redirects_are_not_followed(
    tmp_path: Path, receiver: Receiver, answer: int | None, words: str
) -> None:
    found = settings(tmp_path, receiver, webhook_seconds=0.3)
    queue_events(found)
    receiver.answer = lambda _: answer
    deliver(found)
    queue = Deliveries(tmp_path)
    (waiting,) = queue.listed("pending")
    queue.close()
    assert waiting["error"] == words
    assert len(receiver.got) == 1


def test_nobody_there_is_a_failure_without_the_address(tmp_path: Path) -> None:
    with receiving() as gone:
        found = settings(tmp_path, gone)
    queue_events(found)
    deliver(found)
    queue = Deliveries(tmp_path)
    (waiting,) = queue.listed("pending")
    queue.close()
    assert waiting["error"] == "ConnectError"


def test_a_receiver_that_hangs_holds_up_no_other_and_no_end(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _: None
    with receiving() as quick:
        hooks = [{"name": "slow", "url": receiver.url}, {"name": "quick", "url": quick.url}]
        found = settings(tmp_path, receiver, webhooks=hooks, webhook_seconds=60.0)
        queue_events(found, 3)
        sender = WebhookSender(found, {"slow": SECRET, "quick": SECRET})
        sender.start()
        quick.wait_for(3)
        sender.stop(5.0)
    assert len(receiver.got) == 1
    queue = Deliveries(tmp_path)
    waiting = [one["hook"] for one in queue.listed("pending")]
    queue.close()
    assert waiting.count("slow") == 3
