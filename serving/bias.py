"""Which way to lean: the short share, the side, and what a relief rally is turning into."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Literal

from features.regimes import Regime
from serving.plan import MEAN_REVERSION_BAND
from serving.schemas import Rally

__all__ = ["rally_of", "short_share", "side_of"]


def _probability(probabilities: Sequence[float], regime: Regime) -> float:
    given = probabilities[regime]
    return min(1.0, max(0.0, given)) if isfinite(given) else 0.0


def short_share(
    regime: Regime, probabilities: Sequence[float], *, confirmed: bool, short_open: bool
) -> float:
    """Share of the gross exposure that is short, linear in the regime's probability; 0.30 to 0.70.

    Parameters
    ----------
    regime : Regime
    probabilities : sequence of float, shape (4,)
        One that is not a number counts as 0.
    confirmed : bool
        Whether the signals confirm a bear: without it a bear keeps its smallest bias.
    short_open : bool
        An open short counts as a whole plan that is filled.
    """
    probability = _probability(probabilities, regime)
    if regime is Regime.BEAR:
        share = 0.60 + (0.10 * probability if confirmed else 0.0)
    elif regime is Regime.RELIEF_RALLY:
        filled = 1.0 if short_open else 0.60 if confirmed else 0.30
        share = 0.50 + 0.10 * probability * filled
    elif regime is Regime.BULL:
        share = 0.40 - 0.10 * probability
    else:
        share = 0.50
    return min(0.70, max(0.30, share))


def side_of(regime: Regime, share: float, distance: float) -> Literal["short", "long", "flat"]:
    """Side of the net; in a range against the distance from the mean, if that is known."""
    if regime is Regime.RANGING:
        if distance > MEAN_REVERSION_BAND:
            return "short"
        return "long" if distance < -MEAN_REVERSION_BAND else "flat"
    if share > 0.5:
        return "short"
    return "long" if share < 0.5 else "flat"


def rally_of(probabilities: Sequence[float]) -> Rally:
    """Read from the probabilities whether a relief rally runs on, falls back or turns into a bull."""
    bear, relief, bull = (
        _probability(probabilities, one) for one in (Regime.BEAR, Regime.RELIEF_RALLY, Regime.BULL)
    )
    either = bear + bull
    phase: Literal["running", "back_to_bear", "turning_bull"] = "running"
    if bear > max(relief, bull):
        phase = "back_to_bear"
    elif bull > max(relief, bear):
        phase = "turning_bull"
    return Rally(
        phase=phase,
        back_to_bear=bear / either if either > 0 else None,
        turning_bull=bull / either if either > 0 else None,
    )
