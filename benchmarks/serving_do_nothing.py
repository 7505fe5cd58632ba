"""A BentoML service with our request and answer and nothing in between: what every service here costs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import bentoml

from serving.schemas import Answer, PredictRequest

__all__ = ["DoNothing", "Empty"]


@bentoml.service(name="do_nothing", http={"host": "127.0.0.1"}, workers=1)
class DoNothing:
    """Takes a whole window as the plain pydantic model, gives a whole answer that was made before."""

    def __init__(self) -> None:
        self.answer = Answer.model_validate(json.loads(Path(os.environ["DO_NOTHING_ANSWER"]).read_text()))

    @bentoml.api(route="/v1/predict")  # type: ignore[untyped-decorator]
    def predict(self, request: PredictRequest, /) -> Answer:  # noqa: ARG002 - that is the point
        """The same answer for each window."""
        return self.answer


@bentoml.service(name="empty", http={"host": "127.0.0.1"}, workers=1)
class Empty:
    """Nothing but what BentoML itself needs to come up."""

    @bentoml.api(route="/ping")  # type: ignore[untyped-decorator]
    def ping(self) -> str:
        """Answer."""
        return "pong"
