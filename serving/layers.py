"""What stands around BentoML's application in every worker, from the outside in.

- SecurityHeaders: what browsers are told, on every answer
- BoundedPaths: routes in place of paths
- BentoML's metrics and OpenTelemetry
- WatchLayer: one record, one log line, metrics of our own
- SharedAnswers: other origins, where the settings name some
- WebLayer: the guard, limits, request ids, the one shape of errors
- BentoML's time limit, concurrency limit and routes
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware

from features.errors import BearmodeError
from serving.live_model import LiveModel
from serving.metrics_folder import use_own_folder
from serving.routes.events import EVENTS_PATH
from serving.safety import SecurityHeaders, cross_origin, open_guard
from serving.settings import ServingSettings
from serving.watching import (
    CurrentState,
    PredictionLog,
    Watch,
    WatchLayer,
    configure_logs,
    metrics,
    note_key,
)
from serving.web import LargeBodies, install

__all__ = ["current_state", "open_watch", "with_layers"]


def with_layers(
    app: Starlette,
    settings: ServingSettings,
    *,
    watch: Callable[[], Watch],
    not_ready: Callable[[], BearmodeError],
) -> Starlette:
    """Put the layers around an application.

    Parameters
    ----------
    app : Starlette
        BentoML's; changed.
    settings : ServingSettings
    watch : callable
        Gives the worker's watch.
    not_ready : callable
        Gives the error of a worker that serves no bundle.

    Raises
    ------
    UsageError
        For a file of keys that cannot be understood, or is named and missing.
    """
    configure_logs(settings.log_format)
    # Where the workers share their metrics, they share what each key has used, too.
    guard = open_guard(settings, use_own_folder(), note_key)
    return install(
        app,
        outermost=[Middleware(SecurityHeaders, shared=bool(settings.cors_origins))],
        around=[Middleware(WatchLayer, watch=watch), *cross_origin(settings.cors_origins)],
        admit=guard.admit,
        body_limit=settings.body_limit,
        body_seconds=settings.body_seconds,
        large=LargeBodies("/v1/predict/batch", settings.batch_limit, settings.batches),
        not_ready=not_ready,
        unlimited=[EVENTS_PATH],
    )


def open_watch(settings: ServingSettings, live: LiveModel) -> Watch:
    """The watch of a worker: its metrics, and the prediction log where the settings want one."""
    counted = metrics()
    live.reloads.observe(lambda outcome: counted.reload(outcome.outcome))
    if settings.prediction_log == "off":
        return Watch(counted)
    log = PredictionLog(
        settings.prediction_log_dir.absolute(),
        seconds=settings.prediction_log_seconds,
        days=settings.prediction_log_days,
        window_bars=lambda: _window_bars(live),
        kept=counted.log_rows.inc,
        lost=counted.lost,
    )
    return Watch(counted, log, settings.prediction_log)


def current_state(settings: ServingSettings, live: LiveModel) -> CurrentState:
    """What a worker adds to ``/metrics``: model, store, live mode, the last health report."""
    # Here and not above: the supervisor of the workers imports this module and reads no store.
    from features.store import Store  # noqa: PLC0415
    from features.store_setting import store_setting  # noqa: PLC0415
    from serving.live.settings import LiveSettings  # noqa: PLC0415
    from serving.watching.data_readings import data_readings  # noqa: PLC0415

    def interval() -> str:
        predictor = live.predictor
        return str(getattr(predictor.manifest, "interval", "1h")) if predictor is not None else "1h"

    data = data_readings(Store(store_setting()), interval, LiveSettings.load().state)
    return CurrentState(live, health_report=settings.health_report, sources=[data])


def _window_bars(live: LiveModel) -> int:
    predictor = live.predictor
    return int(getattr(predictor.manifest, "window_bars", 20_000)) if predictor is not None else 20_000
