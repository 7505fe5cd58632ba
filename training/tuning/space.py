"""What the search may change, and between which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from training.recipe import Recipe

if TYPE_CHECKING:
    import optuna

__all__ = ["Range", "changed", "draw", "search_space"]


@dataclass(frozen=True)
class Range:
    """Bounds of one setting, both included.

    Attributes
    ----------
    low, high : float
    log : bool
        Drawn evenly in its logarithm.
    whole : bool
        Whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False


_TREES: Mapping[str, Range] = {
    "rounds": Range(10, 200, log=True, whole=True),
    "learning_rate": Range(0.01, 0.1, log=True),
    "leaves": Range(3, 31, log=True, whole=True),
    "min_rows": Range(40, 800, log=True, whole=True),
    "penalty": Range(1.0, 1000.0, log=True),
    "column_share": Range(0.1, 1.0),
    "spell_power": Range(0.0, 0.75),
}
_LOGISTIC = {"C": Range(1e-4, 1.0, log=True)}


def search_space(recipe: Recipe) -> dict[str, Range]:
    """Settings that make a difference to a recipe: the penalty of a logistic base only where it has one."""
    return {**_TREES, **({} if recipe.boosting.prior else _LOGISTIC)}


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other settings; a name of the recipe itself, or of its boosting.

    Examples
    --------
    >>> from training.models.boosted_logistic import BoostingSettings
    >>> recipe = Recipe(BoostingSettings(base_columns=(0,)), features=("return_1d",))
    >>> other = changed(recipe, {"leaves": 4, "spell_power": 0.5})
    >>> other.boosting.leaves, other.spell_power
    (4, 0.5)
    """
    own = {name: value for name, value in values.items() if hasattr(recipe, name)}
    boosting = {name: value for name, value in values.items() if name not in own}
    return replace(recipe, boosting=replace(recipe.boosting, **boosting), **own)


def draw(trial: optuna.Trial, space: Mapping[str, Range]) -> dict[str, float | int]:
    """Values of one trial."""
    found: dict[str, float | int] = {}
    for name, one in space.items():
        if one.whole:
            found[name] = trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
        else:
            found[name] = trial.suggest_float(name, one.low, one.high, log=one.log)
    return found
