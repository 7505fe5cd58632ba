"""A comparison on the small market with the cheap entries and the model, made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from small_training import small_histories, small_recipe

from training.compare.comparison import Comparison, compare
from training.compare.entries import chosen
from training.compare.plan import Market, Plan
from training.splits import Axis

__all__ = ["CHEAP", "compared", "small_comparison", "small_plan"]

CHEAP = ("model", "label_path_prior", "moving_average_rule", "last_confirmed_label", "climatology")


def small_plan(axis: Axis = "time") -> Plan:
    """Two simulated symbols with gaps, few trees."""
    return Plan(Market(histories=tuple(small_histories())), small_recipe(), axis=axis)


def compared(plan: Plan, names: Sequence[str] = CHEAP, workers: int = 1) -> Comparison:
    """Entries by name."""
    return compare(plan, chosen(names), workers=workers)


@cache
def small_comparison(axis: Axis = "time") -> Comparison:
    """The cheap entries and the model: read it, never change it."""
    return compared(small_plan(axis))
