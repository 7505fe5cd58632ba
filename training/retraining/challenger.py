"""A challenger: made step by step, published, judged, and promoted or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.bundle import VERSION_DIGITS, champion
from training.dataset import Dataset
from training.making.make import Made, Making
from training.making.publish import Published, publish
from training.making.run_log import log_fold, log_inputs, log_results
from training.making.values import keep_value, kept_value
from training.making.work import Work, fingerprint
from training.parallel.workforce import Workforce
from training.promotion import promote
from training.recipe import Recipe
from training.retraining.current import WORK_TAG, Current
from training.retraining.gate import gate
from training.retraining.gate_settings import GateSettings
from training.retraining.journal import Journal
from training.retraining.outcome import HELD_BACK, PROMOTED, REFUSED, UNCHANGED, Decided, Outcome
from training.retraining.registry import mirror_entry
from training.retraining.verdict import Verdict
from training.settings import Places
from training.tracking import Tracker, open_tracker
from training.walk_forward import concatenated_excursions

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["Challenger"]

DECISION, GATE, PROMOTE = "decision", "gate", "promote"
SAME = "the same data, recipe and code"


@dataclass
class Challenger:
    """The steps from a training table to a decision.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    hashes : tuple of str
        Data hash and feature hash.
    current : Current
        The run on record.
    places : Places
    settings : GateSettings
    promote_it : bool
        Whether one that passes the gate becomes champion.
    origin : dict
        Where the history came from.
    facts : dict
        What the journal should know beside: late symbols, what the update missed.
    progress : callable
    workforce : Workforce
        Who fits the folds; what is made does not depend on it.

    Attributes
    ----------
    step : str
        That is under way.
    run_id : str or None
        In MLflow, once there is one.
    """

    dataset: Dataset
    recipe: Recipe
    hashes: tuple[str, str]
    current: Current
    places: Places
    settings: GateSettings
    promote_it: bool
    origin: dict[str, Any]
    facts: dict[str, Any]
    progress: Callable[[str, int], None]
    step: str = "build"
    run_id: str | None = None
    workforce: Workforce = field(default_factory=Workforce)

    @property
    def bundles(self) -> Path:
        """Folder of the bundles."""
        return self.places.bundles

    @property
    def work(self) -> Work:
        """Where the steps are kept."""
        return self.current.work(self.bundles)

    def run(self) -> Outcome:
        """Make, publish, judge, decide; or nothing, where that was done."""
        decided = self._decided()
        if decided is not None:
            return decided
        self.current = replace(self.current, outcome=None)
        self.current.write(self.bundles)
        tracker = open_tracker(self.places)
        symbols = ", ".join(self.dataset.symbols)
        name = f"retrain {datetime.now(UTC):%Y-%m-%d %H:%M} {symbols}"[:120]
        interrupted = tracker.find(WORK_TAG, self.current.token)
        with tracker.run(name, tags={WORK_TAG: self.current.token}, resumed=interrupted) as run:
            self.run_id = run.info.run_id
            making = Making(
                self.dataset,
                self.recipe,
                self.work,
                self.hashes,
                {"run_id": run.info.run_id},
                self._progress,
                lambda walk: log_fold(tracker, run, walk, self.dataset),
                more_steps=4,
                workforce=self.workforce,
            )
            log_inputs(
                tracker, run, self.dataset, self.recipe, self.hashes, job="retrain", origin=self.origin
            )
            made = making.make()
            making.tell("registry")
            log_results(tracker, run, self.dataset, made, making.skipped)
            example = self.dataset.X[np.flatnonzero(self.dataset.usable)[:2]]
            published = publish(tracker, run, made.packaged, self.places, example)
            outcome = self._decide(tracker, run, making, made, published)
        self.current.finish(self.bundles, outcome.outcome)  # the last: until then the next run goes on here
        return outcome

    def _progress(self, name: str, total: int) -> None:
        self.step = name
        self.progress(name, total)

    def _decided(self) -> Outcome | None:
        """What was decided on these very inputs, where it still stands."""
        kept = self.work.kept(PROMOTE)
        if self.current.outcome is None or kept.folder is None:
            return None
        decided = kept_value(kept.folder, "decided", Decided)
        serving = self._serving()
        if decided.outcome == PROMOTED:
            since = "" if serving == decided.version else f", and {serving} was put in its place since"
            reason = f"nothing new: {decided.version} was promoted on {SAME}{since}"
            return Outcome(UNCHANGED, reason, decided.version, serving, decided.run_id)
        if decided.outcome == REFUSED and self.promote_it and decided.inputs == self._gate_inputs():
            reason = f"nothing new: it was refused on {SAME}: {decided.reason}"
            return Outcome(REFUSED, reason, decided.version, serving, decided.run_id)
        return None

    def _serving(self) -> str | None:
        found = champion(self.bundles)
        return None if found is None else found.version

    def _gate_inputs(self) -> str:
        """Hash of what a verdict depends on beside the challenger."""
        found = champion(self.bundles)
        return fingerprint(None if found is None else found.hash, self.settings.model_dump())

    def _decide(
        self, tracker: Tracker, run: Run, making: Making, made: Made, published: Published
    ) -> Outcome:
        version = made.packaged.hash[:VERSION_DIGITS]
        if self._serving() == version:
            self._complete_journal(version)
            tracker.crown(published.registered_version)
            self._record(PROMOTED, "it was proven the same", version)
            reason = "the champion is this very bundle"
            return self._finished(UNCHANGED, reason, made, published, None, making)
        verdict = self._verdict(making, made)
        if not self.promote_it:
            outcome, reason = HELD_BACK, f"not promoted, as asked; the gate says: {verdict.reason}"
        else:
            outcome, reason = (PROMOTED if verdict.promote else REFUSED), verdict.reason
        self._progress(outcome, len(making.folds))
        inputs = self._gate_inputs()
        entry = self._entry(outcome, reason, verdict, made, published)
        with self.work.making(DECISION) as folder:
            keep_value(folder, "entry", entry)
        if outcome == PROMOTED:
            promote(self.bundles, made.packaged.hash, entry)
            tracker.crown(published.registered_version)
        elif not self._journaled(entry):
            Journal(self.bundles).append(entry)
        mirror_entry(self.places, run.info.run_id, entry)
        self._record(outcome, reason, version, inputs)
        return self._finished(outcome, reason, made, published, verdict, making)

    def _record(self, outcome: str, reason: str, version: str, inputs: str = "") -> None:
        decided = Decided(outcome, reason, version, self.run_id, inputs)
        with self.work.making(PROMOTE) as folder:
            keep_value(folder, "decided", decided)

    def _verdict(self, making: Making, made: Made) -> Verdict:
        """The gate's, or the one that was kept for this challenger and this champion."""
        inputs = self._gate_inputs()
        kept = self.work.kept(GATE, inputs)
        if kept.folder is not None:
            return kept_value(kept.folder, "verdict", Verdict)
        with self.work.making(GATE, inputs) as folder:
            verdict = gate(
                self.dataset,
                self.recipe,
                concatenated_excursions(self.dataset, None),
                bundles=self.bundles,
                staged=made.packaged.folder,
                parity=made.packaged.parity,
                settings=self.settings,
                progress=making.tell,
            )
            keep_value(folder, "verdict", verdict)
        return verdict

    def _entry(
        self, outcome: str, reason: str, verdict: Verdict, made: Made, published: Published
    ) -> dict[str, Any]:
        """What the journal says of the decision."""
        name = fingerprint(self.current.token, made.packaged.hash, outcome, self._gate_inputs())[:16]
        return {
            **verdict.as_dict(),
            "action": {PROMOTED: "promotion", REFUSED: "refusal"}.get(outcome, outcome),
            "reason": reason,
            "decision_id": name,
            "job": "retrain",
            "version": made.packaged.hash[:VERSION_DIGITS],
            "hash": made.packaged.hash,
            "champion": self._serving(),
            "run_id": self.run_id,
            "registered_version": published.registered_version,
            "recipe": self.recipe.recipe_hash(),
            "data": self.hashes[0],
            "until": self.current.until,
            **self.facts,
        }

    def _journaled(self, entry: dict[str, Any]) -> bool:
        name = entry["decision_id"]
        return any(one.get("decision_id") == name for one in Journal(self.bundles).entries())

    def _complete_journal(self, version: str) -> None:
        """Journal a promotion whose process was killed between ``champion.json`` and the journal."""
        folder = self.work.kept(DECISION).folder
        if folder is None:
            return
        entry = kept_value(folder, "entry", dict)
        found = champion(self.bundles)
        if found is not None and entry["version"] == version and not self._journaled(entry):
            Journal(self.bundles).append({**entry, "previous": found.previous})

    def _finished(
        self,
        outcome: str,
        reason: str,
        made: Made,
        published: Published,
        verdict: Verdict | None,
        making: Making,
    ) -> Outcome:
        return Outcome(
            outcome=outcome,
            reason=reason,
            version=made.packaged.hash[:VERSION_DIGITS],
            champion=self._serving(),
            run_id=self.run_id,
            registered_version=published.registered_version,
            verdict=verdict,
            made=made,
            late=self.facts["late"],
            skipped_folds=tuple(making.skipped),
        )
