"""MLflow: one database under ``mlruns/``, runs logged by hand, the model registered.

MLflow takes seconds to import, so it is imported where it is used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import numpy.typing as npt
import onnx
import plotly.graph_objects as go

from training.settings import Places

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["EXPERIMENT", "MODEL", "Tracker", "open_tracker"]

EXPERIMENT = "bearmode"
MODEL = "bearmode"
CHAMPION = "champion"
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""So that MLflow's page opens on runs and metrics, not on traces of chats."""
_TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"


class Tracker:
    """What a training run tells MLflow.

    Parameters
    ----------
    client : mlflow.MlflowClient
    experiment_id : str
    """

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self.client = client
        self.experiment_id = experiment_id

    @contextmanager
    def run(self, name: str, *, parent: Run | None = None) -> Iterator[Run]:
        """Keep a run open; it ends FINISHED, or FAILED where an error passes through."""
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID  # noqa: PLC0415

        tags = {} if parent is None else {MLFLOW_PARENT_RUN_ID: parent.info.run_id}
        run = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        try:
            yield run
        except BaseException:
            self.client.set_terminated(run.info.run_id, "FAILED")
            raise
        self.client.set_terminated(run.info.run_id, "FINISHED")

    def log(
        self,
        run: Run,
        *,
        parameters: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log parameters, finite metrics and tags in one call."""
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415

        stamp = run.info.start_time
        self.client.log_batch(
            run.info.run_id,
            metrics=[Metric(k, float(v), stamp, 0) for k, v in (metrics or {}).items() if np.isfinite(v)],
            params=[Param(k, str(v)[:500]) for k, v in (parameters or {}).items()],
            tags=[RunTag(k, v) for k, v in (tags or {}).items()],
        )

    def log_dataset(self, run: Run, *, name: str, digest: str, profile: str) -> None:
        """Say what a run learned from; shown in the UI's column of datasets."""
        from mlflow.entities import Dataset, DatasetInput  # noqa: PLC0415

        dataset = Dataset(
            name=name[:500], digest=digest[:36], source_type="local", source="{}", profile=profile
        )
        self.client.log_inputs(run.info.run_id, [DatasetInput(dataset)])

    def log_text(self, run: Run, text: str, name: str) -> None:
        """Log a text artifact."""
        self.client.log_text(run.info.run_id, text, name)

    def log_figure(self, run: Run, figure: go.Figure, name: str) -> None:
        """Log a figure as a page that needs no network."""
        self.client.log_text(run.info.run_id, figure.to_html(include_plotlyjs=True, full_html=True), name)

    def log_folder(self, run: Run, folder: Path, name: str) -> None:
        """Log a folder of files."""
        self.client.log_artifacts(run.info.run_id, str(folder), name)

    def register(self, run: Run, graph: bytes, example: npt.NDArray[np.float32]) -> str:
        """Register the graph as a new version of the model; returns the version."""
        import mlflow  # noqa: PLC0415
        import mlflow.onnx  # noqa: PLC0415
        from mlflow.models import infer_signature  # noqa: PLC0415

        proto = onnx.load_from_string(graph)
        answer = np.zeros((len(example), 4))
        with mlflow.start_run(run_id=run.info.run_id):
            info = mlflow.onnx.log_model(
                proto,
                name="model",
                signature=infer_signature(example, answer),
                input_example=example,
                onnx_execution_providers=["CPUExecutionProvider"],
                registered_model_name=MODEL,
                pip_requirements=["onnxruntime", "numpy"],
            )
        return str(info.registered_model_version)

    def crown(self, version: str) -> None:
        """Set the alias ``champion``; the record, not what serving reads."""
        self.client.set_registered_model_alias(MODEL, CHAMPION, version)


def open_tracker(places: Places) -> Tracker:
    """Open the tracking store, making and migrating it at first use under a lock."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    places.mlruns.mkdir(parents=True, exist_ok=True)
    import mlflow  # noqa: PLC0415

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with filelock.FileLock(places.mlruns / ".lock"):
        own = os.environ.get(_TRACKING_VARIABLE)
        mlflow.set_tracking_uri(places.tracking_uri)  # it also sets the variable, for other places too
        if own is None:
            os.environ.pop(_TRACKING_VARIABLE, None)
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return Tracker(client, found.experiment_id)
        local = places.tracking_uri.startswith("sqlite:")
        location = (places.mlruns / "artifacts").as_uri() if local else None
        experiment = client.create_experiment(EXPERIMENT, artifact_location=location, tags=_KIND)
    return Tracker(client, experiment)
