"""Challengers before the gate, on the small market: its last half-year can be told from its past."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from small_training import Trained, small_recipe

from training.dataset import Dataset
from training.excursion import Excursions
from training.export import Parity
from training.recipe import Recipe
from training.retraining.gate import gate
from training.retraining.gate_settings import GateSettings
from training.retraining.verdict import Check, Verdict

__all__ = ["SETTINGS", "Case", "check", "shuffled_before"]

SETTINGS = GateSettings(window_days=60, min_spells=3, min_train_days=100, draws=500)
WINDOW = pd.Timestamp("2022-07-01", tz="UTC")


@dataclass(frozen=True)
class Case:
    """The champion's own bundle as challenger, unless told otherwise."""

    trained: Trained
    dataset: Dataset
    excursions: Excursions
    bundles: Path
    recipe: Recipe = field(default_factory=small_recipe)
    parity: Parity = field(default_factory=lambda: Parity(10, 1e-9, 0))
    settings: GateSettings = SETTINGS
    staged: Path | None = None

    def verdict(self) -> Verdict:
        return gate(
            self.dataset,
            self.recipe,
            self.excursions,
            bundles=self.bundles,
            staged=self.staged or self.trained.bundle,
            parity=self.parity,
            settings=self.settings,
        )


def check(verdict: Verdict, name: str) -> Check:
    """The one check of that name."""
    (found,) = [one for one in verdict.checks if one.name == name]
    return found


def shuffled_before(dataset: Dataset, moment: pd.Timestamp = WINDOW) -> Dataset:
    """The labels before a moment dealt out anew: there is nothing in them to learn."""
    y = dataset.y.copy()
    rows = np.flatnonzero((y >= 0) & np.asarray(dataset.time < moment))
    y[rows] = y[np.random.default_rng(0).permutation(rows)]
    return replace(dataset, y=y)
