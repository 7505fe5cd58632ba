"""What the worker that answers a request serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bentoml

from serving.live_model import LiveModel

if TYPE_CHECKING:
    from serving.market_feed import MarketFeed

__all__ = ["live_model", "market_feed"]


def live_model() -> LiveModel:
    """The model of this worker."""
    live: LiveModel = bentoml.get_current_service().live
    return live


def market_feed() -> MarketFeed:
    """The live store as this worker sees it."""
    feed: MarketFeed = bentoml.get_current_service().market
    return feed
