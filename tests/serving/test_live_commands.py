from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.errors import NothingUsableError
from serving.live.deliveries import Deliveries
from serving.live.event_log import EventLog, NewEvent
from serving.live.settings import Webhook
from serving.live.webhook_commands import app

HOOK = Webhook(name="desk", url="http://127.0.0.1:1/x")


@pytest.fixture(autouse=True)
def _dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = EventLog(Path("live"), 10, [HOOK])
    log.write([NewEvent("regime_change", "AAUSDT")])
    log.close()
    queue = Deliveries(Path("live"))
    (one,) = queue.due("desk", 0.0)
    queue.failed(one, 1.0, None, 500, "it answered 500")
    queue.close()


def test_dead_deliveries_are_shown_and_put_back() -> None:
    shown = CliRunner().invoke(app, ["list", "--json", "found.json"])
    assert "1 attempts  it answered 500" in shown.output
    (one,) = json.loads(Path("found.json").read_text())
    assert (one["hook"], one["status"]) == ("desk", 500)
    assert "nothing is dead" in CliRunner().invoke(app, ["resend", "other"]).output
    assert "1 in the queue again" in CliRunner().invoke(app, ["resend"]).output
    assert "nothing is dead" in CliRunner().invoke(app, ["list"]).output
    assert "evt_" in CliRunner().invoke(app, ["list", "--state", "pending"]).output
    assert CliRunner().invoke(app, ["list", "--state", "lost"]).exit_code == 2


def test_without_live_mode_there_is_nothing_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARMODE_LIVE_STATE", str(tmp_path / "nowhere"))
    found = CliRunner().invoke(app, ["list"])
    assert isinstance(found.exception, NothingUsableError)
    assert not (tmp_path / "nowhere").exists()
