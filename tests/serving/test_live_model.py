from __future__ import annotations

import os
import threading
from pathlib import Path

import pandas as pd
import pytest
from service_fixtures import FakePredictor, make_bundle, request_body

from features.errors import BearmodeError, BundleError
from serving import live_model, reload_outcomes
from serving.live_model import LiveModel
from serving.schemas import Answer, PredictRequest


def fixed(bundle: Path) -> LiveModel:
    return LiveModel(lambda: FakePredictor.load(bundle), watched=bundle / "manifest.json")


def following(pointer: Path) -> LiveModel:
    def load() -> FakePredictor:
        try:
            return FakePredictor.load(pointer.parent / pointer.read_text())
        except FileNotFoundError as missing:
            raise BundleError("no model has been promoted", code="no_champion", hint="train one") from missing

    return LiveModel(load, watched=pointer)


def point(pointer: Path, name: str) -> None:
    fresh = pointer.with_suffix(".new")
    fresh.write_text(name)
    fresh.replace(pointer)


def error(live: LiveModel) -> BearmodeError | None:
    return live.error


def version(live: LiveModel) -> str | None:
    return None if live.predictor is None else live.predictor.version


def test_a_good_bundle_is_served_and_described(tmp_path: Path) -> None:
    live = fixed(make_bundle(tmp_path / "b"))
    live.refresh()
    state = live.describe()
    assert (state["ready"], state["version"], state["last_error"]) == (True, "v1", None)
    assert (state["training"], state["metrics"], state["window_bars"]) == ({"rows": 7}, {"oos/ece": 0.02}, 3)
    assert state["loaded_at"].endswith("Z")


@pytest.mark.parametrize(
    ("content", "words"),
    [("broken", "golden row 3 differs"), ("crash", "could not be loaded (RuntimeError)")],
)
def test_a_bad_bundle_is_an_error_and_no_crash(tmp_path: Path, content: str, words: str) -> None:
    live = fixed(make_bundle(tmp_path / "b", content))
    live.refresh()
    state = live.describe()
    assert (state["ready"], state["version"], state["manifest"]) == (False, None, None)
    assert words in state["last_error"]["message"]
    assert "secret" not in str(state)


def test_the_champion_is_followed_and_the_last_good_one_stays(tmp_path: Path) -> None:
    for name in ("one", "two", "broken"):
        make_bundle(tmp_path / name, name)
    pointer = tmp_path / "champion.json"
    live = following(pointer)
    live.refresh()
    assert version(live) is None
    assert live.error is not None
    assert live.error.code == "no_champion"
    point(pointer, "one")
    live.refresh()
    assert (version(live), error(live)) == ("one", None)
    point(pointer, "broken")
    live.refresh()
    assert version(live) == "one"
    assert live.error is not None
    assert live.describe()["last_error"]["hint"] == "retrain"
    point(pointer, "two")
    live.refresh()
    assert (version(live), error(live)) == ("two", None)


def test_nothing_is_loaded_twice_without_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = tmp_path / "champion.json"
    pointer.write_text("x")
    loads = []

    def load() -> FakePredictor:
        loads.append(1)
        if len(loads) < 3:
            raise BundleError("not yet")
        return FakePredictor("v")

    live = LiveModel(load, watched=pointer)
    for _ in range(5):
        live.refresh()
    assert len(loads) == 1
    monkeypatch.setattr(live_model, "RETRY_SECONDS", 0.0)
    for _ in range(5):
        live.refresh()
    assert (len(loads), version(live)) == (3, "v")


