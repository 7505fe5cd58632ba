"""The service with a stand-in predictor, for a real process."""

from __future__ import annotations

from service_fixtures import FakePredictor

import serving.service
from serving.service import RegimeService

__all__ = ["RegimeService"]

vars(serving.service)["load_predictor"] = FakePredictor.load
