"""The catalogue: every feature, declared once, in a fixed order."""

from __future__ import annotations

from features.declaration import Feature
from features.errors import UsageError
from features.families.cross_market import cross_market_features
from features.families.exhaustion import exhaustion_features
from features.families.funding import funding_features
from features.families.funding_calendar import calendar_features
from features.families.funding_cost import funding_cost_features
from features.families.interest_flows import interest_flow_features
from features.families.label_futures import label_future_features
from features.families.label_path import label_path_features
from features.families.liquidation_map import liquidation_features
from features.families.open_interest import open_interest_features
from features.families.positioning import positioning_features
from features.families.price import price_features
from features.families.sentiment import sentiment_features
from features.families.straightness import straightness_features
from features.families.volatility import volatility_features
from features.families.volume import volume_features

__all__ = ["CATALOG", "feature_names", "longest_lookback", "select"]

CATALOG: tuple[Feature, ...] = (
    *(*price_features(), *straightness_features()),
    *(*label_path_features(), *label_future_features()),
    *exhaustion_features(),
    *volatility_features(),
    *volume_features(),
    *(*funding_features(), *funding_cost_features()),
    *calendar_features(),
    *(*open_interest_features(), *interest_flow_features()),
    *liquidation_features(),
    *positioning_features(),
    *sentiment_features(),
    *cross_market_features(),
)
"""All features; documentation and leak sweep read this. What the model reads is chosen apart, in
:mod:`features.default_set`: to declare a feature here changes no model."""

_BY_NAME = {feature.name: feature for feature in CATALOG}


def feature_names() -> tuple[str, ...]:
    """Names in catalogue order: the column order of every feature table."""
    return tuple(_BY_NAME)


def select(names: tuple[str, ...] | list[str]) -> tuple[Feature, ...]:
    """Features by name, in the order given.

    Raises
    ------
    UsageError
        For a name that the catalogue does not have.
    """
    unknown = [name for name in names if name not in _BY_NAME]
    if unknown:
        raise UsageError(f"no such feature: {', '.join(unknown)}", code="unknown_feature")
    return tuple(_BY_NAME[name] for name in names)


def longest_lookback(features: tuple[Feature, ...], per_day: int) -> int:
    """Bars that the longest of ``features`` needs, the current one included."""
    return max(feature.lookback(per_day) for feature in features)
