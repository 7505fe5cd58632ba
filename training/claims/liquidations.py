"""Claims about who is liquidated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from features.regimes import Regime
from serving.margin import adverse_move_to_liquidation, tier_for
from training.claims.claim import Checked, Measure, Verdict, about, above, within
from training.claims.evidence import HOLD_DAYS, Evidence, Market, joined, mean, ratio_of_sums
from training.survival.prices import FloatArray

__all__ = ["five_survives_where_twenty_dies", "rallies_liquidate", "twenty_ends", "volatile_weeks"]

RALLY = int(Regime.RELIEF_RALLY)
LONGEST_RALLY_DAYS = 60
VOLATILE_SHARE = 0.10


def rallies_liquidate(evidence: Evidence) -> Checked:
    """About 87 % of highly leveraged shorts are liquidated in relief rallies."""
    measures = [
        _by_the_end(evidence, leverage) for leverage in evidence.allowed((20.0, 50.0, 10.0, 5.0, 3.0, 2.0))
    ]
    inside = evidence.online == RALLY
    first_day = inside & _first_day(evidence)
    for words, chosen in (("any hour", inside), ("the first day", first_day)):
        name = f"20x shorts opened in {words} of an answered (online) rally, liquidated within 7 days"
        measures.append(evidence.mean(name, "share", _dead(evidence, 20.0), chosen))
    verdict = about(measures[0], 0.87)
    return Checked(
        "rallies_liquidate_shorts",
        "About 87 % of highly leveraged shorts are liquidated in relief rallies.",
        "Hindsight, since it is about shorts that were there when a rally began: shorts opened at each "
        "hour of the day before a relief rally's first bar, liquidated before its last. Below them what a "
        "trader met who shorted once the model had answered relief rally.",
        "87 % lies in the interval of the 20x shorts.",
        verdict,
        f"Of the 20x shorts that a rally met, {measures[0].words()} did not see its end.",
        tuple(measures),
    )


def _spells(market: Market) -> Iterator[tuple[int, int]]:
    """First and last bar of each hindsight rally."""
    inside = np.concatenate(([False], market.hindsight == RALLY, [False]))
    edges = np.flatnonzero(np.diff(inside.astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        yield int(start), int(end) - 1


def _by_the_end(evidence: Evidence, leverage: float) -> Measure:
    dead: list[FloatArray] = []
    when: list[pd.DatetimeIndex] = []
    for market in evidence.markets:
        prices, longest = market.prices, LONGEST_RALLY_DAYS * market.prices.per_day
        entries, until = [], []
        for start, end in _spells(market):
            for entry in range(max(start - prices.per_day, 0), start):
                if np.isfinite(prices.close[entry]) and entry + longest < len(prices):
                    entries.append(entry)
                    until.append(min(end - entry, longest))
        chosen = np.array(entries, dtype=np.int64)
        bars = market.outcomes.bars_to_liquidation("short", leverage, chosen, LONGEST_RALLY_DAYS)
        dead.append(((bars > 0) & (bars <= np.array(until, dtype=np.int64))).astype(np.float64))
        when.append(prices.time[chosen])
    values = np.concatenate(dead)
    time = joined(when)
    name = f"{leverage:g}x shorts opened in the day before a relief rally (hindsight), liquidated in it"
    return mean(name, "share", values, np.ones(len(values), dtype=bool), time, evidence.draws)


def _first_day(evidence: Evidence) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Bars with another answer, or none, within the day before."""

    def fresh(market: Market) -> FloatArray:
        other = pd.Series((market.online != RALLY).astype(np.float64))
        return other.rolling(market.prices.per_day, min_periods=1).max().to_numpy()

    return evidence.rows(fresh) > 0


def _dead(evidence: Evidence, leverage: float, days: float = HOLD_DAYS) -> FloatArray:
    return evidence.rows(lambda one: one.outcomes.liquidated("short", leverage, days))


