"""Training on a cluster: the same bytes; and one fit of a table that lies with its workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask_cluster import Cluster, cluster
from small_training import LONG, SYMBOLS, small_recipe, snapshot

from features.build import build_features
from features.errors import DataError, TrainingError
from features.history import History
from features.raw import RawMarket
from features.sources import load_simulated
from features.store import Store
from training.compare.comparison import compare
from training.compare.entries import chosen
from training.compare.plan import Market, Plan
from training.dataset import Dataset, build_dataset, spell_weights
from training.evaluation import scores
from training.export import adversarial_rows, export_graph, prove_parity
from training.making.make import Making
from training.making.work import Work
from training.models.boosted_logistic import BoostedLogistic, softmax
from training.parallel.cluster_fit import fit_on_cluster, table_rows
from training.parallel.workforce import Workforce
from training.walk_forward import FittedModel

RECIPE = small_recipe(4)
UNTIL = pd.Timestamp("2022-09-15", tz="UTC")
LONGER = replace(RECIPE.boosting, rounds=80)
LOSS, PROBABILITY = 0.04, 0.02
"""How far the two fits may be apart: log loss, and the mean difference of a probability."""


@pytest.fixture(scope="module")
def markets() -> list[RawMarket]:
    """Two folds of daily bars."""
    if LONG:
        return list(load_simulated(list(SYMBOLS), interval="1d"))
    return list(load_simulated(list(SYMBOLS), interval="1d", until=UNTIL))


@pytest.fixture(scope="module")
def histories(markets: list[RawMarket]) -> list[History]:
    return [History.from_raw(market) for market in markets]


@pytest.fixture(scope="module")
def dataset(histories: list[History]) -> Dataset:
    return build_dataset(histories, RECIPE.selected())


@pytest.fixture(scope="module")
def table(markets: list[RawMarket], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The feature table as a file."""
    folder = tmp_path_factory.mktemp("table")
    store = Store(folder / "store")
    with store.writing():
        for market in markets:
            store.write(market)
    build_features(out=folder / "t.parquet", store=folder / "store", interval="1d", labels=True, workers=1)
    return folder / "t.parquet"


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, one of which does two things at a time."""
    with cluster(tmp_path_factory.mktemp("dask"), workers=1) as found:
        found.add("--nthreads", "2")
        found.wait_for(2)
        yield found


def made(dataset: Dataset, folder: Path, **workforce: Any) -> dict[str, bytes]:
    making = Making(dataset, RECIPE, Work(folder, ""), (dataset.data_hash(), dataset.feature_hash()), {})
    making.workforce = Workforce(**workforce)
    making.make()
    found: dict[str, bytes] = snapshot(folder)
    return found


@pytest.mark.long
def test_a_cluster_makes_the_same_bytes(dataset: Dataset, dask: Cluster, tmp_path: Path) -> None:
    there = made(dataset, tmp_path / "there", scheduler=dask.address)
    assert there == made(dataset, tmp_path / "here")
    assert sum(name.endswith("bundle/model.onnx") for name in there) >= 3


@pytest.mark.long
def test_a_comparison_on_a_cluster_is_the_one_of_this_process(
    histories: list[History], dask: Cluster
) -> None:
    entries = chosen(["climatology", "moving_average_rule", "model"], RECIPE.features)
    plan = Plan(Market(histories=tuple(histories)), RECIPE)
    there, alone = compare(plan, entries, scheduler=dask.address), compare(plan, entries, workers=1)
    assert not there.failed
    assert [one.name for one in there.entries] == [one.name for one in alone.entries]
    for one, two in zip(there.entries, alone.entries, strict=True):
        assert np.array_equal(one.answers.probabilities, two.answers.probabilities, equal_nan=True)
        assert np.array_equal(one.answers.regime, two.answers.regime)
        assert str(one.score.values) == str(two.score.values)  # NaN where a regime was never answered


def test_the_rows_are_those_of_the_training_table(table: Path, dataset: Dataset) -> None:
    for index, name in enumerate(dataset.symbols):
        found = table_rows(name, table=table, features=RECIPE.features, every_hours=1)
        rows = np.flatnonzero(dataset.usable & (dataset.symbol == index))
        assert np.array_equal(found.X, dataset.X[rows], equal_nan=True)
        assert np.array_equal(found.y, dataset.y[rows])
        assert np.array_equal(found.spell[1:] != found.spell[:-1], np.diff(dataset.spell[rows]) != 0)


@pytest.mark.long
def test_two_workers_fit_as_well_as_one_process(table: Path, dask: Cluster) -> None:
    load = partial(table_rows, table=table, features=RECIPE.features, every_hours=1)
    parts = [load(name) for name in SYMBOLS]
    X, y = np.concatenate([one.X for one in parts]), np.concatenate([one.y for one in parts])
    spell = np.concatenate([one.spell + 10_000 * index for index, one in enumerate(parts)])
    here = BoostedLogistic(LONGER).fit(X, y, spell_weights(y, spell, RECIPE.spell_power))
    there = fit_on_cluster(
        LONGER, load, list(SYMBOLS), scheduler=dask.address, spell_power=RECIPE.spell_power
    )
    assert there.booster.num_trees() == here.booster.num_trees() == 4 * LONGER.rounds
    assert "machines" not in there.booster.model_to_string()
    for name in ("fill", "mean", "scale", "weights", "intercept"):
        assert np.allclose(getattr(there, name), getattr(here, name), rtol=1e-12, atol=0)
    p, q = softmax(there.log_odds(X)), softmax(here.log_odds(X))
    base = softmax(here.base_log_odds(X))
    there_loss, here_loss, base_loss = (scores(one, y)["log_loss"] for one in (p, q, base))
    assert abs(there_loss - here_loss) < LOSS
    assert np.abs(p - q).mean() < PROBABILITY
    assert max(here_loss, there_loss) < base_loss - 0.02, "the trees of both do something"
    fitted = FittedModel(there, 1.3, 1.0, *(None,) * 3, None, np.arange(3))  # type: ignore[arg-type]
    graph = export_graph(fitted, X.shape[1])
    assert (
        prove_parity(graph, fitted, np.concatenate((X, adversarial_rows(fitted, X)))).differing_regimes == 0
    )


def test_a_table_without_labels_or_a_feature_is_an_error(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no feature table|has no"):
        table_rows("SIMBTC", table=table, features=["no_such"], every_hours=1)
    with pytest.raises(DataError, match="no feature table"):
        table_rows("SIMBTC", table=tmp_path / "nowhere.parquet", features=RECIPE.features)


def test_a_regime_that_no_part_shows_is_an_error(table: Path, dask: Cluster) -> None:
    load = partial(table_rows, table=table, features=RECIPE.features, every_hours=1)
    nobody = ["NOBODY1", "NOBODY2"]
    with pytest.raises(TrainingError, match="none of 2 parts shows bear, ranging, relief_rally, bull"):
        fit_on_cluster(LONGER, load, nobody, scheduler=dask.address, spell_power=0.25)
