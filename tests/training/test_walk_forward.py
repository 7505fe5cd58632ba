"""No fold knows anything of its future: the strongest test of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_training import replaced_after, small_histories, small_markets, small_recipe

from features.errors import TrainingError
from features.history import History
from training.dataset import Dataset, build_dataset
from training.excursion import Excursions
from training.pipeline import default_features
from training.squeeze.model import SqueezeModel
from training.walk_forward import (
    FittedModel,
    Walk,
    concatenated_excursions,
    fit,
    last_sets,
    walk_forward,
    walkable,
)

RECIPE = small_recipe()


def fold_number(walk: Walk, name: str) -> int:
    return [fold.name for fold in walk.folds].index(name)


def retrained(walk: Walk, moment: pd.Timestamp, name: str) -> tuple[Dataset, FittedModel]:
    """One fold fitted on a market whose data after a moment are others."""
    histories = [History.from_raw(replaced_after(market, moment)) for market in small_markets()]
    dataset = build_dataset(histories, default_features())
    (fold,) = (one for one in walkable(dataset, RECIPE) if one.name == name)
    cut = fold.start - pd.Timedelta(days=RECIPE.splits.embargo_days)
    index = fold_number(walk, name)
    before = replace(walk, folds=walk.folds[:index], models=walk.models[:index])
    former = last_sets(dataset, before, cut)  # the folds before are the same: each is tested by itself
    return dataset, fit(
        dataset, RECIPE, concatenated_excursions(dataset, RECIPE.squeeze), fold.train, cut, former
    )


def same_squeeze(one: SqueezeModel | None, two: SqueezeModel | None) -> bool:
    """Whether two squeeze models are the same to the last bit."""
    assert one is not None
    assert two is not None
    trees = [[tree.model_to_string() for tree in (*squeeze.median, *squeeze.upper)] for squeeze in (one, two)]
    return (
        trees[0] == trees[1]
        and np.array_equal(one.base.weights, two.base.weights)
        and np.array_equal(one.start, two.start)
        and np.array_equal(one.offsets, two.offsets)
        and one.tails == two.tails
        and np.array_equal(one.shifts, two.shifts)
    )


def equal(one: FittedModel, two: FittedModel) -> bool:
    """Whether two models are the same to the last bit."""
    return (
        one.model.booster.model_to_string() == two.model.booster.model_to_string()
        and all(
            np.array_equal(getattr(one.model, name), getattr(two.model, name))
            for name in ("fill", "mean", "scale", "weights", "intercept")
        )
        and one.temperature == two.temperature
        and one.decision == two.decision
        and one.advice == two.advice
        and same_squeeze(one.squeeze, two.squeeze)
        and one.trained_until == two.trained_until
        and np.array_equal(one.train, two.train)
    )


@pytest.mark.parametrize("name", ["2022-01", "2022-07", "2023-01"])
def test_other_data_after_the_cut_leave_the_fold_bit_identical(
    name: str, walk: Walk, dataset: Dataset
) -> None:
    original = walk.models[fold_number(walk, name)]
    cut = original.trained_until
    assert cut == walk.folds[fold_number(walk, name)].start - pd.Timedelta(days=5)
    other, fitted = retrained(walk, cut, name)
    later = np.asarray(dataset.time >= cut) & dataset.present
    for column in ("close", "funding_rate", "open_interest"):  # the data really are others
        old, new = (
            np.concatenate([h.column(column) for h in one.histories])[later] for one in (dataset, other)
        )
        there = np.isfinite(old)
        assert (old[there] != new[there]).mean() > 0.9
    assert not np.array_equal(dataset.y[later], other.y[later])
    assert equal(original, fitted)


def test_other_data_in_the_middle_of_a_test_span_leave_all_earlier_answers(
    walk: Walk, dataset: Dataset
) -> None:
    moment = pd.Timestamp("2022-09-14 08:00", tz="UTC")
    histories = [History.from_raw(replaced_after(market, moment)) for market in small_markets()]
    disturbed = build_dataset(histories, default_features())
    outcomes = concatenated_excursions(disturbed, RECIPE.squeeze)
    steps = walk_forward(disturbed, RECIPE, outcomes, lambda _name: None)
    fitted, other = next((fitted, walk) for fold, fitted, walk in steps if fold.name == "2022-07")
    index = fold_number(walk, "2022-07")
    assert equal(walk.models[index], fitted)
    test = walk.folds[index].test
    early, late = (test[np.asarray(dataset.time[test] < moment) == side] for side in (True, False))
    assert len(early)
    assert np.array_equal(walk.probabilities[early], other.probabilities[early])
    assert np.array_equal(walk.regime[early], other.regime[early])
    assert np.array_equal(walk.sets[early], other.sets[early])
    assert np.array_equal(walk.squeeze[early], other.squeeze[early], equal_nan=True)
    assert not np.array_equal(walk.probabilities[late], other.probabilities[late])
    assert not np.array_equal(walk.squeeze[late], other.squeeze[late], equal_nan=True)


def test_other_data_before_the_cut_do_change_the_model(walk: Walk) -> None:
    """The comparison above can fail: a month before the cut everything that is fitted moves."""
    index = fold_number(walk, "2022-07")
    original = walk.models[index]
    _, fitted = retrained(walk, original.trained_until - pd.Timedelta(days=60), "2022-07")
    assert not equal(original, fitted)
    assert fitted.model.booster.model_to_string() != original.model.booster.model_to_string()
    assert fitted.temperature != original.temperature
    assert fitted.advice != original.advice
    assert not same_squeeze(fitted.squeeze, original.squeeze)


def test_a_model_is_fitted_only_on_labels_known_before_its_cut(walk: Walk, dataset: Dataset) -> None:
    for fitted in walk.models:
        known = dataset.confirmed_at.iloc[fitted.train]
        assert (known < fitted.trained_until).all()
        assert dataset.usable[fitted.train].all()


def test_every_test_bar_is_answered_once_and_none_besides(walk: Walk, dataset: Dataset) -> None:
    for index, fold in enumerate(walk.folds):
        assert (walk.fold[fold.test] == index).all()
    outside = np.ones(len(dataset.y), dtype=bool)
    outside[np.concatenate([fold.test for fold in walk.folds])] = False
    assert np.isnan(walk.probabilities[outside]).all()
    assert (walk.regime[outside] == -1).all()
    assert (walk.regime[~outside] >= 0).all()
    scored = walk.scored_rows(dataset)
    assert (dataset.y[scored] >= 0).all()
    assert dataset.present[scored].all()


def test_a_fit_again_gives_the_same_bits(walk: Walk, dataset: Dataset, excursions: Excursions) -> None:
    original = walk.models[0]
    again = fit(dataset, RECIPE, excursions, original.train, original.trained_until)
    assert equal(original, again)


def test_a_symbol_that_starts_late_delays_the_folds_and_is_named() -> None:
    first, second = small_histories()
    late = second.between(pd.Timestamp("2021-12-01", tz="UTC"), None)
    folds = walkable(build_dataset([first, late], default_features()), RECIPE)
    assert [fold.name for fold in folds] == ["2022-07", "2023-01"]
    later = second.between(pd.Timestamp("2022-09-01", tz="UTC"), None)
    with pytest.raises(
        TrainingError, match="60 days of labels in every symbol; too little in SIMETH"
    ) as error:
        walkable(build_dataset([first, later], default_features()), RECIPE)
    assert error.value.hint == "use a longer history or leave out the symbols that start late"
    longer = replace(RECIPE, min_symbol_days=0.0)
    assert [fold.name for fold in walkable(build_dataset([first, later], default_features()), longer)]


@pytest.mark.long
def test_a_symbol_that_is_left_out_of_training_is_left_out_of_all_beside_it(
    walk: Walk, dataset: Dataset, excursions: Excursions
) -> None:
    """Other labels of it change neither model nor temperature, margins or sets."""
    cut = walk.models[-1].trained_until
    rows = walk.models[-1].train[dataset.symbol[walk.models[-1].train] == 0]
    unseen = (dataset.symbol == 1) & (dataset.y >= 0)
    other = replace(dataset, y=np.where(unseen, (dataset.y + 1) % 4, dataset.y).astype(np.int8))
    alone = fit(dataset, RECIPE, excursions, rows, cut)
    assert equal(alone, fit(other, RECIPE, excursions, rows, cut))
    both = walk.models[-1].train
    whole, changed = (fit(one, RECIPE, excursions, both, cut) for one in (dataset, other))
    assert whole.temperature != changed.temperature
    assert whole.decision != changed.decision
