"""A champion and newer data for it: one simulated symbol, one fold, few trees; and a gate that lets pass."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from small_training import Trained, new_places, small_histories, small_markets, small_recipe

from features.store import Store
from serving.bundle import champion
from training.pipeline import train
from training.retraining.gate_settings import GateSettings
from training.retraining.request import Request
from training.settings import Places

__all__ = [
    "LENIENT",
    "REQUEST",
    "Start",
    "environment_of",
    "lenient",
    "make_start",
    "retrain_command",
    "serving_version",
    "start_at",
]

SYMBOL = "SIMBTC"
KNOWN_UNTIL = "2022-03-01"
"""The champion learned from what was there then; the challenger from what came until now."""
NOW = "2022-06-01"
LENIENT = {
    "window_days": 30,
    "min_spells": 2,
    "min_train_days": 30,
    "draws": 100,
    "non_inferiority": 50,
    "recall_fall": 1,
    "symbol_rise": 50,
    "ece": 1,
    "seen_rise": 50,
    "floor_macro_f1": 0,
    "floor_recall": 0,
}
"""So small a history says nothing of a model: what is tested is the way of a decision, not the decision."""
REQUEST = Request(symbols=(SYMBOL,), interval="4h", until=NOW, update=False)


@dataclass(frozen=True)
class Start:
    """Where a test begins: a store with newer data, and a champion."""

    places: Places
    champion: str


def lenient() -> GateSettings:
    """The lenient gate."""
    return GateSettings.model_validate(LENIENT)


def make_start(trained: Trained, root: Path) -> None:
    """Store, migrated database and a champion that learned from the older data."""
    places = new_places(root)
    places.mlruns.mkdir(parents=True)
    copy_database(trained.places, places)
    store = Store(places.store)
    with store.writing():
        store.write(next(one for one in small_markets() if one.symbol == SYMBOL))
    history = small_histories()[0].between(None, pd.Timestamp(KNOWN_UNTIL, tz="UTC"))
    train([history], places, recipe=small_recipe(2))


def copy_database(old: Places, new: Places) -> None:
    """The runs of one place in another."""
    with (
        sqlite3.connect(old.mlruns / "mlflow.db") as source,
        sqlite3.connect(new.mlruns / "mlflow.db") as target,
    ):
        source.backup(target)
        moved = ((new.mlruns / "artifacts").as_uri(), "bearmode")
        target.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", moved)
    source.close()
    target.close()


def start_at(made: Path, root: Path) -> Start:
    """A copy of a prepared place, for one test alone."""
    old, new = new_places(made), new_places(root)
    shutil.copytree(old.bundles, new.bundles)
    new.mlruns.mkdir(parents=True)
    copy_database(old, new)
    if (old.mlruns / "artifacts").is_dir():
        shutil.copytree(old.mlruns / "artifacts", new.mlruns / "artifacts")
    places = replace_store(new, old)
    found = champion(places.bundles)
    assert found is not None
    return Start(places, found.version)


def replace_store(places: Places, old: Places) -> Places:
    """The same history: nobody writes to it."""
    return places.model_copy(update={"store": old.store})


def serving_version(places: Places) -> str | None:
    """Who serves."""
    found = champion(places.bundles)
    return None if found is None else found.version


def retrain_command(places: Places, *more: str, request: Request = REQUEST) -> list[str]:
    """The command line of a request."""
    options = ["--symbols", ",".join(request.symbols), "--interval", request.interval, "--store"]
    options += [str(places.store), "--no-update", *(["--until", request.until] if request.until else [])]
    return [sys.executable, "-m", "training.retrain", *options, *more]


def environment_of(places: Places) -> dict[str, str]:
    """Environment of a process that works in some places, with the lenient gate."""
    gate = {f"BEARMODE_GATE_{name.upper()}": str(value) for name, value in LENIENT.items()}
    folders = {"BEARMODE_BUNDLES": str(places.bundles), "BEARMODE_MLRUNS": str(places.mlruns)}
    return {**os.environ, **gate, **folders, "MLFLOW_DISABLE_TELEMETRY": "true"}
