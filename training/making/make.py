"""From a training table to a proven bundle: folds, scores, final fit, export; each kept, none made twice.

``train``, ``retrain`` and ``reproduce`` all make their bundle here, so that the same table and recipe give
the same bytes in each of them, whether they ran through or were killed and continued.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import TrainingError
from training.dataset import Dataset
from training.excursion import Excursions
from training.export import Parity
from training.making.learned_from import write_months
from training.making.values import keep_value, kept_value
from training.making.work import Work
from training.packaging import Packaged, package
from training.parallel.fold_fits import FINAL, Fits, final_rows, fold_fits
from training.parallel.workforce import Workforce
from training.promotion import walk_forward_folder
from training.recipe import Recipe
from training.report import Report, evaluate
from training.splits import Fold
from training.walk_forward import (
    FittedModel,
    Walk,
    concatenated_excursions,
    fit_without_sets,
    last_sets,
    walk_forward,
    walkable,
    with_sets,
)

__all__ = ["BUNDLE", "Made", "Making", "fold_step"]

BUNDLE = "bundle"
FITTED = "fitted"
ANSWERS = "answers.npz"
EVALUATE, FINAL_FIT, EXPORT = "evaluate", "final-fit", "export"
STEPS_BESIDE_FOLDS = 5
"""Excursions, scores, final fit, export and proof, registry."""


def fold_step(fold: Fold) -> str:
    """Name of a fold's step."""
    return f"fold-{fold.name}"


@dataclass(frozen=True)
class Made:
    """What the steps made.

    Attributes
    ----------
    walk : Walk
    report : Report
    packaged : Packaged
        The bundle, staged, with the folds' bundles beside it.
    """

    walk: Walk
    report: Report
    packaged: Packaged


