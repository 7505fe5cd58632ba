"""The job ``features report``: what each feature is like, and what each group of them adds.

Tables over the whole catalogue, then the ablation on the walk-forward folds. Every score is out of
fold; but whoever chooses features by this report has chosen them on these folds, and the honest
score of the choice is that of a span which the report has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from features.catalog import CATALOG
from features.declaration import Feature
from features.default_set import DEFAULT_FEATURES
from features.errors import NothingUsableError
from features.history import History
from training.feature_study.ablation import Ablation, run_ablation
from training.feature_study.ablation_fit import SharedFits, fold_rows
from training.feature_study.ablation_variants import Variant, check_groups, plan_variants
from training.feature_study.feature_drift import coverage, drift
from training.feature_study.feature_findings import FeatureReport
from training.feature_study.feature_relations import relations, stability
from training.feature_study.feature_report_log import logged_report
from training.feature_study.feature_sample import sample_features
from training.pipeline import default_features, default_recipe, require_classes, require_one_source
from training.settings import Places
from training.walk_forward import Recipe

__all__ = ["report_features"]


def report_features(
    histories: list[History],
    places: Places,
    *,
    groups: Sequence[str] | None = None,
    ablation: bool = True,
    seeds: int = 1,
    reseeded: int = 2,
    draws: int = 2000,
    recipe: Recipe | None = None,
    catalogue: Sequence[Feature] = CATALOG,
    default: Sequence[str] = DEFAULT_FEATURES,
    progress: Callable[[str, int], None] = lambda _name, _total: None,
) -> FeatureReport:
    """Examine the catalogue over some histories, and log what was found.

    Parameters
    ----------
    histories : list of History
        One for each symbol, of one interval.
    places : Places
        Where the runs are logged.
    groups : sequence of str, optional
        Groups that the ablation takes out and puts in; all by default. The tables are always of
        the whole catalogue.
    ablation : bool
        Without it no model is fitted: tables only, in seconds.
    seeds, reseeded, draws : int
        Of the ablation: fits averaged for each model, how often the default model is fitted again
        with other seeds, and draws of the bootstrap.
    recipe : Recipe, optional
        Of the default model; its base columns point into ``default``.
    catalogue : sequence of Feature
    default : sequence of str
        Names of the catalogue.
    progress : callable
        Told the name of each step as it begins, and how many steps there are.

    Raises
    ------
    NothingUsableError
        If there is no history, or not one feature has a value.
    TrainingError
        If the data do not carry the ablation, with what is missing.
    UsageError
        For a group that does not exist.
    """
    chosen = check_groups(groups)
    require_one_source(histories)
    recipe = recipe or default_recipe(default_features())
    base = tuple(default[column] for column in recipe.boosting.base_columns)
    steps = len(histories) + 2
    sample = sample_features(histories, catalogue, lambda symbol: progress(f"features of {symbol}", steps))
    if not sample.valued.any():
        raise NothingUsableError(
            "not one feature has a value in this history", hint="most need 30 to 120 days of bars"
        )
    run: partial[Ablation] | None = None
    variants: list[Variant] = []
    if ablation:
        require_classes(sample.dataset)
        skipped: list[str] = []
        fits = SharedFits(sample, fold_rows(sample, recipe, skipped.append), recipe, base)
        variants = plan_variants(
            catalogue, sample.valued, default=default, base=base, groups=chosen, reseeded=reseeded
        )
        steps += len(variants)
        run = partial(
            run_ablation,
            fits,
            variants,
            seeds=seeds,
            draws=draws,
            skipped_folds=skipped,
            progress=lambda name: progress(name, steps),
        )
    progress("tables", steps)
    tables = FeatureReport(
        sample, tuple(default), coverage(sample), drift(sample), stability(sample), relations(sample)
    )
    parameters = {
        "groups": ",".join(chosen) if ablation else "",
        "default_features": len(default),
        "seeds": seeds,
        "draws": draws,
        "boosting/seed": recipe.boosting.seed,
        "boosting/rounds": recipe.boosting.rounds,
    }
    with logged_report(places, sample, parameters) as log:
        found = None if run is None else run(told=log.model)
        progress("page", steps)
        report = replace(tables, ablation=found, run_id=log.run_id)
        log.report(report)
    return report
