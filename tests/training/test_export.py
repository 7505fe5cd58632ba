"""The graph is the model - and the proof of it can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper
from small_training import LONG

from features.errors import TrainingError
from serving.onnx_runtime import ort
from training import export
from training.dataset import Dataset
from training.export import PARITY, adversarial_rows, export_graph, prove_parity
from training.models import boosted_logistic
from training.models.boosted_logistic import BoostedLogistic
from training.walk_forward import FittedModel, Walk

Float32Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def fitted(walk: Walk) -> FittedModel:
    return walk.models[-1]


@pytest.fixture(scope="module")
def graph(fitted: FittedModel, dataset: Dataset) -> bytes:
    return export_graph(fitted, dataset.X.shape[1])


@pytest.fixture(scope="module")
def odd(fitted: FittedModel, dataset: Dataset) -> Float32Array:
    return adversarial_rows(fitted, dataset.X[fitted.train], limit=30_000 if LONG else 4000)


def run(graph: bytes, rows: Float32Array) -> npt.NDArray[np.float64]:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"features": rows})[0])


def test_graph_and_model_agree_on_every_bar_and_on_rows_that_are_meant_to_break_it(
    fitted: FittedModel, graph: bytes, dataset: Dataset, odd: Float32Array
) -> None:
    for rows in (dataset.X, odd):
        found = run(graph, rows)
        with np.errstate(all="ignore"):
            expected = fitted.probabilities(rows)
        assert np.isfinite(found).all()
        assert np.abs(found - expected).max() <= PARITY
        assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
        assert found.sum(axis=1) == pytest.approx(np.ones(len(rows)))
        parity = prove_parity(graph, fitted, rows)
        assert parity.rows == len(rows)
        assert parity.largest_difference == np.abs(found - expected).max()
        assert parity.differing_regimes == 0


def test_adversarial_rows_lie_on_thresholds_and_beside_them_and_hold_odd_values(
    fitted: FittedModel, dataset: Dataset, odd: Float32Array
) -> None:
    trees = fitted.model.booster.trees_to_dataframe()
    split = trees[trees["threshold"].notna()]
    names = fitted.model.booster.feature_name()
    for name, threshold in zip(split["split_feature"][:50], split["threshold"][:50], strict=True):
        column = odd[:, names.index(name)]
        for value in (
            np.float32(threshold),
            np.nextafter(np.float32(threshold), np.float32(np.inf)),
            np.nextafter(np.float32(threshold), np.float32(-np.inf)),
        ):
            assert (column == value).any()
    for column in odd.T:
        assert np.isnan(column).any()
        assert np.isposinf(column).any()
        assert np.isneginf(column).any()
        assert (column == 0).any()
    assert np.isnan(odd).all(axis=1).any()
    assert odd.dtype == np.float32


def test_one_row_alone_has_the_bits_that_it_has_in_a_crowd(graph: bytes, odd: Float32Array) -> None:
    whole = run(graph, odd[:300])
    for row in range(0, 300, 7):
        assert np.array_equal(run(graph, odd[row : row + 1])[0], whole[row])


def edited(graph: bytes, change: Callable[[onnx.ModelProto], None]) -> bytes:
    proto = onnx.load_from_string(graph)
    change(proto)
    return bytes(proto.SerializeToString())


def constant(name: str, factor: float) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        for tensor in proto.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * factor, name))

    return change


def one_leaf(proto: onnx.ModelProto) -> None:
    (trees,) = [node for node in proto.graph.node if node.op_type == "TreeEnsembleClassifier"]
    (weights,) = [one for one in trees.attribute if one.name == "class_weights"]
    weights.floats[0] += 1e-4


@pytest.mark.parametrize(
    "change",
    [constant("temperature", 1.0001), constant("weights", 1.00001), constant("fill", 1.5), one_leaf],
    ids=["temperature", "weights", "fill", "leaf"],
)
def test_a_perturbed_graph_does_not_pass(
    graph: bytes, fitted: FittedModel, dataset: Dataset, odd: Float32Array, change: Callable[..., None]
) -> None:
    rows = np.concatenate((dataset.X[fitted.train], odd))
    with pytest.raises(TrainingError, match="not the evaluated model") as refused:
        prove_parity(edited(graph, change), fitted, rows)
    assert refused.value.code == "parity_failed"


def test_a_graph_that_gives_nan_does_not_pass(graph: bytes, fitted: FittedModel, odd: Float32Array) -> None:
    with pytest.raises(TrainingError, match="difference inf"):
        prove_parity(edited(graph, constant("intercept", float("nan"))), fitted, odd)


def test_thresholds_rounded_to_the_nearest_do_not_pass(
    fitted: FittedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rewrite the converter's rounding sends rows the other way; the proof sees it."""

    def as_it_came(booster: lgb.Booster, _X: Float32Array, **_options: int) -> lgb.Booster:
        return booster

    monkeypatch.setattr(boosted_logistic, "exact_in_single", as_it_came)
    rows = dataset.X[fitted.train]
    y = dataset.y[fitted.train]
    rough = BoostedLogistic(fitted.model.settings).fit(rows, y, np.ones(len(y)))
    wrong = replace(fitted, model=rough)
    graph = export_graph(wrong, rows.shape[1])
    with pytest.raises(TrainingError, match="not the evaluated model"):
        prove_parity(graph, wrong, adversarial_rows(wrong, rows))


def test_the_smallest_numbers_are_read_as_nought_by_both(
    graph: bytes, fitted: FittedModel, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    """LightGBM reads up to 1e-35 as 0; the graph has to do so where a threshold lies between."""
    tiny = np.repeat(dataset.X[fitted.train][:50], 3, axis=0)
    tiny[::3] = np.float32(1e-36)
    tiny[1::3] = np.float32(-1e-36)
    tiny[2::3] = 0.0
    found = run(graph, tiny)
    assert np.array_equal(found[::3], found[2::3])
    assert np.array_equal(found[1::3], found[2::3])
    assert prove_parity(graph, fitted, tiny).differing_regimes == 0
    assert export.ZERO_EDGE == 1e-35


def test_export_is_deterministic(graph: bytes, fitted: FittedModel, dataset: Dataset) -> None:
    assert export_graph(fitted, dataset.X.shape[1]) == graph
