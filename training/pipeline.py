"""The job ``train``: data to a registered model that becomes the champion.

Nothing that others read changes before everything is proven: the bundle is made and replayed in a
temporary folder, the run is logged, the model registered, and only then is the bundle installed and
``champion.json`` replaced. A run that fails leaves store, registry alias and champion as they were.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.context import needs_context
from features.declaration import Feature
from features.default_set import default_features
from features.errors import TrainingError
from features.history import History
from features.raw import interval_delta
from features.regimes import REGIMES
from serving.bundle import VERSION_DIGITS, write_json
from training.dataset import Dataset, build_dataset
from training.environment import environment, environment_tags
from training.figures import confusion_figure, regime_figure, reliability_figure
from training.models.boosted_logistic import BoostingSettings
from training.packaging import Packaged, package
from training.promotion import install, promote, walk_forward_folder
from training.report import Report, evaluate
from training.settings import Places
from training.tracking import Tracker, open_tracker
from training.walk_forward import Recipe, Walk, concatenated_excursions, fit, walk_forward, walkable

__all__ = ["TrainResult", "default_features", "default_recipe", "train"]

BASE_PREFIXES = ("return_", "above_mean_", "mean_")
STEPS_BESIDE_FOLDS = 5


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
        return {**asdict(self), "bundle": str(self.bundle)}


def default_recipe(features: tuple[Feature, ...]) -> Recipe:
    """Build the recipe that the results page measures."""
    base = tuple(column for column, feature in enumerate(features) if feature.name.startswith(BASE_PREFIXES))
    return Recipe(BoostingSettings(base_columns=base))


def train(
    histories: list[History],
    places: Places,
    *,
    promote_it: bool = True,
    recipe: Recipe | None = None,
    features: tuple[Feature, ...] | None = None,
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
        The default one otherwise; its base columns are of ``features``.
    features : tuple of Feature, optional
        What the model reads; the default set otherwise. Where some look across markets, the
        histories are each other's context.
    progress : callable
        Told the name of each step as it begins, and how many steps there are.

    Raises
    ------
    TrainingError
        If the data do not carry an honest model, with what is missing.
    """
    require_one_source(histories)
    features = features or default_features()
    recipe = recipe or default_recipe(features)
    dataset = build_dataset(histories, features)
    require_universe(dataset)
    require_classes(dataset)
    skipped: list[str] = []
    folds = walkable(dataset, recipe, skipped.append)
    total = len(folds) + STEPS_BESIDE_FOLDS
    progress("excursions", total)
    excursions = concatenated_excursions(dataset)
    tracker = open_tracker(places)
    symbols = ", ".join(dataset.symbols)
    with (
        tempfile.TemporaryDirectory(prefix="bearmode-train-") as temporary,
        tracker.run(f"train {datetime.now(UTC):%Y-%m-%d %H:%M} {symbols}"[:120]) as run,
    ):
        staged = Path(temporary) / "bundle"
        hashes = (dataset.data_hash(), dataset.feature_hash())
        tracker.log(run, parameters=_parameters(dataset, recipe, hashes), tags=environment_tags())
        tracker.log(run, tags={"bearmode/skipped_folds": "; ".join(skipped)})
        tracker.log_dataset(
            run,
            name=symbols,
            digest=hashes[0],
            profile=f'{{"bars": {len(dataset.y)}, "sha256": "{hashes[0]}"}}',
        )
        tracker.log_text(run, environment(), "environment.txt")
        walk = Walk.empty(len(dataset.y))
        for fold, fitted, walk in walk_forward(
            dataset, recipe, excursions, lambda name: progress(name, total)
        ):
            package(
                walk_forward_folder(staged) / fold.name,
                fitted,
                dataset,
                held=fold.test[dataset.usable[fold.test]],
                end=min(fold.end - pd.Timedelta(milliseconds=1), dataset.time.max()),
                metrics={},
                hashes=hashes,
                run={"run_id": run.info.run_id},
            )
            _log_fold(tracker, run, walk, dataset)
        progress("scores", total)
        report = evaluate(dataset, walk, excursions)
        progress("final fit", total)
        end = dataset.time.max()
        every = np.flatnonzero(dataset.usable)
        known = end + interval_delta(histories[0].interval)  # a label confirmed at the last close counts
        final = replace(fit(dataset, recipe, excursions, every, known), trained_until=end)
        progress("export and proof", total)
        created = datetime.now(UTC).isoformat()
        packaged = package(
            staged,
            final,
            dataset,
            held=np.flatnonzero(dataset.sampled & dataset.present & (dataset.y < 0)),
            end=end,
            metrics=report.metrics(),
            hashes=hashes,
            run={"run_id": run.info.run_id, "created_at": created},
        )
        progress("registry", total)
        _log_results(tracker, run, report, dataset, walk, packaged)
        bundle, registered = _install_and_register(
            tracker, run, staged, places, packaged, dataset.X[every[:2]], created
        )
        tracker.log(run, tags={"bearmode/bundle": packaged.hash, "bearmode/registered_version": registered})
        if promote_it:
            promote(places.bundles, packaged.hash)
            tracker.crown(registered)
    return TrainResult(
        version=bundle.name,
        hash=packaged.hash,
        bundle=bundle,
        run_id=run.info.run_id,
        registered_version=registered,
        promoted=promote_it,
        report=report,
        rows=len(every),
        parity=packaged.parity.largest_difference,
        skipped_folds=tuple(skipped),
    )


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