def test_a_bundle_folder_is_followed_too(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    live = fixed(bundle)
    live.refresh()
    (bundle / "manifest.json").write_text("broken")
    os.utime(bundle / "manifest.json", ns=(1, 1))
    live.refresh()
    assert version(live) == "v1"
    assert live.error is not None
    (bundle / "manifest.json").write_text("v2")
    os.utime(bundle / "manifest.json", ns=(2, 2))
    live.refresh()
    assert (version(live), error(live)) == ("v2", None)


def test_the_watcher_finds_a_new_champion_and_stops(tmp_path: Path) -> None:
    pointer = tmp_path / "champion.json"
    loaded = threading.Event()

    def load() -> FakePredictor:
        name = pointer.read_text()
        loaded.set()
        return FakePredictor(name)

    live = LiveModel(load, watched=pointer)
    live.watch(0.01)
    point(pointer, "new")
    assert loaded.wait(10)
    live.stop()
    assert version(live) == "new"


def test_what_became_of_each_load_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_model, "RETRY_SECONDS", 0.0)
    for name in ("one", "broken"):
        make_bundle(tmp_path / name, name)
    pointer = tmp_path / "champion.json"
    pointer.write_text("one")
    live = following(pointer)
    early: list[str] = []
    live.reloads.observe(lambda outcome: early.append(outcome.outcome))
    live.refresh()
    point(pointer, "broken")
    for _ in range(3):
        live.refresh()
    late: list[str] = []
    live.reloads.observe(lambda outcome: late.append(outcome.outcome))
    assert early == ["loaded", "refused", "refused", "refused"]
    assert late == ["loaded", "refused"]
    refused, loaded = live.describe()["reloads"]
    assert (loaded["outcome"], loaded["version"], loaded["previous"]) == ("loaded", "one", None)
    assert (refused["outcome"], refused["count"], refused["previous"]) == ("refused", 3, "one")
    assert refused["error"]["message"] == "golden row 3 differs by 0.2"
    assert refused["first_at"] <= refused["at"]


def test_an_observer_that_fails_stops_no_reload(tmp_path: Path) -> None:
    live = fixed(make_bundle(tmp_path / "b"))

    def fail(_: object) -> None:
        raise RuntimeError("no counter")

    live.reloads.observe(fail)
    live.refresh()
    assert version(live) == "v1"


def test_the_history_is_bounded(tmp_path: Path) -> None:
    pointer = tmp_path / "champion.json"
    live = following(pointer)
    for number in range(reload_outcomes.KEPT + 5):
        make_bundle(tmp_path / f"b{number}", f"v{number}")
        point(pointer, f"b{number}")
        live.refresh()
    kept = live.describe()["reloads"]
    assert len(kept) == reload_outcomes.KEPT
    assert kept[0]["version"] == f"v{reload_outcomes.KEPT + 4}"


def test_the_old_one_is_released_once_its_last_request_is_answered(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_bundle(tmp_path / name, name)
    pointer = tmp_path / "champion.json"
    pointer.write_text("one")
    live = following(pointer)
    live.refresh()
    answering = live.predictor
    assert answering is not None
    point(pointer, "two")
    live.refresh()
    assert live.describe()["still_answering"] == ["one"]
    del answering
    assert live.describe()["still_answering"] == []


def test_a_new_bundle_is_compared_before_it_takes_over(tmp_path: Path) -> None:
    class Broken(FakePredictor):
        def predict(self, request: PredictRequest, *, now: pd.Timestamp) -> Answer:  # noqa: ARG002
            raise RuntimeError("secret")

    answering: list[FakePredictor] = [FakePredictor("one"), Broken("two"), FakePredictor("three")]
    pointer = tmp_path / "champion.json"
    pointer.write_text("0")
    live = LiveModel(lambda: answering[int(pointer.read_text())], watched=pointer)
    live.refresh()
    live.recent.keep(PredictRequest.model_validate(request_body()))
    point(pointer, "1")
    live.refresh()
    assert version(live) == "one"
    assert live.error is not None
    assert live.error.code == "shadow_refused"
    assert "secret" not in str(live.describe())
    point(pointer, "2")
    live.refresh()
    assert version(live) == "three"
    shadow = live.describe()["reloads"][0]["shadow"]
    assert (shadow["windows"], shadow["agreement"], shadow["largest_probability_change"]) == (1, 1.0, 0.0)
