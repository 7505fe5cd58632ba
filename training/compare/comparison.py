"""The comparison: every entry on every fold, scored the same way on the same bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from features.errors import BearmodeError, TrainingError
from features.parallel.outcomes import Tell
from features.parallel.symbol_tasks import each_symbol
from features.regimes import REGIMES
from training.compare.entries import MODEL, Entry
from training.compare.fold_job import FoldAnswers, fold_job, longest_first, parts_of
from training.compare.plan import Plan, Workbench, proven, workbench
from training.dataset import Dataset
from training.evaluation import Answers, Difference, Score, difference, score, skill, spell_bootstrap
from training.splits import Axis, Fold

__all__ = ["Compared", "Comparison", "compare"]

CLIMATOLOGY, PERSISTENCE = "climatology", "last_confirmed_label"


@dataclass(frozen=True)
class Compared:
    """One entry: what it answered and what that scored.

    Attributes
    ----------
    entry : Entry
    answers : Answers
    score : Score
    against : Difference or None
        Log loss less that of the project's model; ``None`` of the model itself, and where it is not in
        the comparison.
    skill : dict of str to float
        Against climatology and, with ``_over_persistence``, against the last confirmed label, as far
        as these are in the comparison.
    parameters : dict of str to object
    seconds : float
        Fits and answers of all folds, on one core.
    """

    entry: Entry
    answers: Answers
    score: Score
    against: Difference | None
    skill: dict[str, float]
    parameters: dict[str, Any]
    seconds: float

    @property
    def name(self) -> str:
        """Name of the entry."""
        return self.entry.name


@dataclass(frozen=True)
class Comparison:
    """All entries on the same bars.

    Attributes
    ----------
    plan : Plan
    dataset : Dataset
    folds : tuple of Fold
    entries : tuple of Compared
        Lowest log loss first.
    failed : dict of str to BearmodeError
        Entries that are not in it, and why.
    skipped : tuple of str
        Half-years that were not walked, and why.
    """

    plan: Plan
    dataset: Dataset
    folds: tuple[Fold, ...]
    entries: tuple[Compared, ...]
    failed: dict[str, BearmodeError] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    @property
    def axis(self) -> Axis:
        """What the test rows differ in from the training rows."""
        return self.plan.axis

    @property
    def model(self) -> Compared | None:
        """The project's model; ``None`` where it is not in the comparison."""
        return next((one for one in self.entries if one.name == MODEL), None)

    def by_name(self, name: str) -> Compared:
        """One entry.

        Raises
        ------
        KeyError
            If it is not there.
        """
        return {one.name: one for one in self.entries}[name]

    def raise_failures(self) -> None:
        """Raise what went wrong, if anything did.

        Raises
        ------
        TrainingError
            With every entry that failed and its reason.
        """
        if self.failed:
            count = len(self.failed) + len(self.entries)
            raise TrainingError(
                f"{len(self.failed)} of {count} entries failed: "
                + "; ".join(f"{name}: {error.message}" for name, error in self.failed.items()),
                code="entries_failed",
                hint="the others stand",
            )


def compare(
    plan: Plan,
    entries: Sequence[Entry],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    begun: Callable[[Workbench], None] = lambda _bench: None,
    tell: Tell | None = None,
) -> Comparison:
    """Fit and answer every entry on every fold, then score them.

    Parameters
    ----------
    plan : Plan
    entries : sequence of Entry
    workers, scheduler, tell
        As for :func:`features.parallel.symbol_tasks.each_symbol`; what it calls a symbol is a job here,
        one entry on one fold. The answers do not depend on where they were worked out.
    begun : callable
        Given the workbench as soon as data and folds are known to be good.

    Raises
    ------
    BearmodeError
        If the data carry no fold, or processes cannot be started. What fails in a single entry is in
        the result.
    """
    bench = workbench(plan)
    begun(bench)
    plan = proven(plan, bench.dataset)
    names = [entry.name for entry in entries]
    jobs = longest_first(names, list(bench.folds))
    answered: dict[str, dict[str, FoldAnswers]] = {name: {} for name in names}
    failed: dict[str, BearmodeError] = {}
    task = partial(fold_job, plan=plan)
    with closing(each_symbol(task, jobs, workers=workers, scheduler=scheduler, tell=tell)) as outcomes:
        for outcome in outcomes:
            entry, fold = parts_of(outcome.symbol)
            if outcome.result is not None:
                answered[entry][fold] = outcome.result
            elif outcome.error is not None:
                failed.setdefault(entry, _of_fold(outcome.error, outcome.symbol, fold))
    whole = [entry for entry in entries if entry.name not in failed]
    return Comparison(
        plan=plan,
        dataset=bench.dataset,
        folds=tuple(bench.folds.values()),
        entries=_scored(bench, whole, answered),
        failed={name: failed[name] for name in names if name in failed},
        skipped=bench.skipped,
    )


def _of_fold(error: BearmodeError, job: str, fold: str) -> BearmodeError:
    """The error with the fold that it happened on, in place of the job's inner name."""
    message = error.message.removeprefix(f"{job}: ")
    found = BearmodeError(
        f"{fold}: {message}".replace(job, fold), code=error.code, field=error.field, hint=error.hint
    )
    for note in getattr(error, "__notes__", ()):
        found.add_note(note)
    return found


def _scored(
    bench: Workbench, entries: Sequence[Entry], answered: dict[str, dict[str, FoldAnswers]]
) -> tuple[Compared, ...]:
    dataset = bench.dataset
    answers = {entry.name: _pooled(bench, entry.name, answered[entry.name]) for entry in entries}
    if not answers:
        return ()
    bootstrap = spell_bootstrap(dataset, next(iter(answers.values())))
    scores = {name: score(dataset, one, bootstrap) for name, one in answers.items()}
    model = answers.get(MODEL)
    found = []
    for entry in entries:
        name = entry.name
        parts = answered[name]
        parameters: dict[str, Any] = {}
        for one in parts.values():
            parameters |= one.parameters
        against = None if model is None or name == MODEL else difference(dataset, answers[name], model)
        found.append(
            Compared(
                entry=entry,
                answers=answers[name],
                score=scores[name],
                against=against,
                skill=_skill(scores, name),
                parameters=parameters,
                seconds=sum(one.seconds for one in parts.values()),
            )
        )
    return tuple(sorted(found, key=lambda one: one.score.values["log_loss"]))


def _pooled(bench: Workbench, name: str, parts: dict[str, FoldAnswers]) -> Answers:
    """Answers of all folds at the dataset's bars."""
    bars = len(bench.dataset.y)
    p = np.full((bars, len(REGIMES)), np.nan)
    regime = np.full(bars, -1, dtype=np.int64)
    for fold, one in parts.items():
        test = bench.folds[fold].test
        p[test], regime[test] = one.probabilities, one.regime
    return Answers(name, p, regime)


def _skill(scores: dict[str, Score], name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for reference, suffix in ((CLIMATOLOGY, ""), (PERSISTENCE, "_over_persistence")):
        if reference in scores:
            values = skill(scores[name].values, scores[reference].values)
            found |= {f"{key}{suffix}": value for key, value in values.items()}
    return found
