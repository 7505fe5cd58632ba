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
from features.history import History
from features.regimes import LABEL_VERSION, REGIMES
from features.signals import longest_signal_lookback
from serving.bundle import SCHEMA_VERSION, Bundle, write_bundle
from serving.golden import comparable
from serving.predictor import Predictor
from serving.schemas import PredictRequest
from serving.window import window_request
from training.dataset import Dataset
from training.export import Parity, adversarial_rows, export_graph, prove_parity
from training.recipe import Recipe
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
        The ONNX graph.
    parity : Parity
        Over all rows of the proof.
    """

    folder: Path
    hash: str
    graph: bytes
    parity: Parity


def package(
    folder: Path,
    fitted: FittedModel,
    dataset: Dataset,
    recipe: Recipe,
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
    parity = Parity(
        sum(one.rows for one in proofs),
        max(one.largest_difference for one in proofs),
        sum(one.differing_regimes for one in proofs),
    )
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
        "windows": [],
    }
    manifest = _manifest(fitted, dataset, recipe, metrics, hashes)
    write_bundle(folder, model=graph, golden=golden, manifest=manifest, run=run)
    golden["windows"] = _golden_windows(Predictor(Bundle(folder)), dataset, end)
    found = write_bundle(folder, model=graph, golden=golden, manifest=manifest, run=run)
    Predictor.load(folder)
    return Packaged(folder, found, graph, parity)


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
    longest = max(longest_lookback(dataset.features, per_day), longest_signal_lookback(per_day))
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
        answer = predictor.predict(parsed, now=window.time[-1])
        result.append({"request": request, "answer": comparable(answer.model_dump(mode="json"))})
    return result


def _window(history: History, end: pd.Timestamp, bars: int) -> History:
    """The last whole window that ends at or before ``end``, with its last bar there."""
    known = history.frame["close"].notna().to_numpy() & np.asarray(history.time <= end)
    rows = np.flatnonzero(known)
    row = int(rows[rows >= bars - 1][-1]) if (rows >= bars - 1).any() else int(np.flatnonzero(known)[-1])
    return history.window(row, bars)
