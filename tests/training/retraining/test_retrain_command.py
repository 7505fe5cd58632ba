"""The command ``retrain``: what it refuses, what a dry run says, what the update may leave undone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from retrain_places import REQUEST, Start, environment_of
from small_training import small_recipe, snapshot
from typer.testing import CliRunner

import bearmode
from features.errors import (
    BearmodeError,
    GateRefusedError,
    LockedError,
    NothingUsableError,
    TrainingError,
    UsageError,
)
from serving.bundle import Manifest
from training.pipeline import default_features, default_recipe
from training.recipe import Recipe
from training.retraining.dry_run import plan
from training.retraining.lock import bundles_locked
from training.retraining.market_data import bring_up_to_date
from training.retraining.request import Request, chosen_recipe, read_recipe


def options(start: Start, *more: str) -> list[str]:
    given = ["retrain", "--store", str(start.places.store), "--symbols", "SIMBTC", "--interval", "4h"]
    return [*given, "--until", "2022-06-01", "--no-update", *more]


def invoke(start: Start, *more: str) -> tuple[str, BaseException | None]:
    found = CliRunner().invoke(bearmode.app, options(start, *more), env=environment_of(start.places))
    return found.output, found.exception


def does(start: Start, request: Request = REQUEST) -> dict[str, tuple[bool, str]]:
    return {one.step: (one.does, one.why) for one in plan(request, start.places)}


def test_a_dry_run_says_every_step_and_writes_nothing(start: Start, tmp_path: Path) -> None:
    before = snapshot(start.places.bundles)
    out = tmp_path / "plan.json"
    output, error = invoke(start, "--dry-run", "--json", str(out))
    assert error is None, output
    steps = json.loads(out.read_text())
    assert [one["step"] for one in steps] == [
        *("lock", "update", "build", "fold-2022-01", "evaluate", "final-fit", "export"),
        *("registry", "gate", "promote"),
    ]
    assert {one["step"] for one in steps if not one["does"]} == {"update"}
    assert "skip update           --no-update" in output
    assert "do   fold-2022-01     not done yet" in output
    assert f"against the champion {start.champion}" in output
    after = snapshot(start.places.bundles)
    assert {name: after[name] for name in after if name != ".lock"} == {
        name: before[name] for name in before if name != ".lock"
    }


def test_a_dry_run_knows_what_is_kept_and_why_it_is_not(
    retrained: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(retrained.places).items():
        monkeypatch.setenv(name, value)
    found = does(retrained)
    assert {step for step, (doing, _) in found.items() if doing} == {"lock", "build"}
    assert "nothing new" in found["promote"][1]
    assert does(retrained, replace(REQUEST, fresh=True))["fold-2022-01"] == (True, "not done yet")
    (work,) = (path for path in (retrained.places.bundles / ".retrain").iterdir() if path.is_dir())
    (work / "final-fit" / "fitted.npz").write_bytes(b"torn")
    assert does(retrained)["final-fit"] == (True, "damaged: fitted.npz")
    assert does(retrained)["export"] == (False, "done")
    with bundles_locked(retrained.places.bundles, "prune"):
        assert "held by prune" in does(retrained)["lock"][1]
    other = replace(REQUEST, until="2022-05-01")
    assert does(retrained, other)["fold-2022-01"] == (True, "not done yet")


def test_a_refusal_prints_every_check_writes_the_result_and_ends_with_four(
    retrained: Start, tmp_path: Path
) -> None:
    """A stricter gate looks at the champion's recipe again, on one day more."""
    out = tmp_path / "result.json"
    strict = {**environment_of(retrained.places), "BEARMODE_GATE_MIN_SPELLS": "1000"}
    given = options(retrained, "--json", str(out))
    given[given.index("2022-06-01")] = "2022-06-02"
    found = CliRunner().invoke(bearmode.app, given, env=strict)
    assert isinstance(found.exception, GateRefusedError), found.output
    assert found.exception.exit_code == 4
    assert "window_spells" in found.exception.message
    assert "FAILED" in found.output
    written = json.loads(out.read_text())
    assert written["outcome"] == "refused"
    assert not written["gate"]["promote"]
    assert written["metrics"]["oos/log_loss"] > 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--every", "5h"), "is no period"),
        (("--every", "1d"), "goes with neither"),
        (("--recipe", "pyproject.toml"), "is not a readable JSON file"),
        (("--since", "yesterday"), "expected an ISO date"),
        (("--recipe", "/nowhere/recipe.json"), "is not a readable JSON file"),
        (("--source", "files"), "needs --path"),
        (("--source", "nobody"), "expected one of"),
        (("--path", "."), "belongs to --source files"),
        (("--json", "."), "cannot be written"),
    ],
)
def test_wrong_usage_ends_before_anything_is_written(
    start: Start, more: tuple[str, ...], message: str
) -> None:
    before = snapshot(start.places.bundles)
    output, error = invoke(start, *more)
    assert isinstance(error, UsageError), output
    assert message in error.message
    assert error.exit_code == 2
    after = snapshot(start.places.bundles)
    assert {name for name in after if after[name] != before.get(name)} <= {".lock"}


def test_recipes_by_name_file_and_champion(start: Start, tmp_path: Path) -> None:
    default = default_recipe(default_features())
    assert read_recipe("default") == default
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(small_recipe(3).as_dict()))
    assert read_recipe(str(file)) == small_recipe(3)

    def chosen(*, simulated: bool = True, **options: Any) -> tuple[Recipe, str]:
        return chosen_recipe(replace(REQUEST, **options), start.places, simulated=simulated)

    assert chosen(recipe=str(file)) == (small_recipe(3), f"the recipe of {file}")
    recipe, words = chosen()
    assert recipe == small_recipe(2)
    assert words == "the champion's recipe; '--recipe default' tries the default one"
    recipe, words = chosen(simulated=False)
    assert recipe == default
    assert words == "the default recipe: the champion learned from another kind of market"
    for content, error in (("[1]", UsageError), ("{", UsageError), ('{"x": 1}', TrainingError)):
        file.write_text(content)
        with pytest.raises(error):
            read_recipe(str(file))
    manifest = start.places.bundles / start.champion / "manifest.json"
    manifest.write_text("{}")
    recipe, words = chosen()
    assert recipe == default
    assert "cannot be followed" in words
    (start.places.bundles / "champion.json").unlink()
    assert chosen()[1] == "the default recipe: there is no champion"
    assert Manifest.model_fields["recipe"].is_required()


def test_an_update_that_fails_in_part_is_said_and_one_that_cannot_begin_stops(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[BearmodeError] = [BearmodeError("X: the exchange does not answer")]

    def update(*_args: Any, **_options: Any) -> None:
        raise raised[0]

    monkeypatch.setattr("training.data.update.update", update)
    said: list[str] = []
    notes = bring_up_to_date(REQUEST, start.places, said.append)
    assert notes == {"update": "X: the exchange does not answer"}
    assert said == ["the update failed in part: X: the exchange does not answer"]
    for error in (LockedError("held"), NothingUsableError("nothing there"), UsageError("what?")):
        raised[0] = error
        with pytest.raises(type(error)):
            bring_up_to_date(REQUEST, start.places, said.append)
