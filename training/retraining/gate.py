"""The gate: whether a challenger may become the champion.

It scores the RECIPE. The final fit has seen the newest labels, so nothing honest can be said of it on
them; what can be said is what its recipe makes of the same data when the last half-year is held back.

``first``        nothing to compare with: a floor, on the window
``same_recipe``  the recipe is the champion's, the data are newer: not worse than the champion's own model
                 from before the window, made of the champion's data
``new_recipe``   better than the champion's recipe on the same data, and not worse than the champion's own
                 model from before the window

The definition and its reasons: ``docs/decisions/0010-gate.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from features.errors import TrainingError
from training.bootstrap import BlockBootstrap, Interval
from training.dataset import Dataset
from training.excursion import Excursions
from training.export import Parity
from training.recipe import Recipe
from training.retraining import gate_checks as checks
from training.retraining.gate_answers import WindowAnswers, baseline_losses, of_bundle, of_refit
from training.retraining.gate_proof import Proven, past_checks, proof_checks, source_of
from training.retraining.gate_reference import Reference, Standing, frozen_reference, standing_champion
from training.retraining.gate_settings import GateSettings
from training.retraining.gate_window import GateRows, gate_rows, latest_start, training_rows
from training.retraining.verdict import Check, Verdict

__all__ = ["gate"]


def gate(
    dataset: Dataset,
    recipe: Recipe,
    excursions: Excursions,
    *,
    bundles: Path,
    staged: Path,
    parity: Parity,
    settings: GateSettings | None = None,
    progress: Callable[[str], None] = lambda _name: None,
) -> Verdict:
    """Judge a challenger; changes nothing.

    Parameters
    ----------
    dataset : Dataset
        What the challenger learned from, with its features.
    recipe : Recipe
        The challenger's.
    excursions : Excursions
        Of the dataset's bars.
    bundles : Path
        Where the champion is.
    staged : Path
        The challenger's bundle, wherever it lies.
    parity : Parity
        What the proof of its graph found.
    settings : GateSettings, optional
    progress : callable
        Told the name of each step.

    Returns
    -------
    Verdict
        Also where the history is too short to judge: it is then refused.
    """
    settings = settings or GateSettings()
    standing = standing_champion(
        bundles, simulated=source_of(dataset) == "simulated", interval=dataset.histories[0].interval
    )
    progress("gate: proof")
    proven = proof_checks(staged, parity, dataset, recipe, settings)
    trial = _Trial(dataset, recipe, excursions, standing, settings, progress, [*proven.checks])
    if standing.predictor is not None:
        trial.checks += past_checks(dataset, standing.predictor, settings)
    latest = latest_start(dataset, settings)
    if latest is None:
        words = f"the labelled history holds fewer than {settings.min_spells} spells before and in a window"
        trial.checks.append(Check("window_spells", None, float(settings.min_spells), False, words))
        return trial.verdict()
    reference = None
    if standing.predictor is not None:
        reference = frozen_reference(bundles, standing.predictor, latest, recipe.splits.embargo_days)
    trial.judge(latest, reference, proven)
    return trial.verdict()


@dataclass
class _Trial:
    """One challenger before the gate; fills up with checks."""

    dataset: Dataset
    recipe: Recipe
    excursions: Excursions
    standing: Standing
    settings: GateSettings
    progress: Callable[[str], None]
    checks: list[Check]
    mode: str = "first"
    reference: str = ""
    window: GateRows | None = None
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    rival_ece: float = 0.0

    def judge(self, latest: pd.Timestamp, reference: Reference | None, proven: Proven) -> None:
        """Score challenger and champion on the window."""
        self.window = window = gate_rows(self.dataset, latest if reference is None else reference.start)
        learned = training_rows(self.dataset, self.recipe, window.start)
        ready = [
            checks.enough_spells(window, self.settings),
            checks.enough_training(self.dataset, learned, self.settings),
        ]
        self.checks += ready
        if not all(check.passed for check in ready):
            return
        self.progress("gate: the challenger's recipe before the window")
        try:
            mine = of_refit(self.dataset, self.recipe, self.excursions, window)
        except TrainingError as error:
            self.checks.append(Check("refit", None, None, False, error.message))
            return
        self.scores["challenger"] = mine.scores
        self._compare(mine, reference, window)
        self._bounds(mine, baseline_losses(self.dataset, learned, window), proven, window)

    def _compare(self, mine: WindowAnswers, reference: Reference | None, window: GateRows) -> None:
        """Against the champion, by whichever of its models may be asked."""
        champion = self.standing.predictor
        if champion is None:
            self.reference = self.standing.why
            return
        frozen = None
        if reference is not None:
            self.progress("gate: the champion on the window")
            frozen = of_bundle(self.dataset, reference.predictor, window)
            self.scores["champion"] = frozen.scores
            self.reference = reference.words
        if self._same_recipe():
            if frozen is None:
                self.reference = f"the champion {champion.version} keeps no model from before the window"
                return
            self.mode = "same_recipe"
            difference = self._difference(mine, frozen, window)
            self.checks.append(checks.not_worse(difference, self.settings, self.reference))
            self._by_part(mine, frozen, window, self.reference)
            return
        refitted = self._champion_recipe(window)
        rival = refitted or frozen
        if rival is None:
            self.reference = self.standing.why or "no model of the champion can be asked"
            return
        self.mode = "new_recipe"
        words = self.reference if refitted is None else "the champion's recipe on the same data"
        self.checks.append(checks.better(self._difference(mine, rival, window), self.settings, words))
        if frozen is not None and refitted is not None:
            difference = self._difference(mine, frozen, window)
            self.checks.append(checks.not_worse(difference, self.settings, self.reference))
        self._by_part(mine, rival, window, words)

    def _same_recipe(self) -> bool:
        theirs = self.standing.recipe
        return theirs is not None and theirs.recipe_hash() == self.recipe.recipe_hash()

    def _champion_recipe(self, window: GateRows) -> WindowAnswers | None:
        """The champion's recipe refitted on the same data; ``None`` where that cannot be done."""
        if self.standing.recipe is None:
            return None
        self.progress("gate: the champion's recipe before the window")
        try:
            found = of_refit(self.dataset, self.standing.recipe, self.excursions, window)
        except TrainingError:
            return None
        self.scores["champion_recipe"] = found.scores
        return found

    def _difference(self, mine: WindowAnswers, theirs: WindowAnswers, window: GateRows) -> Interval:
        bootstrap = BlockBootstrap(
            self.dataset.spell[window.rows],
            draws=self.settings.draws,
            level=self.settings.level,
            seed=self.settings.seed,
        )
        return bootstrap.mean_difference(mine.loss, theirs.loss)

    def _by_part(self, mine: WindowAnswers, theirs: WindowAnswers, window: GateRows, words: str) -> None:
        """By class and by symbol: what a mean over all rows may hide."""
        self.rival_ece = theirs.scores["ece"]
        y = self.dataset.y[window.rows]
        self.checks += checks.recall_falls(y, mine.regime, theirs.regime, self.settings, words)
        symbol = self.dataset.symbol[window.rows]
        self.checks.append(
            checks.worst_symbol(symbol, self.dataset.symbols, mine.loss, theirs.loss, self.settings)
        )

    def _bounds(
        self, mine: WindowAnswers, baselines: dict[str, float], proven: Proven, window: GateRows
    ) -> None:
        """What every challenger has to reach, and what a first one has to reach beside."""
        settings, found = self.settings, mine.scores
        self.scores |= {name: {"log_loss": value} for name, value in baselines.items()}
        # In a hard half-year the champion is off as well; to refuse every successor would only age it.
        ece = max(settings.ece, self.rival_ece + settings.ece_rise)
        self.checks += [
            checks.below("log_loss_climatology", found["log_loss"], baselines["climatology"], "climatology"),
            checks.at_most("ece", found["ece"], ece, "the calibration error"),
        ]
        if self.mode == "first":
            rule = baselines["moving_average_rule"]
            self.checks += [
                checks.below("log_loss_rule", found["log_loss"], rule, "the moving-average rule"),
                checks.at_least("macro_f1", found["macro_f1"], settings.floor_macro_f1, "macro F1"),
                *checks.recall_floors(self.dataset.y[window.rows], mine.regime, settings),
            ]
        if proven.predictor is not None:
            self.progress("gate: the final fit")
            final = of_bundle(self.dataset, proven.predictor, window).scores
            self.scores["final_fit_in_sample"] = final
            rise = final["log_loss"] - found["log_loss"]
            what = "the log loss of the final fit, which has seen the window, less the refit's"
            self.checks.append(checks.at_most("final_fit", rise, settings.seen_rise, what))

    def verdict(self) -> Verdict:
        """The decision, with what led to it."""
        failed = [check for check in self.checks if not check.passed]
        champion = self.standing.predictor
        theirs = self.standing.recipe
        return Verdict(
            promote=not failed,
            reason=self._reason(failed),
            checks=tuple(self.checks),
            mode=self.mode,
            champion=None if champion is None else champion.version,
            recipe=self.recipe.recipe_hash(),
            champion_recipe=None if theirs is None else theirs.recipe_hash(),
            reference=self.reference,
            window=None if self.window is None else self.window.window(self.dataset),
            scores=self.scores,
        )

    def _reason(self, failed: list[Check]) -> str:
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            return f"{failed[0].name}: {failed[0].words}{more}"
        kinds = {
            "first": f"reaches the floor; {self.reference}",
            "same_recipe": "same recipe on newer data, not worse than the champion",
            "new_recipe": "another recipe, better than the champion's",
        }
        return f"{kinds[self.mode]}: {len(self.checks)} checks passed"
