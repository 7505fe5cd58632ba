"""Folds fitted by others: the same bytes, wherever they were fitted."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_training import LONG, SYMBOLS, small_histories, small_recipe, snapshot
from threadpoolctl import threadpool_info, threadpool_limits

from features.errors import BearmodeError, UsageError
from features.history import History
from features.parallel.symbol_tasks import each_symbol
from features.sources import load_simulated
from training.compare.plan import Market, Plan
from training.dataset import Dataset, build_dataset
from training.making.make import Making
from training.making.work import Work
from training.parallel import fold_fits as module
from training.parallel.fold_fits import FINAL, fold_fits
from training.parallel.one_thread import one_thread
from training.parallel.workforce import Workforce, fitting_versions

RECIPE = small_recipe(4)
UNTIL = pd.Timestamp("2022-09-15", tz="UTC")


@pytest.fixture(scope="module")
def histories() -> list[History]:
    """Two folds of daily bars; of the small training where time does not matter."""
    if LONG:
        return small_histories()
    markets = load_simulated(list(SYMBOLS), interval="1d", until=UNTIL)
    return [History.from_raw(market) for market in markets]


@pytest.fixture(scope="module")
def table(histories: list[History]) -> Dataset:
    return build_dataset(histories, RECIPE.selected())


def made(dataset: Dataset, folder: Path, **workforce: Any) -> dict[str, bytes]:
    making = Making(dataset, RECIPE, Work(folder, ""), (dataset.data_hash(), dataset.feature_hash()), {})
    making.workforce = Workforce(**workforce)
    making.make()
    return snapshot(folder)


@pytest.fixture(scope="module")
def here(table: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Everything that the steps keep, made by this process."""
    return made(table, tmp_path_factory.mktemp("here"))


def test_two_processes_make_the_same_bytes(table: Dataset, here: dict[str, bytes], tmp_path: Path) -> None:
    assert made(table, tmp_path, workers=2) == here
    assert sum(name.endswith("bundle/model.onnx") for name in here) >= 3


def test_only_what_was_not_kept_is_asked_for(
    table: Dataset, here: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in here.items():
        if name.startswith("fold-2022-01"):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    asked: list[str] = []
    each = each_symbol

    def listening(task: Any, names: list[str], **options: Any) -> Any:
        asked.extend(names)
        return each(task, names, workers=1)

    monkeypatch.setattr(module, "each_symbol", listening)
    assert made(table, tmp_path, workers=2) == here
    folds = sorted({name.split("/")[0].removeprefix("fold-") for name in here if name.startswith("fold-")})
    assert asked == [*folds[1:], FINAL]


def test_a_worker_that_reads_another_history_is_an_error(table: Dataset, histories: list[History]) -> None:
    others = tuple(one.between(one.time[0], UNTIL - pd.Timedelta(days=1)) for one in histories)
    task = partial(
        module._fit_one,
        plan=Plan(Market(histories=others), RECIPE, data_hash=table.data_hash()),
        feature_hash=table.feature_hash(),
        threads=1,
        versions=fitting_versions(),
    )
    with pytest.raises(BearmodeError) as caught:
        task(FINAL, lambda *_step: None)
    assert caught.value.code == "data_changed"


def test_a_worker_that_computes_other_features_is_an_error(table: Dataset, histories: list[History]) -> None:
    plan = Plan(Market(histories=tuple(histories)), RECIPE, data_hash=table.data_hash())
    given: dict[str, Any] = {"plan": plan, "threads": 1, "feature_hash": "0" * 64}
    with pytest.raises(BearmodeError, match="other features") as caught:
        module._fit_one(FINAL, lambda *_step: None, versions=fitting_versions(), **given)
    assert caught.value.code == "worker_differs"
    with pytest.raises(BearmodeError, match=r"lightgbm .*, not 1\.0"):
        module._fit_one(FINAL, lambda *_step: None, versions={"lightgbm": "1.0"}, **given)


def test_what_a_fold_fails_with_is_raised_where_it_is_asked_for(
    table: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = each_symbol
    monkeypatch.setattr(module, "each_symbol", lambda task, names, **_options: each(task, names, workers=1))
    starved = replace(RECIPE, boosting=replace(RECIPE.boosting, base_columns=(0, 1)))
    with fold_fits(table, starved, ["2022-01", FINAL], Workforce(workers=2)) as fits:
        assert fits is not None
        with pytest.raises(BearmodeError, match="a prior needs 4 log shares"):
            fits("2022-01")


@pytest.mark.parametrize("workforce", [Workforce(), Workforce(workers=1)])
def test_alone_nobody_is_asked(table: Dataset, workforce: Workforce) -> None:
    with fold_fits(table, RECIPE, [FINAL], workforce) as fits:
        assert fits is None


def test_wrong_numbers_of_workers_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match="--workers is 0"):
        Workforce(workers=0)
    with pytest.raises(UsageError, match="give one of them"):
        Workforce(workers=2, scheduler="tcp://127.0.0.1:1")


def test_who_leaves_first_does_not_free_the_others() -> None:
    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("the linear algebra here has one thread only")
        with one_thread():
            assert threads() == {1}
        assert threads() == {2}
        inside, leave = threading.Event(), threading.Event()
        seen: list[set[int]] = []

        def other() -> None:
            with one_thread():
                inside.set()
                leave.wait(10)
                seen.append(threads())

        thread = threading.Thread(target=other)
        with one_thread():
            thread.start()
            assert inside.wait(10)
        leave.set()
        thread.join()
        assert seen == [{1}]
