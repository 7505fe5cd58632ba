"""The ablation fits what a training run would, and finds what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from feature_samples import planted, small_sample
from small_training import small_recipe

from features.catalog import CATALOG
from features.declaration import GROUPS
from features.default_set import DEFAULT_FEATURES
from features.errors import TrainingError, UsageError
from training.dataset import Dataset
from training.feature_study.ablation import Ablated, Judge, ablate, run_ablation
from training.feature_study.ablation_fit import FoldRows, SharedFits, fold_rows
from training.feature_study.ablation_variants import BASE, DEFAULT, Variant, check_groups, plan_variants
from training.walk_forward import Walk

RECIPE = small_recipe()
BASE_NAMES = tuple(DEFAULT_FEATURES[column] for column in RECIPE.boosting.base_columns)
REFERENCE = Variant(DEFAULT, "default", None, DEFAULT_FEATURES, None)


@pytest.fixture(scope="module")
def fits() -> SharedFits:
    return SharedFits(small_sample(), fold_rows(small_sample(), RECIPE), RECIPE, BASE_NAMES)


@pytest.fixture(scope="module")
def default(fits: SharedFits) -> Ablated:
    (one,) = ablate(fits, [REFERENCE])
    return one


def test_the_default_model_is_that_of_the_walk(
    fits: SharedFits, default: Ablated, walk: Walk, dataset: Dataset
) -> None:
    scored = walk.scored_rows(dataset)
    answers = fits.walk(DEFAULT_FEATURES)
    bars = np.concatenate([one.test for one in fits.folds])
    assert np.array_equal(np.sort(bars), scored)
    # Leaves that are not rounded to single precision move a log-odd by less than 1e-4.
    assert answers.probabilities == pytest.approx(walk.probabilities[bars], abs=1e-4)
    for index, (one, fitted) in enumerate(zip(fits.folds, walk.models, strict=True)):
        assert np.array_equal(one.fold.train, fitted.train)
        assert answers.temperatures[index] == pytest.approx(fitted.temperature, rel=1e-4)
    losses = -np.log(walk.probabilities[bars, dataset.y[bars]])
    assert default.loss == pytest.approx(losses, abs=1e-3)
    assert default.scores["log_loss"] == pytest.approx(losses.mean(), abs=1e-5)


def test_every_fit_knows_only_what_was_known_before_its_fold(fits: SharedFits) -> None:
    dataset = fits.sample.dataset
    for one in fits.folds:
        for train, answered in one.fits:
            assert (dataset.confirmed_at.iloc[train] < one.fold.start).all()
            assert not np.intersect1d(train, answered).size
        for _, answered in one.inner:
            assert (dataset.confirmed_at.iloc[answered] < one.fold.start).all()
            assert dataset.usable[answered].all()


def test_a_group_that_knows_the_regime_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(2)
    sample = small_sample()
    told = sample.y + 0.1 * rng.normal(size=len(sample.y))
    boosting = replace(
        RECIPE.boosting, learning_rate=0.3, column_share=1.0, rounds=3 * RECIPE.boosting.rounds
    )
    quick = replace(RECIPE, boosting=boosting)
    more = planted({"told": told, "noise": rng.normal(size=len(sample.y))})
    # Not the first fold: it has never seen a bear market, and knowing the regime does not help it.
    fits = SharedFits(more, fold_rows(more, quick)[1:2], quick, BASE_NAMES)
    variants = [
        REFERENCE,
        Variant("+ told", "added", "volume", (*DEFAULT_FEATURES, "told"), DEFAULT),
        Variant("+ noise", "added", "volume", (*DEFAULT_FEATURES, "noise"), DEFAULT),
    ]
    reports: list[str] = []
    found = run_ablation(
        fits, variants, draws=300, told=lambda one, _difference: reports.append(one.variant.name)
    )
    (_, told_gap), (_, noise_gap) = found.of_kind("added")
    assert told_gap.verdict == "better"
    assert told_gap.spells.high < -0.05
    assert told_gap.folds == {"2022-07": pytest.approx(told_gap.spells.estimate)}
    assert abs(noise_gap.spells.estimate) < 0.1 * abs(told_gap.spells.estimate)
    assert found.models[1].gain["told"] == max(found.models[1].gain.values())
    assert sum(found.models[1].gain.values()) == pytest.approx(1.0)
    assert reports == ["default", "+ told", "+ noise"]
    assert np.isnan(found.seed_noise)


def test_a_model_without_the_columns_of_its_base_knows_the_shares_of_the_classes(
    fits: SharedFits, default: Ablated
) -> None:
    group_of = {feature.name: feature.group for feature in fits.sample.features}
    kept = tuple(name for name in DEFAULT_FEATURES if group_of[name] not in {"label_path", "trend"})
    assert not set(kept) & set(BASE_NAMES)
    assert fits._base_of(kept) == ((), False)
    start = fits._linear_answers((), False)
    train, _ = fits._fits[0]
    assert np.exp(start[0][0][0]).sum() == pytest.approx(1.0, abs=0.01)
    assert len(start[0][0]) == len(train)
    (one,) = ablate(fits, [Variant("default - trend", "without", "trend", kept, DEFAULT)])
    assert np.isfinite(one.loss).all()
    assert not np.array_equal(one.loss, default.loss)


def test_seeds_are_averaged_and_those_of_a_repeat_are_others(fits: SharedFits, default: Ablated) -> None:
    again = replace(REFERENCE, name="again", kind="reseeded", against=DEFAULT, seed_step=1)
    (one,) = ablate(fits, [again])
    assert not np.array_equal(one.loss, default.loss)
    (both,) = ablate(fits, [REFERENCE], seeds=2)
    assert both.loss == pytest.approx((default.loss + one.loss) / 2)
    assert both.scores["log_loss"] == pytest.approx(float(both.loss.mean()))
    (same,) = ablate(fits, [REFERENCE])
    assert np.array_equal(same.loss, default.loss)


def test_differences_are_paired_and_add_up(fits: SharedFits, default: Ablated) -> None:
    judge = Judge(fits, draws=100)
    dataset = fits.sample.dataset
    assert judge.spells.blocks == len(np.unique(dataset.spell[judge.bars]))
    assert judge.calendar.blocks < judge.spells.blocks
    same = judge.difference(default, default)
    assert (same.spells.low, same.spells.estimate, same.spells.high) == (0, 0, 0)
    assert same.verdict == "cannot tell"
    first = dataset.symbol[judge.bars] == 0
    worse = replace(default, loss=default.loss + np.where(first, 0.5, 0.1))
    gap = judge.difference(worse, default)
    assert gap.verdict == "worse"
    assert gap.symbols == {"SIMBTC": pytest.approx(0.5), "SIMETH": pytest.approx(0.1)}
    rows = [len(one.test) for one in fits.folds]
    assert gap.spells.estimate == pytest.approx(np.average(list(gap.folds.values()), weights=rows))
    assert judge.difference(default, worse).verdict == "better"


def test_folds_without_a_scored_bar_are_refused(fits: SharedFits) -> None:
    nothing = [FoldRows(one.fold, one.inner, one.test[:0]) for one in fits.folds]
    with pytest.raises(TrainingError, match="no fold holds a bar with a label"):
        Judge(SharedFits(fits.sample, nothing, RECIPE, BASE_NAMES))


def plan(valued: Iterator[bool] | None = None, groups: tuple[str, ...] | None = None) -> list[Variant]:
    there = np.ones(len(CATALOG), dtype=bool) if valued is None else np.array(list(valued))
    return plan_variants(
        CATALOG, there, default=DEFAULT_FEATURES, base=BASE_NAMES, groups=check_groups(groups)
    )


def test_the_plan_asks_both_questions_of_every_group() -> None:
    found = plan()
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    group_of = {feature.name: feature.group for feature in CATALOG}
    seen: set[str] = set()
    for one in found:
        assert one.against is None or one.against in seen  # what it is compared with comes first
        seen.add(one.name)
        assert len(set(one.features)) == len(one.features)
        own = {name for name in CATALOG_NAMES if group_of[name] == one.group}
        if one.kind == "without":
            assert set(one.features) == set(DEFAULT_FEATURES) - own
        elif one.kind == "added":
            assert set(one.features) == set(DEFAULT_FEATURES) | own
            assert one.features[: len(DEFAULT_FEATURES)] == DEFAULT_FEATURES
        elif one.kind == "alone":
            assert set(one.features) == set(BASE_NAMES) | own
            assert one.against == BASE
        elif one.kind == "everything":
            assert set(one.features) == set(CATALOG_NAMES)
    in_default = {group_of[name] for name in DEFAULT_FEATURES}
    beyond = {group_of[name] for name in CATALOG_NAMES if name not in DEFAULT_FEATURES}
    by_kind = {kind: {one.group for one in found if one.kind == kind} for kind in ("without", "added")}
    assert by_kind == {"without": in_default, "added": beyond}
    assert {one.group for one in found if one.kind == "alone"} >= beyond


CATALOG_NAMES = tuple(feature.name for feature in CATALOG)


def test_a_feature_without_values_joins_no_model_and_a_chosen_group_is_the_only_one() -> None:
    found = plan((feature.group != "volume" for feature in CATALOG), ("volume", "funding"))
    assert {one.group for one in found} == {None, "funding"}
    volume = {feature.name for feature in CATALOG if feature.group == "volume"}
    assert not any(volume & set(one.features) for one in found)
    assert [one.name for one in found if one.kind == "reseeded"] == ["default, seed +1", "default, seed +2"]


def test_groups_are_known_ones() -> None:
    assert check_groups(None) == tuple(GROUPS)
    with pytest.raises(UsageError, match="no such group of features: 'volum'") as error:
        check_groups(["volum", "trend"])
    assert "trend, label_path" in str(error.value.hint)
    with pytest.raises(UsageError, match="none was named"):
        check_groups([])
