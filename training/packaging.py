"""From a fitted model to a bundle that proves itself."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalog import longest_lookback
from features.errors import TrainingError
from features.history import History
from features.regimes import LABEL_VERSION, REGIMES
from features.signals import longest_signal_lookback
from serving.bundle import SCHEMA_VERSION, Bundle, write_bundle
from serving.golden import comparable
from serving.predictor import Predictor
from serving.schemas import PredictRequest
from serving.tiers import shipped_tiers_only
from serving.window import window_request
from training.dataset import Dataset
from training.export import Parity, adversarial_rows, export_graph, prove_parity
from training.recipe import Recipe
from training.squeeze.graph import export_squeeze, prove_squeeze, squeeze_adversarial_rows
from training.squeeze.model import SqueezeModel
from training.squeeze.outcomes import SqueezeTable
from training.squeeze.parameters import squeeze_parameters
from training.walk_forward import FittedModel

__all__ = ["Packaged", "package"]

GOLDEN_ROWS = 96
LIBRARIES = ("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "pandas", "scikit-learn")


@dataclass(frozen=True)
class Packaged:
    """A written and verified bundle.

    Attributes
    ----------
    folder : Path
    hash : str
        SHA-256 of the manifest.
    graph : bytes
        The ONNX graph of the regimes.
    parity, squeeze_parity : Parity
        Of the two graphs, over all rows of the proof.
    """

    folder: Path
    hash: str
    graph: bytes
    parity: Parity
    squeeze_parity: Parity


def package(
    folder: Path,
    fitted: FittedModel,
    dataset: Dataset,
    recipe: Recipe,
    table: SqueezeTable,
    *,
    held: npt.NDArray[np.intp],
    end: pd.Timestamp,
    metrics: dict[str, float],
    hashes: tuple[str, str],
    run: dict[str, Any],
) -> Packaged:
    """Export, prove, write and load a bundle.

    Parameters
    ----------
    folder : Path
        New folder.
    fitted : FittedModel
    dataset : Dataset
    recipe : Recipe
        What the model was fitted by.
    table : SqueezeTable
        What the squeeze model reads.
    held : ndarray of int
        Rows that the model was not fitted on; part of the proof where there are any.
    end : pandas.Timestamp
        Golden windows end at or before it.
    metrics : dict of str to float
    hashes : tuple of str
        Data hash and feature hash.
    run : dict
        Content of ``run.json``.

    Raises
    ------
    TrainingError
        If the graph is not the model.
    BundleError
        If the written bundle does not load.
    """
    graph = export_graph(fitted, dataset.X.shape[1])
    template = dataset.X[fitted.train]
    odd = adversarial_rows(fitted, template, seed=fitted.model.settings.seed)
    proofs = [prove_parity(graph, fitted, np.ascontiguousarray(rows)) for rows in (template, odd)]
    if len(held):
        proofs.append(prove_parity(graph, fitted, np.ascontiguousarray(dataset.X[held])))
    squeeze = _squeeze_of(fitted)
    squeeze_graph, squeeze_parity, squeeze_golden = _proven_squeeze(squeeze, table)
    rng = np.random.default_rng(fitted.model.settings.seed)
    golden_rows = np.concatenate(
        (
            template[rng.integers(len(template), size=GOLDEN_ROWS // 2)],
            odd[rng.integers(len(odd), size=GOLDEN_ROWS // 2)],
        )
    )
    with np.errstate(invalid="ignore", over="ignore"):
        expected = fitted.probabilities(golden_rows)
    golden: dict[str, Any] = {
        "rows": {
            "features": [[_json_number(value) for value in row] for row in golden_rows.tolist()],
            "probabilities": expected.tolist(),
        },
        "squeeze": squeeze_golden,
        "windows": [],
    }
    manifest = _manifest(fitted, dataset, recipe, metrics, hashes)
    parts: dict[str, Any] = {"model": graph, "squeeze": squeeze_graph, "manifest": manifest, "run": run}
    write_bundle(folder, golden=golden, **parts)
    golden["windows"] = _golden_windows(Predictor(Bundle(folder)), dataset, end)
    found = write_bundle(folder, golden=golden, **parts)
    Predictor.load(folder)
    return Packaged(folder, found, graph, _together(proofs), squeeze_parity)


def _squeeze_of(fitted: FittedModel) -> SqueezeModel:
    if fitted.squeeze is None:
        raise TrainingError("a model without quantiles of the adverse excursion cannot be served")
    return fitted.squeeze


def _together(proofs: list[Parity]) -> Parity:
    return Parity(
        sum(one.rows for one in proofs),
        max(one.largest_difference for one in proofs),
        sum(one.differing_regimes for one in proofs),
    )


def _proven_squeeze(model: SqueezeModel, table: SqueezeTable) -> tuple[bytes, Parity, dict[str, Any]]:
    """The graph of the squeeze model, its proof over every bar that has inputs, and golden rows."""
    graph = export_squeeze(model)
    template = table.X[np.isfinite(table.X).all(axis=1)]
    odd = squeeze_adversarial_rows(model, template, seed=model.settings.seed)
    parity = _together([prove_squeeze(graph, model, rows) for rows in (template, odd)])
    rng = np.random.default_rng(model.settings.seed)
    rows = np.concatenate([one[rng.integers(len(one), size=GOLDEN_ROWS // 4)] for one in (template, odd)])
    with np.errstate(all="ignore"):
        scales = model.scales(rows)
    features = [[_json_number(value) for value in row] for row in rows.tolist()]
    return graph, parity, {"features": features, "scales": scales.tolist()}


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _manifest(
    fitted: FittedModel,
    dataset: Dataset,
    recipe: Recipe,
    metrics: dict[str, float],
    hashes: tuple[str, str],
) -> dict[str, Any]:
    per_day = dataset.histories[0].per_day
    squeeze = _squeeze_of(fitted)
    read = (*dataset.features, *squeeze.settings.selected())
    longest = max(longest_lookback(read, per_day), longest_signal_lookback(per_day))
    window = longest + fitted.decision.smoothing_bars
    sources = {history.source for history in dataset.histories}
    return {
        "schema_version": SCHEMA_VERSION,
        "label_version": LABEL_VERSION,
        "classes": list(REGIMES),
        "data_source": "simulated" if "simulated" in sources else "+".join(sorted(sources)),
        "symbols": list(dataset.symbols),
        "interval": dataset.histories[0].interval,
        "features": [feature.schema(per_day) for feature in dataset.features],
        "window_bars": window,
        "decision": fitted.decision.model_dump(),
        "advice": fitted.advice.model_dump(),
        "drift": fitted.drift.model_dump(),
        "squeeze": squeeze_parameters(squeeze, per_day).model_dump(),
        "temperature": fitted.temperature,
        "training": {
            "first_bar": min(history.time[0] for history in dataset.histories).isoformat(),
            "last_label": dataset.time[fitted.train].max().isoformat(),
            "trained_until": fitted.trained_until.isoformat(),
            "rows": len(fitted.train),
            "spells": len(np.unique(dataset.spell[fitted.train])),
        },
        "data_hash": hashes[0],
        "feature_hash": hashes[1],
        "metrics": {name: round(value, 6) for name, value in sorted(metrics.items())},
        "recipe": recipe.as_dict(),
        "libraries": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "context_symbols": list(dataset.universe),
    }


def _golden_windows(predictor: Predictor, dataset: Dataset, end: pd.Timestamp) -> list[dict[str, Any]]:
    """Three raw windows with their full answers: the newest, an older one, one of price alone."""
    bars = predictor.manifest.window_bars
    first, last = dataset.histories[0], dataset.histories[-1]
    windows = [
        _window(first, end, bars),
        _window(last, end - pd.Timedelta(days=30), bars),
        _window(first, end - pd.Timedelta(days=60), bars),
    ]
    alone = windows[2].frame.assign(
        funding_rate=math.nan, funding_interval_hours=math.nan, open_interest=math.nan
    )
    windows[2] = replace(windows[2], frame=alone, context={})
    result = []
    for window in windows:
        request = window_request(window)
        parsed = PredictRequest.model_validate(request)
        with shipped_tiers_only():
            answer = predictor.predict(parsed, now=window.time[-1])
        result.append({"request": request, "answer": comparable(answer.model_dump(mode="json"))})
    return result


def _window(history: History, end: pd.Timestamp, bars: int) -> History:
    """The last whole window that ends at or before ``end``, with its last bar there."""
    known = history.frame["close"].notna().to_numpy() & np.asarray(history.time <= end)
    rows = np.flatnonzero(known)
    row = int(rows[rows >= bars - 1][-1]) if (rows >= bars - 1).any() else int(np.flatnonzero(known)[-1])
    return history.window(row, bars)
