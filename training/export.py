"""One ONNX graph from features to calibrated probabilities, and the proof that it is the model.

    features (float32) ─┬─ double ─ fill NaN ─ standardise ─ clip ─ x weights + intercept ──┐
                        └─ +-1e-35 to 0 ─ trees (float32 thresholds, raw scores) ─ double ─┴─ + ─ /T ─ softmax

Exact by construction: features are float32 at the source, thresholds are floored to float32 before
they are converted, and all else runs in double precision. Proven on training rows, held rows and
rows that are meant to break it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from features.bars import FloatArray
from features.errors import TrainingError
from features.regimes import REGIMES
from serving.onnx_runtime import ort
from training.walk_forward import FittedModel

__all__ = ["PARITY", "Parity", "adversarial_rows", "adversarial_rows_of", "export_graph", "prove_parity"]

PARITY = 1e-6
"""Largest allowed difference of a probability between the graph and the evaluated model."""
OPSET = 17
CONVERTER_OPSET = 15
ZERO_EDGE = 1e-35
"""LightGBM reads values up to this size as 0 when it predicts; so does the graph."""
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """What the proof found."""

    rows: int
    largest_difference: float
    differing_regimes: int


def export_graph(fitted: FittedModel, n_features: int) -> bytes:
    """Build the graph of a fitted model.

    Parameters
    ----------
    fitted : FittedModel
    n_features : int
        Columns of the feature table.

    Returns
    -------
    bytes
        Input ``features`` float32 (n_rows, n_features), output ``probabilities`` float64
        (n_rows, 4).
    """
    model = fitted.model
    trees, domain_version = _tree_node(fitted, n_features)
    columns = np.array(model.settings.base_columns, dtype=np.int64)
    constants: dict[str, npt.NDArray[np.generic]] = {
        "columns": columns,
        "fill": model.fill.astype(np.float64)[None, :],
        "mean": model.mean.astype(np.float64)[None, :],
        "scale": model.scale.astype(np.float64)[None, :],
        "low": np.array(-model.CLIP),
        "high": np.array(model.CLIP),
        "weights": model.weights.astype(np.float64),
        "intercept": model.intercept.astype(np.float64)[None, :],
        "temperature": np.array(fitted.temperature),
        "zero_edge": np.array(ZERO_EDGE, dtype=np.float32),
        "zero": np.array(0.0, dtype=np.float32),
    }
    double = TensorProto.DOUBLE
    nodes = [
        helper.make_node("Gather", ["features", "columns"], ["base_single"], axis=1),
        helper.make_node("Cast", ["base_single"], ["base"], to=double),
        helper.make_node("IsNaN", ["base"], ["base_missing"]),
        helper.make_node("Where", ["base_missing", "fill", "base"], ["base_filled"]),
        helper.make_node("Sub", ["base_filled", "mean"], ["base_centred"]),
        helper.make_node("Div", ["base_centred", "scale"], ["base_scaled"]),
        helper.make_node("Clip", ["base_scaled", "low", "high"], ["base_clipped"]),
        helper.make_node("MatMul", ["base_clipped", "weights"], ["base_product"]),
        helper.make_node("Add", ["base_product", "intercept"], ["base_log_odds"]),
        helper.make_node("Abs", ["features"], ["size"]),
        helper.make_node("LessOrEqual", ["size", "zero_edge"], ["is_zero"]),
        helper.make_node("Where", ["is_zero", "zero", "features"], ["tree_features"]),
        trees,
        helper.make_node("Cast", ["tree_scores"], ["tree_log_odds"], to=double),
        helper.make_node("Add", ["base_log_odds", "tree_log_odds"], ["log_odds"]),
        helper.make_node("Div", ["log_odds", "temperature"], ["tempered"]),
        helper.make_node("Softmax", ["tempered"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "bearmode",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, n_features])],
        [helper.make_tensor_value_info("probabilities", double, [None, len(REGIMES)])],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", domain_version)],
        producer_name="bearmode",
    )
    proto.ir_version = 9
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def _tree_node(fitted: FittedModel, n_features: int) -> tuple[onnx.NodeProto, int]:
    """Take the tree ensemble out of the converter's graph: raw scores, the label left unread."""
    converted = convert_lightgbm(
        fitted.model.booster,
        initial_types=[("features", FloatTensorType([None, n_features]))],
        zipmap=False,
        target_opset=CONVERTER_OPSET,
    )
    ensembles = [node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier"]
    if len(ensembles) != 1:
        raise TrainingError(f"the converter gave {len(ensembles)} tree ensembles, expected 1")
    (node,) = ensembles
    for attribute in node.attribute:
        if attribute.name == "post_transform":
            attribute.s = b"NONE"
    node.input[0] = "tree_features"
    del node.output[:]
    node.output.extend(["tree_label", "tree_scores"])
    version = next((one.version for one in converted.opset_import if one.domain == "ai.onnx.ml"), 3)
    return node, version


def adversarial_rows(
    fitted: FittedModel, template: Float32Array, *, seed: int = 0, limit: int = 4000
) -> Float32Array:
    """Rows that are meant to tell the graph from the model; parameters as for :func:`adversarial_rows_of`."""
    return adversarial_rows_of([fitted.model.booster], template, seed=seed, limit=limit)


def adversarial_rows_of(
    boosters: Sequence[lgb.Booster], template: Float32Array, *, seed: int = 0, limit: int = 4000
) -> Float32Array:
    """Rows that are meant to tell a graph from the trees that it was made of.

    Every threshold of every feature, and its float32 neighbours, planted in real rows; then NaN,
    both infinities, zeros of both signs and the largest numbers, in single columns and in all.

    Parameters
    ----------
    boosters : sequence of lightgbm.Booster
        That read the same columns.
    template : ndarray of float32, shape (n_rows, n_features)
        Real rows.
    seed : int
    limit : int
        At most so many threshold rows, evenly drawn.
    """
    rng = np.random.default_rng(seed)
    n_features = template.shape[1]
    trees = pd.concat([one.trees_to_dataframe() for one in boosters], ignore_index=True)
    splits = trees.loc[trees["threshold"].notna(), ["split_feature", "threshold"]].drop_duplicates()
    names = boosters[0].feature_name()
    column = splits["split_feature"].map({name: index for index, name in enumerate(names)}).to_numpy(np.int64)
    threshold = splits["threshold"].to_numpy(np.float64).astype(np.float32)
    chosen = rng.permutation(len(column))[: limit // 3]
    rows = [template[rng.integers(len(template), size=len(chosen))] for _ in range(3)]
    for block, values in zip(
        rows,
        (
            threshold,
            np.nextafter(threshold, np.float32(np.inf)),
            np.nextafter(threshold, np.float32(-np.inf)),
        ),
        strict=True,
    ):
        block[np.arange(len(chosen)), column[chosen]] = values[chosen]
    huge = np.finfo(np.float32).max
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, huge, -huge, 1e-38], dtype=np.float32)
    for value in odd:
        single = template[rng.integers(len(template), size=n_features)].copy()
        single[np.arange(n_features), np.arange(n_features)] = value
        rows += [single, np.full((1, n_features), value, dtype=np.float32)]
    return np.ascontiguousarray(np.concatenate(rows))


def prove_parity(graph: bytes, fitted: FittedModel, rows: Float32Array) -> Parity:
    """Compare graph and model.

    Raises
    ------
    TrainingError
        If a probability differs by more than 1e-6, a regime differs, or the graph gives a NaN.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found: FloatArray = np.asarray(session.run(["probabilities"], {"features": rows})[0])
    with np.errstate(invalid="ignore", over="ignore"):
        expected = fitted.probabilities(rows)
    difference = np.abs(found - expected)
    worst = float(np.where(np.isnan(difference), np.inf, difference).max())
    differing = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if not worst <= PARITY or differing:
        row = int(np.where(np.isnan(difference), np.inf, difference).max(axis=1).argmax())
        raise TrainingError(
            f"the exported graph is not the evaluated model: largest difference {worst:.1e} at row {row}, "
            f"{differing} regimes differ",
            code="parity_failed",
        )
    return Parity(len(rows), worst, differing)
