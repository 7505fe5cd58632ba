"""The BentoML service: ``POST /v1/predict``, the GET routes of :mod:`serving.routes`, health and metrics.

Started by :func:`serving.server.serve`; ``bentoml serve serving.service:RegimeService`` works too.
It comes up without a bundle, says that it is not ready and why, and follows the champion.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml
import pandas as pd
from starlette.applications import Starlette
from starlette.responses import Response

from features.errors import BearmodeError
from features.store_setting import store_setting
from serving import loading
from serving.batch_answer import read_batch, results_of
from serving.batch_schemas import BatchAnswer, BatchRequestBody
from serving.finite import non_finite
from serving.layers import current_state, open_watch, with_layers
from serving.live.event_stream import EventStreams
from serving.live.settings import LiveSettings
from serving.live_model import AnyPredictor, LiveModel
from serving.openapi import openapi_document
from serving.request_parsing import PredictRequestBody
from serving.routes import ROUTES
from serving.routes.current import live_model
from serving.schemas import Answer, PredictRequest
from serving.settings import ServingSettings
from serving.watching import note_answer
from serving.web_errors import error_response, not_ready

if TYPE_CHECKING:
    from serving.market_feed import MarketFeed

__all__ = ["RegimeService", "load_champion", "load_predictor", "open_live_model"]


def load_predictor(folder: Path) -> AnyPredictor:
    """Verified predictor of a bundle folder; the service looks this name up at each load."""
    # Here and not above: the supervisor of the workers imports this module and runs no model.
    from serving.predictor import Predictor  # noqa: PLC0415

    return Predictor.load(folder)


def load_champion(bundles: Path) -> AnyPredictor:
    """Verified predictor of the champion; raises as :func:`serving.loading.load_champion`."""
    return loading.load_champion(bundles, load_predictor)


def open_live_model(settings: ServingSettings) -> LiveModel:
    """What a worker serves by its settings, loaded as far as it can be."""
    return loading.open_live_model(settings, load_predictor)


def open_market(live: LiveModel) -> MarketFeed:
    """The live store as a worker sees it; it need not be there."""
    from features.store import Store  # noqa: PLC0415
    from serving.market_feed import MarketFeed  # noqa: PLC0415

    return MarketFeed(Store(store_setting()), live)


class OurDocument:
    """Our OpenAPI document in place of BentoML's, which is asked for nothing but what else it offers."""

    def __init__(self, theirs: Callable[[], Any]) -> None:
        self._theirs = theirs

    def asdict(self) -> dict[str, Any]:
        """Our own document."""
        return openapi_document()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs(), name)


class ConfiguredService(bentoml.Service):  # type: ignore[misc]
    """A BentoML service that takes its settings when it starts, not when it is imported."""

    def inject_config(self) -> None:
        """Hand our settings to BentoML; its own configuration file still wins."""
        settings = ServingSettings.load()
        self.config.update(
            workers=settings.workers,
            threads=settings.threads,
            traffic={"timeout": settings.timeout_seconds, "max_concurrency": settings.max_concurrency},
        )
        super().inject_config()

    @property
    def openapi_spec(self) -> OurDocument:
        """Our own document."""
        return OurDocument(lambda: super(ConfiguredService, self).openapi_spec)

    def to_asgi(self, is_main: bool = True) -> Starlette:
        """BentoML's application inside our layer."""
        settings = ServingSettings.load()
        return with_layers(
            super().to_asgi(is_main=is_main),
            settings,
            watch=lambda: bentoml.get_current_service().watch,
            not_ready=lambda: not_ready(live_model().error),
        )


@bentoml.service(
    name="bearmode",
    description="Market regime, calibrated probabilities, bias and leverage for perpetual futures.",
    service_class=ConfiguredService,
    http={"host": "127.0.0.1"},
)
@bentoml.asgi_app(Starlette(routes=ROUTES), path="/")
class RegimeService:
    """Regime, calibrated probabilities, bias and leverage of one market window."""

    def __init__(self) -> None:
        settings = ServingSettings.load()
        self.live = open_live_model(settings)
        self.watch = open_watch(settings, self.live)
        self.now = current_state(settings, self.live)
        self.item_limit = settings.body_limit
        self.market = open_market(self.live)
        self.market.observe(lambda newest: self.watch.live_answer(newest.answer))
        self.streams = EventStreams(LiveSettings.load())
        self.live.watch(settings.reload_seconds)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Stop following the champion, and write what is not written yet."""
        self.live.stop()
        self.market.close()
        self.watch.close()

    def __is_ready__(self) -> bool:
        """Whether a verified bundle is served: what ``/readyz`` answers."""
        return self.live.predictor is not None

    def __metrics__(self, counted: str) -> str:
        """What ``/metrics`` shows: what was counted, and what is true now."""
        return counted + self.now.text()

    @bentoml.api(route="/v1/predict", output_spec=Answer)  # type: ignore[untyped-decorator]
    def predict(self, request: PredictRequestBody, /) -> Answer | Response:
        """Regime, probabilities, bias and leverage at the window's last close."""
        if request.refusal is not None:
            return error_response(request.refusal)
        predictor = self.live.predictor
        if predictor is None:
            return error_response(not_ready(self.live.error))
        try:
            answer = predictor.predict(request, now=pd.Timestamp.now(tz="UTC"))
        except BearmodeError as error:
            if error.status == 500:
                raise
            return error_response(error)
        path = non_finite(answer.model_dump())
        if path is not None:
            # On the wire NaN would become null with status 200: no advice is better than that.
            raise ArithmeticError(f"{path} of the answer for {request.symbol} is not finite")
        self.live.recent.keep(request)
        note_answer(answer, request)
        return answer

    @bentoml.api(route="/v1/predict/batch", output_spec=BatchAnswer)  # type: ignore[untyped-decorator]
    def predict_batch(self, request: BatchRequestBody, /) -> Response:
        """An answer or an error for each of many windows; one that is wrong stops no other."""
        predictor = self.live.predictor
        if predictor is None:
            return error_response(not_ready(self.live.error))
        try:
            windows = read_batch(request.body, self.item_limit)
        except BearmodeError as error:
            return error_response(error)
        found = results_of(predictor, windows, now=pd.Timestamp.now(tz="UTC"))
        for window, result in zip(windows, found.results, strict=True):
            if result.answer is not None and isinstance(window, PredictRequest):
                note_answer(result.answer, window)
        return Response(found.model_dump_json(), media_type="application/json")
