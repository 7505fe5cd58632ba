"""The table: chances of liquidation with their intervals, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, isfinite
from typing import Literal

import numpy as np
import numpy.typing as npt

from features.errors import NothingUsableError
from serving.margin import tier_for, tiers_as_of
from serving.survival import OnlineSource, SurvivalCell, SurvivalTable
from training.bootstrap import BlockBootstrap, Interval
from training.survival.outcomes import Outcomes
from training.survival.prices import FloatArray, Prices, week_number

__all__ = ["DAYS", "LEVERAGES", "NAMES", "SIDES", "honest_interval", "survival_table"]

LEVERAGES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
DAYS = (1, 3, 7, 30)
SIDES: tuple[Literal["short", "long"], ...] = ("short", "long")
_TAIL = 0.025
"""On each side of an interval of 95 %."""

IntArray = npt.NDArray[np.int64]
View = Literal["online", "hindsight"]
RegimeName = Literal["any", "bear", "ranging", "relief_rally", "bull"]
NAMES: tuple[RegimeName, ...] = ("any", "bear", "ranging", "relief_rally", "bull")


def survival_table(
    outcomes: Outcomes,
    hindsight: IntArray,
    online: IntArray | None,
    *,
    source: str,
    walk: OnlineSource | None = None,
    leverages: Sequence[float] = LEVERAGES,
    draws: int = 2000,
    notes: Sequence[str] = (),
) -> SurvivalTable:
    """Measure the table of one symbol.

    Each bar's close is an entry; an entry counts where all bars up to its last day are there. An
    interval draws whole blocks of calendar weeks (one week; five for 30 days), because entries of
    neighbouring hours tell one story. Where no position, or every one, was liquidated, the bound on
    the other side is that of as many independent trials as there are blocks.

    Parameters
    ----------
    outcomes : Outcomes
    hindsight, online : ndarray of int, shape (n_bars,)
        Class index of the regime at each bar, -1 where it has none; ``online`` ``None``: there are none.
    source : str
        Where the bars are from.
    walk : OnlineSource, optional
        Where the online regimes are from.
    leverages : sequence of float
    draws : int
    notes : sequence of str

    Raises
    ------
    NothingUsableError
        If no position's end is known.
    """
    prices, rules = outcomes.prices, outcomes.rules
    largest = rules.largest_leverage(prices.symbol)
    allowed = [one for one in leverages if one <= largest]
    views: dict[View, IntArray] = {} if online is None else {"online": online}
    views["hindsight"] = hindsight
    cells = [
        cell for view, regime in views.items() for cell in _cells(outcomes, view, regime, allowed, draws)
    ]
    if not any(cell.entries for cell in cells):
        raise NothingUsableError(
            f"{prices.symbol}: no position's end is known in {len(prices):,} bars",
            hint="use a longer history",
        )
    tier = tier_for(rules.exchange, prices.symbol, rules.notional)
    return SurvivalTable(
        symbol=prices.symbol,
        interval=prices.interval,
        source=source,
        since=_iso(prices, 0),
        until=_iso(prices, -1),
        exchange=rules.exchange,
        tiers_as_of=tiers_as_of(rules.exchange, prices.symbol),
        notional=rules.notional,
        maintenance_rate=tier.rate,
        largest_leverage=tier.max_leverage,
        fee=rules.fee,
        funding_known=round(float(prices.funding_known.mean()), 4),
        leverages=allowed,
        not_allowed=[one for one in leverages if one > largest],
        days=list(DAYS),
        online=walk,
        notes=[*notes, *_notes(prices, [one for one in leverages if one > largest], largest)],
        cells=cells,
    )


def _notes(prices: Prices, refused: Sequence[float], largest: float) -> list[str]:
    notes = []
    if refused:
        names = ", ".join(f"{one:g}x" for one in refused)
        notes.append(f"{names}: the exchange allows at most {largest:g}x on {prices.symbol}")
    known = float(prices.funding_known.mean())
    if known < 0.999:
        notes.append(f"funding is known at {known:.0%} of the bars; elsewhere none is counted")
    return notes


def _iso(prices: Prices, row: int) -> str:
    return prices.time[row].strftime("%Y-%m-%dT%H:%M:%SZ")


def _cells(
    outcomes: Outcomes, view: View, regime: IntArray, leverages: Sequence[float], draws: int
) -> Iterator[SurvivalCell]:
    kinds = [(side, leverage) for side in SIDES for leverage in leverages]
    for days in DAYS:
        hits = {kind: outcomes.liquidated(*kind, days) for kind in kinds}
        known = regime >= 0
        for hit in hits.values():
            known &= np.isfinite(hit)
        rows = np.flatnonzero(known)
        week = week_number(outcomes.prices.time[rows])
        block = week if days <= 7 else week_number(outcomes.prices.time[rows], ceil(days / 7))
        inside = {name: np.ones(len(rows), dtype=bool) for name in NAMES[:1]}
        inside |= {name: regime[rows] == index for index, name in enumerate(NAMES[1:])}
        values = {kind: hit[rows] for kind, hit in hits.items()}
        intervals = _intervals(values, inside, block, draws)
        for (side, leverage), hit in values.items():
            for name, mask in inside.items():
                found = intervals.get((side, leverage, name))
                blocks = len(np.unique(block[mask]))
                entries, dead = int(mask.sum()), int(hit[mask].sum())
                low, high = honest_interval(found, dead, entries, blocks)
                yield SurvivalCell(
                    view=view,
                    regime=name,
                    side=side,
                    leverage=leverage,
                    days=days,
                    probability=round(dead / entries, 6) if entries else None,
                    low=low,
                    high=high,
                    entries=entries,
                    liquidated=dead,
                    weeks=len(np.unique(week[mask])),
                    blocks=blocks,
                )


Kind = tuple[Literal["short", "long"], float]


def _intervals(
    values: Mapping[Kind, FloatArray],
    inside: Mapping[RegimeName, npt.NDArray[np.bool_]],
    block: IntArray,
    draws: int,
) -> dict[tuple[Literal["short", "long"], float, RegimeName], Interval]:
    if not len(block):
        return {}
    columns: list[FloatArray] = [mask.astype(np.float64) for mask in inside.values()]
    statistics: dict[str, Callable[[FloatArray], FloatArray]] = {}
    names = {}
    for (side, leverage), hit in values.items():
        for place, (name, mask) in enumerate(inside.items()):
            if mask.any():
                key = f"{side} {leverage:g} {name}"
                names[key] = (side, leverage, name)
                statistics[key] = _share(len(columns), place)
                columns.append(hit * mask)
    found = BlockBootstrap(block, draws=draws).intervals(np.column_stack(columns), statistics)
    return {names[key]: interval for key, interval in found.items()}


def _share(top: int, bottom: int) -> Callable[[FloatArray], FloatArray]:
    def share(sums: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(sums[:, top] / sums[:, bottom])

    return share


def honest_interval(
    interval: Interval | None, dead: int, entries: int, blocks: int
) -> tuple[float | None, float | None]:
    """Bounds of a share that bootstrapping cannot bound alone: none, or all, of the entries.

    Parameters
    ----------
    interval : Interval or None
        By blocks.
    dead, entries, blocks : int

    Examples
    --------
    >>> honest_interval(None, 0, 5000, 30)
    (0.0, 0.115703)
    """
    if not entries or not blocks:
        return None, None
    if dead == 0:
        return 0.0, round(1 - _TAIL ** (1 / blocks), 6)
    if dead == entries:
        return round(_TAIL ** (1 / blocks), 6), 1.0
    if interval is None or not isfinite(interval.low):
        return None, None
    return round(max(interval.low, 0.0), 6), round(min(interval.high, 1.0), 6)
