"""The real service with two workers, keys and JSON logs: what a scrape, the log and the files show."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pandas as pd
import pytest
import yaml
from live_fixtures import served, workers
from prometheus_client.parser import text_string_to_metric_families
from service_fixtures import Served
from small_training import Trained, small_histories

from features.history import History
from features.regimes import REGIMES, hindsight_regimes
from serving.live.state_files import read_status
from serving.predictor import Predictor
from serving.safety import add_key
from serving.watching import read_predictions
from serving.watching.window_hash import hash_of_history
from serving.window import window_request
from training.health.health_command import health_command

BEFORE = "0" * 12
"""Version of a bundle that answered before."""
WEBHOOK_SECRET = "a-secret-that-nobody-may-see-anywhere"
BEYOND = 5
"""Requests that the rate of the slow key takes."""


@dataclass
class Watched:
    """The service, its keys, and what was asked of it."""

    process: Served
    folder: Path
    key: str
    slow: str
    body: dict[str, Any]

    def ask(self, method: str, path: str, key: str | None = None, **options: Any) -> httpx.Response:
        headers = {"x-api-key": self.key if key is None else key} | options.pop("headers", {})
        return httpx.request(
            method, f"{self.process.url}{path}", headers=headers, timeout=20, trust_env=False, **options
        )

    def scrape(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Samples by name."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(self.ask("GET", "/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found


@pytest.fixture(scope="module")
def watched(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    key, slow = (
        add_key(folder / "keys.json", "desk"),
        add_key(folder / "keys.json", "slow", per_minute=BEYOND),
    )
    predictor = Predictor.load(trained.bundle)
    history = small_histories()[0]
    write_day(folder / "predictions", history)
    health_command("", trained.places, json=folder / "health.json", predictions=folder / "predictions")
    body = window_request(history.window(len(history) - 1, predictor.manifest.window_bars))
    settings = {
        "LOG_FORMAT": "json",
        "WORKERS": "2",
        "THREADS": "1",
        "PREDICTION_LOG": "all",
        "PREDICTION_LOG_SECONDS": "0.1",
        "PREDICTION_LOG_DAYS": "36500",
        "HEALTH_REPORT": str(folder / "health.json"),
        "STORE": str(shutil.copytree(trained.places.store, folder / "store")),
        "RELOAD_SECONDS": "0.2",
        "LIVE_SYMBOLS": history.symbol,
        "LIVE_SOURCE": "simulated",
        "LIVE_SIMULATED_FROM": (history.time[-1] + pd.Timedelta(hours=5)).isoformat(),
        "LIVE_STATE": str(folder / "live"),
        "LIVE_WEBHOOKS": json.dumps([{"name": "desk", "url": "http://127.0.0.1:9/hook"}]),
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    bundle = shutil.copytree(trained.bundle, folder / "bundle")
    with served(folder, "--bundle", str(bundle), settings=settings) as process:
        process.wait_for("/readyz", 200)
        until_live_mode_has_spoken(folder / "live")
        one = Watched(process, folder, key, slow, body)
        asked(one)
        yield one
        process.stop()


def write_day(folder: Path, history: History) -> None:
    """A day of the prediction log by a bundle of before, about bars whose labels are confirmed."""
    label = hindsight_regimes(history)["regime"].fillna(-1).to_numpy(np.int64)
    rows = [
        {
            "answered_at": int(history.time[bar].timestamp() * 1e3),
            "source": "live",
            "symbol": history.symbol,
            "interval_ms": 4 * 3_600_000,
            "time": int(history.time[bar].timestamp() * 1e3),
            "model_version": BEFORE,
            "in_sample": False,
            "regime": "bear",
            **{f"p_{name}": 0.25 for name in REGIMES},
        }
        for bar in np.flatnonzero(label >= 0)[-200:].tolist()
    ]
    folder.mkdir()
    (folder / "2023-03-01.0123456789ab.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))


def until_live_mode_has_spoken(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while read_status(folder) is None:
        assert time.monotonic() < deadline


def asked(one: Watched) -> None:
    """Requests of every kind: what the tests below look for."""
    for index in range(3):
        answer = one.ask("POST", "/v1/predict", json=one.body, headers={"x-request-id": f"mine-{index}"})
        assert answer.status_code == 200, answer.text
    kept = one.ask("POST", "/v1/predict", json=one.body, headers={"x-prediction-log": "off"})
    assert kept.status_code == 200
    assert one.ask("POST", "/v1/predict", json={"symbol": "BTCUSDT"}).status_code == 422
    assert one.ask("POST", "/v1/predict", content=b"\x80\x04.", headers=PICKLE).status_code == 415
    assert one.ask("POST", "/v1/predict", files={"request": b"{}"}).status_code == 415
    assert one.ask("GET", "/v1/model", key="wrong").status_code == 401
    assert one.ask("GET", f"/v1/survival/NOSUCH?key={one.key}").status_code == 422
    for name in ("AAA", "BBB", "CCC"):
        assert one.ask("GET", f"/v1/survival/{name}").status_code == 404
    statuses = [one.ask("GET", "/v1/model", key=one.slow).status_code for _ in range(2 * BEYOND)]
    # Over both workers together: at most one token more may have come back meanwhile.
    assert BEYOND <= statuses.count(200) <= BEYOND + 1
    assert statuses.count(429) == 2 * BEYOND - statuses.count(200)


PICKLE = {"content-type": "application/vnd.bentoml+pickle"}


def test_a_scrape_counts_what_was_asked_over_both_workers(watched: Watched) -> None:
    found = watched.scrape()
    route = {"route": "/v1/predict", "method": "POST", "status": "200"}
    assert sum(value for labels, value in found["bearmode_request_seconds_count"] if labels == route) == 4
    assert sum(value for _, value in found["bearmode_predictions_total"]) == 4
    assert sum(value for _, value in found["bearmode_leverage_count"]) == 4
    errors = {(labels["route"], labels["code"]): value for labels, value in found["bearmode_errors_total"]}
    assert errors["/v1/model", "unknown_key"] == 1
    assert errors["/v1/model", "rate_limited"] >= BEYOND - 1
    assert errors["/v1/predict", "unsupported_media_type"] == 2
    missing = [
        value
        for labels, value in found["bearmode_errors_total"]
        if labels["route"] == "/v1/survival/{symbol}" and labels["status"] == "404"
    ]
    assert missing == [3]
    keys = {labels["key"] for labels, _ in found["bearmode_key_requests_total"]}
    assert keys == {"desk", "slow"}


def test_what_was_served_is_judged_and_shown(watched: Watched) -> None:
    found = watched.scrape()
    assert found["bearmode_served_confirmed_bars"] == [({"version": BEFORE}, 200.0)]
    ((_, gap),) = found["bearmode_served_log_loss_gap"]
    assert gap == pytest.approx(0, abs=1e-9)  # it promised a quarter to each regime
    assert (watched.folder / "predictions" / "2023-03-01.0123456789ab.parquet").is_file()


def test_answers_about_the_store_are_counted_apart_and_kept_once(watched: Watched) -> None:
    symbol = small_histories()[0].symbol
    for _ in range(20):
        assert watched.ask("GET", f"/v1/regimes/{symbol}").status_code == 200
    found = watched.scrape()["bearmode_predictions_total"]
    assert 1 <= sum(value for labels, value in found if labels["source"] == "live") <= 2  # a worker each
    deadline = time.monotonic() + 10
    kept = 0
    while not kept:
        assert time.monotonic() < deadline
        frame = read_predictions(watched.folder / "predictions", since=datetime.now(UTC).date())
        kept = int((frame["source"] == "live").sum())
    assert kept <= 2


def test_the_store_and_live_mode_are_seen(watched: Watched) -> None:
    found = watched.scrape()
    symbol = small_histories()[0].symbol
    ages = {labels["symbol"]: value for labels, value in found["bearmode_data_age_seconds"]}
    assert ages[symbol] < 86_400  # by the simulated market's clock
    assert max(ages.values()) > 86_400  # of a symbol that nobody watches, by ours
    assert sum(value for _, value in found["bearmode_live_state"]) == 1
    assert {labels["state"] for labels, _ in found["bearmode_webhook_deliveries"]} == {"pending", "dead"}


def test_the_workers_count_where_no_other_service_does(watched: Watched) -> None:
    """BentoML's own folder is emptied by each service of the user that starts."""
    for worker in workers(watched.process):
        counted = [one.path for one in worker.memory_maps() if one.path.endswith((".db", ".bucket"))]
        assert counted
        assert all("bearmode-metrics-" in path for path in counted), counted


