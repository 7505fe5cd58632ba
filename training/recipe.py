"""What a training run does, as data: two recipes can be compared, and a champion's can be followed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from features.catalog import select
from features.declaration import Feature
from features.default_set import DEFAULT_FEATURES
from features.errors import TrainingError
from training.models.boosted_logistic import BoostingSettings
from training.splits import WalkForward
from training.squeeze.settings import SqueezeSettings

__all__ = ["BASE_PREFIXES", "Recipe"]

BASE_PREFIXES = ("return_", "above_mean_", "mean_")
"""Names of the trend features that a logistic base reads: on them the regimes are nearly linear."""


@dataclass(frozen=True)
class Recipe:
    """What a training run does; logged as parameters, kept in the manifest.

    Symbols, interval and span belong to the data and are no part of it.

    Attributes
    ----------
    boosting : BoostingSettings
        ``base_columns`` are columns of ``features``.
    splits : WalkForward
    spell_power : float
        See :func:`training.dataset.spell_weights`.
    smoothing_days : float
        K of the decision, in days.
    inner_blocks : int
        Blocks of the cross-validation that temperature, decision and excursions come from.
    min_symbol_days : float
        A fold is walked once every symbol has so many days of training rows.
    features : tuple of str
        What the model reads, in column order.
    squeeze : SqueezeSettings
        Of the model of the adverse excursion, which reads features of its own.

    Raises
    ------
    TrainingError
        For a feature named twice, or base columns that the features do not have.
    """

    boosting: BoostingSettings
    splits: WalkForward = field(default_factory=WalkForward)
    spell_power: float = 0.25
    smoothing_days: float = 10.0
    inner_blocks: int = 4
    min_symbol_days: float = 60.0
    features: tuple[str, ...] = DEFAULT_FEATURES
    squeeze: SqueezeSettings = field(default_factory=SqueezeSettings)

    def __post_init__(self) -> None:
        if not self.features or len(set(self.features)) != len(self.features):
            raise TrainingError(
                f"the recipe names {len(self.features)} features, {len(set(self.features))} of them differ",
                code="bad_recipe",
            )
        outside = [column for column in self.boosting.base_columns if not 0 <= column < len(self.features)]
        if outside:
            raise TrainingError(
                f"base columns {outside} do not exist: the recipe names {len(self.features)} features",
                code="bad_recipe",
            )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form, complete: every setting is in it, also where it is the default; keys sorted."""
        found: dict[str, Any] = _sorted(_adapter().dump_python(self, mode="json"))
        return found

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """Read :meth:`as_dict`'s form.

        A setting that is missing takes its default: a setting that comes later has to do by default
        what was done before it came. A name that is not known is refused, since what it asked for
        would not be done.

        Raises
        ------
        TrainingError
            For an unknown name, or a value of another type.

        Examples
        --------
        >>> recipe = Recipe(BoostingSettings(base_columns=(0, 1)), features=("return_1d", "return_5d"))
        >>> Recipe.from_dict(recipe.as_dict()) == recipe
        True
        """
        unknown = _unknown(cls, content)
        if unknown:
            raise TrainingError(
                f"the recipe has settings that this bearmode does not know: {', '.join(unknown)}",
                code="bad_recipe",
                hint="it was written by another version of bearmode",
            )
        try:
            return _adapter().validate_json(json.dumps(content, allow_nan=False), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            raise TrainingError(
                f"the recipe does not fit: {'.'.join(map(str, first['loc']))}: {first['msg']}",
                code="bad_recipe",
            ) from error
        except (TypeError, ValueError) as error:
            raise TrainingError(f"the recipe is not JSON: {error}", code="bad_recipe") from error

    def recipe_hash(self) -> str:
        """SHA-256 of the complete form, hexadecimal: equal where the same would be done."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def selected(self) -> tuple[Feature, ...]:
        """Declarations of the features, in column order.

        Raises
        ------
        UsageError
            For a feature that the catalogue does not have.
        """
        return select(self.features)


@cache
def _adapter() -> TypeAdapter[Recipe]:
    return TypeAdapter(Recipe)


def _unknown(kind: type, content: object, path: str = "") -> list[str]:
    """Names in ``content`` that the dataclass ``kind`` does not have, at any depth."""
    if not isinstance(content, Mapping):
        return []
    hints = get_type_hints(kind)
    known = {one.name: hints[one.name] for one in fields(kind)} if is_dataclass(kind) else {}
    found = [f"{path}{name}" for name in content if name not in known]
    for name, inner in known.items():
        if isinstance(inner, type) and is_dataclass(inner):
            found += _unknown(inner, content.get(name), f"{path}{name}.")
    return found


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
