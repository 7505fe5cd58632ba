"""The command ``ui``: MLflow's own server on the experiments, on loopback."""

from __future__ import annotations

import os
import sys

import typer

from training.settings import Places
from training.tracking import open_tracker

__all__ = ["serve_ui"]


def serve_ui(places: Places, port: int) -> None:
    """Become MLflow's server, in the foreground; it ends as signals tell it.

    Where ``MLFLOW_TRACKING_URI`` names a server, that one is named and none is started.
    """
    tracker = open_tracker(places)
    if places.tracking_uri.startswith(("http://", "https://")):
        typer.echo(f"experiments on {places.tracking_uri}/#/experiments/{tracker.experiment_id}/runs")
        return
    typer.echo(
        f"experiments on http://127.0.0.1:{port}/#/experiments/{tracker.experiment_id}/runs (end with Ctrl-C)"
    )
    sys.stdout.flush()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", places.tracking_uri, "--workers", "1"),
        *("--default-artifact-root", (places.mlruns / "artifacts").as_uri()),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter, no shell
