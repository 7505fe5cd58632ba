"""The reasons of an advice in plain words, made from its numbers. They describe; they promise nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import isnan

from features.regimes import Regime
from features.signals import CONFIRMING, Reading, SignalState
from serving.parameters import MarketState
from serving.schemas import Advice, Flip, PositionReport, Rally

__all__ = ["reasons"]

_HAIRCUT_WORDS = {
    "two_regimes_possible": "two regimes cannot be told apart",
    "many_regimes_possible": "several regimes cannot be told apart",
    "funding_missing": "funding is missing",
    "open_interest_missing": "open interest is missing",
    "stale_window": "the window is out of date",
    "unusual_market": "the market looks like nothing the model has learned from",
    "squeeze_missing": "the model of squeezes lacks an input, so the table of regimes stands in for it",
    "model_stale": "the model is stale",
    "model_expired": "the model has expired",
    "regime_lags": "price has jumped and the answered regime has not caught up",
    "no_volatility": "there is no volatility to measure by",
    "no_excursion_short": "there is too little data on moves against a short",
    "no_excursion_long": "there is too little data on moves against a long",
}
_NO_FUNDING = 5e-6
"""A day, fraction of notional: less would read as 0.000%."""


def _name(regime: Regime) -> str:
    return regime.label.replace("_", " ")


def _of_regime(regime: Regime, probabilities: Sequence[float]) -> str:
    others = sorted((r for r in Regime if r is not regime), key=lambda r: -probabilities[r])
    rest = ", ".join(f"{_name(r)} {probabilities[r]:.0%}" for r in others)
    if probabilities[others[0]] > probabilities[regime]:
        return (
            f"The answer is still {_name(regime)} ({probabilities[regime]:.0%}), though the latest reading "
            f"leans to {_name(others[0])} ({rest}): another regime is answered once it holds up."
        )
    return f"The market reads as {_name(regime)} with probability {probabilities[regime]:.0%} ({rest})."


def _of_holding(held: timedelta | None, *, at_least: bool, nearest: Flip | None) -> list[str]:
    text = []
    if held is not None:
        days = held / timedelta(days=1)
        long = f"{days:.1f} days" if days >= 1 else f"{held / timedelta(hours=1):.0f} hours"
        text.append(f"That has been the answer for {'at least ' if at_least else ''}{long}.")
    if nearest is not None:
        text.append(f"What would change it first: {nearest.words}.")
    return text


def _of_signals(readings: Sequence[Reading], *, confirmed: bool) -> str:
    bearish = [one for one in readings if one.state is SignalState.BEARISH]
    there = sum(one.state is not SignalState.MISSING for one in readings)
    named = ", ".join(f"{one.name.replace('_', ' ')}{' (often late)' if one.late else ''}" for one in bearish)
    verb = "is" if len(bearish) == 1 else "are"
    text = f"{len(bearish)} of {there} available signals {verb} bearish{f': {named}' if named else ''}; "
    if confirmed:
        return f"{text}{CONFIRMING} or more confirm a bear."
    if there < CONFIRMING:
        return f"{text}with fewer than {CONFIRMING} available none can confirm a bear."
    return f"{text}it takes {CONFIRMING} to confirm a bear."


def _of_bias(regime: Regime, advice: Advice, market: MarketState) -> str:
    if regime is Regime.RANGING:
        distance = market.distance_from_mean_20d
        if isnan(distance):
            return "A range is traded back to its 20-day mean, but the distance from it is not known: flat."
        where = f"{abs(distance):.2f} deviations {'above' if distance > 0 else 'below'}"
        return f"A range is traded back to its 20-day mean, at half size; price is {where} it: {advice.side}."
    net = 1 - 2 * advice.short_share
    lean = "no net" if net == 0 else f"{abs(net):.0%} net {'long' if net > 0 else 'short'}"
    return f"{advice.short_share:.0%} of the gross exposure short, {lean}."


def _of_leverage(advice: Advice) -> list[str]:
    if advice.side == "flat":
        return [] if advice.band else ["Neither side is advised: flat."]
    survival = advice.survival
    if advice.leverage == 0:
        text = [f"The {advice.side} would get less than 0.2x: stand aside."]
    else:
        way = "rises" if advice.side == "short" else "falls"
        size = f"{advice.leverage:.1f}x {advice.side}"
        if advice.leverage < 1:
            size += " (1x, with part of the margin held back)"
        edge = (
            "no price liquidates it"
            if survival.liquidation_price is None
            else f"entered at the last close it is liquidated at {survival.liquidation_price:,.6g}"
        )
        text = [
            f"{size}: in past hours like this one {survival.level:.1%} of {survival.horizon_days}-day {way} "
            f"stayed within {survival.adverse_excursion:.1%}; {edge}."
        ]
    touching = [cut for cut in advice.haircuts if not cut.name.endswith(f"_{_other(advice.side)}")]
    if touching:
        cuts = "; ".join(f"{_HAIRCUT_WORDS[cut.name]} (x {cut.factor:g})" for cut in touching)
        text.append(f"The leverage is cut because {cuts}.")
    return text


def _other(side: str) -> str:
    return "long" if side == "short" else "short"


def _of_funding(advice: Advice) -> list[str]:
    if advice.side == "flat":
        return []
    if advice.funding_per_day is None:
        return ["Funding is not known; the default rate is charged against the position."]
    rate = advice.funding_per_day.rate
    if abs(rate) < _NO_FUNDING:
        return ["Funding is next to nothing."]
    verb = "pays" if rate > 0 else "receives"
    money = advice.funding_per_day.money
    amount = "" if money is None else f", {abs(money):,.2f} in quote currency"
    text = (
        f"At the 3-day mean rate a {advice.side} {verb} {abs(rate):.3%} of notional a day in funding{amount}."
    )
    spike = advice.funding_per_day.spike_rate
    if spike is None:
        return [text]
    return [text, f"If the rate went to its cap against it, it would pay {spike:.2%} a day."]


def _of_rally(rally: Rally) -> str:
    reading = {
        "running": "The relief rally is the likeliest state: it reads as running on",
        "back_to_bear": "Bear has become the likeliest state: the relief rally reads as ending",
        "turning_bull": "Bull has become the likeliest state: the relief rally reads as turning into one",
    }[rally.phase]
    if rally.back_to_bear is None:
        return f"{reading}."
    odds = f"bear {rally.back_to_bear:.0%}, bull {rally.turning_bull:.0%}"
    return f"{reading}; between going back to bear and turning into a bull the odds are {odds}."


def _of_plan(advice: Advice) -> list[str]:
    if advice.leverage == 0 or advice.stop_price is None:
        return []
    prices = ", ".join(
        f"{one.share:.0%} at {one.price:,.6g}" for one in advice.tranches if one.price is not None
    )
    target = "" if advice.target_price is None else f", target {advice.target_price:,.6g}"
    text = [f"Enter in tranches: {prices}; stop {advice.stop_price:,.6g}{target}."]
    if advice.notional is not None and advice.margin is not None:
        steps = {step.name: step.value for step in advice.calculation}
        text.append(
            f"Size {advice.notional:,.2f} with everything filled, margin {advice.margin:,.2f}: "
            f"stopped then, it loses about {advice.notional * steps['loss_at_stop']:,.2f} before slippage."
        )
    return text


def _of_position(position: PositionReport) -> list[str]:
    text = []
    if position.danger:
        text.append(
            "The last close is beyond the liquidation price of the open position."
            if position.distance <= 0
            else f"The open position is liquidated by a move of {position.distance:.1%}: "
            "less than the adverse move to reckon with."
        )
    if position.reduce_to is not None and position.reduce_to <= 0:
        text.append("At the leverage advised nothing of the open position is left to carry.")
    elif position.reduce_to is not None:
        text.append(
            "At the leverage advised the margin that is left carries a position of "
            f"{position.reduce_to:,.2f}."
        )
    if position.chance_7d is not None:
        text.append(f"The chance that it is liquidated within 7 days is put at {position.chance_7d:.1%}.")
    return text


def _of_model(degraded: Sequence[str]) -> list[str]:
    text = []
    if "model_expired" in degraded:
        text.append("The model has expired: leverage at most 1x until it is retrained.")
    if "model_trained_on_simulated_data" in degraded:
        text.append("The model was trained on simulated data: leverage at most 1x for real symbols.")
    if "unknown_margin_tier" in degraded:
        text.append("The exchange's margin tier is not known: 3 % maintenance and 20x are assumed.")
    return text


def reasons(
    *,
    regime: Regime,
    probabilities: Sequence[float],
    confirmed: bool,
    advice: Advice,
    market: MarketState,
    readings: Sequence[Reading],
    degraded: Sequence[str],
    held: timedelta | None = None,
    held_at_least: bool = False,
    nearest_flip: Flip | None = None,
) -> list[str]:
    """Say in plain words why the advice is what it is, from its own numbers.

    Parameters
    ----------
    regime, probabilities, confirmed, market, degraded
        As given to :func:`serving.advice.advise`.
    advice : Advice
        Its answer.
    readings : sequence of Reading
        The signals of the bar.
    held : timedelta, optional
        How long the regime has been the answer.
    held_at_least : bool
        It may have been longer: the window does not tell.
    nearest_flip : Flip, optional
        What it would take for the regime that is nearest to taking over.
    """
    text = [_of_regime(regime, probabilities)]
    text += _of_holding(held, at_least=held_at_least, nearest=nearest_flip)
    text.append(_of_signals(readings, confirmed=confirmed))
    text += [_of_rally(advice.rally)] if advice.rally else []
    text += [_of_bias(regime, advice, market), *_of_leverage(advice)]
    text += [*_of_plan(advice), *_of_funding(advice)]
    text += _of_position(advice.position) if advice.position else []
    return [*text, *_of_model(degraded)]
