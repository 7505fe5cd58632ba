"""The metrics that are counted while requests are answered; summed over workers by BentoML's ``/metrics``.

Every label has a bounded set of values: routes as declared, statuses, names of keys, regimes. No
symbol of a window that a client sent is a label.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from serving.schemas import Answer

__all__ = ["MetricSet", "metrics"]

LATENCY_BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
LEVERAGE_BUCKETS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
NOVELTY_BUCKETS = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)
AGE_BUCKETS = (60.0, 300.0, 900.0, 3_600.0, 7_200.0, 14_400.0, 86_400.0, 604_800.0)
MOST_NAMES = 100
"""Different values of a label that our own code names; what comes after is counted as ``other``."""
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})


class MetricSet:
    """The metrics of a process. Made once: :func:`metrics`."""

    def __init__(self) -> None:
        # Not above: it reads at import where the workers' shared files are.
        from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415

        self.request_seconds = Histogram(
            "bearmode_request_seconds",
            "Time to answer, by route; event streams are not in it",
            ["route", "method", "status"],
            buckets=LATENCY_BUCKETS,
        )
        self.errors = Counter(
            "bearmode_errors", "Answers that are errors, by their code", ["route", "status", "code"]
        )
        self.key_requests = Counter("bearmode_key_requests", "Requests of each API key", ["key", "status"])
        self.predictions = Counter(
            "bearmode_predictions", "Answers given, by regime and side", ["source", "regime", "side"]
        )
        self.leverage = Histogram("bearmode_leverage", "Leverage given", ["side"], buckets=LEVERAGE_BUCKETS)
        self.set_size = Histogram(
            "bearmode_prediction_set_size", "Regimes that an answer does not rule out", buckets=(1, 2, 3, 4)
        )
        self.novelty = Histogram(
            "bearmode_answer_novelty",
            "Share of training rows that were less unusual than the bar",
            buckets=NOVELTY_BUCKETS,
        )
        self.window_age = Histogram(
            "bearmode_window_age_seconds", "From the last close of a window to as_of", buckets=AGE_BUCKETS
        )
        self.degraded = Counter("bearmode_degraded", "Answers that lack something, by its name", ["name"])
        self.reloads = Counter("bearmode_reloads", "Loads of a bundle, in every worker", ["outcome"])
        self.log_rows = Counter("bearmode_prediction_log_rows", "Answers kept in the prediction log")
        self.log_lost = Counter("bearmode_prediction_log_lost", "Answers that could not be kept", ["reason"])
        self.streams = Gauge(
            "bearmode_open_streams", "Event streams that are open", multiprocess_mode="livesum"
        )
        self._children: dict[tuple[int, tuple[str, ...]], Any] = {}
        self._names: dict[str, set[str]] = {}
        for outcome in ("loaded", "refused"):
            self._of(self.reloads, outcome)
        for reason in ("queue_full", "not_written"):
            self._of(self.log_lost, reason)

    def request(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count a request; ``seconds`` is ``None`` for a stream."""
        if seconds is not None:
            method = method if method in METHODS else "other"
            self._of(self.request_seconds, route, method, str(status)).observe(seconds)

    def error(self, route: str, status: int, code: str) -> None:
        """Count an error."""
        self._of(self.errors, route, str(status), self._bounded("code", code)).inc()

    def key_request(self, key: str, status: int) -> None:
        """Count a request of a key."""
        self._of(self.key_requests, key, str(status)).inc()

    def answer(self, answer: Answer, source: str) -> None:
        """Count an answer.

        Parameters
        ----------
        answer : Answer
        source : {"request", "live"}
            A client's window, or the store.
        """
        advice = answer.advice
        self._of(self.predictions, source, answer.regime, advice.side).inc()
        self._of(self.leverage, advice.side).observe(advice.leverage)
        self.set_size.observe(len(answer.prediction_set))
        if answer.novelty is not None:
            self.novelty.observe(answer.novelty.percentile)
        for name in answer.degraded:
            self._of(self.degraded, self._bounded("degraded", name.partition(":")[0])).inc()

    def reload(self, outcome: str) -> None:
        """Count a load of a bundle."""
        self._of(self.reloads, self._bounded("outcome", outcome)).inc()

    def lost(self, reason: str, rows: int) -> None:
        """Count answers that the prediction log does not have."""
        self._of(self.log_lost, reason).inc(rows)

    def _of(self, metric: Any, *values: str) -> Any:
        """Child of a metric, looked up once."""
        place = (id(metric), values)
        child = self._children.get(place)
        if child is None:
            child = self._children[place] = metric.labels(*values)
        return child

    def _bounded(self, label: str, value: str) -> str:
        known = self._names.setdefault(label, set())
        if value in known:
            return value
        if len(known) >= MOST_NAMES:
            return "other"
        known.add(value)
        return value


@cache
def metrics() -> MetricSet:
    """The metrics of this process."""
    return MetricSet()
