"""The predictor that answers now: load, verify, swap one reference.

Each worker does this by itself, so every answer and ``GET /v1/model`` name the version.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from pydantic import BaseModel

from features.errors import BearmodeError, BundleError
from serving.schemas import Answer, PredictRequest

__all__ = ["AnyPredictor", "LiveModel"]

RETRY_SECONDS = 30.0
"""A bundle that could not be loaded is tried again after this, also if nothing changed."""

logger = logging.getLogger("bearmode.serving")


class AnyPredictor(Protocol):
    """What the service needs of a predictor."""

    @property
    def version(self) -> str:
        """Hash of the manifest."""

    @property
    def manifest(self) -> BaseModel:
        """Content of the bundle."""

    @property
    def run(self) -> BaseModel | None:
        """Run id and times."""

    def predict(self, request: PredictRequest, *, now: pd.Timestamp) -> Answer:
        """Answer one window."""


class LiveModel:
    """Holds the last good predictor and the last error.

    A new champion replaces the predictor only when it has proven itself; a broken one leaves the
    last good one in place. Nothing here raises because of a bundle.

    Parameters
    ----------
    load : callable
        Gives a verified predictor; raises where the proof fails.
    watched : Path
        The file whose change calls for a new load.
    fixed : bool
        What was loaded once stays.
    """

    def __init__(self, load: Callable[[], AnyPredictor], *, watched: Path, fixed: bool = False) -> None:
        self._load = load
        self._watched = watched
        self._fixed = fixed
        self._seen: object = None
        self._tried_at = -RETRY_SECONDS
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self.predictor: AnyPredictor | None = None
        self.error: BearmodeError | None = None
        self.loaded_at: datetime | None = None
        self.failed_at: datetime | None = None

    def refresh(self) -> None:
        """Load what is to be served, if it changed or failed a while ago."""
        if self._fixed and self.predictor is not None:
            return
        seen = self._stamp()
        overdue = self.error is not None and time.monotonic() - self._tried_at >= RETRY_SECONDS
        if self._seen == (seen,) and not overdue:
            return
        self._seen, self._tried_at = (seen,), time.monotonic()
        try:
            predictor = self._load()
        except BearmodeError as error:
            self._failed(error)
        except Exception as error:
            logger.exception("the bundle could not be loaded")
            self._failed(BundleError(f"the bundle could not be loaded ({type(error).__name__})"))
        else:
            self.predictor, self.error, self.loaded_at = predictor, None, datetime.now(UTC)
            logger.info("serving bundle %s", predictor.version)

    def watch(self, seconds: float) -> None:
        """Refresh every `seconds` in the background until :meth:`stop`."""

        def follow() -> None:
            while not self._stop.wait(seconds):
                self.refresh()

        self._watcher = threading.Thread(target=follow, name="champion-watcher", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End the watching."""
        self._stop.set()

    def describe(self) -> dict[str, Any]:
        """State for ``GET /v1/model``: what is served, its manifest, the last load error."""
        predictor, error = self.predictor, self.error
        manifest = {} if predictor is None else predictor.manifest.model_dump(mode="json")
        run = None if predictor is None or predictor.run is None else predictor.run.model_dump(mode="json")
        return {
            "ready": predictor is not None,
            "version": None if predictor is None else predictor.version,
            "loaded_at": _iso(self.loaded_at),
            "last_error": None if error is None else _described(error, self.failed_at),
            "training": manifest.get("training"),
            "metrics": manifest.get("metrics"),
            "features": manifest.get("features"),
            "window_bars": manifest.get("window_bars"),
            "interval": manifest.get("interval"),
            "run": run,
            "manifest": manifest or None,
        }

    def _stamp(self) -> tuple[int, int, int] | None:
        """What changes when the watched file is replaced; ``None`` where it is missing."""
        try:
            found = self._watched.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _failed(self, error: BearmodeError) -> None:
        self.error, self.failed_at = error, datetime.now(UTC)
        logger.warning("not loaded: %s", error.one_line())


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _described(error: BearmodeError, at: datetime | None) -> dict[str, str | None]:
    return {"at": _iso(at), "code": error.code, "message": error.message, "hint": error.hint}
