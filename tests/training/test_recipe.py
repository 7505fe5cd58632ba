"""A recipe as data: what goes out comes back, what is not known is refused, what differs has another hash."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_training import Trained, small_recipe

from features.default_set import DEFAULT_FEATURES
from features.errors import TrainingError, UsageError
from serving.bundle import SCHEMA_VERSION
from training.models.boosted_logistic import BoostingSettings
from training.pipeline import default_features, default_recipe
from training.recipe import Recipe
from training.splits import WalkForward


@given(
    st.lists(st.sampled_from(DEFAULT_FEATURES), min_size=1, unique=True),
    st.floats(0, 2),
    st.integers(2, 9),
    st.one_of(st.none(), st.floats(200, 1e4)),
    st.data(),
)
def test_what_goes_out_comes_back(
    names: list[str], power: float, blocks: int, window: float | None, data: st.DataObject
) -> None:
    columns = data.draw(st.lists(st.integers(0, len(names) - 1), unique=True))
    recipe = Recipe(
        BoostingSettings(base_columns=tuple(columns)),
        WalkForward(window_days=window),
        spell_power=power,
        inner_blocks=blocks,
        features=tuple(names),
    )
    text = json.dumps(recipe.as_dict(), allow_nan=False)
    again = Recipe.from_dict(json.loads(text))
    assert again == recipe
    assert again.recipe_hash() == recipe.recipe_hash()
    assert json.dumps(again.as_dict()) == text
    assert [feature.name for feature in again.selected()] == names


def test_every_setting_is_written_down_and_counts() -> None:
    recipe = small_recipe()
    content = recipe.as_dict()
    assert set(content) == {field.name for field in fields(Recipe)}
    assert set(content["boosting"]) == {field.name for field in fields(BoostingSettings)}
    assert list(content) == sorted(content)
    seen = {recipe.recipe_hash()}
    for path, value in _changes(content):
        changed = json.loads(json.dumps(content))
        inner = changed
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        try:
            found = Recipe.from_dict(changed).recipe_hash()
        except TrainingError:  # a value that may be only one of a few
            continue
        assert found not in seen, path
        seen.add(found)
    assert len(seen) > 15


def _changes(content: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, value in content.items():
        here = (*path, name)
        if isinstance(value, dict):
            found += _changes(value, here)
        elif isinstance(value, bool):
            found.append((here, not value))
        elif isinstance(value, int | float):
            found.append((here, value + 1))
        elif isinstance(value, list) and len(value) > 1:
            found.append((here, value[::-1]))
    return found


def test_a_setting_that_came_later_takes_its_default() -> None:
    content = small_recipe().as_dict()
    del content["inner_blocks"]
    del content["splits"]["window_days"]
    assert Recipe.from_dict(content) == small_recipe()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surprise": 1}, "does not know: surprise"),
        ({"boosting": {"base_columns": [], "depth": 3}}, "does not know: boosting.depth"),
        ({"splits": {"embargo": 3}}, "does not know: splits.embargo"),
        ({"spell_power": "0.25"}, "spell_power: .*valid number"),
        ({"spell_power": None}, "spell_power"),
        ({"inner_blocks": 4.5}, "inner_blocks"),
        ({"boosting": []}, "boosting"),
        ({"boosting": {"base_columns": [99]}}, r"base columns \[99\] do not exist"),
        ({"boosting": {"base_columns": [-1]}}, r"base columns \[-1\] do not exist"),
        ({"features": []}, "names 0 features"),
        ({"features": ["return_1d", "return_1d"]}, "names 2 features, 1 of them differ"),
        ({"spell_power": float("nan")}, "is not JSON"),
        ({"spell_power": {1, 2}}, "is not JSON"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words) as refused:
        Recipe.from_dict({**small_recipe().as_dict(), **change})
    assert refused.value.code == "bad_recipe"


def test_a_feature_that_does_not_exist_any_more_is_named() -> None:
    recipe = replace(small_recipe(), features=("gone",), boosting=BoostingSettings(base_columns=(0,)))
    with pytest.raises(UsageError, match="no such feature: gone"):
        recipe.selected()


def test_the_default_recipe_names_what_it_reads() -> None:
    assert default_recipe(default_features()).features == DEFAULT_FEATURES
    few = default_features()[:3]
    assert default_recipe(few).features == tuple(feature.name for feature in few)


def test_a_bundle_carries_the_recipe_it_was_made_by(trained: Trained) -> None:
    for folder in (trained.bundle, *Path(f"{trained.bundle}.walk-forward").glob("20*")):
        manifest = json.loads((folder / "manifest.json").read_bytes())
        assert Recipe.from_dict(manifest["recipe"]) == small_recipe()
        assert manifest["schema_version"] == SCHEMA_VERSION
