"""A proven bundle into the folder of bundles and into the registry; nobody serves it yet."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.json_file import write_json
from serving.bundle import VERSION_DIGITS
from training.packaging import Packaged
from training.promotion import install, walk_forward_folder
from training.settings import Places
from training.tracking import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["Published", "publish"]


@dataclass(frozen=True)
class Published:
    """Where a bundle was put.

    Attributes
    ----------
    bundle : Path
    registered_version : str
        Of the model in MLflow's registry.
    """

    bundle: Path
    registered_version: str


def publish(
    tracker: Tracker, run: Run, packaged: Packaged, places: Places, example: npt.NDArray[np.float32]
) -> Published:
    """Install and register a bundle; where the registry fails, it is taken away again.

    Done twice for one run it registers once.

    Raises
    ------
    BundleError
        If what is installed is not what was proven.
    """
    version = packaged.hash[:VERSION_DIGITS]
    new = not (places.bundles / version).exists()
    bundle = install(packaged.folder, places.bundles, packaged.hash)
    try:
        registered = tracker.registered(run) or tracker.register(run, packaged.graph, example)
    except BaseException:
        if new:
            shutil.rmtree(bundle, ignore_errors=True)
            shutil.rmtree(walk_forward_folder(bundle), ignore_errors=True)
        raise
    created = datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat()
    write_json(
        bundle / "run.json",
        {"run_id": run.info.run_id, "created_at": created, "registered_version": registered},
    )
    tracker.log(run, tags={"bearmode/registered_version": registered})
    return Published(Path(bundle), registered)
