"""What breaks around the service, and what it does then: the table of faults in ``docs/operations.md``.

One service with two workers lives through all of them, one after the other, and answers right in between.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pandas as pd
import pytest
from live_fixtures import install, make_champion, served, workers
from service_fixtures import Served
from small_training import SYMBOLS, Trained, small_histories

from features.errors import WindowError
from features.json_file import write_json
from features.store import Store
from serving.predictor import Predictor
from serving.schemas import PredictRequest
from serving.window import window_request

SECONDS = 60.0
NOBODY = "http://127.0.0.1:9"
"""Nobody listens there."""
SMALL = 409_600
"""Bytes of a disk: room for the predictions of all tests here, and soon full where it is filled."""


@dataclass
class World:
    """A running service and all that it lives on."""

    process: Served
    body: bytes
    folder: Path
    version: str
    disk: Path | None

    def ask(self) -> httpx.Response:
        """One prediction over a new connection."""
        return httpx.post(
            f"{self.process.url}/v1/predict",
            content=self.body,
            headers={"content-type": "application/json"},
            timeout=SECONDS,
            trust_env=False,
        )

    def get(self, path: str) -> httpx.Response:
        """One GET over a new connection."""
        return httpx.get(f"{self.process.url}{path}", timeout=SECONDS, trust_env=False)

    def answers(self) -> None:
        """It predicts as if nothing had happened."""
        for _ in range(4):
            answer = self.ask()
            assert answer.status_code == 200, answer.text
            assert answer.json()["model"]["version"] == self.version


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of :data:`SMALL` bytes; ``None`` where this user may not mount one."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    mounted = (
        shutil.which("mount")
        and not subprocess.run(["mount", *options], check=False, capture_output=True).returncode
    )
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def world(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    shutil.copytree(trained.places.store, folder / "data")
    champion = install(trained.bundle, folder / "bundles")
    make_champion(folder / "bundles", champion)
    history = small_histories()[0]
    window = history.window(len(history) - 1, champion.manifest.window_bars)
    settings = {
        "STORE": str(folder / "data"),
        "BUNDLES": str(folder / "bundles"),
        "WORKERS": "2",
        "RELOAD_SECONDS": "0.2",
        "PREDICTION_LOG": "all",
        "PREDICTION_LOG_DIR": str(folder / "predictions"),
        "PREDICTION_LOG_SECONDS": "0.1",
        "MLRUNS": str(folder / "no" / "such" / "folder"),
    }
    with (
        small_disk(folder / "predictions") as disk,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("MLFLOW_TRACKING_URI", NOBODY)
        with served(folder, settings=settings) as process:
            process.wait_for("/readyz", 200)
            body = orjson.dumps(window_request(window))
            yield World(process, body, folder, champion.version, disk)


def soon(what: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    content = answer.json()
    assert list(content) == ["error"]
    found: dict[str, Any] = content["error"]
    return found


def test_the_registry_is_unreachable(world: World) -> None:
    world.answers()
    assert world.get("/v1/model").json()["ready"]
    assert "mlflow" not in world.process.output().lower()


def test_a_worker_is_killed(world: World) -> None:
    first, second = workers(world.process)
    first.kill()
    refused = 0
    statuses = set()

    def whole() -> bool:
        nonlocal refused
        try:
            statuses.add(world.ask().status_code)
        except httpx.TransportError:  # it had been handed to the worker that died
            refused += 1
        pids = {one.pid for one in workers(world.process)}
        return len(pids) == 2 and first.pid not in pids

    soon(whole)
    assert statuses == {200}
    assert refused <= 3
    assert second.is_running()
    replaced = {one.pid for one in workers(world.process)} - {second.pid}
    soon(lambda: world.get("/v1/model").json()["worker"] in replaced)
    world.answers()


def test_the_store_is_deleted_and_comes_back(world: World) -> None:
    store, aside = world.folder / "data", world.folder / "aside"
    assert world.get("/v1/board").status_code == 200
    store.rename(aside)
    soon(lambda: world.get("/v1/board").status_code == 503)
    missing = world.get(f"/v1/regimes/{SYMBOLS[0]}")
    assert missing.status_code in {404, 503}
    assert error_of(missing)["hint"]
    world.answers()
    aside.rename(store)
    soon(lambda: world.get(f"/v1/regimes/{SYMBOLS[0]}").status_code == 200)
    assert world.get("/v1/board").status_code == 200


def test_the_store_is_locked_by_a_writer(world: World) -> None:
    with Store(world.folder / "data").writing():
        assert world.get(f"/v1/regimes/{SYMBOLS[0]}").status_code == 200
        assert world.get("/v1/board").status_code == 200
        world.answers()


def test_the_files_of_a_symbol_are_broken(world: World) -> None:
    manifest = next(iter(sorted((world.folder / "data" / SYMBOLS[1]).glob("*.json"))))
    content = manifest.read_bytes()
    manifest.write_bytes(content[: len(content) // 2])
    try:
        soon(lambda: world.get(f"/v1/regimes/{SYMBOLS[1]}").status_code == 503)
        broken = world.get(f"/v1/regimes/{SYMBOLS[1]}")
        assert error_of(broken)["hint"]
        assert str(world.folder) not in broken.text
        other = world.get(f"/v1/regimes/{SYMBOLS[0]}")
        assert other.status_code == 200, other.text
        world.answers()
    finally:
        manifest.write_bytes(content)
    soon(lambda: world.get(f"/v1/regimes/{SYMBOLS[1]}").status_code == 200)


def test_the_disk_is_full_of_predictions(world: World) -> None:
    if world.disk is None:
        pytest.skip("this user may not mount a small file system")
    filler = world.disk / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while out.write(bytes(1024)):
            pass

    def complained() -> bool:
        world.answers()
        return "cannot be written" in world.process.output()

    soon(complained)
    lost = [line for line in world.get("/metrics").text.splitlines() if 'not_written"' in line]
    assert lost
    filler.unlink()
    rows = written(world.disk)

    def goes_on() -> bool:
        world.answers()
        return written(world.disk) > rows

    soon(goes_on)


def written(folder: Path | None) -> int:
    assert folder is not None
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_promotion_on_a_full_disk_leaves_the_champion(tmp_path: Path) -> None:
    with small_disk(tmp_path / "bundles") as disk:
        if disk is None:
            pytest.skip("this user may not mount a small file system")
        champion = disk / "champion.json"
        write_json(champion, {"version": "old"})
        with (disk / "filler").open("wb", buffering=0) as out, contextlib.suppress(OSError):
            while out.write(bytes(1024)):
                pass
        with pytest.raises(OSError, match="space"):
            write_json(champion, {"version": "new" * 200_000})
        assert orjson.loads(champion.read_bytes()) == {"version": "old"}
        assert sorted(path.name for path in disk.iterdir()) == ["champion.json", "filler"]


@pytest.mark.parametrize("half", ["no_manifest", "no_graph", "half_graph", "no_folder", "no_json"])
def test_a_bundle_is_half_copied(world: World, half: str) -> None:
    bundles = world.folder / "bundles"
    champion = (bundles / "champion.json").read_bytes()
    copied = bundles / f"half_{half}"
    if half != "no_folder":
        shutil.copytree(bundles / world.version, copied)
    if half == "no_manifest":
        (copied / "manifest.json").unlink()
    elif half == "no_graph":
        (copied / "model.onnx").unlink()
    elif half == "half_graph":
        os.truncate(copied / "model.onnx", 1000)
    seen = world.process.output().count("not loaded")
    if half == "no_json":
        (bundles / "champion.json").write_bytes(champion[:20])
    else:
        write_json(bundles / "champion.json", orjson.loads(champion) | {"path": copied.name})
    soon(lambda: world.process.output().count("not loaded") >= seen + 2)
    world.answers()
    state = world.get("/v1/model").json()
    assert state["ready"]
    assert state["last_error"]["message"]
    assert world.get("/readyz").status_code == 200
    (bundles / "champion.json").write_bytes(champion)
    soon(lambda: all(world.get("/v1/model").json()["last_error"] is None for _ in range(6)))
    world.answers()


def test_the_champion_is_deleted(world: World) -> None:
    named = world.folder / "bundles" / "champion.json"
    champion = named.read_bytes()
    seen = world.process.output().count("not loaded")
    named.unlink()
    soon(lambda: world.process.output().count("not loaded") >= seen + 2)
    world.answers()
    named.write_bytes(champion)
    soon(lambda: all(world.get("/v1/model").json()["last_error"] is None for _ in range(6)))


# --- the clock --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window() -> dict[str, Any]:
    history = small_histories()[0]
    return window_request(history.window(len(history) - 1, 2_000))


@pytest.mark.parametrize("jump", ["-3650D", "-1h", "1h", "3650D"])
def test_the_clock_jumps_and_a_question_with_its_own_moment_does_not_care(
    predictor: Predictor, window: dict[str, Any], jump: str
) -> None:
    request = PredictRequest.model_validate(window)
    moment = pd.Timestamp(window["as_of"], unit="ms", tz="UTC")
    answer = predictor.predict(request, now=moment)
    assert predictor.predict(request, now=moment + pd.Timedelta(jump)) == answer


def test_the_clock_jumps_back_and_a_question_of_now_is_refused(
    predictor: Predictor, window: dict[str, Any]
) -> None:
    request = PredictRequest.model_validate(window | {"as_of": None})
    last = pd.Timestamp(window["time"][-1], unit="ms", tz="UTC")
    with pytest.raises(WindowError, match="later than as_of") as refused:
        predictor.predict(request, now=last - pd.Timedelta("1s"))
    assert refused.value.code == "future_time"


def test_the_clock_jumps_forth_and_the_answer_says_how_old_it_is(
    predictor: Predictor, window: dict[str, Any]
) -> None:
    request = PredictRequest.model_validate(window | {"as_of": None})
    last = pd.Timestamp(window["time"][-1], unit="ms", tz="UTC")
    answer = predictor.predict(request, now=last + pd.Timedelta("3650D"))
    assert answer.model.state == "expired"
    assert {"stale_window", "model_expired"} <= set(answer.degraded)
    assert answer.advice.leverage <= 1
