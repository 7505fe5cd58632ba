"""A training run: what it leaves behind, that it can be made again, and that a failure changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pandas as pd
import pytest
from mlflow.entities import Run
from small_training import Trained, copy_places, new_places, small_histories, small_recipe, snapshot

from features.errors import BearmodeError, NothingUsableError, TrainingError
from features.history import History
from training import packaging, pipeline
from training.dataset import Dataset
from training.making import publish
from training.pipeline import TrainResult, require_classes, train
from training.settings import Places
from training.tracking import EXPERIMENT, MODEL, Tracker, open_tracker


def client(places: Places) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(places.tracking_uri, places.tracking_uri)


def runs(places: Places) -> list[Run]:
    """Newest first."""
    found = client(places)
    experiment = found.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(found.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"]))


def parents(places: Places) -> list[Run]:
    return [run for run in runs(places) if "mlflow.parentRunId" not in run.data.tags]


def quick(places: Places, **options: Any) -> TrainResult:
    """One symbol, one fold, few trees."""
    history = small_histories()[0].between(None, pd.Timestamp("2022-02-20", tz="UTC"))
    return train([history], places, recipe=small_recipe(2), **options)


def test_the_champion_is_what_was_trained(trained: Trained) -> None:
    found = json.loads((trained.places.bundles / "champion.json").read_text())
    version = trained.result["version"]
    assert found == {"version": version, "path": version, "hash": trained.result["hash"], "previous": None}
    beside = sorted(path.name for path in (trained.places.bundles / f"{version}.walk-forward").iterdir())
    assert beside == ["2022-01", "2022-07", "2023-01", "learned-from.json"]
    assert trained.result["parity"] <= 1e-6


def test_one_parent_run_with_a_nested_run_for_each_fold(trained: Trained) -> None:
    (parent,) = parents(trained.places)
    assert parent.info.run_id == trained.result["run_id"]
    nested = [
        run for run in runs(trained.places) if run is not parent and "mlflow.parentRunId" in run.data.tags
    ]
    assert sorted(run.data.params["fold"] for run in nested) == ["2022-01", "2022-07", "2023-01"]
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parent.info.run_id}
    assert {run.info.status for run in (parent, *nested)} == {"FINISHED"}
    for run in nested:
        assert {"cv/log_loss", "cv/macro_f1", "calibration/temperature"} <= set(run.data.metrics)
    metrics = parent.data.metrics
    report = trained.result["report"]["models"]
    assert metrics["oos/log_loss"] == pytest.approx(report["model"]["log_loss"])
    assert metrics["baseline/moving_average_rule/log_loss"] == pytest.approx(
        report["moving_average_rule"]["log_loss"]
    )
    assert len(parent.data.params["data_hash"]) == len(parent.data.params["feature_hash"]) == 64
    assert "# Regime classifier: SIMBTC, SIMETH" in parent.data.tags["mlflow.note.content"]
    assert parent.data.tags["bearmode/bundle"] == trained.result["hash"]


def test_the_registered_model_is_the_bundle_and_has_signature_and_example(trained: Trained) -> None:
    found = client(trained.places).get_model_version_by_alias(MODEL, "champion")
    assert str(found.version) == trained.result["registered_version"]
    assert found.run_id == trained.result["run_id"]
    (graph,) = (trained.places.mlruns / "artifacts").rglob("models/*/artifacts/model.onnx")
    assert onnx.load(graph) == onnx.load(trained.bundle / "model.onnx")
    described = (graph.parent / "MLmodel").read_text()
    assert "signature:" in described
    assert "saved_input_example_info:" in described
    artifacts = {
        path.name for path in (trained.places.mlruns / "artifacts" / trained.result["run_id"]).rglob("*")
    }
    assert artifacts >= {
        "confusion.html",
        "reliability.html",
        "delay.html",
        "parts.html",
        "sets.html",
        "regimes_SIMBTC.html",
        "regimes_SIMETH.html",
        "report.md",
        "manifest.json",
    }


def test_scores_stand_beside_every_baseline_on_the_same_rows(trained: Trained) -> None:
    models = trained.result["report"]["models"]
    assert set(models) == {
        "model",
        "base",
        "climatology",
        "last_confirmed_label",
        "moving_average_rule",
    }
    assert len({scores["rows"] for scores in models.values()}) == 1
    assert set(trained.result["report"]["symbols"]) == {"SIMBTC", "SIMETH"}
    assert trained.result["report"]["spells"] >= 10
    assert models["model"]["log_loss"] < models["climatology"]["log_loss"]


def test_same_data_code_and_seed_give_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    """Another place, another process state, another time of day: run.json and the journal alone differ."""
    places = copy_places(trained.places, tmp_path)
    before = snapshot(places.bundles)
    for path in [*places.bundles.glob("*.walk-forward"), places.bundles / trained.bundle.name]:
        path.rename(tmp_path / path.name)
    again = train(small_histories(), places, recipe=small_recipe())
    assert again.hash == trained.result["hash"]
    assert again.run_id != trained.result["run_id"]
    after = snapshot(places.bundles)
    assert set(after) - {".lock"} == set(before) - {".lock"}
    assert {name for name in after if after[name] != before[name]} <= {
        name for name in after if name.endswith(("run.json", "journal.jsonl"))
    }
    assert json.loads(after[f"{again.version}/run.json"])["run_id"] == again.run_id


class StoppedError(Exception):
    """The injected failure."""


def stop(*_args: object, **_kwargs: object) -> None:
    raise StoppedError("stopped here")


def fail_parity(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(packaging, "prove_parity", stop)


def fail_registry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Tracker, "register", stop)


def fail_install(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publish, "install", stop)


def fail_promotion(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pipeline, "promote", stop)


@pytest.mark.parametrize("inject", [fail_parity, fail_registry, fail_install, fail_promotion])
def test_a_run_that_fails_leaves_champion_bundles_and_alias(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inject: Callable[[pytest.MonkeyPatch], None],
) -> None:
    places = copy_places(trained.places, tmp_path)
    before = snapshot(places.bundles)
    alias = str(client(places).get_model_version_by_alias(MODEL, "champion").version)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    with monkeypatch.context() as patch:
        inject(patch)
        with pytest.raises(StoppedError):
            quick(places)
    after = snapshot(places.bundles)
    assert {name: after[name] for name in before} == before
    if inject is not fail_promotion:  # an installed bundle is served by nobody until it is promoted
        assert after == before
    assert str(client(places).get_model_version_by_alias(MODEL, "champion").version) == alias
    newest = parents(places)[0]
    assert newest.info.run_id != trained.result["run_id"]
    assert newest.info.status == "FAILED"
    assert not [run for run in runs(places) if run.info.status == "RUNNING"]
    assert mlflow.active_run() is None
    assert list((tmp_path / "temporary").iterdir()) == []
    assert {path.name for path in places.bundles.glob(".*")} <= {".lock", ".journal.lock"}
    if inject is fail_promotion:  # and the next run is not hindered
        result = quick(places)
        found = json.loads((places.bundles / "champion.json").read_text())
        assert found["version"] == result.version
        assert found["previous"] == trained.result["version"]
        crowned = client(places).get_model_version_by_alias(MODEL, "champion")
        assert str(crowned.version) == result.registered_version != alias


def test_two_places_in_one_process_stay_apart(trained: Trained, tmp_path: Path) -> None:
    """MLflow's own setter leaves an environment variable that would win over the next places."""
    one, two = (copy_places(trained.places, tmp_path / name) for name in ("one", "two"))
    for places in (one, two):
        tracker = open_tracker(places)
        with tracker.run(f"in {places.mlruns.parent.name}"):
            pass
    assert "MLFLOW_TRACKING_URI" not in os.environ
    for places in (one, two):
        names = [run.info.run_name for run in parents(places)]
        assert [name for name in names if name and name.startswith("in ")] == [
            f"in {places.mlruns.parent.name}"
        ]


