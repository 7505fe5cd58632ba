"""What would flip the answered regime: the distance of each other one from taking over, nearest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, isfinite, log2

from features.regimes import Regime
from serving.decision import DecisionParameters
from serving.schemas import Flip

__all__ = ["flips"]


def flips(
    regime: Regime, average: Sequence[float], reading: Sequence[float], parameters: DecisionParameters
) -> list[Flip]:
    """Say for each other regime how much probability has to move to it, and whether it is on its way.

    Parameters
    ----------
    regime : Regime
        The answered one.
    average : sequence of float, length 4
        Averaged probabilities that it was decided by.
    reading : sequence of float, length 4
        Probabilities of the last bar alone.
    parameters : DecisionParameters

    Returns
    -------
    list of Flip
        Three of them, the nearest first.
    """
    costs = parameters.costs
    others = [new for new in Regime if new is not regime]
    margins = {new: parameters.margin_between(regime, new) for new in others}
    then = {new: _lead(regime, new, reading, costs) - margins[new] for new in others}
    now = {new: _lead(regime, new, average, costs) - margins[new] for new in others}
    bars = {new: _bars(now[new], then[new], parameters) for new in others}
    first = _first(now, then, bars, parameters.half_life_bars)
    found = []
    for new in others:
        lacking = max(0.0, -now[new])
        needs = lacking / (costs[regime][new] + costs[new][regime])  # what moves is gained on both sides
        brings = bars[new] if new is first else None
        words = _words(regime, new, needs, average[regime], brings)
        found.append(Flip(to=new.label, needs=needs, lacking_cost=lacking, bars=brings, words=words))
    return sorted(found, key=lambda one: one.needs)


def _lead(held: Regime, new: Regime, p: Sequence[float], costs: Sequence[Sequence[float]]) -> float:
    """By how much answering ``new`` is expected to be cheaper than answering ``held``."""
    return sum((costs[held][truth] - costs[new][truth]) * p[truth] for truth in Regime)


def _bars(now: float, then: float, parameters: DecisionParameters) -> int | None:
    """Bars until a lead over the margin is above 0, if every bar read as the last one; ``None``: never."""
    if not (isfinite(then) and then > 0):
        return None
    if parameters.half_life_bars == 0 or now > 0:
        return 1
    share = then / (then - now)  # of the old average, when the margin is reached
    bars = ceil(parameters.half_life_bars * -log2(share))
    return min(max(1, bars), parameters.averaged_bars)  # by then the average is that reading


def _first(
    now: Mapping[Regime, float],
    then: Mapping[Regime, float],
    bars: Mapping[Regime, int | None],
    half_life: float,
) -> Regime | None:
    """The one that takes over first; of those in the same bar, the one that then leads by most."""
    soonest = min((count for count in bars.values() if count is not None), default=None)
    if soonest is None:
        return None
    kept = 0.5 ** (soonest / half_life) if half_life else 0.0
    together = [new for new, count in bars.items() if count == soonest]
    return max(together, key=lambda new: then[new] + kept * (now[new] - then[new]))


def _name(regime: Regime) -> str:
    return regime.label.replace("_", " ")


def _words(held: Regime, new: Regime, needs: float, has: float, bars: int | None) -> str:
    if needs > has:
        moves = f"all of the {has:.0%} that {_name(held)} still has, and more, moves to it"
    else:
        moves = f"{needs:.0%} of probability moves to it from {_name(held)}"
    if bars is None:
        when = "if all stays as at the last bar, it does not"
    else:
        when = f"if all stays as at the last bar, in about {bars} bar{'' if bars == 1 else 's'}"
    return f"{_name(new)} takes over once {moves}; {when}"