def test_no_symbol_and_no_key_is_a_label_and_paths_are_bounded(watched: Watched) -> None:
    text = watched.ask("GET", "/metrics").text
    for name in ("AAA", "BBB", "NOSUCH", watched.key, watched.slow):
        assert name not in text
    found = watched.scrape()
    endpoints = {labels["endpoint"] for labels, _ in found["bentoml_service_request_total"]}
    assert "/v1/survival/{symbol}" in endpoints
    assert not [path for path in endpoints if "AAA" in path]


def test_a_scrape_says_what_is_served_and_how_it_fares(watched: Watched, trained: Trained) -> None:
    found = watched.scrape()
    ((labels, _),) = found["bearmode_model_info"]
    assert labels["version"] == trained.result["version"]
    assert found["bearmode_model_ready"] == [({}, 1.0)]
    assert found["bearmode_model_state"][0][1] in {0.0, 1.0, 2.0}
    assert (
        sum(value for labels, value in found["bearmode_reloads_total"] if labels["outcome"] == "loaded") == 2
    )
    report = json.loads((watched.folder / "health.json").read_text())["metrics"]
    assert found["bearmode_health_state"] == [({}, report["bearmode_health_state"])]
    assert found["bearmode_model_age_days"][0][1] > 300  # now, not when the report was made


