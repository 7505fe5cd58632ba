"""What is true at the moment of a scrape rather than counted: model, data, live feed, health report.

Added to ``/metrics`` by the worker that answers it, so that an age is an age now and what is gone is
gone. Nothing here is a label that grows: symbols are those of the store.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from serving.drift import MODEL_STATES
from serving.live_model import LiveModel

__all__ = ["CurrentState", "Reading"]

Reading = tuple[str, str, Mapping[str, str], float]
"""Name, words, labels and value of one gauge."""

_SAMPLE = re.compile(r'(bearmode_[a-z0-9_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)*)\})?')
_LABEL = re.compile(r'([a-z_]+)="([^"\\\n]*)"')
_OWN = frozenset({"bearmode_model_age_days", "bearmode_model_state", "bearmode_data_age_hours"})
"""Of the health report, but known better here."""
_MOST_READINGS = 20_000

logger = logging.getLogger("bearmode.watching")


class CurrentState:
    """Gauges made when they are asked for.

    Parameters
    ----------
    live : LiveModel
    health_report : Path, optional
        What ``bearmode health --json`` wrote.
    sources : sequence of callable
        More readings: of the data, of the live feed. One that fails is left out and logged.
    clock : callable
        Unix seconds.
    """

    def __init__(
        self,
        live: LiveModel,
        *,
        health_report: Path | None = None,
        sources: Sequence[Callable[[float], Iterable[Reading]]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._live = live
        self._report = health_report
        self._sources = sources
        self._clock = clock

    def text(self) -> str:
        """Lines in Prometheus' text format."""
        # Not above: it reads at import where the workers' shared files are.
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        families: dict[str, GaugeMetricFamily] = {}
        for name, words, labels, value in self.readings():
            family = families.setdefault(name, GaugeMetricFamily(name, words, labels=list(labels)))
            family.add_metric(list(labels.values()), value)

        class _Found:
            def collect(self) -> Iterable[GaugeMetricFamily]:
                return families.values()

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Found())
        return generate_latest(registry).decode()

    def readings(self) -> list[Reading]:
        """All gauges now."""
        now = self._clock()
        found = [*_model(self._live, now), *self._health()]
        for source in self._sources:
            try:
                found += source(now)
            except Exception:
                logger.exception("readings of %s failed", getattr(source, "__name__", "a source"))
        return found[:_MOST_READINGS]

    def _health(self) -> list[Reading]:
        """Numbers of the health report, and when it was written."""
        if self._report is None:
            return []
        try:
            written = self._report.stat().st_mtime
            table = json.loads(self._report.read_text(encoding="utf-8"))["metrics"]
            when = "bearmode_health_report_timestamp_seconds"
            found: list[Reading] = [(when, "When the health report was written", {}, written)]
            for sample, value in table.items():
                match = _SAMPLE.fullmatch(sample)
                if match is None or match.group(1) in _OWN:
                    continue
                labels = dict(_LABEL.findall(match.group(2) or ""))
                words = "By the last bearmode health"
                found.append((match.group(1), words, labels, float(value)))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            logger.warning("the health report %s cannot be read", self._report)
            return []
        return found


def _model(live: LiveModel, now: float) -> Iterable[Reading]:
    """State of what is served."""
    predictor, error = live.predictor, live.error
    yield "bearmode_model_ready", "Whether a verified bundle is served", {}, float(predictor is not None)
    yield (
        "bearmode_model_load_failed",
        "Whether the newest load of a bundle failed",
        {},
        float(error is not None),
    )
    if live.loaded_at is not None:
        words = "When the served bundle was loaded"
        yield "bearmode_model_loaded_timestamp_seconds", words, {}, live.loaded_at.timestamp()
    if predictor is None:
        return
    manifest = predictor.manifest
    source = str(getattr(manifest, "data_source", "unknown"))
    labels = {"version": predictor.version, "data_source": source}
    yield "bearmode_model_info", "What is served; always 1", labels, 1.0
    training, advice = getattr(manifest, "training", None), getattr(manifest, "advice", None)
    trained = getattr(training, "trained_until", None)
    if trained is None or advice is None:
        return
    age = (now - trained.timestamp()) / 86_400
    yield "bearmode_model_age_days", "From the end of the training data to now", {}, age
    state = float(MODEL_STATES.index(advice.model_state(age)))
    yield "bearmode_model_state", "0 fresh, 1 stale, 2 expired", {}, state
