"""A run's bundle made again: the same bytes in any process, and what differs where it is not."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_training import LONG, Trained, copy_places, small_histories, small_recipe

from features.errors import BundleError, TrainingError, UsageError
from training import reproduce
from training.export import Parity
from training.packaging import Packaged
from training.pipeline import train
from training.reproduce import Record, compare, read_record, reproduce_command
from training.settings import Places

QUICK_UNTIL = pd.Timestamp("2022-02-20", tz="UTC")
IN_A_PROCESS = """
import sys
from pathlib import Path
import pandas as pd
from small_training import small_histories, small_recipe
from training.dataset import build_dataset
from training.reproduce import rebuild
history = small_histories()[0].between(None, pd.Timestamp("2022-02-20", tz="UTC"))
recipe = small_recipe(2)
dataset = build_dataset([history], recipe.selected())
print(rebuild(dataset, recipe, Path(sys.argv[1]), lambda _name, _total: None).hash)
"""


@pytest.fixture(scope="module")
def made(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, dict[str, Any]]:
    """A run of one symbol and one fold from the store, and its places."""
    places = copy_places(trained.places, tmp_path_factory.mktemp("reproduce"))
    history = small_histories()[0].between(None, QUICK_UNTIL)
    result = train([history], places, recipe=small_recipe(2), promote_it=False)
    return places.model_copy(update={"store": trained.places.store}), result.as_dict()


@pytest.fixture
def quick(made: tuple[Places, dict[str, Any]], tmp_path: Path) -> tuple[Places, dict[str, Any]]:
    """The same in places that a test may change."""
    places, result = made
    return copy_places(places, tmp_path).model_copy(update={"store": places.store}), result


def test_a_run_is_made_again_by_version_and_by_run_id(
    quick: tuple[Places, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places, result = quick
    champion = (places.bundles / "champion.json").read_bytes()
    before = sorted(path.name for path in places.bundles.iterdir())
    out = tmp_path / "reproduced.json"
    reproduce_command(result["run_id"], places, json=out)
    output = capsys.readouterr().out
    assert f"bundle {result['version']}: the same to the last byte" in output
    found = json.loads(out.read_text())
    assert found["equal"]
    assert found["expected"] == found["found"] == result["hash"]
    results = {one["what"]: one["result"] for one in found["compared"]}
    assert {"data", "features", "recipe", "code", "libraries", "installed", "platform"} <= set(results)
    assert {results[name] for name in results if name not in {"commit", "lock"}} == {"same"}
    assert sorted(path.name for path in places.bundles.iterdir()) == before, "nothing was installed"
    assert (places.bundles / "champion.json").read_bytes() == champion
    by_version = read_record(result["version"], places)
    by_run = read_record(result["run_id"], places)
    assert replace(by_version, name="") == replace(by_run, name="")
    assert not by_run.inputs.get("unsure")


@pytest.mark.long
def test_two_processes_with_other_hash_seeds_make_the_same_bytes(
    quick: tuple[Places, dict[str, Any]], tmp_path: Path, root: Path
) -> None:
    """This process, by way of the whole job, and new ones."""
    seeds = ("0", "4242") if LONG else ("4242",)
    children = []
    for seed in seeds:
        paths = os.pathsep.join([str(root), str(root / "tests")])
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", IN_A_PROCESS, str(tmp_path / seed)],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            )
        )
    hashes = [child.communicate()[0].strip() for child in children]
    assert hashes == [quick[1]["hash"]] * len(seeds)


@pytest.mark.long
def test_other_data_and_another_environment_are_named(
    quick: tuple[Places, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One price of the past has changed, and so have the code and a library."""
    places, result = quick
    history = small_histories()[0].between(None, QUICK_UNTIL)
    factor = np.ones(len(history))
    factor[-3] = 1.0001
    changed = replace(history, frame=history.frame.assign(close=history.column("close") * factor))
    monkeypatch.setattr(reproduce, "load_histories", lambda *_args, **_options: [changed])
    monkeypatch.setattr(reproduce, "code_hash", lambda: "0" * 64)
    with pytest.raises(TrainingError, match=r"was not reproduced.*data.*code differ too") as refused:
        reproduce_command(result["version"], places)
    assert (refused.value.code, refused.value.exit_code) == ("not_reproduced", 1)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["differs", "data:"] for line in lines)
    assert any(line.startswith("  differs      code: then ") and "now 000000000000" in line for line in lines)
    assert any("bundle manifest: data_hash" in line for line in lines)


def test_without_mlflow_the_bundle_itself_says_enough(quick: tuple[Places, dict[str, Any]]) -> None:
    places, result = quick
    with closing(sqlite3.connect(places.mlruns / "mlflow.db")) as database, database:
        database.execute("DELETE FROM tags")
        database.execute("UPDATE runs SET lifecycle_stage = 'deleted', artifact_uri = 'file:///nowhere'")
    (places.bundles / result["version"] / "run.json").unlink()
    record = read_record(result["version"], places)
    assert "not in MLflow" in record.inputs["unsure"]
    assert record.hash == result["hash"]
    assert record.inputs["spans"]["SIMBTC"][1] == record.manifest["training"]["trained_until"]


def test_names_that_are_no_run(quick: tuple[Places, dict[str, Any]]) -> None:
    places, result = quick
    for name, error, message in [
        ("", UsageError, "is neither an MLflow run id"),
        ("../x", UsageError, "is neither an MLflow run id"),
        ("0" * 12, UsageError, "holds no bundle"),
        ("0" * 32, UsageError, "MLflow knows no run"),
    ]:
        with pytest.raises(error, match=message):
            read_record(name, places)
    manifest = places.bundles / result["version"] / "manifest.json"
    for content in ("[]", "{}", "{"):
        manifest.write_text(content)
        with pytest.raises(BundleError, match="does not say how it was made"):
            read_record(result["version"], places)


def test_what_was_not_recorded_is_said_and_does_not_count(made: tuple[Places, dict[str, Any]]) -> None:
    places, result = made
    folder = places.bundles / result["version"]
    manifest = json.loads((folder / "manifest.json").read_bytes())
    packaged = Packaged(folder, result["hash"], b"", Parity(0, 0.0, 0), Parity(0, 0.0, 0))
    record = Record("x", None, manifest, packaged.hash, {}, {}, None)
    found = {one.what: one for one in compare(record, packaged)}
    assert found["code"].result == found["installed"].result == "not recorded"
    assert {one.result for name, one in found.items() if name.startswith("bundle")} == {"same"}
    other = {**manifest, "temperature": 3.0, "libraries": {**manifest["libraries"], "numpy": "1.0"}}
    found = {one.what: one for one in compare(replace(record, manifest=other), packaged)}
    assert found["bundle manifest"].words == "libraries, temperature"
    assert found["libraries"].words == f"numpy 1.0 > {manifest['libraries']['numpy']}"
