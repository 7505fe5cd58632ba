"""The job ``retrain``: update data, build, train, evaluate, export, gate, promote.

Every step is kept with the hash of what it was made from. A run that is killed, at whatever moment, is
continued by the next one; the champion serves on until a better bundle is proven, installed and
promoted in one rename. A run with nothing new to learn from does nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from features.errors import BearmodeError, UsageError
from features.sources import parse_date
from serving.bundle import champion
from training.compare.plan import Market
from training.dataset import Dataset, build_dataset
from training.environment import code_hash, environment
from training.making.work import fingerprint
from training.parallel.workforce import Workforce
from training.pipeline import require_learnable, require_one_source
from training.recipe import Recipe
from training.retraining.challenger import Challenger
from training.retraining.current import FOLDER, WORK_TAG, Current, read_current
from training.retraining.data_check import examine_data, known_past, refuse_bad_data
from training.retraining.gate_settings import GateSettings
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked
from training.retraining.market_data import MarketData, bring_up_to_date, load_market
from training.retraining.outcome import Outcome
from training.retraining.registry import repair
from training.retraining.request import Request, chosen_recipe
from training.retraining.succession import reconcile
from training.settings import Places
from training.tracking import open_tracker

__all__ = ["retrain"]


def retrain(
    request: Request,
    places: Places,
    *,
    gate_settings: GateSettings | None = None,
    say: Callable[[str], None] = lambda _line: None,
    progress: Callable[[str, int], None] = lambda _name, _total: None,
) -> Outcome:
    """Retrain once, or continue the run that was interrupted.

    A challenger that the gate refuses is an outcome, not an error; the champion stays.

    Parameters
    ----------
    request : Request
    places : Places
    gate_settings : GateSettings, optional
        Of ``bearmode.toml`` otherwise.
    say : callable
        Told what a person should know.
    progress : callable
        Told the name of each step as it begins, and how many there are.

    Raises
    ------
    LockedError
        At once, if another job is at work on the bundles.
    BearmodeError
        For anything that stops the run; it is in the journal, the champion stays.
    """
    settings = gate_settings or GateSettings.load()
    with bundles_locked(places.bundles, "retrain"):
        job = _Job(request, places, settings, say, progress)
        try:
            return job.run()
        except UsageError:
            raise
        except Exception as error:
            failure = _in_words(error)
            job.journal_failure(failure)
            if failure is error:
                raise
            raise failure from error


def _in_words(error: Exception) -> Exception:
    """What the operating system refused as an error of the project; any other error as it is."""
    if not isinstance(error, OSError) or error.filename is None or error.strerror is None:
        return error
    return BearmodeError(
        f"{error.filename}: {error.strerror}",
        code="cannot_write",
        hint="make room or mend the permissions and run it again: finished steps are kept",
    )


@dataclass
class _Job:
    request: Request
    places: Places
    settings: GateSettings
    say: Callable[[str], None]
    progress: Callable[[str, int], None]
    step: str = "update"
    late: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    challenger: Challenger | None = None

    def run(self) -> Outcome:
        """Go through the steps."""
        before = read_current(self.places.bundles)
        self._repair(before)
        market = self._market(before)
        self.step = "build"
        require_one_source(market.histories)
        simulated = market.histories[0].source == "simulated"
        recipe, words = chosen_recipe(self.request, self.places, simulated=simulated)
        self.say(f"recipe {recipe.recipe_hash()[:12]}: {words}")
        dataset = build_dataset(market.histories, recipe.selected())
        self._examine(dataset)
        require_learnable(dataset)
        hashes = (dataset.data_hash(), dataset.feature_hash())
        self.challenger = Challenger(
            dataset,
            recipe,
            hashes,
            self._current(before, market, recipe, hashes),
            self.places,
            self.settings,
            promote_it=self.request.promote,
            origin=self.request.origin(),
            facts={"late": self.late, **self.notes},
            progress=self.progress,
            workforce=self._workforce(market),
        )
        return self.challenger.run()

    def _examine(self, dataset: Dataset) -> None:
        """Look at the data before they are learned from; what is odd goes into the journal."""
        self.step = "data"
        since = parse_date(self.request.since, "since")
        found = examine_data(dataset, known_past(self.places.bundles), self.settings, since)
        if found:
            self.notes["data"] = [one.as_dict() for one in found]
        for one in found:
            if not one.refused:
                self.say(one.words)
        refuse_bad_data(found)

    def _workforce(self, market: MarketData) -> Workforce:
        """Who fits; a cluster reads the very span that was read here."""
        request = self.request
        place = Market(
            source=request.source,
            symbols=tuple(one.symbol for one in market.histories),
            path=None if request.path is None else request.path.absolute(),
            store=self.places.store,
            interval=request.interval,
            since=parse_date(request.since, "since"),
            until=parse_date(market.until, "until"),
        )
        return Workforce(request.workers, request.scheduler, place)

    def _repair(self, before: Current | None) -> None:
        """Alias and journal follow ``champion.json``; a run that goes on completes the journal itself."""
        if before is None or before.outcome is not None:
            self._tell(reconcile(self.places.bundles))
        self._tell(repair(self.places))

    def _tell(self, words: str | None) -> None:
        if words:
            self.say(words)

    def _market(self, before: Current | None) -> MarketData:
        """Data of the run that is continued, or the newest."""
        if before is not None and not self.request.fresh and before.continues(self.request.identity()):
            market = load_market(self.request, self.places, until=before.until, updated=False)
            self.say(f"continuing the run of {before.started_at}, on bars before {before.until}")
        else:
            updated = self.request.from_store and self.request.update
            if updated:
                self.notes |= bring_up_to_date(self.request, self.places, self.say)
            market = load_market(self.request, self.places, until=None, updated=updated)
        self.late = market.late
        for name, days in market.late.items():
            self.say(f"{name}: its newest bar is {days:.1f} days old")
        return market

    def _current(
        self, before: Current | None, market: MarketData, recipe: Recipe, hashes: tuple[str, str]
    ) -> Current:
        """The run on record if it is made from the same, else a new one in its place."""
        key = fingerprint(*hashes, recipe.recipe_hash(), code_hash(), environment())
        if before is not None and before.key == key and not self.request.fresh:
            return before
        if before is not None and before.outcome is None:
            self.say("the interrupted run is not continued: from the beginning")
            tracker = open_tracker(self.places)
            if (run_id := tracker.find(WORK_TAG, before.token)) is not None:
                tracker.abandon(run_id)
        if self.request.fresh:
            shutil.rmtree(self.places.bundles / FOLDER, ignore_errors=True)
        current = Current.begun(key, self.request.identity(), market.until)
        current.write(self.places.bundles)
        return current

    def journal_failure(self, error: Exception) -> None:
        """Put on record that a run failed, and where; the champion serves on."""
        entry = {
            "action": "failure",
            "job": "retrain",
            "step": self.step if self.challenger is None else self.challenger.step,
            "error": error.code if isinstance(error, BearmodeError) else type(error).__name__,
            "reason": error.message if isinstance(error, BearmodeError) else str(error),
            "run_id": None if self.challenger is None else self.challenger.run_id,
            "late": self.late,
            **self.notes,
        }
        with suppress(BearmodeError, OSError):  # the error itself is what has to be heard
            found = champion(self.places.bundles)
            Journal(self.places.bundles).append(
                {**entry, "champion": None if found is None else found.version}
            )
