"""Reloads of real bundles under load: no request is lost, each answer is that of the version it names."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from live_fixtures import install, make_champion, served, workers
from service_fixtures import Served
from small_training import LONG, Trained, small_histories

from features.history import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, History
from serving.finite import non_finite
from serving.predictor import Predictor
from serving.schemas import PredictRequest
from serving.service import open_live_model
from serving.settings import ServingSettings

RELOADS = 100 if LONG else 10
CLIENTS = 2


def body_of(history: History, end: int, bars: int) -> dict[str, Any]:
    """A request for the window that ends at a bar."""
    window = history.window(end, bars)
    stamps = window.time.as_unit("ms").asi8.tolist()
    body: dict[str, Any] = {"symbol": history.symbol, "interval": history.interval, "as_of": stamps[-1]}
    body["time"] = stamps
    for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS):
        values = window.column(name)
        body[name] = [None if math.isnan(value) else value for value in values.tolist()]
    return body


def expected(predictor: Predictor, body: dict[str, Any]) -> dict[str, Any]:
    """What a bundle answers, as it is on the wire."""
    request = PredictRequest.model_validate(body)
    answer = predictor.predict(request, now=pd.Timestamp.now(tz="UTC")).model_dump(mode="json")
    assert non_finite(answer) is None
    found: dict[str, Any] = json.loads(json.dumps(answer))
    return found


def until_all_serve(process: Served, version: str, seconds: float = 30.0) -> dict[int, dict[str, Any]]:
    """Ask until each worker has said that it serves the version."""
    pids = {one.pid for one in workers(process)}
    said: dict[int, dict[str, Any]] = {}
    deadline = time.monotonic() + seconds
    while {pid for pid, state in said.items() if state["version"] == version} != pids:
        assert time.monotonic() < deadline, (version, said.keys(), process.output()[-3000:])
        state = httpx.get(f"{process.url}/v1/model", trust_env=False, timeout=10).json()
        said[state["worker"]] = state
    return said


@pytest.fixture
def pair(trained: Trained, tmp_path: Path) -> tuple[Predictor, Predictor]:
    """Two bundles of the small training, installed side by side."""
    fold = next(iter(sorted(trained.bundle.with_name(f"{trained.bundle.name}.walk-forward").iterdir())))
    bundles = tmp_path / "bundles"
    return install(trained.bundle, bundles), install(fold, bundles)


def check_a_bad_bundle_is_refused(
    process: Served, bundles: Path, pair: tuple[Predictor, Predictor], count: int
) -> None:
    """Every worker keeps the one it has, says why, and goes on with the next good one."""
    good, other = pair[count % 2], pair[(count + 1) % 2]
    with (bundles / other.version / "model.onnx").open("r+b") as graph:
        graph.truncate(1_000)
    make_champion(bundles, other)
    pids = {one.pid for one in workers(process)}
    refused: set[int] = set()
    deadline = time.monotonic() + 30
    while refused != pids:
        assert time.monotonic() < deadline, process.output()[-3000:]
        state = httpx.get(f"{process.url}/v1/model", trust_env=False, timeout=10).json()
        assert state["version"] == good.version
        if state["last_error"] is not None:
            assert (state["last_error"]["code"], state["reloads"][0]["outcome"]) == ("bad_bundle", "refused")
            assert "SHA-256" in state["last_error"]["message"]
            refused.add(state["worker"])
    assert httpx.get(f"{process.url}/readyz", trust_env=False).status_code == 200
    make_champion(bundles, good)
    until_all_serve(process, good.version)


@pytest.mark.parametrize("count", [pytest.param(RELOADS, marks=pytest.mark.long if LONG else ())])
def test_reloads_under_load_lose_nothing(
    pair: tuple[Predictor, Predictor], tmp_path: Path, count: int
) -> None:
    bundles = tmp_path / "bundles"
    make_champion(bundles, pair[0])
    bodies = [
        body_of(history, end, pair[0].manifest.window_bars)
        for history in small_histories()
        for end in (2_000, len(history) - 1)
    ]
    raw = [json.dumps(body).encode() for body in bodies]
    right = {one.version: [expected(one, body) for body in bodies] for one in pair}
    assert right[pair[0].version] != right[pair[1].version]
    settings = {"WORKERS": "2", "RELOAD_SECONDS": "0.05", "MAX_CONCURRENCY": "200"}
    over = threading.Event()
    answered: Counter[str] = Counter()

    def ask(number: int, url: str) -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            asked = number
            while not over.is_set():
                which = asked % len(raw)
                answer = client.post(
                    "/v1/predict", content=raw[which], headers={"content-type": "application/json"}
                )
                assert answer.status_code == 200, answer.text
                body = answer.json()
                version = body["model"]["version"]
                assert body == right[version][which]
                answered[version] += 1
                asked += 1

    with served(tmp_path, settings=settings) as process:
        process.wait_for("/readyz", 200)
        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(ask, number, process.url) for number in range(CLIENTS)]
            try:
                memory = []
                for number in range(1, count + 1):
                    make_champion(bundles, pair[number % 2])
                    said = until_all_serve(process, pair[number % 2].version)
                    if number >= min(5, count // 2):
                        memory.append(sum(one.memory_info().rss for one in workers(process)))
            finally:
                over.set()
            for one in asking:
                one.result()
        shown = [f"{size >> 20} MiB" for size in (memory[0], memory[-1])]
        print(f"{count} reloads, {dict(answered)} answers, workers {' to '.join(shown)}")
        check_a_bad_bundle_is_refused(process, bundles, pair, count)
    assert len(answered) == 2
    assert min(answered.values()) >= count
    assert max(memory[len(memory) // 2 :]) < 1.05 * max(memory[: len(memory) // 2])
    for state in said.values():
        newest = state["reloads"][0]
        assert (newest["outcome"], state["last_error"]) == ("loaded", None)
        assert newest["shadow"]["windows"] >= 3
        assert 0 < newest["shadow"]["largest_probability_change"] < 1


def test_a_bundle_folder_is_followed_and_a_half_copied_one_refused(
    pair: tuple[Predictor, Predictor], tmp_path: Path
) -> None:
    first, second = (one.bundle.folder for one in pair)
    followed = tmp_path / "followed"
    shutil.copytree(first, followed)
    live = open_live_model(ServingSettings.load(bundle=followed))
    assert live.describe()["version"] == pair[0].version
    names = sorted(path.name for path in second.iterdir() if path.name not in {"run.json", "manifest.json"})
    assert len(names) >= 2
    for name in names:
        shutil.copy(second / name, followed / name)
        live.refresh()
        state = live.describe()
        assert (state["version"], state["last_error"]["code"]) == (pair[0].version, "bad_bundle")
    for name in ("run.json", "manifest.json"):
        shutil.copy(second / name, followed / name)
    live.refresh()
    state = live.describe()
    assert (state["version"], state["last_error"]) == (pair[1].version, None)
    outcomes = [one["outcome"] for one in state["reloads"]]
    assert (outcomes[0], outcomes[-1], set(outcomes[1:-1])) == ("loaded", "loaded", {"refused"})
