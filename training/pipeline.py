"""The job ``train``: data to a registered model that becomes the champion.

Nothing that others read changes before everything is proven: the bundle is made and replayed in a
temporary folder, the run is logged, the model registered, and only then is the bundle installed and
``champion.json`` replaced. A run that fails leaves store, registry alias and champion as they were.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.context import needs_context
from features.declaration import Feature
from features.default_set import PRIOR_FEATURES, default_features
from features.errors import TrainingError
from features.history import History
from features.regimes import REGIMES
from training.dataset import Dataset, build_dataset
from training.making.make import Making
from training.making.publish import publish
from training.making.run_log import log_fold, log_inputs, log_results
from training.making.work import Work
from training.models.boosted_logistic import BoostingSettings
from training.parallel.workforce import Workforce
from training.promotion import promote
from training.recipe import BASE_PREFIXES, Recipe
from training.report import Report
from training.retraining.lock import bundles_locked
from training.settings import Places
from training.tracking import open_tracker

__all__ = [
    "TrainResult",
    "default_features",
    "default_recipe",
    "require_learnable",
    "train",
]


@dataclass(frozen=True)
class TrainResult:
    """What a training run made.

    Attributes
    ----------
    version, hash : str
        Of the bundle.
    bundle : Path
        Where it is installed.
    run_id : str
    registered_version : str
    promoted : bool
    report : Report
    rows : int
        Training rows of the final fit.
    parity : float
        Largest difference between graph and model.
    skipped_folds : tuple of str
        Half-years that were not walked, and why.
    """

    version: str
    hash: str
    bundle: Path
    run_id: str
    registered_version: str
    promoted: bool
    report: Report
    rows: int
    parity: float
    skipped_folds: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**asdict(self), "report": self.report.as_dict(), "bundle": str(self.bundle)}


def default_recipe(features: tuple[Feature, ...]) -> Recipe:
    """Build the recipe that the results page measures.

    Where the features hold the shares of the labels' own futures, these are the base; a logistic model of
    the trend features otherwise.
    """
    names = tuple(feature.name for feature in features)
    if set(PRIOR_FEATURES) <= set(names):
        prior = tuple(names.index(name) for name in PRIOR_FEATURES)
        return Recipe(BoostingSettings(base_columns=prior, prior=True, rounds=80, leaves=8), features=names)
    base = tuple(column for column, name in enumerate(names) if name.startswith(BASE_PREFIXES))
    return Recipe(BoostingSettings(base_columns=base), features=names)


def train(
    histories: list[History],
    places: Places,
    *,
    promote_it: bool = True,
    recipe: Recipe | None = None,
    features: tuple[Feature, ...] | None = None,
    origin: Mapping[str, Any] | None = None,
    workforce: Workforce | None = None,
    progress: Callable[[str, int], None] = lambda _name, _total: None,
) -> TrainResult:
    """Train, evaluate, export, register and promote.

    Parameters
    ----------
    histories : list of History
        One for each symbol, of one interval.
    places : Places
    promote_it : bool
        Whether the new model becomes the champion.
    recipe : Recipe, optional
        The default one otherwise.
    features : tuple of Feature, optional
        What the model reads; the recipe's, else the default set. The base columns of a recipe that is
        given beside them are of these. Where some look across markets, the histories are each other's
        context.
    origin : mapping, optional
        Where the histories came from, for the record: source and path.
    workforce : Workforce, optional
        Who fits the folds; this process otherwise. The bundle is the same.
    progress : callable
        Told the name of each step as it begins, and how many steps there are.

    Raises
    ------
    TrainingError
        If the data do not carry an honest model, with what is missing.
    LockedError
        If another job is at work on the bundles.
    """
    recipe = recipe or default_recipe(features or default_features())
    if features is not None:
        recipe = replace(recipe, features=tuple(feature.name for feature in features))
    require_one_source(histories)
    dataset = build_dataset(histories, features or recipe.selected())
    require_learnable(dataset)
    hashes = (dataset.data_hash(), dataset.feature_hash())
    with tempfile.TemporaryDirectory(prefix="bearmode-train-") as temporary:
        run_json: dict[str, Any] = {}
        making = Making(dataset, recipe, Work(Path(temporary), ""), hashes, run_json, progress)
        making.workforce = workforce or Workforce()
        tracker = open_tracker(places)
        name = f"train {datetime.now(UTC):%Y-%m-%d %H:%M} {', '.join(dataset.symbols)}"[:120]
        with bundles_locked(places.bundles, "train"), tracker.run(name) as run:
            run_json["run_id"] = run.info.run_id
            log_inputs(tracker, run, dataset, recipe, hashes, job="train", origin=dict(origin or {}))
            making.on_fold = lambda walk: log_fold(tracker, run, walk, dataset)
            made = making.make()
            making.tell("registry")
            log_results(tracker, run, dataset, made, making.skipped)
            example = dataset.X[dataset.usable][:2]
            published = publish(tracker, run, made.packaged, places, example)
            if promote_it:
                promote(places.bundles, made.packaged.hash, {"job": "train", "run_id": run.info.run_id})
                tracker.crown(published.registered_version)
    return TrainResult(
        version=published.bundle.name,
        hash=made.packaged.hash,
        bundle=published.bundle,
        run_id=run.info.run_id,
        registered_version=published.registered_version,
        promoted=promote_it,
        report=made.report,
        rows=int(dataset.usable.sum()),
        parity=made.packaged.parity.largest_difference,
        skipped_folds=tuple(making.skipped),
    )


def require_learnable(dataset: Dataset) -> None:
    """Refuse a table that no honest model can be made from.

    Raises
    ------
    TrainingError
        If there is no universe for features across markets, or a regime is never seen.
    """
    require_universe(dataset)
    require_classes(dataset)


def require_one_source(histories: list[History]) -> None:
    """Refuse to learn from simulated and real history at once.

    Raises
    ------
    TrainingError
        With the symbols of each source.
    """
    sources: dict[str, list[str]] = {}
    for history in histories:
        sources.setdefault(history.source, []).append(history.symbol)
    if len(sources) > 1:
        shown = "; ".join(f"{name}: {', '.join(symbols)}" for name, symbols in sorted(sources.items()))
        raise TrainingError(
            f"history of more than one source cannot be pooled ({shown})",
            hint="name the symbols with --symbols",
        )


def require_universe(dataset: Dataset) -> None:
    """Refuse to learn features across markets from one symbol.

    Raises
    ------
    TrainingError
        If features look across markets and there is none to look at.
    """
    if needs_context(dataset.features) and not dataset.universe:
        raise TrainingError(
            f"features look across markets, and there is only {', '.join(dataset.symbols)}",
            code="no_context",
            hint="train on two symbols or more, or without the group cross_market",
        )


def require_classes(dataset: Dataset) -> None:
    """Refuse a history that does not show all four regimes.

    Raises
    ------
    TrainingError
        With the regimes that are missing and how much labelled history there is.
    """
    y = dataset.y[dataset.usable]
    missing = [name for index, name in enumerate(REGIMES) if not (y == index).any()]
    if len(missing) == len(REGIMES):
        days = max(len(history) / history.per_day for history in dataset.histories)
        raise TrainingError(
            f"no label is confirmed: the longest history has {days:.0f} days, "
            f"the first label needs about 145",
            hint="use a longer history",
        )
    if missing:
        raise TrainingError(
            f"the history never shows {', '.join(missing)}: a model cannot answer what it has not seen",
            hint="use a longer history or more symbols",
        )
