"""The search for better settings: drawn by what the trials before have shown, given up early, resumable.

A trial is judged on purged blocks inside the rows that it may learn from (:mod:`training.tuning.inner`). The
best of many trials looks better than it is; so it is kept only if its gain over the recipe that the search
began with is more than which spells there happened to be (paired block bootstrap), and what the search is
really worth is measured by a walk whose every fold has searched by itself
(:func:`training.tuning.nested.nested_walk`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.errors import UsageError
from training.bootstrap import BlockBootstrap, Interval
from training.dataset import Dataset
from training.recipe import Recipe
from training.tuning.inner import InnerBlocks
from training.tuning.journal import open_study
from training.tuning.space import changed, draw, search_space

if TYPE_CHECKING:
    import optuna

__all__ = ["TrialResult", "Tuned", "study_name", "tune"]

SEED = 7
DRAWN_AT_RANDOM = 10
"""Trials before the sampler learns from those before (Bergstra et al. 2011)."""
NEVER_GIVEN_UP = 4
"""Trials that are finished whatever they show, so that there is a middle to be worse than."""
_GIVEN = "given"


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes
    ----------
    number : int
        From 0, which is the recipe that the search began with.
    state : str
        ``complete`` or ``pruned``.
    log_loss : float
        Of the blocks so far.
    blocks : int
        How many were answered.
    values : dict
        What was drawn; empty for the first.
    """

    number: int
    state: str
    log_loss: float
    blocks: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Tuned:
    """What a search has found.

    Attributes
    ----------
    recipe : Recipe
        The best one if it is proven better, else the one that the search began with.
    best : dict
        Settings of the best trial.
    difference : Interval or None
        Its log loss less the given recipe's, by spell; ``None`` where the given one is the best.
    trials : tuple of TrialResult
    name : str
        Of the study.
    """

    recipe: Recipe
    best: dict[str, Any]
    difference: Interval | None
    trials: tuple[TrialResult, ...]
    name: str

    @property
    def proven(self) -> bool:
        """Whether the best trial is better by more than luck in the spells."""
        return self.difference is not None and self.difference.below_zero


def study_name(dataset: Dataset, recipe: Recipe, train: npt.NDArray[np.intp], seed: int) -> str:
    """Name of a search: the same data, rows, recipe, bounds and seed go on with the same one."""
    space = {name: asdict(one) for name, one in search_space(recipe).items()}
    text = json.dumps([dataset.data_hash(), recipe.recipe_hash(), space, seed], sort_keys=True)
    digest = hashlib.sha256(text.encode())
    digest.update(np.ascontiguousarray(train, dtype=np.int64).tobytes())
    digest.update(dataset.X[train].tobytes())
    digest.update(dataset.y[train].tobytes())
    return digest.hexdigest()[:16]


def tune(
    dataset: Dataset,
    recipe: Recipe,
    train: npt.NDArray[np.intp],
    folder: Path,
    *,
    trials: int = 30,
    minutes: float | None = None,
    seed: int = SEED,
    told: Callable[[TrialResult], None] = lambda _trial: None,
) -> Tuned:
    """Search for better settings with the rows of ``train`` alone.

    A killed search goes on with the next call: what is drawn depends on the trials before and on the seed
    alone, so that its end is the same as without the kill.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
        Where the search begins; its features, base columns and folds stay.
    train : ndarray of int
        Rows that may be learned from.
    folder : Path
        Where the study's journal is kept, ``<name>.journal``.
    trials : int
        How many, those of an earlier call included.
    minutes : float, optional
        No trial is begun after so long.
    seed : int
    told : callable
        After each trial of this call, and before the first those of earlier ones.

    Raises
    ------
    UsageError
        For a budget that makes no sense.
    LockedError
        If another process is at the same search.
    TrainingError
        If the rows do not carry two blocks.
    """
    import optuna  # noqa: PLC0415
    from optuna.trial import TrialState  # noqa: PLC0415

    if trials < 1 or (minutes is not None and not minutes > 0):
        raise UsageError(
            f"a search of {trials} trials and {minutes} minutes: expected more than none", field="trials"
        )
    began = time.monotonic()
    blocks = InnerBlocks(dataset, recipe, train)
    space = search_space(recipe)
    name = study_name(dataset, recipe, train, seed)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=NEVER_GIVEN_UP)
    with open_study(folder / f"{name}.journal", name, seed=seed, pruner=pruner) as study:
        for result in _results(study):
            told(result)
        while len(done := _results(study)) < trials:
            if minutes is not None and done and time.monotonic() - began > 60 * minutes:
                break
            study.sampler = optuna.samplers.TPESampler(
                seed=seed + len(done), n_startup_trials=DRAWN_AT_RANDOM, multivariate=False
            )
            trial = study.ask()
            values = draw(trial, space) if done else {}
            trial.set_user_attr(_GIVEN, not done)
            _run(study, trial, blocks, changed(recipe, values))
            told(_results(study)[-1])
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = dict(min(finished, key=lambda one: (one.value, one.number)).params)
        results = _results(study)
    difference = _difference(blocks, recipe, best)
    proven = difference is not None and difference.below_zero
    return Tuned(changed(recipe, best) if proven else recipe, best, difference, results, name)


def _run(study: optuna.Study, trial: optuna.Trial, blocks: InnerBlocks, recipe: Recipe) -> None:
    """Judge one recipe, block by block; give it up where half of the finished trials were better by then."""
    import optuna  # noqa: PLC0415

    def told(block: int, loss: float) -> None:
        trial.report(loss, block)
        if block + 1 < len(blocks.blocks) and trial.should_prune():
            raise optuna.TrialPruned

    try:
        loss = float(blocks.losses(recipe, told).mean())
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except BaseException:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    else:
        study.tell(trial, loss)


def _results(study: optuna.Study) -> tuple[TrialResult, ...]:
    """Trials that came to an end, numbered in their order: those of killed processes do not count."""
    from optuna.trial import TrialState  # noqa: PLC0415

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return tuple(
        TrialResult(
            number=number,
            state=one.state.name.lower(),
            log_loss=float(one.intermediate_values[max(one.intermediate_values)]),
            blocks=len(one.intermediate_values),
            values=dict(one.params),
        )
        for number, one in enumerate(ended)
    )


def _difference(blocks: InnerBlocks, recipe: Recipe, best: dict[str, Any]) -> Interval | None:
    if not best:  # the given recipe is the best
        return None
    gap = blocks.losses(changed(recipe, best)) - blocks.losses(recipe)
    return BlockBootstrap(blocks.spells()).mean(np.asarray(gap))
