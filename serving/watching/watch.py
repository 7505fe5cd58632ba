"""What is told of a finished request: metrics, one line, the prediction log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

from serving.schemas import Answer
from serving.watching.logs import ACCESS
from serving.watching.metrics import MetricSet
from serving.watching.prediction_log import LoggedAnswer, PredictionLog
from serving.watching.request_record import RequestRecord

__all__ = ["Finished", "Watch"]

QUIET_ROUTES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
"""Probes and scrapes: counted, but no line each unless something is wrong."""

logger = logging.getLogger("bearmode.watching")


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that was answered.

    Attributes
    ----------
    route : str
        As declared, such as ``/v1/regimes/{symbol}``.
    method : str
    status : int
    seconds : float
    streamed : bool
        An event stream, whose time is not a latency.
    request_id : str or None
    code : str or None
        Of an error.
    record : RequestRecord
    """

    route: str
    method: str
    status: int
    seconds: float
    streamed: bool
    request_id: str | None
    code: str | None
    record: RequestRecord


class Watch:
    """The worker's watch. Nothing that goes wrong in it reaches a request.

    Parameters
    ----------
    metrics : MetricSet
    log : PredictionLog, optional
    kept : {"off", "live", "all"}
        Which answers the prediction log keeps.
    """

    def __init__(
        self,
        metrics: MetricSet,
        log: PredictionLog | None = None,
        kept: Literal["off", "live", "all"] = "off",
    ) -> None:
        self.metrics = metrics
        self.log = log
        self._kept = kept

    def finished(self, request: Finished) -> None:
        """Tell of a request that was answered."""
        try:
            self._count(request)
            self._line(request)
            self._keep(request)
        except Exception:
            logger.exception("request %s could not be told of", request.request_id)

    def live_answer(self, answer: Answer) -> None:
        """Tell of an answer about the store's newest bar, made once for all who ask."""
        try:
            self.metrics.answer(answer, "live")
            if self.log is not None and self._kept != "off":
                self.log.put(LoggedAnswer(answer, "live", closed=round(answer.as_of.timestamp() * 1e3)))
        except Exception:
            logger.exception("an answer from the store could not be told of")

    def stream_opened(self) -> None:
        """An event stream begins."""
        self.metrics.streams.inc()

    def stream_closed(self) -> None:
        """It ends."""
        self.metrics.streams.dec()

    def close(self) -> None:
        """Write what is not written yet."""
        if self.log is not None:
            self.log.close()

    def _count(self, request: Finished) -> None:
        seconds = None if request.streamed else request.seconds
        self.metrics.request(request.route, request.method, request.status, seconds)
        if request.code is not None:
            self.metrics.error(request.route, request.status, request.code)
        if request.record.key is not None:
            self.metrics.key_request(request.record.key, request.status)
        for one in request.record.answers:
            self.metrics.answer(one.answer, "request")
            age = one.answer.as_of.timestamp() - int(one.request.time[-1]) / 1e3
            self.metrics.window_age.observe(max(0.0, age))

    def _line(self, request: Finished) -> None:
        level = logging.INFO if request.status < 500 else logging.ERROR
        if request.route in QUIET_ROUTES and request.status < 400:
            level = logging.DEBUG
        if not ACCESS.isEnabledFor(level):
            return
        answers = request.record.answers
        fields: dict[str, Any] = {
            "request_id": request.request_id,
            "method": request.method,
            "route": request.route,
            "status": request.status,
            "ms": round(request.seconds * 1e3, 2),
            "key": request.record.key,
            "code": request.code,
        }
        if answers:
            first = answers[0].answer
            fields |= {
                "version": first.model.version,
                "symbol": first.symbol,
                "regime": first.regime,
                "answers": len(answers),
            }
        fields = {name: value for name, value in fields.items() if value is not None}
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        ACCESS.log(level, "request %s", shown, extra={"event": "request", "fields": fields})

    def _keep(self, request: Finished) -> None:
        record = request.record
        if self.log is None or not record.answers:
            return
        wanted = record.log_choice == "on" or (self._kept == "all" and record.log_choice != "off")
        if not wanted:
            return
        for one in record.answers:
            self.log.put(
                LoggedAnswer(
                    one.answer,
                    "request",
                    closed=int(one.request.time[-1]),
                    request=one.request,
                    request_id=request.request_id,
                    key=record.key,
                )
            )
