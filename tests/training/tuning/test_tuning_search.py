"""The search: sees its own rows alone, gives up early, goes on after a kill where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import pytest
from small_training import LONG, small_histories

from features.errors import BearmodeError, LockedError, TrainingError, UsageError
from training.dataset import Dataset, build_dataset
from training.models.boosted_logistic import BoostingSettings
from training.recipe import Recipe
from training.tuning import search
from training.tuning.inner import InnerBlocks
from training.tuning.nested import nested_walk
from training.tuning.search import TrialResult, tune
from training.tuning.space import changed, search_space
from training.walk_forward import walkable

FEATURES = ("return_1d", "return_5d", "return_20d", "above_mean_20d", "return_60d")
RECIPE = Recipe(
    BoostingSettings(base_columns=(0, 1, 2), rounds=2, leaves=3, min_rows=40),
    features=FEATURES,
    inner_blocks=3,
)
TRIALS = 8 if LONG else 6


@pytest.fixture(autouse=True)
def small_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of trees that grow in no time."""
    small_space(monkeypatch.setattr)


def small_space(put: object) -> None:
    def space(recipe: Recipe) -> object:
        return {**search_space(recipe), "rounds": replace(search_space(recipe)["rounds"], low=1, high=5)}

    put(search, "search_space", space)  # type: ignore[operator]


@cache
def dataset() -> Dataset:
    return build_dataset(small_histories(), RECIPE.selected())


def train_rows() -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return walkable(dataset(), RECIPE)[-1].train


def test_a_search_begins_with_the_given_recipe_and_ends_with_its_budget(tmp_path: Path) -> None:
    seen: list[TrialResult] = []
    found = tune(dataset(), RECIPE, train_rows(), tmp_path, trials=TRIALS, told=seen.append)
    assert [one.number for one in seen] == list(range(TRIALS))
    assert tuple(seen) == found.trials
    assert (seen[0].values, seen[0].state) == ({}, "complete")
    blocks = InnerBlocks(dataset(), RECIPE, train_rows())
    assert seen[0].log_loss == pytest.approx(blocks.losses(RECIPE).mean(), abs=1e-12)
    drawn = [tuple(one.values.values()) for one in seen[1:]]
    assert len(set(drawn)) == TRIALS - 1
    for one in seen[1:]:
        assert one.values.keys() == search_space(RECIPE).keys()
        assert one.blocks == 3 or one.state == "pruned"
    finished = min((one for one in seen if one.state == "complete"), key=lambda one: one.log_loss)
    assert found.best == finished.values


def test_the_gain_is_that_of_the_best_and_unproven_gains_change_nothing(tmp_path: Path) -> None:
    found = tune(dataset(), RECIPE, train_rows(), tmp_path, trials=TRIALS)
    blocks = InnerBlocks(dataset(), RECIPE, train_rows())
    gap = blocks.losses(changed(RECIPE, found.best)).mean() - blocks.losses(RECIPE).mean()
    assert found.difference is not None
    assert found.difference.estimate == pytest.approx(gap, abs=1e-12)
    assert gap <= 0
    assert found.recipe == (changed(RECIPE, found.best) if found.difference.high < 0 else RECIPE)


def test_a_recipe_that_learns_nothing_is_replaced(tmp_path: Path) -> None:
    useless = changed(RECIPE, {"C": 1e-9, "rounds": 1, "penalty": 1e6})
    found = tune(dataset(), useless, train_rows(), tmp_path, trials=TRIALS)
    assert found.proven
    assert found.recipe == changed(useless, found.best)
    assert found.recipe.features == RECIPE.features


def test_rows_outside_the_training_rows_change_nothing(tmp_path: Path) -> None:
    rows = train_rows()
    original = dataset()
    X, y = original.X.copy(), original.y.copy()
    outside = np.ones(len(y), dtype=bool)
    outside[rows] = False
    X[outside] = np.random.default_rng(0).normal(size=X[outside].shape)
    y[outside] = np.where(y[outside] >= 0, (y[outside] + 1) % 4, -1)
    other = replace(original, X=X, y=y)
    one = tune(original, RECIPE, rows, tmp_path / "one", trials=3)
    two = tune(other, RECIPE, rows, tmp_path / "two", trials=3)
    assert (one.trials, one.difference) == (two.trials, two.difference)


def test_what_happens_inside_the_training_rows_counts(tmp_path: Path) -> None:
    y = dataset().y.copy()
    rows = train_rows()
    y[rows] = (y[rows] + 1) % 4
    one = tune(dataset(), RECIPE, rows, tmp_path, trials=1)
    two = tune(replace(dataset(), y=y), RECIPE, rows, tmp_path, trials=1)
    assert one.name != two.name
    assert one.trials != two.trials


def test_a_search_goes_on_with_a_larger_budget_as_if_it_had_had_it_from_the_start(tmp_path: Path) -> None:
    rows = train_rows()
    tune(dataset(), RECIPE, rows, tmp_path / "parts", trials=2)
    continued = tune(dataset(), RECIPE, rows, tmp_path / "parts", trials=TRIALS)
    assert continued == tune(dataset(), RECIPE, rows, tmp_path / "whole", trials=TRIALS)


