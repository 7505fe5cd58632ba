"""The features that the model reads: a choice of its own, so that a new feature changes no model.

The shares of the labels' own futures, which are the model's prior, then trend, funding and open interest.
What the catalogue has beside these added nothing that could be shown. Order is the model's column order.
"""

from __future__ import annotations

from features.catalog import select
from features.declaration import Feature

__all__ = ["DEFAULT_FEATURES", "PRIOR_FEATURES", "default_features"]

PRIOR_FEATURES: tuple[str, ...] = (
    "path_log_share_bear",
    "path_log_share_ranging",
    "path_log_share_relief_rally",
    "path_log_share_bull",
)
"""Log shares of the regimes, in class order."""

DEFAULT_FEATURES: tuple[str, ...] = (
    *PRIOR_FEATURES,
    "return_4h",
    "return_12h",
    "return_1d",
    "return_2d",
    "return_3d",
    "return_5d",
    "return_8d",
    "return_14d",
    "return_20d",
    "return_30d",
    "return_45d",
    "return_60d",
    "return_80d",
    "return_100d",
    "return_120d",
    "above_mean_2d",
    "above_mean_5d",
    "above_mean_10d",
    "above_mean_20d",
    "above_mean_50d",
    "above_mean_100d",
    "above_mean_120d",
    "mean_3d_over_10d",
    "mean_5d_over_20d",
    "mean_20d_over_50d",
    "mean_20d_over_100d",
    "mean_50d_over_120d",
    "mean_5d_slope_3d",
    "mean_20d_slope_10d",
    "mean_60d_slope_20d",
    "below_high_3d",
    "below_high_7d",
    "below_high_20d",
    "below_high_60d",
    "below_high_120d",
    "above_low_3d",
    "above_low_7d",
    "above_low_20d",
    "above_low_60d",
    "above_low_120d",
    "efficiency_3d",
    "efficiency_10d",
    "efficiency_30d",
    "efficiency_90d",
    "rising_bars_5d",
    "rising_bars_30d",
    "funding_level_1d",
    "funding_level_7d",
    "funding_level_30d",
    "funding_rank_3d_in_90d",
    "funding_rank_7d_in_60d",
    "funding_negative_7d",
    "funding_tails_30d",
    "interest_change_1d",
    "interest_change_3d",
    "interest_change_7d",
    "interest_change_30d",
    "interest_in_coins_change_3d",
    "interest_in_coins_change_14d",
    "price_interest_agreement_3d",
    "price_interest_agreement_7d",
    "interest_below_peak_30d",
    "interest_rank_90d",
)
"""Names, in the model's order."""


def default_features() -> tuple[Feature, ...]:
    """Features that the model reads."""
    return select(DEFAULT_FEATURES)
