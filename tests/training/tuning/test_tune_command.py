"""The command: a recipe file that training takes, a run for each trial, and it goes on under the same run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_training import SYMBOLS, UNTIL, new_places

from features.errors import UsageError
from features.json_file import write_json
from training.models.boosted_logistic import BoostingSettings
from training.recipe import Recipe
from training.retraining.request import read_recipe
from training.tracking import open_tracker
from training.tuning.tune_command import TAG, tune_command

RECIPE = Recipe(
    BoostingSettings(base_columns=(0, 1), C=1e-9, rounds=1, leaves=3, min_rows=40, penalty=1e6),
    features=("return_5d", "return_60d", "above_mean_20d"),
    inner_blocks=3,
)
HISTORY = {"source": "simulated", "interval": "4h", "until": f"{UNTIL:%Y-%m-%d}"}


def test_a_search_is_logged_trial_by_trial_and_writes_a_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = new_places(tmp_path)
    begun, out, result = tmp_path / "begun.json", tmp_path / "out.json", tmp_path / "result.json"
    write_json(begun, RECIPE.as_dict())
    symbols = ",".join(SYMBOLS)
    tune_command(symbols, places, **HISTORY, trials=2, recipe=str(begun))  # type: ignore[arg-type]
    tune_command(symbols, places, **HISTORY, trials=4, recipe=str(begun), out=out, json=result)  # type: ignore[arg-type]
    found = json.loads(result.read_text(encoding="utf-8"))
    assert [one["number"] for one in found["trials"]] == [0, 1, 2, 3]
    written = read_recipe(str(out))
    assert found["proven"]
    assert written.as_dict() == found["recipe"]
    assert written != RECIPE
    assert replace(written, boosting=RECIPE.boosting, spell_power=RECIPE.spell_power) == RECIPE
    assert "4 trials" in capsys.readouterr().out
    tracker = open_tracker(places)
    (parent,) = tracker.client.search_runs([tracker.experiment_id], f"tags.`{TAG}` = '{found['search']}'")
    nested = tracker.client.search_runs(
        [tracker.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert parent.info.status == "FINISHED"
    assert sorted(run.info.run_name for run in nested) == [f"search, trial {index}" for index in range(4)]
    losses = {run.info.run_name: run.data.metrics["inner/log_loss"] for run in nested}
    for one in found["trials"]:
        assert losses[f"search, trial {one['number']}"] == pytest.approx(one["log_loss"])


def test_a_nested_search_writes_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing for --out"):
        tune_command("SIMBTC", new_places(tmp_path), nested=True, out=tmp_path / "recipe.json")
