"""What costs seconds is made once a session, and once for all workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest
from hypothesis import HealthCheck, settings
from small_training import Trained, new_places, small_histories, small_markets, small_recipe

from features.store import Store
from serving.predictor import Predictor
from training.dataset import Dataset, build_dataset
from training.excursion import Excursions
from training.pipeline import default_features, train
from training.walk_forward import Walk, concatenated_excursions, walk_forward

collect_ignore = ["serving/fake_service.py", "system/freqtrade_asks.py"]
"""Run in processes of their own: the one changes the service that it imports, the other imports freqtrade."""


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what a library does to itself, and a machine that is busy with other things."""
    settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("shared")
    # MLflow, at every look at its registry: a loader strategy that SQLAlchemy will drop.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy:DeprecationWarning")
    # MLflow, at import: its own use of its own type hints.
    config.addinivalue_line("filterwarnings", "ignore:.*Any type hint is inferred as AnyType:UserWarning")


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Nobody's settings leak in, nothing calls home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STORE", "BUNDLES", "MLRUNS", "BUNDLE", "HOST", "PORT"):
            patch.delenv(f"BEARMODE_{name}", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("BENTOML_DO_NOT_TRACK", "True")
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Trained:
    """One training for all tests and workers: read it, never change it."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "small-training"
    places = new_places(root)
    kept = root / "result.json"
    with filelock.FileLock(f"{root}.lock"):
        if not kept.is_file():
            root.mkdir()
            store = Store(places.store)
            with store.writing():
                for market in small_markets():
                    store.write(market)
            result = train(small_histories(), places, recipe=small_recipe())
            kept.write_text(json.dumps(result.as_dict()))
    return Trained(places, json.loads(kept.read_text()))


@pytest.fixture(scope="session")
def predictor(trained: Trained) -> Predictor:
    """The champion."""
    return Predictor.load(trained.bundle)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Features and labels that the small training learned from."""
    return build_dataset(small_histories(), default_features())


@pytest.fixture(scope="session")
def excursions(dataset: Dataset) -> Excursions:
    """What followed each bar."""
    return concatenated_excursions(dataset, small_recipe().squeeze)


@pytest.fixture(scope="session")
def walk(dataset: Dataset, excursions: Excursions) -> Walk:
    """The walk of the small training, made again."""
    for _, _, walked in walk_forward(dataset, small_recipe(), excursions, lambda _name: None):
        found = walked
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder of the project."""
    return Path(__file__).resolve().parents[1]
