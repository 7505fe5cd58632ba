"""Which models an ablation compares: the default one without a group, and with one more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.declaration import GROUPS, Feature
from features.errors import UsageError

__all__ = ["BASE", "DEFAULT", "Variant", "check_groups", "plan_variants"]

DEFAULT = "default"
BASE = "base"


@dataclass(frozen=True)
class Variant:
    """One model of the ablation.

    Attributes
    ----------
    name : str
        Such as ``default + volatility``.
    kind : str
        ``default``, ``base``, ``reseeded``, ``without``, ``added``, ``everything`` or ``alone``.
    group : str or None
        What was taken out or put in.
    features : tuple of str
        What it reads, in the order of its columns.
    against : str or None
        Name of the variant that it is compared with.
    seed_step : int
        Added to the seed.
    """

    name: str
    kind: str
    group: str | None
    features: tuple[str, ...]
    against: str | None
    seed_step: int = 0


def check_groups(groups: Sequence[str] | None) -> tuple[str, ...]:
    """Names of groups in the catalogue's order; all without a choice.

    Raises
    ------
    UsageError
        For a group that the catalogue does not have.

    Examples
    --------
    >>> check_groups(["volume", "trend"])
    ('trend', 'volume')
    """
    wanted = tuple(GROUPS) if groups is None else tuple(groups)
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown or not wanted:
        raise UsageError(
            f"no such group of features: {', '.join(map(repr, unknown)) or 'none was named'}",
            code="unknown_group",
            field="groups",
            hint=f"the groups are {', '.join(GROUPS)}",
        )
    return tuple(name for name in GROUPS if name in wanted)


def plan_variants(
    features: Sequence[Feature],
    valued: npt.NDArray[np.bool_],
    *,
    default: Sequence[str],
    base: Sequence[str],
    groups: Sequence[str],
    reseeded: int = 2,
) -> list[Variant]:
    """Models to fit, those that others are compared with first.

    Two questions of each group. Of the default model: what does it lose without the group, what
    does it gain from the group's other features? And alone: what does the group add to the columns
    of the linear base? A group may help alone and add nothing to a model that has its neighbours.

    Parameters
    ----------
    features : sequence of Feature
        The catalogue.
    valued : ndarray of bool, shape (n_features,)
        A feature without any value joins no model that it is not already part of.
    default, base : sequence of str
        What the default model reads, and which of them its linear base reads.
    groups : sequence of str
    reseeded : int
        How many times the default model is fitted again with another seed: how far a difference
        goes that means nothing.
    """
    default, base = tuple(default), tuple(base)
    usable = [feature for feature, there in zip(features, valued, strict=True) if there]
    of_group = {name: tuple(one.name for one in usable if one.group == name) for name in groups}
    group_of = {feature.name: feature.group for feature in features}

    def joined(first: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
        return (*first, *(name for name in more if name not in first))

    plan = [Variant(DEFAULT, "default", None, default, None)]
    plan += [
        Variant(f"default, seed +{step}", "reseeded", None, default, DEFAULT, step)
        for step in range(1, reseeded + 1)
    ]
    for group in groups:
        kept = tuple(name for name in default if group_of[name] != group)
        if 0 < len(kept) < len(default):
            plan.append(Variant(f"default - {group}", "without", group, kept, DEFAULT))
    for group in groups:
        if set(of_group[group]) - set(default):
            plan.append(
                Variant(f"default + {group}", "added", group, joined(default, of_group[group]), DEFAULT)
            )
    everything = joined(default, tuple(feature.name for feature in usable))
    if len(everything) > len(default):
        plan.append(Variant("everything", "everything", None, everything, DEFAULT))
    plan.append(Variant(BASE, "base", None, base, DEFAULT))
    for group in groups:
        if set(of_group[group]) - set(base):
            plan.append(Variant(f"base + {group}", "alone", group, joined(base, of_group[group]), BASE))
    return plan
