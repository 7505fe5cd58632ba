"""What a retraining is asked for, and the time scale of asking again and again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import BearmodeError, UsageError
from serving.bundle import Bundle, champion, champion_folder
from training.pipeline import default_features, default_recipe
from training.recipe import Recipe
from training.settings import Places

__all__ = ["DEFAULT_RECIPE", "Request", "chosen_recipe", "parse_period", "read_recipe"]

DEFAULT_RECIPE = "default"


@dataclass(frozen=True)
class Request:
    """Options of ``retrain``.

    Attributes
    ----------
    symbols : tuple of str
        All that are there where empty.
    source, path : str or None
        As ``train``; the store without.
    interval : str
    since, until : str or None
        ISO dates, bar closes.
    update : bool
        Whether the store is brought up to date first.
    promote : bool
        Whether a challenger that passes the gate becomes champion.
    recipe : str or None
        A file, ``default``, or ``None``: the champion's.
    fresh : bool
        Whether what an earlier run has kept is thrown away.
    workers, scheduler
        See :class:`training.parallel.workforce.Workforce`.
    """

    symbols: tuple[str, ...] = ()
    source: str | None = None
    path: Path | None = None
    interval: str = "1h"
    since: str | None = None
    until: str | None = None
    update: bool = True
    promote: bool = True
    recipe: str | None = None
    fresh: bool = False
    workers: int | None = None
    scheduler: str | None = None

    @property
    def from_store(self) -> bool:
        """Whether the history comes from the store."""
        return self.source is None

    def origin(self) -> dict[str, Any]:
        """Where the history comes from, for the record."""
        return {"source": self.source, "path": None if self.path is None else str(self.path.absolute())}

    def identity(self) -> dict[str, Any]:
        """What two requests have in common that one may continue the other."""
        return {
            "symbols": sorted(self.symbols),
            "source": self.source,
            "path": None if self.path is None else str(self.path.absolute()),
            "interval": self.interval,
            "since": self.since,
            "until": self.until,
            "recipe": self.recipe,
        }


def chosen_recipe(request: Request, places: Places, *, simulated: bool) -> tuple[Recipe, str]:
    """Recipe of the challenger, and in words where it is from.

    Without a wish it is the champion's: newer data, the same recipe. Where the champion has none that
    can be followed - there is no champion, it learned from another kind of market, its recipe is of
    another version of the project - it is the default one.

    Raises
    ------
    UsageError
        If the file cannot be read.
    TrainingError
        If it is no recipe.
    """
    if request.recipe is not None:
        words = (
            "the default recipe" if request.recipe == DEFAULT_RECIPE else f"the recipe of {request.recipe}"
        )
        return read_recipe(request.recipe), words
    default = default_recipe(default_features())
    if champion(places.bundles) is None:
        return default, "the default recipe: there is no champion"
    try:
        manifest = Bundle(champion_folder(places.bundles)).manifest
        recipe = Recipe.from_dict(manifest.recipe)
        recipe.selected()
    except BearmodeError as error:
        return default, f"the default recipe: the champion's cannot be followed: {error.message}"
    if (manifest.data_source == "simulated") != simulated:
        return default, "the default recipe: the champion learned from another kind of market"
    note = "" if recipe == default else "; '--recipe default' tries the default one"
    return recipe, f"the champion's recipe{note}"


def read_recipe(name: str) -> Recipe:
    """Recipe of a file, or the default one.

    Raises
    ------
    UsageError
        If the file cannot be read.
    TrainingError
        If it is no recipe.
    """
    if name == DEFAULT_RECIPE:
        return default_recipe(default_features())
    try:
        content = json.loads(Path(name).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--recipe {name} is not a readable JSON file: {error}",
            field="recipe",
            hint="a file that holds a recipe, or 'default'",
        ) from error
    if not isinstance(content, dict):
        raise UsageError(f"--recipe {name} holds no recipe: a JSON object is expected", field="recipe")
    return Recipe.from_dict(content)


def parse_period(text: str) -> pd.Timedelta:
    """Read ``6h`` or ``1d``.

    Raises
    ------
    UsageError
        For anything else, or hours that do not divide a day.

    Examples
    --------
    >>> parse_period("6h")
    Timedelta('0 days 06:00:00')
    """
    found = re.fullmatch(r"([1-9]\d{0,2})([hd])", text)
    hours = 0 if found is None else int(found[1]) * (24 if found[2] == "d" else 1)
    if not hours or (24 % hours if hours < 24 else hours % 24):
        raise UsageError(
            f"--every {text} is no period: hours that divide a day, or whole days, are expected",
            field="every",
            hint="1d, 12h, 6h, 1h",
        )
    return pd.Timedelta(hours=hours)