@pytest.mark.parametrize("uri", ["nonsense://host/x", "postgresql+nodriver://user:secret@127.0.0.1:9/x"])
def test_a_tracking_store_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(BearmodeError, match="cannot be used") as refused:
        open_tracker(new_places(tmp_path))
    assert refused.value.code == "tracking_unreachable"
    assert "secret" not in refused.value.message


def cut(since: str | None, until: str | None) -> History:
    return small_histories()[0].between(
        *(None if day is None else pd.Timestamp(day, tz="UTC") for day in (since, until))
    )


@pytest.mark.parametrize(
    ("since", "until", "error", "message"),
    [
        (None, "2021-04-01", TrainingError, r"no label is confirmed: the longest history has 90 days"),
        (
            None,
            "2021-09-01",
            TrainingError,
            r"the history never shows .*: a model cannot answer what it has not",
        ),
        ("2022-01-15", "2022-12-25", TrainingError, r"a first fold needs 150 days of labels"),
    ],
)
def test_too_little_history_says_what_is_missing_and_leaves_nothing(
    tmp_path: Path, since: str | None, until: str | None, error: type[BearmodeError], message: str
) -> None:
    places = new_places(tmp_path)
    with pytest.raises(error, match=message) as refused:
        train([cut(since, until)], places, recipe=small_recipe(2))
    assert refused.value.exit_code == 1
    assert refused.value.hint
    assert not places.bundles.exists()
    assert not places.mlruns.exists()


@pytest.mark.parametrize("missing", [(2,), (0, 3)])
def test_a_missing_class_is_named(dataset: Dataset, missing: tuple[int, ...]) -> None:
    y = dataset.y.copy()
    y[np.isin(y, missing)] = -1
    names = ", ".join(("bear", "ranging", "relief_rally", "bull")[k] for k in missing)
    with pytest.raises(TrainingError, match=f"the history never shows {names}:"):
        require_classes(replace(dataset, y=y))
    require_classes(dataset)


def test_no_history_at_all(tmp_path: Path) -> None:
    with pytest.raises(NothingUsableError, match="no history to learn from"):
        train([], new_places(tmp_path))


def test_without_promotion_the_model_is_registered_and_the_champion_stays(
    trained: Trained, tmp_path: Path
) -> None:
    places = copy_places(trained.places, tmp_path)
    told: list[tuple[str, int]] = []
    result = quick(places, promote_it=False, progress=lambda name, total: told.append((name, total)))
    assert not result.promoted
    assert result.bundle.is_dir()
    assert result.version != trained.result["version"]
    champion = (places.bundles / "champion.json").read_bytes()
    assert champion == (trained.places.bundles / "champion.json").read_bytes()
    crowned = client(places).get_model_version_by_alias(MODEL, "champion")
    assert str(crowned.version) == trained.result["registered_version"] != result.registered_version
    names = [name for name, _ in told]
    assert names == ["excursions", "fold 2022-01", "scores", "final fit", "export and proof", "registry"]
    assert {total for _, total in told} == {len(names)}