@dataclass
class Making:
    """The making of one bundle.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    work : Work
        Where the steps are kept.
    hashes : tuple of str
        Data hash and feature hash.
    run : dict
        Content of the bundles' ``run.json``; outside their hash.
    progress : callable
        Told the name of each step as it begins, and how many there are.
    on_fold : callable
        Told the walk after each fold, kept or made.
    more_steps : int
        That the caller adds, for ``progress``.
    workforce : Workforce
        Who fits the folds; this process by default. What is made does not depend on it.

    Attributes
    ----------
    folds : list of Fold
    excursions : Excursions
        What followed each bar, once :meth:`make` was called.
    skipped : list of str
        Half-years that are not walked, and why.
    """

    dataset: Dataset
    recipe: Recipe
    work: Work
    hashes: tuple[str, str]
    run: dict[str, Any]
    progress: Callable[[str, int], None] = lambda _name, _total: None
    on_fold: Callable[[Walk], None] = lambda _walk: None
    more_steps: int = 0
    workforce: Workforce = field(default_factory=Workforce)
    folds: list[Fold] = field(init=False)
    excursions: Excursions = field(init=False)
    skipped: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.folds = walkable(self.dataset, self.recipe, self.skipped.append)

    def steps(self) -> list[str]:
        """Names of the steps, in order."""
        return [*(fold_step(fold) for fold in self.folds), EVALUATE, FINAL_FIT, EXPORT]

    def make(self) -> Made:
        """Go through the steps; those that are kept are read back.

        Raises
        ------
        TrainingError
            If the graph is not the model, or a fit is not possible.
        BundleError
            If a bundle does not load.
        """
        self.tell("excursions")
        excursions = self.excursions = concatenated_excursions(self.dataset, self.recipe.squeeze)
        with fold_fits(self.dataset, self.recipe, self._missing(), self.workforce) as fits:
            walk = self._walk(excursions, fits)
            self.tell("scores")
            report = self._report(walk, excursions)
            self.tell("final fit")
            final = self._final(excursions, walk, fits)
        self.tell("export and proof")
        return Made(walk, report, self._export(final, report))

    def tell(self, name: str) -> None:
        """Say which step begins."""
        self.progress(name, len(self.folds) + STEPS_BESIDE_FOLDS + self.more_steps)

    def _missing(self) -> list[str]:
        """Fits that have to be made, in the order in which they are asked for."""
        folds = [fold.name for fold in self.folds if self.work.kept(fold_step(fold)).folder is None]
        return folds + [FINAL] * (self.work.kept(FINAL_FIT).folder is None)

    def _walk(self, excursions: Excursions, fits: Fits | None) -> Walk:
        walk = Walk.empty(len(self.dataset.y))
        for fold, fitted, walk in walk_forward(
            self.dataset, self.recipe, excursions, self.tell, self._kept_fold, fits
        ):
            if self.work.kept(fold_step(fold)).folder is None:
                self._keep_fold(fold, fitted, walk)
            self.on_fold(walk)
        return walk

    def _kept_fold(self, fold: Fold, walk: Walk) -> FittedModel | None:
        """A fold that was made before, its answers filled into the walk."""
        folder = self.work.kept(fold_step(fold)).folder
        if folder is None:
            return None
        with np.load(folder / ANSWERS, allow_pickle=False) as found:
            for name in found.files:
                getattr(walk, name)[fold.test] = found[name]
        return kept_value(folder, FITTED, FittedModel)

    def _keep_fold(self, fold: Fold, fitted: FittedModel, walk: Walk) -> None:
        bars = len(self.dataset.y)
        found = {one.name: getattr(walk, one.name) for one in fields(walk)}
        answers = {
            name: one[fold.test]
            for name, one in found.items()
            if isinstance(one, np.ndarray) and len(one) == bars
        }
        with self.work.making(fold_step(fold)) as folder:
            with (folder / ANSWERS).open("wb") as file:
                np.savez(file, allow_pickle=False, **answers)
            keep_value(folder, FITTED, fitted)
            self._package(
                folder / BUNDLE,
                fitted,
                held=fold.test[self.dataset.usable[fold.test]],
                end=min(fold.end - pd.Timedelta(milliseconds=1), self.dataset.time.max()),
                metrics={},
            )

    def _report(self, walk: Walk, excursions: Excursions) -> Report:
        folder = self.work.kept(EVALUATE).folder
        if folder is not None:
            return kept_value(folder, "report", Report)
        with self.work.making(EVALUATE) as folder:
            report = evaluate(self.dataset, walk, excursions)
            keep_value(folder, "report", report)
        return report

    def _final(self, excursions: Excursions, walk: Walk, fits: Fits | None) -> FittedModel:
        folder = self.work.kept(FINAL_FIT).folder
        if folder is not None:
            return kept_value(folder, FITTED, FittedModel)
        every, known = final_rows(self.dataset)
        with self.work.making(FINAL_FIT) as folder:
            if fits is None:
                setless = fit_without_sets(self.dataset, self.recipe, excursions, every, known)
            else:
                setless = fits(FINAL)
            final = with_sets(self.dataset, setless, last_sets(self.dataset, walk, known))
            final = replace(final, trained_until=self.dataset.time.max())
            keep_value(folder, FITTED, final)
        return final

    def _export(self, final: FittedModel, report: Report) -> Packaged:
        folder = self.work.kept(EXPORT).folder
        if folder is not None:
            staged = folder / BUNDLE
            graph = (staged / "model.onnx").read_bytes()
            kept = kept_value(folder, "proof", Proof)
            return Packaged(staged, kept.hash, graph, kept.parity, kept.squeeze_parity)
        dataset = self.dataset
        with self.work.making(EXPORT) as folder:
            packaged = self._package(
                folder / BUNDLE,
                final,
                held=np.flatnonzero(dataset.sampled & dataset.present & (dataset.y < 0)),
                end=dataset.time.max(),
                metrics=report.metrics(),
            )
            keep_value(folder, "proof", Proof(packaged.hash, packaged.parity, packaged.squeeze_parity))
            beside = walk_forward_folder(folder / BUNDLE)
            write_months(beside, dataset.histories)
            for fold in self.folds:
                shutil.copytree(self.work.folder / fold_step(fold) / BUNDLE, beside / fold.name)
        return replace(packaged, folder=self.work.folder / EXPORT / BUNDLE)

    def _package(self, folder: Path, fitted: FittedModel, **options: Any) -> Packaged:
        table = self.excursions.squeeze
        if table is None:
            raise TrainingError("a bundle cannot be made without the table of the squeeze model")
        return package(
            folder, fitted, self.dataset, self.recipe, table, hashes=self.hashes, run=self.run, **options
        )


@dataclass(frozen=True)
class Proof:
    """What the export proved.

    Attributes
    ----------
    hash : str
        Of the bundle's manifest.
    parity, squeeze_parity : Parity
    """

    hash: str
    parity: Parity
    squeeze_parity: Parity