def test_a_bundle_that_breaks_is_counted(watched: Watched) -> None:
    manifest = watched.folder / "bundle" / "manifest.json"
    good = manifest.read_bytes()
    manifest.write_bytes(b"{}")
    deadline = time.monotonic() + 20
    try:
        refused = 0.0
        while refused < 2:
            assert time.monotonic() < deadline
            found = watched.scrape()["bearmode_reloads_total"]
            refused = sum(value for labels, value in found if labels["outcome"] == "refused")
        assert watched.ask("POST", "/v1/predict", json=watched.body).status_code == 200
    finally:
        manifest.write_bytes(good)


def lines(watched: Watched) -> list[dict[str, Any]]:
    """The workers' lines; what the supervisor says before them is text."""
    return [json.loads(line) for line in watched.process.output().splitlines() if line.startswith("{")]


def test_each_request_is_one_line(watched: Watched, trained: Trained) -> None:
    told = [line for line in lines(watched) if line["message"] == "request"]
    (mine,) = [line for line in told if line["request_id"] == "mine-1"]
    assert (mine["method"], mine["route"], mine["status"]) == ("POST", "/v1/predict", 200)
    assert (mine["key"], mine["version"]) == ("desk", trained.result["version"])
    assert (mine["symbol"], mine["answers"]) == (watched.body["symbol"], 1)
    assert mine["ms"] > 0
    assert mine["logger"] == "bearmode.access"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", mine["time"])
    assert {line["code"] for line in told if line["status"] == 401} == {"unknown_key"}
    assert not [line for line in told if line["route"] in {"/livez", "/readyz"} and line["status"] == 200]
    assert len({line["request_id"] for line in told}) == len(told)
    assert [line for line in lines(watched) if line["message"].startswith("serving bundle")]


def test_no_secret_is_in_the_log_or_in_any_file(watched: Watched) -> None:
    secrets = [watched.key, watched.slow, WEBHOOK_SECRET]
    files = [path for path in watched.folder.rglob("*") if path.is_file()]
    assert watched.folder / "log.txt" in files
    for path in files:
        content = path.read_bytes()
        assert not [one for one in secrets if one.encode() in content], path


def test_answers_are_kept_with_the_hash_of_their_window(watched: Watched) -> None:
    deadline = time.monotonic() + 10
    while len(frame := kept_of_requests(watched)) < 3:
        assert time.monotonic() < deadline
    assert {f"mine-{index}" for index in range(3)} <= set(frame["request_id"])
    history = small_histories()[0]
    bars = len(watched.body["time"])
    assert set(frame["window_hash"]) == {hash_of_history(history.part(0, len(history)), bars)}
    assert set(frame["key"]) == {"desk"}


def kept_of_requests(watched: Watched) -> pd.DataFrame:
    frame = read_predictions(watched.folder / "predictions")
    return frame[frame["source"] == "request"]


def test_nothing_is_traced_unless_bentoml_is_told_to(watched: Watched) -> None:
    answer = watched.ask("GET", "/v1/model")
    assert "x-bentoml-trace-id" not in answer.headers
    assert "trace=" not in watched.process.output()


EXPRESSION = re.compile(r"\b(bearmode_[a-z0-9_]+|bentoml_[a-z0-9_]+)\b")


def expressions(root: Path) -> dict[str, str]:
    """Every expression of the alert rules and of the dashboard, by where it stands."""
    rules = yaml.safe_load((root / "deploy/prometheus/alerts.yml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    dashboard = json.loads((root / "deploy/grafana/bearmode.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


def test_every_metric_of_alerts_and_dashboard_is_in_a_scrape(watched: Watched, root: Path) -> None:
    found = watched.scrape()
    asked_for = expressions(root)
    assert len(asked_for) > 20
    for where, expression in asked_for.items():
        names = set(EXPRESSION.findall(expression)) - {"bearmode_symbol"}
        assert names or "up{" in expression, where
        for name in names:
            assert name in found, f"{where}: {name}"


def test_every_metric_is_explained(watched: Watched, root: Path) -> None:
    page = (root / "docs/operations.md").read_text() + (root / "docs/health.md").read_text()
    for name in watched.scrape():
        base = re.sub(r"_(total|count|sum|bucket|created)$", "", name)
        if base.startswith("bearmode_"):
            assert base in page, base
