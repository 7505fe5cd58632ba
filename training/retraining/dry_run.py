"""What a retraining would do, step by step, and why; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.bundle import champion
from training.dataset import build_dataset
from training.environment import code_hash, environment
from training.making.make import Making
from training.making.work import Work, fingerprint
from training.pipeline import require_learnable, require_one_source
from training.retraining.challenger import GATE, PROMOTE
from training.retraining.current import FOLDER, read_current
from training.retraining.gate_settings import GateSettings
from training.retraining.lock import lock_holder
from training.retraining.market_data import load_market
from training.retraining.request import Request, chosen_recipe
from training.settings import Places

__all__ = ["Planned", "plan"]


@dataclass(frozen=True)
class Planned:
    """One step.

    Attributes
    ----------
    step : str
    does : bool
        Whether it would be done.
    why : str
    """

    step: str
    does: bool
    why: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"step": self.step, "does": self.does, "why": self.why}


def plan(request: Request, places: Places) -> list[Planned]:
    """Look at data, recipe and what is kept; the store is not brought up to date.

    Raises
    ------
    BearmodeError
        What would stop the run, as far as it can be seen.
    """
    before = read_current(places.bundles)
    continued = before if before is not None and before.continues(request.identity()) else None
    if request.fresh:
        continued = None
    steps = [_lock(places), _update(request, continued is not None)]
    market = load_market(request, places, until=None if continued is None else continued.until, updated=False)
    require_one_source(market.histories)
    simulated = market.histories[0].source == "simulated"
    recipe, words = chosen_recipe(request, places, simulated=simulated)
    dataset = build_dataset(market.histories, recipe.selected())
    require_learnable(dataset)
    hashes = (dataset.data_hash(), dataset.feature_hash())
    key = fingerprint(*hashes, recipe.recipe_hash(), code_hash(), environment())
    late = "".join(f"; {name} is {days:.1f} days old" for name, days in market.late.items())
    span = f"{', '.join(dataset.symbols)} before {market.until}{late}; {words}"
    steps.append(Planned("build", True, span))
    found = before if before is not None and before.key == key and not request.fresh else None
    work = Work(places.bundles / FOLDER / key[:16], key)
    if found is None:
        work = Work(Path(places.bundles / FOLDER / "none"), key)
    decided = found is not None and found.outcome is not None and work.kept(PROMOTE).folder is not None
    for step in Making(dataset, recipe, work, hashes, {}).steps():
        kept = work.kept(step)
        steps.append(Planned(step, kept.folder is None, kept.why))
    steps += _decision(request, places, work, decided=decided)
    return steps


def _lock(places: Places) -> Planned:
    holder = lock_holder(places.bundles)
    return Planned("lock", True, "free" if holder is None else f"held by {holder}: the run would end with 5")


def _update(request: Request, continued: bool) -> Planned:
    if not request.from_store:
        return Planned("update", False, f"--source {request.source} is read as it is")
    if continued:
        return Planned("update", False, "an interrupted run is continued on its own bars")
    if not request.update:
        return Planned("update", False, "--no-update")
    return Planned("update", True, "the steps below are of the store as it is now")


def _decision(request: Request, places: Places, work: Work, *, decided: bool) -> list[Planned]:
    if decided:
        why = "nothing new: decided before on the same data, recipe and code"
        return [Planned(step, False, why) for step in ("registry", GATE, PROMOTE)]
    found = champion(places.bundles)
    inputs = fingerprint(None if found is None else found.hash, GateSettings.load().model_dump())
    kept = work.kept(GATE, inputs)
    against = "there is no champion" if found is None else f"against the champion {found.version}"
    return [
        Planned("registry", True, "install the bundle beside the others, register the model"),
        Planned(GATE, kept.folder is None, against if kept.folder is None else f"{kept.why}, {against}"),
        Planned(PROMOTE, request.promote, "if the gate agrees" if request.promote else "--no-promote"),
    ]