def test_a_half_written_line_and_a_lock_of_the_dead_are_mended(tmp_path: Path) -> None:
    first = tune(dataset(), RECIPE, train_rows(), tmp_path, trials=3)
    file = tmp_path / f"{first.name}.journal"
    with file.open("ab") as content:
        content.write(b'{"op_code":4,"worker_id":"x","stu')
    (tmp_path / f"{file.name}.lock").symlink_to("nowhere")
    assert tune(dataset(), RECIPE, train_rows(), tmp_path, trials=3) == first


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    first = tune(dataset(), RECIPE, train_rows(), tmp_path, trials=1)
    (tmp_path / f"{first.name}.journal").write_text("not json\n", encoding="utf-8")
    with pytest.raises(BearmodeError, match="no journal of a search") as error:
        tune(dataset(), RECIPE, train_rows(), tmp_path, trials=2)
    assert error.value.code == "bad_study"


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    first = tune(dataset(), RECIPE, train_rows(), tmp_path, trials=1)
    with filelock.FileLock(tmp_path / f"{first.name}.journal.held"), pytest.raises(LockedError):
        tune(dataset(), RECIPE, train_rows(), tmp_path, trials=2)


@pytest.mark.parametrize(("trials", "minutes"), [(0, None), (3, 0.0), (3, float("nan"))])
def test_budgets_that_make_no_sense_are_refused(tmp_path: Path, trials: int, minutes: float | None) -> None:
    with pytest.raises(UsageError):
        tune(dataset(), RECIPE, train_rows(), tmp_path, trials=trials, minutes=minutes)


def test_rows_that_cannot_be_cut_into_blocks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="blocks of the training rows"):
        tune(dataset(), RECIPE, train_rows()[:50], tmp_path, trials=1)


def test_time_that_has_run_out_begins_no_trial_after_the_first(tmp_path: Path) -> None:
    found = tune(dataset(), RECIPE, train_rows(), tmp_path, trials=TRIALS, minutes=1e-9)
    assert len(found.trials) == 1


def test_each_fold_of_a_nested_walk_searches_in_its_own_rows(tmp_path: Path) -> None:
    walk = nested_walk(dataset(), RECIPE, tmp_path, trials=2)
    folds = walkable(dataset(), RECIPE)
    assert list(walk.searches) == [fold.name for fold in folds]
    assert len({one.name for one in walk.searches.values()}) == len(folds)
    for fold in folds:
        alone = tune(dataset(), RECIPE, fold.train, tmp_path / "alone", trials=2)
        assert alone == walk.searches[fold.name]
        rows = fold.test[dataset().usable[fold.test]]
        assert walk.tuned.answered[rows].all()
        assert walk.given.answered[rows].all()


KILLED = """
import sys
from pathlib import Path
from test_tuning_search import RECIPE, TRIALS, dataset, small_space, train_rows, tune
small_space(setattr)
tune(dataset(), RECIPE, train_rows(), Path(sys.argv[1]), trials=TRIALS)
"""


@pytest.mark.parametrize("after", [2, 4, 6] if LONG else [3])
def test_a_killed_search_ends_as_one_that_was_not(tmp_path: Path, after: int) -> None:
    here = Path(__file__).parent
    places = os.pathsep.join(map(str, (here.parents[2], here.parents[1], here)))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")], env=os.environ | {"PYTHONPATH": places}
    )
    deadline = time.monotonic() + 120
    begun = 0
    while begun < after and process.poll() is None and time.monotonic() < deadline:
        files = list((tmp_path / "killed").glob("*.journal"))
        begun = files[0].read_bytes().count(b'"given"') if files else 0
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert begun >= after
    continued = tune(dataset(), RECIPE, train_rows(), tmp_path / "killed", trials=TRIALS)
    assert continued == tune(dataset(), RECIPE, train_rows(), tmp_path / "whole", trials=TRIALS)


def test_the_space_of_a_prior_has_no_penalty_of_a_logistic_base() -> None:
    prior = replace(RECIPE, boosting=replace(RECIPE.boosting, base_columns=(0, 1, 2, 3), prior=True))
    assert "C" in search_space(RECIPE)
    assert "C" not in search_space(prior)


def test_the_embargo_lies_between_a_block_and_the_rows_that_answer_it() -> None:
    blocks = InnerBlocks(dataset(), RECIPE, train_rows())
    time_, confirmed = dataset().time, pd.DatetimeIndex(dataset().confirmed_at)
    embargo = pd.Timedelta(days=RECIPE.splits.embargo_days)
    for block in blocks.blocks:
        start, settled = time_[block.test].min(), confirmed[block.test].max()
        before = confirmed[block.train] < start - embargo
        after = time_[block.train] > settled + embargo
        assert (before | after).all()
        assert np.isin(block.test, train_rows()).all()
