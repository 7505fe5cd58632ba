"""MLflow: one database under ``mlruns/``, runs logged by hand, the model registered.

MLflow takes seconds to import, so it is imported where it is used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import numpy.typing as npt
import onnx
import plotly.graph_objects as go

from features.errors import BearmodeError
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
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


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
    def run(
        self,
        name: str,
        *,
        parent: Run | None = None,
        tags: Mapping[str, str] | None = None,
        resumed: str | None = None,
    ) -> Iterator[Run]:
        """Keep a run open; it ends FINISHED, or FAILED where an error passes through.

        Parameters
        ----------
        name : str
        parent : mlflow.entities.Run, optional
        tags : mapping of str to str, optional
            Set as the run begins.
        resumed : str, optional
            Id of a run that was interrupted and goes on here; a new one where it is not there any more.
        """
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID  # noqa: PLC0415

        nested = {} if parent is None else {MLFLOW_PARENT_RUN_ID: parent.info.run_id}
        run = None if resumed is None else self._reopened(resumed)
        if run is None:
            run = self.client.create_run(self.experiment_id, run_name=name, tags={**(tags or {}), **nested})
        try:
            yield run
        except BaseException:
            self.client.set_terminated(run.info.run_id, "FAILED")
            raise
        self.client.set_terminated(run.info.run_id, "FINISHED")

    def _reopened(self, run_id: str) -> Run | None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            run = self.client.get_run(run_id)
            if run.info.lifecycle_stage == "deleted":
                return None
            self.client.update_run(run_id, status="RUNNING")
        except MlflowException:
            return None
        return run

    def has_nested(self, parent: Run, name: str) -> bool:
        """Whether a nested run of this name has ended well; one that was interrupted is deleted."""
        query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and attributes.run_name = '{name}'"
        for run in self.client.search_runs([self.experiment_id], filter_string=query):
            if run.info.status == "FINISHED":
                return True
            self.client.delete_run(run.info.run_id)
        return False

    def find(self, tag: str, value: str) -> str | None:
        """Id of the newest run that has a tag of that value."""
        found = self.client.search_runs(
            [self.experiment_id],
            filter_string=f"tags.`{tag}` = '{value}'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return found[0].info.run_id if found else None

    def tags(self, run_id: str) -> dict[str, str]:
        """Tags of a run; empty where it is not there."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            return dict(self.client.get_run(run_id).data.tags)
        except MlflowException:
            return {}

    def abandon(self, run_id: str) -> None:
        """Say of a run that was killed, and is not continued, that it is over."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with suppress(MlflowException):
            if self.client.get_run(run_id).info.status == "RUNNING":
                self.client.set_terminated(run_id, "KILLED")

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

    def registered(self, run: Run) -> str | None:
        """The newest version of the model that a run has registered."""
        found = self.client.search_model_versions(f"run_id = '{run.info.run_id}'")
        versions = sorted(int(one.version) for one in found if one.name == MODEL)
        return str(versions[-1]) if versions else None

    def text(self, run_id: str, name: str) -> str | None:
        """A text artifact of a run; ``None`` where it has none of that name."""
        from mlflow.artifacts import load_text  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            return str(load_text(f"runs:/{run_id}/{name}"))
        except (MlflowException, OSError):
            return None

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
    """Open the tracking store, making and migrating it at first use under a lock.

    Raises
    ------
    BearmodeError
        ``tracking_unreachable``: if the server or the database does not answer.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    places.mlruns.mkdir(parents=True, exist_ok=True)
    import mlflow  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with filelock.FileLock(places.mlruns / ".lock"):
        own = os.environ.get(_TRACKING_VARIABLE)
        if mlflow.get_tracking_uri() != own:  # what MLflow finds by its own variable is left to it
            mlflow.set_tracking_uri(places.tracking_uri)  # it also sets the variable, for other places too
        if own is None:
            os.environ.pop(_TRACKING_VARIABLE, None)
        try:
            return _opened(mlflow.MlflowClient(), places)
        except (MlflowException, SQLAlchemyError, ImportError) as error:
            raise BearmodeError(
                f"MLflow at {_without_password(places.tracking_uri)} cannot be used: {error}",
                code="tracking_unreachable",
                hint=f"check {_TRACKING_VARIABLE} and that the server runs",
            ) from error


def _opened(client: MlflowClient, places: Places) -> Tracker:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return Tracker(client, found.experiment_id)
    scheme = places.tracking_uri.partition(":")[0].partition("+")[0]
    local = scheme in _DATABASES  # a server says itself where artifacts go
    location = (places.mlruns / "artifacts").as_uri() if local else None
    return Tracker(client, client.create_experiment(EXPERIMENT, artifact_location=location, tags=_KIND))


def _without_password(uri: str) -> str:
    """Address without the user's name and password, to be shown."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else uri
