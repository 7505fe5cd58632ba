"""The predictor that answers now: load, verify, compare, swap one reference, release.

Each worker does this by itself, so every answer and ``GET /v1/model`` name the version. A request
keeps the predictor that it began with: nothing waits and nothing is lost when another one takes over.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from pydantic import BaseModel

from features.errors import BearmodeError, BundleError
from serving.reload_outcomes import ReloadOutcome, ReloadOutcomes, iso
from serving.schemas import Answer, PredictRequest
from serving.shadow_comparison import RecentWindows, ShadowComparison, compare

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


def _no_windows(_: AnyPredictor) -> Sequence[PredictRequest]:
    return ()


class LiveModel:
    """Holds the last good predictor and the last error.

    A new bundle replaces the predictor only when it has proven itself, alone and beside the one that
    serves; a broken one leaves the last good one in place. Nothing here raises because of a bundle.

    Parameters
    ----------
    load : callable
        Gives a verified predictor; raises where the proof fails.
    watched : Path or sequence of Path
        The files whose change calls for a new load.
    golden : callable, optional
        Windows of a predictor's own proof, for the comparison.
    least_agreement : float
        Share of the windows of a comparison on which the regimes must agree.

    Attributes
    ----------
    predictor : AnyPredictor or None
        What answers; take it once for each request.
    error : BearmodeError or None
        Why the newest load failed; ``None`` after a good one.
    reloads : ReloadOutcomes
        What became of each load; ``reloads.observe(callback)`` hears of it.
    recent : RecentWindows
        Windows that were answered, for the comparison.
    """

    def __init__(
        self,
        load: Callable[[], AnyPredictor],
        *,
        watched: Path | Sequence[Path],
        golden: Callable[[AnyPredictor], Sequence[PredictRequest]] = _no_windows,
        least_agreement: float = 0.0,
    ) -> None:
        self._load = load
        self._watched = (watched,) if isinstance(watched, Path) else tuple(watched)
        self._golden = golden
        self._least_agreement = least_agreement
        self._seen: object = None
        self._tried_at = -RETRY_SECONDS
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._one_at_a_time = threading.Lock()
        self._released: weakref.WeakSet[Any] = weakref.WeakSet()
        self.reloads = ReloadOutcomes()
        self.recent = RecentWindows()
        self.predictor: AnyPredictor | None = None
        self.error: BearmodeError | None = None
        self.loaded_at: datetime | None = None
        self.failed_at: datetime | None = None

    def refresh(self) -> None:
        """Load what is to be served, if it changed or failed a while ago."""
        with self._one_at_a_time:
            seen = self._stamp()
            overdue = self.error is not None and time.monotonic() - self._tried_at >= RETRY_SECONDS
            if self._seen == (seen,) and not overdue:
                return
            self._seen, self._tried_at = (seen,), time.monotonic()
            self._reload()

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
        """State for ``GET /v1/model``: what is served, its manifest, the last error, the last loads."""
        predictor, error = self.predictor, self.error
        manifest = {} if predictor is None else predictor.manifest.model_dump(mode="json")
        run = None if predictor is None or predictor.run is None else predictor.run.model_dump(mode="json")
        return {
            "ready": predictor is not None,
            "version": None if predictor is None else predictor.version,
            "loaded_at": iso(self.loaded_at),
            "last_error": None if error is None else _described(error, self.failed_at),
            "reloads": self.reloads.as_list(),
            "still_answering": sorted(one.version for one in self._released),
            "worker": os.getpid(),
            "training": manifest.get("training"),
            "metrics": manifest.get("metrics"),
            "features": manifest.get("features"),
            "window_bars": manifest.get("window_bars"),
            "interval": manifest.get("interval"),
            "run": run,
            "manifest": manifest or None,
        }

    def _reload(self) -> None:
        """Load beside the old one; swap only what has proven itself."""
        began, old = time.monotonic(), self.predictor
        version: str | None = None
        try:
            new = self._load()
            version = new.version
            shadow = self._compared(old, new)
        except BearmodeError as error:
            self._failed(error, version, began)
        except Exception as error:
            logger.exception("the bundle could not be loaded")
            kind = type(error).__name__
            self._failed(BundleError(f"the bundle could not be loaded ({kind})"), version, began)
        else:
            self._swap(old, new, shadow, began)

    def _compared(self, old: AnyPredictor | None, new: AnyPredictor) -> ShadowComparison | None:
        if old is None or old.version == new.version:
            return None
        return compare(old, new, self.recent.list(), self._golden(new), least_agreement=self._least_agreement)

    def _swap(
        self, old: AnyPredictor | None, new: AnyPredictor, shadow: ShadowComparison | None, began: float
    ) -> None:
        previous = None if old is None else old.version
        # One assignment: a request sees the old one or the new one.
        self.predictor, self.error, self.loaded_at = new, None, datetime.now(UTC)
        outcome = ReloadOutcome(
            "loaded", self.loaded_at, new.version, previous, time.monotonic() - began, shadow
        )
        if old is not None:
            self._released.add(old)
        del old
        self.reloads.add(outcome)
        logger.info("serving bundle %s%s", new.version, _in_words(shadow, previous))

    def _failed(self, error: BearmodeError, version: str | None, began: float) -> None:
        self.error, self.failed_at = error, datetime.now(UTC)
        previous = None if self.predictor is None else self.predictor.version
        seconds = time.monotonic() - began
        self.reloads.add(ReloadOutcome("refused", self.failed_at, version, previous, seconds, error=error))
        logger.warning("not loaded: %s", error.one_line())

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What changes when a watched file is replaced; ``None`` for one that is missing."""
        return tuple(map(_file_stamp, self._watched))


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _in_words(shadow: ShadowComparison | None, previous: str | None) -> str:
    if shadow is None or shadow.agreement is None:
        return ""
    return (
        f" after {previous}: same regime on {shadow.agreement:.0%} of {shadow.windows} windows, "
        f"largest change of a probability {shadow.largest_probability_change:.3f}"
    )


def _described(error: BearmodeError, at: datetime | None) -> dict[str, str | None]:
    return {"at": iso(at), "code": error.code, "message": error.message, "hint": error.hint}
