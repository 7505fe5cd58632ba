"""The entries of a comparison: the project's model first, then every baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from features.default_set import PRIOR_FEATURES
from features.errors import UsageError
from training.models.baseline import Baseline
from training.models.counted_rules import (
    Climatology,
    LastConfirmedLabel,
    Majority,
    MovingAverageRule,
    SignalsRule,
    VolatilityThreshold,
)
from training.models.learned import (
    HistogramBoosting,
    LabelPathPrior,
    LearnedBaseline,
    MultinomialLogistic,
    PlainLightGBM,
    PriceLightGBM,
)
from training.models.own_last_answer import OwnLastAnswer
from training.models.state_models import GaussianHiddenMarkov, StatisticalJump
from training.recipe import Recipe

__all__ = ["ENTRIES", "MODEL", "Entry", "chosen"]

MODEL = "model"


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard.

    Attributes
    ----------
    name : str
    words : str
        What it does, in one sentence.
    weight : int
        Rough seconds of one fold: the longest are begun first.
    make : callable or None
        From the recipe to a fresh baseline; ``None``: the project's model.
    needs : tuple of str
        Features that it cannot do without.
    """

    name: str
    words: str
    weight: int
    make: Callable[[Recipe], Baseline] | None
    needs: tuple[str, ...] = ()


def _plain(kind: type[Baseline], weight: int = 1) -> Entry:
    return Entry(kind.name, kind.words, weight, lambda _recipe: kind())


def _learned(kind: type[LearnedBaseline], weight: int, needs: tuple[str, ...] = ()) -> Entry:
    def make(recipe: Recipe) -> Baseline:
        return kind(inner_blocks=recipe.inner_blocks, embargo_days=recipe.splits.embargo_days)

    return Entry(kind.name, kind.words, weight, make, needs)


def _own_last_answer(recipe: Recipe) -> Baseline:
    return OwnLastAnswer(
        recipe.boosting,
        spell_power=recipe.spell_power,
        inner_blocks=recipe.inner_blocks,
        embargo_days=recipe.splits.embargo_days,
    )


ENTRIES: tuple[Entry, ...] = (
    Entry(MODEL, "The project's model: base, boosted trees, temperature, decision.", 40, None),
    _learned(LabelPathPrior, 1, PRIOR_FEATURES),
    _learned(MultinomialLogistic, 3),
    _learned(PlainLightGBM, 20),
    _learned(PriceLightGBM, 20),
    _learned(HistogramBoosting, 20),
    _plain(GaussianHiddenMarkov, 2),
    _plain(StatisticalJump, 2),
    Entry(OwnLastAnswer.name, OwnLastAnswer.words, 30, _own_last_answer),
    _plain(LastConfirmedLabel),
    _plain(MovingAverageRule),
    _plain(SignalsRule),
    _plain(VolatilityThreshold),
    _plain(Majority),
    _plain(Climatology),
)
"""All entries."""


def chosen(names: Sequence[str] = (), features: Sequence[str] | None = None) -> tuple[Entry, ...]:
    """Entries by name, in the order of :data:`ENTRIES`; all where none is named.

    Parameters
    ----------
    names : sequence of str
    features : sequence of str, optional
        Where no entry is named, those that need other features are left out.

    Raises
    ------
    UsageError
        For a name that is none, or one given twice.

    Examples
    --------
    >>> [entry.name for entry in chosen(["climatology", "model"])]
    ['model', 'climatology']
    """
    known = {entry.name: entry for entry in ENTRIES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"--models names {unknown[0]!r}", field="models", hint=f"expected some of {', '.join(known)}"
        )
    if len(set(names)) != len(names):
        raise UsageError("--models names an entry twice", field="models")
    if names:
        return tuple(entry for entry in ENTRIES if entry.name in names)
    return tuple(entry for entry in ENTRIES if features is None or set(entry.needs) <= set(features))
