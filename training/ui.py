"""The command ``ui``: MLflow's own server on the experiments, on loopback."""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from training.settings import Places
from training.tracking import open_tracker

__all__ = ["serve_ui"]


def serve_ui(places: Places, port: int) -> int:
    """Run MLflow's UI in the foreground until interrupted; returns its exit status."""
    open_tracker(places)
    typer.echo(f"experiments on http://127.0.0.1:{port} (end with Ctrl-C)")
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", places.tracking_uri, "--workers", "1"),
        *("--default-artifact-root", (places.mlruns / "artifacts").as_uri()),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    try:
        return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - our own interpreter
    except KeyboardInterrupt:
        return 0
