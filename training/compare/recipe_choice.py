"""Whose recipe the project's model follows in a comparison: the champion's, else the default one."""

from __future__ import annotations

import json
from pathlib import Path

from features.default_set import default_features
from features.errors import BearmodeError
from serving.bundle import champion, champion_folder
from training.recipe import Recipe

__all__ = ["champions_recipe"]


def champions_recipe(bundles: Path) -> tuple[Recipe, str]:
    """The recipe, and in words whose it is.

    A champion whose recipe cannot be read (made by another version of this code) does not stand in the
    way of a comparison; that is said.
    """
    from training.pipeline import default_recipe  # noqa: PLC0415 - it imports what writes bundles

    default = default_recipe(default_features())
    try:
        found = champion(bundles)
        if found is None:
            return default, "the default recipe (there is no champion)"
        content = json.loads((champion_folder(bundles) / "manifest.json").read_bytes())
        recipe = Recipe.from_dict(content["recipe"])
        recipe.selected()
    except (BearmodeError, OSError, ValueError, KeyError, TypeError) as error:
        why = error.message if isinstance(error, BearmodeError) else f"{type(error).__name__}: {error}"
        return default, f"the default recipe (the champion's cannot be followed: {why})"
    same = " which is the default one" if recipe == default else ""
    return recipe, f"the recipe of champion {found.version},{same or ' not the default one'}"