def five_survives_where_twenty_dies(evidence: Evidence) -> Checked:
    """5x survives where 20x dies."""
    five, twenty = _dead(evidence, 5.0), _dead(evidence, 20.0)
    died = (twenty == 1) & (evidence.online >= 0)
    measures = (
        evidence.mean("of 20x shorts liquidated within 7 days, 5x alive", "share", 1 - five, died),
        evidence.mean(
            "the same, opened in an answered (online) relief rally",
            "share",
            1 - five,
            died & (evidence.online == RALLY),
        ),
        evidence.mean("all 5x shorts liquidated within 7 days", "share", five, evidence.online >= 0),
        evidence.mean("all 20x shorts liquidated within 7 days", "share", twenty, evidence.online >= 0),
    )
    return Checked(
        "five_survives_where_twenty_dies",
        "5x survives where 20x dies.",
        "A 5x and a 20x short opened in the same hour, every hour with a walk-forward answer; both held "
        "seven days.",
        "Of the hours at which the 20x short died, the 5x short lived through more than 80 % (whole "
        "interval).",
        above(measures[0], 0.80),
        f"Where the 20x short died, the 5x short lived in {measures[0].words()}; in answered relief rallies "
        f"in {measures[1].words()}. That is better, not safe: of all 5x shorts {measures[2].words()} died "
        "within a week.",
        measures,
    )


def volatile_weeks(evidence: Evidence) -> Checked:
    """About 8 % of positions are liquidated in volatile weeks."""
    frames = [_weeks(one) for one in evidence.markets]
    table = pd.concat(frames, ignore_index=True)
    time = pd.DatetimeIndex(table["time"])
    volatile = table["volatile"].to_numpy(bool)
    measures = [
        mean(
            f"published liquidations over open interest at the week's start, {words}",
            "share",
            table["liquidated"].to_numpy(np.float64),
            chosen,
            time,
            evidence.draws,
        )
        for words, chosen in (("volatile weeks", volatile), ("other weeks", ~volatile))
    ]
    by_money = ratio_of_sums(
        "the same in volatile weeks, by money: all liquidations over all open interest",
        table["published"].to_numpy(np.float64),
        table["interest"].to_numpy(np.float64),
        volatile,
        time,
        evidence.draws,
    )
    measures.insert(1, by_money)
    both = {about(measures[0], 0.08), about(by_money, 0.08)}
    verdict: Verdict = both.pop() if len(both) == 1 else "cannot be told"
    for leverage in evidence.allowed((2.0, 3.0, 5.0, 10.0, 20.0)):
        measures.append(
            mean(
                f"{leverage:g}x positions, longs and shorts alike, opened as a volatile week began",
                "share",
                table[f"{leverage:g}x"].to_numpy(np.float64),
                volatile,
                time,
                evidence.draws,
            )
        )
    return Checked(
        "eight_percent_in_volatile_weeks",
        "About 8 % of positions are liquidated in volatile weeks.",
        f"Calendar weeks among the {100 * VOLATILE_SHARE:.0f} % most volatile of their symbol (hindsight). "
        "What exchanges published as liquidated, longs and shorts, over the open interest as the week "
        "began; and what became of positions opened at the week's first close and held seven days.",
        "8 % lies in the interval of the published share, both as the mean over weeks and by money; in "
        "neither: it does not hold. (By money was added after a first look: the mean over weeks hangs on a "
        "few of them.)",
        verdict,
        f"Published: {measures[0].words()} of open interest in volatile weeks, by money {by_money.words()}. "
        "Exchanges publish only part of their liquidations and open interest turns over within a week, so "
        "this is a share of neither money nor heads exactly; by leverage it is anything, as the rows below "
        "show.",
        tuple(measures),
    )