def _install_and_register(
    tracker: Tracker,
    run: Any,
    staged: Path,
    places: Places,
    packaged: Packaged,
    example: npt.NDArray[np.float32],
    created: str,
) -> tuple[Path, str]:
    """Put the bundle in place, then into the registry; where the registry fails, take it away again."""
    version = packaged.hash[:VERSION_DIGITS]
    new = not (places.bundles / version).exists()
    bundle = install(staged, places.bundles, packaged.hash)
    try:
        registered = tracker.register(run, packaged.graph, example)
    except BaseException:
        if new:
            shutil.rmtree(bundle, ignore_errors=True)
            shutil.rmtree(walk_forward_folder(bundle), ignore_errors=True)
        raise
    write_json(
        bundle / "run.json",
        {"run_id": run.info.run_id, "created_at": created, "registered_version": registered},
    )
    return bundle, registered


def _parameters(dataset: Dataset, recipe: Recipe, hashes: tuple[str, str]) -> dict[str, object]:
    boosting = {f"boosting/{name}": value for name, value in asdict(recipe.boosting).items()}
    boosting["boosting/base_columns"] = len(recipe.boosting.base_columns)
    return {
        **boosting,
        **{f"splits/{name}": value for name, value in asdict(recipe.splits).items()},
        "spell_power": recipe.spell_power,
        "smoothing_days": recipe.smoothing_days,
        "inner_blocks": recipe.inner_blocks,
        "symbols": ",".join(dataset.symbols),
        "interval": dataset.histories[0].interval,
        "sources": ",".join(sorted({history.source for history in dataset.histories})),
        "first_bar": dataset.time.min().isoformat(),
        "last_bar": dataset.time.max().isoformat(),
        "features": len(dataset.features),
        "data_hash": hashes[0],
        "feature_hash": hashes[1],
        "cores": os.cpu_count(),
    }


def _log_fold(tracker: Tracker, parent: Any, walk: Walk, dataset: Dataset) -> None:
    """One nested run a fold, with its own scores."""
    from training.evaluation import scores  # noqa: PLC0415

    index = len(walk.folds) - 1
    fold, fitted = walk.folds[index], walk.models[index]
    rows = fold.test[dataset.usable[fold.test]]
    with tracker.run(f"fold {fold.name}", parent=parent) as run:
        tracker.log(
            run,
            parameters={
                "fold": fold.name,
                "start": fold.start.isoformat(),
                "end": fold.end.isoformat(),
                "train_rows": len(fold.train),
                "trained_until": fitted.trained_until.isoformat(),
            },
            metrics={
                "calibration/temperature": fitted.temperature,
                "decision/half_life_bars": fitted.decision.half_life_bars,
                "decision/margin": fitted.decision.margin,
                **{
                    f"cv/{name}": value
                    for name, value in scores(
                        walk.probabilities[rows], dataset.y[rows], walk.regime[rows]
                    ).items()
                },
            },
        )


def _log_results(
    tracker: Tracker, run: Any, report: Report, dataset: Dataset, walk: Walk, packaged: Packaged
) -> None:
    from training.description import describe  # noqa: PLC0415

    rows = walk.scored_rows(dataset)
    tracker.log(
        run,
        metrics={**report.metrics(), "onnx/largest_difference": packaged.parity.largest_difference},
        tags={"mlflow.note.content": describe(report, dataset, packaged)},
    )
    tracker.log_figure(run, confusion_figure(dataset.y[rows], walk.regime[rows]), "figures/confusion.html")
    tracker.log_figure(
        run, reliability_figure(walk.probabilities[rows], dataset.y[rows]), "figures/reliability.html"
    )
    for index, name in enumerate(dataset.symbols):
        tracker.log_figure(run, regime_figure(dataset, index, walk.regime), f"figures/regimes_{name}.html")
    tracker.log_folder(run, packaged.folder, "bundle")
    tracker.log_text(run, describe(report, dataset, packaged), "report.md")
