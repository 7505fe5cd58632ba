"""One ONNX graph from the squeeze model's inputs to its quantiles, and the proof that it is the model.

    features (float32) ─┬─ double ─ fill NaN ─ standardise ─ clip ─ x weights + start and offsets ─┐
                        └─ +-1e-35 to 0 ─ 12 tree ensembles (float32 thresholds) ─ double ─────────┴─ + ─ exp

Exact by construction, as the graph of the regimes is: see :mod:`training.export`.
"""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from features.bars import FloatArray
from features.errors import TrainingError
from serving.onnx_runtime import ort
from serving.squeeze import HORIZONS, LEVELS, SIDES
from training.export import CONVERTER_OPSET, OPSET, PARITY, ZERO_EDGE, Parity, adversarial_rows_of
from training.squeeze.model import CLIP, SMALLEST_GAP, SqueezeModel
from training.squeeze.outcomes import CELLS

__all__ = ["export_squeeze", "prove_squeeze", "squeeze_adversarial_rows"]

Float32Array = npt.NDArray[np.float32]
DOUBLE = TensorProto.DOUBLE


def export_squeeze(model: SqueezeModel) -> bytes:
    """Build the graph.

    Returns
    -------
    bytes
        Input ``features`` float32 (n_rows, n_inputs), output ``scales`` float64 (n_rows, 2, 3, 5).
    """
    inputs = len(model.base.mean)
    sides = len(SIDES)
    start = np.tile(model.base.intercept, sides) + model.start
    constants: dict[str, npt.NDArray[np.generic]] = {
        "fill": model.base.fill[None, :],
        "mean": model.base.mean[None, :],
        "scale": model.base.scale[None, :],
        "low": np.array(-CLIP),
        "high": np.array(CLIP),
        "weights": np.tile(model.base.weights, (1, sides)),
        "start_median": (start[0] + model.offsets[:, 0])[None, :],
        "start_upper": (start[1] + model.offsets[:, 1])[None, :],
        "gap": np.array(SMALLEST_GAP),
        "tail": model.offsets[None, :, 2:],
        "level_axis": np.array([2], dtype=np.int64),
        "shape": np.array([-1, sides, len(HORIZONS), len(LEVELS)], dtype=np.int64),
        "zero_edge": np.array(ZERO_EDGE, dtype=np.float32),
        "zero": np.array(0.0, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["features"], ["base"], to=DOUBLE),
        helper.make_node("IsNaN", ["base"], ["base_missing"]),
        helper.make_node("Where", ["base_missing", "fill", "base"], ["base_filled"]),
        helper.make_node("Sub", ["base_filled", "mean"], ["base_centred"]),
        helper.make_node("Div", ["base_centred", "scale"], ["base_scaled"]),
        helper.make_node("Clip", ["base_scaled", "low", "high"], ["base_clipped"]),
        helper.make_node("MatMul", ["base_clipped", "weights"], ["volatility"]),
        helper.make_node("Abs", ["features"], ["size"]),
        helper.make_node("LessOrEqual", ["size", "zero_edge"], ["is_zero"]),
        helper.make_node("Where", ["is_zero", "zero", "features"], ["tree_features"]),
    ]
    domain = 1
    for name, boosters in (("median", model.median), ("upper", model.upper)):
        for index, booster in enumerate(boosters):
            node, version = _ensemble(booster, inputs, f"{name}_{index}")
            nodes.append(node)
            domain = max(domain, version)
        parts = [f"{name}_{index}" for index in range(len(CELLS))]
        nodes += [
            helper.make_node("Concat", parts, [f"{name}_single"], axis=1),
            helper.make_node("Cast", [f"{name}_single"], [f"{name}_trees"], to=DOUBLE),
            helper.make_node("Add", ["volatility", f"start_{name}"], [f"{name}_start"]),
            helper.make_node("Add", [f"{name}_start", f"{name}_trees"], [f"{name}_log"]),
        ]
    nodes += [
        helper.make_node("Sub", ["upper_log", "gap"], ["ceiling"]),
        helper.make_node("Min", ["median_log", "ceiling"], ["median_below"]),
        helper.make_node("Unsqueeze", ["median_below", "level_axis"], ["median_level"]),
        helper.make_node("Unsqueeze", ["upper_log", "level_axis"], ["upper_level"]),
        helper.make_node("Add", ["upper_level", "tail"], ["tail_levels"]),
        helper.make_node("Concat", ["median_level", "upper_level", "tail_levels"], ["logs"], axis=2),
        helper.make_node("Exp", ["logs"], ["flat_scales"]),
        helper.make_node("Reshape", ["flat_scales", "shape"], ["scales"]),
    ]
    output = helper.make_tensor_value_info("scales", DOUBLE, [None, sides, len(HORIZONS), len(LEVELS)])
    graph = helper.make_graph(
        nodes,
        "bearmode_squeeze",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, inputs])],
        [output],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", domain)],
        producer_name="bearmode",
    )
    proto.ir_version = 9
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def _ensemble(booster: lgb.Booster, inputs: int, output: str) -> tuple[onnx.NodeProto, int]:
    """Take the tree ensemble out of the converter's graph."""
    converted = convert_lightgbm(
        booster,
        initial_types=[("features", FloatTensorType([None, inputs]))],
        target_opset=CONVERTER_OPSET,
    )
    ensembles = [node for node in converted.graph.node if node.op_type == "TreeEnsembleRegressor"]
    if len(ensembles) != 1:
        raise TrainingError(f"the converter gave {len(ensembles)} tree ensembles, expected 1")
    (node,) = ensembles
    node.name = output
    node.input[0] = "tree_features"
    del node.output[:]
    node.output.append(output)
    version = next((one.version for one in converted.opset_import if one.domain == "ai.onnx.ml"), 3)
    return node, version


def squeeze_adversarial_rows(model: SqueezeModel, template: Float32Array, *, seed: int = 0) -> Float32Array:
    """Rows on and beside every threshold, and rows of odd numbers: see :mod:`training.export`."""
    return adversarial_rows_of([*model.median, *model.upper], template, seed=seed)


def prove_squeeze(graph: bytes, model: SqueezeModel, rows: Float32Array) -> Parity:
    """Compare graph and model.

    Raises
    ------
    TrainingError
        ``parity_failed``: if a scale differs by more than 1e-6 of it, or the quantiles cross.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found: FloatArray = np.asarray(session.run(["scales"], {"features": rows})[0])
    with np.errstate(all="ignore"):
        expected = model.scales(rows)
        difference = np.abs(found - expected) / expected
    worst = float(np.where(np.isnan(difference), np.inf, difference).max())
    crossing = int((np.diff(found, axis=3) <= 0).any(axis=(1, 2, 3)).sum())
    if not worst <= PARITY or crossing:
        raise TrainingError(
            f"the exported squeeze graph is not the evaluated model: largest difference {worst:.1e}, "
            f"{crossing} rows with quantiles that cross",
            code="parity_failed",
        )
    return Parity(len(rows), worst, crossing)
