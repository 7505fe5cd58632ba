"""Features across markets: what the leader does, this symbol beside it, and all of them together.

They read the closes that :mod:`features.context` puts beside a history, and are NaN without them.
"""

from __future__ import annotations

from features.declaration import Feature
from features.families.breadth import breadth_features
from features.families.leader import beside_leader_features, leader_features

__all__ = ["cross_market_features"]


def cross_market_features() -> list[Feature]:
    """Declare the features across markets."""
    return [*leader_features(), *beside_leader_features(), *breadth_features()]
