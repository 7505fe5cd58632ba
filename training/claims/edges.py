"""Claims about what shorts earn, and when."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.regimes import Regime
from features.signals import SignalState, available, confirmed_bear
from training.claims.claim import Checked, Measure, above
from training.claims.evidence import DOWN, HOLD_DAYS, Evidence, IntArray, Market, ratio_of_roots
from training.survival.prices import FloatArray

__all__ = [
    "bears_are_volatile",
    "low_leverage_beats_all_in",
    "negative_funding",
    "no_edge_in_ranges",
    "rallies_are_entries",
    "rising_interest",
    "three_of_four",
]

BEAR, RANGING, RALLY, BULL = (int(one) for one in Regime)
LEFT = 0.01
"""Of the account after all of it was liquidated: a logarithm needs something."""
SHARE, LOW_LEVERAGE = 0.65, 2.0
DEEP = -0.0001
"""Per 8 hours: the default rate with its sign turned."""


def low_leverage_beats_all_in(evidence: Evidence) -> Checked:
    """60-70 % short at low leverage beats all-in shorts."""
    down = np.isin(evidence.online, DOWN)
    growth = {
        leverage: evidence.rows(lambda one, lev=leverage: _growth(one, 1.0, lev))  # type: ignore[misc]
        for leverage in evidence.allowed((1.0, 2.0, 5.0, 10.0, 20.0))
    }
    own = evidence.rows(lambda one: _growth(one, SHARE, LOW_LEVERAGE))
    measures = [
        evidence.mean(f"65 % at 2x less all in at {leverage:g}x, log growth a week", "log", own - other, down)
        for leverage, other in sorted(growth.items(), key=lambda item: item[0] != 5.0)
    ]
    itself = evidence.mean("65 % at 2x by itself, log growth a week", "log", own, down)
    halved = [
        evidence.mean(
            f"all in at {leverage:g}x: more than half of the account gone within 7 days",
            "share",
            np.where(np.isfinite(other), other < np.log(0.5), np.nan),
            down,
        )
        for leverage, other in growth.items()
    ]
    return Checked(
        "low_leverage_beats_all_in",
        "60 to 70 % short at low leverage beats all-in shorts.",
        "Every hour answered (online) bear or relief rally: 65 % of the account as margin of a 2x short, "
        "the rest kept, against the whole account as margin; seven days, no stop, fees and funding in. Log "
        "growth counts, since it adds up; a liquidated account keeps 1 %.",
        "65 % at 2x grew more than all in at 5x (whole interval above 0).",
        above(measures[0], 0.0),
        f"Against all in at 5x: {measures[0].words()} a week. By itself it made {itself.words()}: less ruin, "
        + ("and a gain." if itself.known and itself.low > 0 else "no gain that could be told from none."),
        (*measures, itself, *halved),
    )


def _growth(market: Market, share: float, leverage: float) -> FloatArray:
    """Log growth of an account that puts a share of itself in as margin of one short, for each entry."""
    dead = market.outcomes.liquidated("short", leverage, HOLD_DAYS)
    gained = np.where(dead == 1, -1.0, np.maximum(leverage * market.short_return(), -1.0))
    left = np.maximum(1 + share * gained, LEFT)
    return np.where(np.isfinite(dead) & np.isfinite(gained), np.log(left), np.nan)


def rallies_are_entries(evidence: Evidence) -> Checked:
    """Relief rallies are the best short entries."""
    rally, bear = evidence.online == RALLY, evidence.online == BEAR
    measures = [
        evidence.difference(
            "entered in an answered relief rally less in an answered bear",
            "return",
            evidence.short_return,
            rally,
            bear,
        )
    ]
    for words, chosen in (
        ("relief rally", rally),
        ("bear", bear),
        ("ranging", evidence.online == RANGING),
        ("bull", evidence.online == BULL),
    ):
        measures.append(
            evidence.mean(f"entered in an answered {words}", "return", evidence.short_return, chosen)
        )
    month = evidence.rows(lambda one: one.short_return(30))
    measures.append(evidence.difference("relief rally less bear, held 30 days", "return", month, rally, bear))
    return Checked(
        "rallies_are_the_best_entries",
        "Relief rallies are the best short entries.",
        "Return on notional of a short held seven days, fees and funding in, by the regime answered "
        "(online) at entry.",
        "Shorts entered in answered rallies earned more than those entered in answered bears (whole "
        "interval above 0).",
        above(measures[0], 0.0),
        f"The difference is {measures[0].words()} in seven days, on {measures[1].weeks} weeks with a rally.",
        tuple(measures),
    )


def rising_interest(evidence: Evidence) -> Checked:
    """Open interest rising in a fall is contrarian."""
    state = evidence.rows(lambda one: one.signals["price_and_open_interest"].state)
    fell = evidence.rows(lambda one: one.change(-3)) < 0
    rising, flat = fell & (state == SignalState.BEARISH), fell & (state == SignalState.NEUTRAL)
    ahead = evidence.rows(lambda one: one.change(HOLD_DAYS))
    measures = (
        evidence.difference("price change in 7 days: rising less not rising", "return", ahead, rising, flat),
        evidence.mean("after a fall with open interest rising", "return", ahead, rising),
        evidence.mean("after a fall with open interest not rising", "return", ahead, flat),
    )
    return Checked(
        "rising_interest_is_contrarian",
        "Open interest rising in a fall is contrarian: the new shorts are late.",
        "All hours after three falling days; open interest up (in USD and in coins) against not up; the "
        "next seven days.",
        "Price did better after a fall with open interest rising (whole interval above 0).",
        above(measures[0], 0.0),
        f"The difference is {measures[0].words()}.",
        measures,
    )


def negative_funding(evidence: Evidence) -> Checked:
    """Deeply negative funding sustains shorts."""
    rate = evidence.rows(_funding_of_three_days)
    deep, other = rate < DEEP, rate >= DEEP
    measures = (
        evidence.difference(
            "short's return in 7 days, funding in: deep less not",
            "return",
            evidence.short_return,
            deep,
            other,
        ),
        evidence.mean("short's return after deeply negative funding", "return", evidence.short_return, deep),
        evidence.mean("short's return otherwise", "return", evidence.short_return, other),
        evidence.mean(
            "of it funding received (below 0: paid), deep", "return", evidence.rows(_received), deep
        ),
        evidence.mean("share of hours that are deep", "share", deep.astype(np.float64), np.isfinite(rate)),
    )
    return Checked(
        "negative_funding_sustains_shorts",
        "Deeply negative funding sustains shorts.",
        "Three-day mean funding below -0.01 % per 8 hours, so that shorts pay, against all other hours "
        "with a known rate; a short held seven days, funding at its settlements and fees in.",
        "Shorts earned more after deeply negative funding (whole interval above 0).",
        above(measures[0], 0.0),
        f"The difference is {measures[0].words()}; meanwhile these shorts received {measures[3].words()} of "
        "funding.",
        measures,
    )


def _funding_of_three_days(market: Market) -> FloatArray:
    frame = market.history.frame
    rate = frame["funding_rate"] * 8 / frame["funding_interval_hours"]
    return rate.rolling(3 * market.prices.per_day).mean().to_numpy(np.float64)


def _received(market: Market) -> FloatArray:
    bars, funding = HOLD_DAYS * market.prices.per_day, market.prices.funding
    out = np.full(len(funding), np.nan)
    out[: max(len(funding) - bars, 0)] = funding[bars:] - funding[: max(len(funding) - bars, 0)]
    return np.asarray(out / market.prices.close)


def three_of_four(evidence: Evidence) -> Checked:
    """Three of four agreeing signals raise the odds."""
    there = evidence.rows(lambda one: available(one.signals)) >= 4
    agree = evidence.rows(lambda one: confirmed_bear(one.signals)) > 0
    ahead = evidence.rows(lambda one: one.change(HOLD_DAYS))
    fell = np.where(np.isfinite(ahead), ahead < 0, np.nan)
    three, fewer = there & agree, there & ~agree
    measures = (
        evidence.difference(
            "chance that price falls in 7 days: three less fewer", "return", fell, three, fewer
        ),
        evidence.mean("price fell after three or four bearish signals", "share", fell, three),
        evidence.mean("price fell after fewer", "share", fell, fewer),
        evidence.difference("price change in 7 days: three less fewer", "return", ahead, three, fewer),
    )
    return Checked(
        "three_of_four_raise_the_odds",
        "Three of four agreeing signals raise the odds.",
        "All hours at which the four signals are there; at least three bearish against fewer; whether "
        "price was lower seven days later.",
        "Price fell more often after three or four bearish signals (whole interval above 0).",
        above(measures[0], 0.0),
        f"The chance of a fall differs by {measures[0].words()} (points), on {measures[1].weeks} weeks with "
        "three.",
        measures,
    )


def bears_are_volatile(evidence: Evidence) -> Checked:
    """Bear markets are the more volatile ones."""
    square = evidence.rows(_unit_squares)
    hindsight, online = evidence.hindsight, evidence.online
    ahead = evidence.rows(lambda one: _next_day(_unit_squares(one), one.prices.per_day))

    def ratio(name: str, values: FloatArray, regime: IntArray, against: tuple[int, ...]) -> Measure:
        first, second = np.isin(regime, DOWN), np.isin(regime, against)
        return ratio_of_roots(name, values, first, second, evidence.time, evidence.draws)

    others = (RANGING, BULL)
    measures = (
        ratio("volatility in bears and rallies over all else (hindsight)", square, hindsight, others),
        ratio("over bulls (hindsight)", square, hindsight, (BULL,)),
        ratio("over ranges (hindsight)", square, hindsight, (RANGING,)),
        ratio("of the day after an answered bear or rally over all else (online)", ahead, online, others),
    )
    return Checked(
        "bears_are_more_volatile",
        "Bear markets are the more volatile ones.",
        "Root mean square of bar returns in hours that hindsight calls bear or relief rally, over that of "
        "the others; each symbol by its own mean, so that none outweighs the rest.",
        "The ratio is above 1 (whole interval).",
        above(measures[0], 1.0),
        f"Downtrends were {measures[0].words()} times as volatile as all else, {measures[1].words()} times "
        f"bulls, {measures[2].words()} times ranges.",
        measures,
    )


def _unit_squares(market: Market) -> FloatArray:
    moved = np.diff(np.log(market.prices.close), prepend=np.nan)
    return np.asarray(moved**2 / np.nanmean(moved**2))


def _next_day(values: FloatArray, bars: int) -> FloatArray:
    ahead = pd.Series(values).rolling(bars).mean().to_numpy()
    return np.concatenate((ahead[bars:], np.full(min(bars, len(ahead)), np.nan)))


def no_edge_in_ranges(evidence: Evidence) -> Checked:
    """The short edge vanishes in ranges."""
    bear, ranging = evidence.online == BEAR, evidence.online == RANGING
    measures = (
        evidence.mean(
            "short of 7 days entered in an answered range", "return", evidence.short_return, ranging
        ),
        evidence.mean("entered in an answered bear", "return", evidence.short_return, bear),
        evidence.difference("bear less range", "return", evidence.short_return, bear, ranging),
    )
    inside, outside, apart = measures
    verdict = above(inside, 0.0)
    if verdict == "holds":
        verdict = "does not hold"
    elif outside.known and outside.low > 0 and apart.low > 0:
        verdict = "holds"
    else:
        verdict = "cannot be told"
    return Checked(
        "no_short_edge_in_ranges",
        "The short edge vanishes in ranges.",
        "Return on notional of a short held seven days, fees and funding in, by the regime answered "
        "(online) at entry.",
        "There is an edge in bears (interval above 0), more than in ranges (so is the difference), and "
        "none in ranges.",
        verdict,
        f"In ranges {inside.words()}, in bears {outside.words()}: "
        f"{'an edge to lose' if outside.known and outside.low > 0 else 'none in bears is certain either'}.",
        measures,
    )