def _weeks(market: Market) -> pd.DataFrame:
    """A row a calendar week: volatility, published liquidations, and positions opened as it began."""
    prices, frame = market.prices, market.history.frame
    moved = np.diff(np.log(prices.close), prepend=np.nan)
    table = pd.DataFrame({"time": prices.time, "square": moved**2})
    table["interest"] = frame["open_interest"].to_numpy(np.float64)
    leverages = [one for one in (2.0, 3.0, 5.0, 10.0, 20.0) if one <= _largest(market)]
    for leverage in leverages:
        both = [market.outcomes.liquidated(side, leverage, HOLD_DAYS) for side in ("short", "long")]
        table[f"{leverage:g}x"] = np.mean(both, axis=0)
    table["week"] = (table["time"] - pd.Timedelta("1ns")).dt.tz_localize(None).dt.to_period("W-SUN")
    grouped = table.groupby("week")
    whole = grouped["square"].count() == 7 * prices.per_day
    weekly = grouped[["time", "interest", *(f"{one:g}x" for one in leverages)]].nth(0).set_index(whole.index)
    weekly["volatility"] = np.sqrt(grouped["square"].mean())
    weekly["published"] = _published(market).reindex(weekly.index)
    weekly["liquidated"] = weekly["published"] / weekly["interest"]
    weekly = weekly[whole]
    weekly["volatile"] = weekly["volatility"].rank(pct=True) > 1 - VOLATILE_SHARE
    return weekly


def _largest(market: Market) -> float:
    return market.outcomes.rules.largest_leverage(market.prices.symbol)


def _published(market: Market) -> pd.Series:
    """USD of liquidations by week; only weeks with all their days."""
    table = market.raw.positioning
    if table is None or not {"liq_long_usd", "liq_short_usd"} <= set(table.columns):
        return pd.Series(dtype=np.float64, index=pd.PeriodIndex([], freq="W-SUN"))
    day = (table["time"] - pd.Timedelta("1ns")).dt.tz_localize(None).dt.to_period("W-SUN")
    total = (table["liq_long_usd"] + table["liq_short_usd"]).groupby(day)
    return total.sum().where(total.count() == 7)


def twenty_ends(evidence: Evidence) -> Checked:
    """The move which ends a 20x position costs a quarter at 5x."""
    lost, when = [], []
    for market in evidence.markets:
        prices = market.prices
        last = len(prices) - HOLD_DAYS * prices.per_day - 1
        entries = np.arange(0, max(last, 0), prices.per_day)
        entries = entries[np.isfinite(prices.close[entries])]
        bars = market.outcomes.bars_to_liquidation("short", 20.0, entries, HOLD_DAYS)
        hit = bars > 0
        end = entries[hit] + bars[hit]
        lost.append(5.0 * (prices.high[end] / prices.close[entries[hit]] - 1))
        when.append(prices.time[entries[hit]])
    values, time = np.concatenate(lost), joined(when)
    everything = np.ones(len(values), dtype=bool)
    name = "loss of the 5x short at the high of the bar that ended the 20x one, share of its margin"
    measured = mean(name, "share", values, everything, time, evidence.draws)
    halved = mean(
        "of them, the 5x short had lost more than half of its margin",
        "share",
        (values > 0.5).astype(np.float64),
        everything,
        time,
        evidence.draws,
    )
    moves = {
        one.prices.symbol: adverse_move_to_liquidation(
            "short", 20.0, tier_for(one.outcomes.rules.exchange, one.prices.symbol).rate
        )
        for one in evidence.markets
    }
    low, high = min(moves.values()), max(moves.values())
    arithmetic = f"{100 * low:.2f} to {100 * high:.2f}" if high > low else f"{100 * low:.2f}"
    return Checked(
        "twenty_ends_costs_a_quarter",
        "The move which ends a 20x position costs a quarter at 5x.",
        "A 20x short opened every day and liquidated within seven days; the 5x short beside it at that "
        "bar's high.",
        "The mean loss lies between 20 and 30 % of the 5x margin (whole interval).",
        within(measured, 0.20, 0.30),
        f"By margin alone {arithmetic} % against a tier-1 short ends it at 20x, five times that is the loss "
        f"at 5x. Measured at the bar's high, gaps and wicks in: {measured.words()}; more than half was gone "
        f"in {halved.words()}.",
        (measured, halved),
    )
