"""What the worker that answers a request serves."""

from __future__ import annotations

import bentoml

from serving.live_model import LiveModel

__all__ = ["live_model"]


def live_model() -> LiveModel:
    """The model of this worker."""
    live: LiveModel = bentoml.get_current_service().live
    return live
