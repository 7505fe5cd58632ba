"""The whole backtest: curves, accounts begun on every day, bootstrapped years, stress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from features.bars import FloatArray
from training.backtesting.costs import Costs
from training.backtesting.engine import Walked, walk
from training.backtesting.measures import Curve, Survival, curve_of, survival_of
from training.backtesting.orders import Orders, Strategy, stacked
from training.backtesting.paths import BLOCK_DAYS, Paths, bootstrapped_years

__all__ = ["STRESSES", "YEARS_DRAWN", "Backtest", "Result", "backtest"]

YEAR_DAYS = 365
YEARS_DRAWN = 200
_AT_ONCE = 100
"""Bootstrapped years walked together: bounds the memory."""
STRESSES: Mapping[str, tuple[str, Costs]] = {
    "delay_3": ("orders done 3 bars after the close", Costs(delay=3)),
    "delay_5": ("orders done 5 bars after the close", Costs(delay=5)),
    "slippage_3x": ("slippage x3", replace(Costs(), slippage=3 * Costs().slippage)),
    "funding_2x": ("funding x2", Costs(funding_multiple=2.0)),
    "gap_opens": ("price jumps over every stop to the bar's worst price", Costs(stops_at_extreme=True)),
}


@dataclass(frozen=True)
class Result:
    """All figures of one strategy.

    Attributes
    ----------
    name, words : str
    notes : tuple of str
    curve : Curve
        Of equal parts of the capital in every symbol, never moved between them.
    by_symbol : dict of str to Curve
    turnover : float
        Notional bought and sold a year, over the first equity.
    fees, slippage, funding : float
        Paid over the span, fraction of the first equity; below 0 received.
    liquidations, trades : int
        Of the accounts that began with the span.
    in_market : float
        Share of the bars.
    closest : float
        Least distance of a bar's worst price to the liquidation price, fraction of price.
    starts : Survival or None
        Accounts begun on every day with a full year left, all symbols; ``None`` with less than a year.
    drawn : Survival
        Bootstrapped years.
    drawn_drawdown : tuple of float
        Lowest equity of a bootstrapped year, as a loss: median and 97.5th percentile.
    """

    name: str
    words: str
    notes: tuple[str, ...]
    curve: Curve
    by_symbol: dict[str, Curve]
    turnover: float
    fees: float
    slippage: float
    funding: float
    liquidations: int
    trades: int
    in_market: float
    closest: float
    starts: Survival | None
    drawn: Survival
    drawn_drawdown: tuple[float, float]


@dataclass(frozen=True)
class Backtest:
    """Results of all strategies, and what the pictures are drawn from.

    Attributes
    ----------
    results : tuple of Result
    symbols : tuple of str
    time : pandas.DatetimeIndex
        Bar closes.
    years : float
        Length of the span, which is how many independent years there are: symbols move together.
    equity : ndarray of shape (n_bars, n_strategies)
        Of equal parts in every symbol.
    distance : ndarray of shape (n_bars, n_strategies)
        To the nearest liquidation price over the symbols.
    finals : dict of str to ndarray
        Equity at the end of the year of accounts begun on every day, sorted; of bootstrapped years without.
    funding_assumed : float
        Share of the settlements whose rate is not known and was charged to both sides.
    stress : dict
        By name: the words and, by strategy, figures of the same kind.
    rows : dict of str to int
        Answers used, left out as in sample, not answered.
    """

    results: tuple[Result, ...]
    symbols: tuple[str, ...]
    time: pd.DatetimeIndex
    years: float
    equity: FloatArray
    distance: FloatArray
    finals: dict[str, FloatArray]
    funding_assumed: float
    stress: dict[str, tuple[str, dict[str, dict[str, float]]]]
    rows: dict[str, int]
    absent: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form without the curves; what is not a number is null."""
        strategies = {one.name: asdict(one) for one in self.results}
        found: dict[str, Any] = _plain(
            {
                "symbols": list(self.symbols),
                "first_bar": self.time[0].strftime("%Y-%m-%dT%H:%M:%SZ"),
                "last_bar": self.time[-1].strftime("%Y-%m-%dT%H:%M:%SZ"),
                "independent_years": self.years,
                "block_days": BLOCK_DAYS,
                "costs": asdict(Costs()),
                "funding_assumed": self.funding_assumed,
                "rows": self.rows,
                "absent": self.absent,
                "strategies": strategies,
                "stress": {
                    name: {"words": words, "strategies": figures}
                    for name, (words, figures) in self.stress.items()
                },
            }
        )
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def backtest(
    paths: Paths,
    strategies: Sequence[Strategy],
    *,
    stress: bool = False,
    years_drawn: int = YEARS_DRAWN,
    rows: Mapping[str, int] | None = None,
    absent: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _words: None,
) -> Backtest:
    """Run every strategy on real bars.

    Parameters
    ----------
    paths : Paths
        With times.
    strategies : sequence of Strategy
    stress : bool
        Also under each of :data:`STRESSES`.
    years_drawn : int
        Bootstrapped years.
    rows, absent : mapping
        For the record.
    progress : callable
        Told each step.
    """
    if paths.time is None:
        raise ValueError("a backtest needs bars with times")
    orders, costs = stacked(strategies), Costs()
    years = len(paths) / paths.per_day / YEAR_DAYS
    progress("the span")
    whole = walk(paths, orders, costs, record=True)
    progress("accounts begun on every day")
    begun = _begun(paths, orders, costs, days_apart=1)
    progress(f"{years_drawn} bootstrapped years")
    drawn = _drawn(paths, orders, costs, years_drawn)
    stressed: dict[str, tuple[str, dict[str, dict[str, float]]]] = {}
    for name, (words, harder) in STRESSES.items() if stress else ():
        progress(f"stress: {words}")
        stressed[name] = (words, _stressed(paths, orders, harder, years))
    if stress:
        stressed = {"none": ("as above", _stressed(paths, orders, costs, years)), **stressed}
    equity, distance = whole.equity, whole.distance
    if equity is None or distance is None:
        raise ValueError("a recorded walk holds its curves")
    nearest = np.fmin.reduce(distance, axis=2)
    due = (paths.funding != 0).sum() + (paths.assumed != 0).sum()
    return Backtest(
        results=tuple(
            _result(place, one, whole, begun, drawn, paths, years) for place, one in enumerate(strategies)
        ),
        symbols=paths.symbols,
        time=paths.time,
        years=years,
        equity=equity.mean(axis=2),
        distance=nearest,
        finals={
            one.name: np.sort((drawn if begun is None else begun).final[:, place].reshape(-1))
            for place, one in enumerate(strategies)
        },
        funding_assumed=float((paths.assumed != 0).sum() / due) if due else 0.0,
        stress=stressed,
        rows=dict(rows or {}),
        absent=dict(absent or {}),
    )


def _begun(paths: Paths, orders: Orders, costs: Costs, *, days_apart: int) -> Walked | None:
    """Accounts of a year, begun every so many days; ``None`` where the span is shorter."""
    length = YEAR_DAYS * paths.per_day
    starts = np.arange(0, len(paths) - length + 1, days_apart * paths.per_day)
    return walk(paths, orders, costs, starts=starts, length=length) if len(starts) else None


def _drawn(paths: Paths, orders: Orders, costs: Costs, years_drawn: int) -> Walked:
    """Bootstrapped years, some at a time; the paths one after the other."""
    parts = []
    for place, first in enumerate(range(0, years_drawn, _AT_ONCE)):
        drawn = bootstrapped_years(paths, min(_AT_ONCE, years_drawn - first), seed=7 + place)
        parts.append(walk(drawn, orders, costs))
    arrays = ("final", "lowest", "held", "liquidations", "trades", "fees", "slippage", "funding")
    return replace(
        parts[0],
        symbol=np.concatenate([one.symbol for one in parts]),
        **{  # type: ignore[arg-type]
            name: np.concatenate([getattr(one, name) for one in parts], axis=2)
            for name in (*arrays, "gain", "kept", "traded")
        },
    )


def _survival(walked: Walked, place: int, per_day: int, years: float) -> Survival:
    return survival_of(
        walked.final[:, place].reshape(-1),
        walked.lowest[:, place].reshape(-1),
        walked.liquidations[:, place].reshape(-1),
        walked.held[:, place].reshape(-1),
        per_day,
        years,
    )


def _result(
    place: int,
    one: Strategy,
    whole: Walked,
    begun: Walked | None,
    drawn: Walked,
    paths: Paths,
    years: float,
) -> Result:
    if whole.equity is None or whole.distance is None:
        raise ValueError("a recorded walk holds its curves")
    distance = whole.distance[:, place]
    lost = 1 - np.minimum(drawn.lowest[:, place], drawn.final[:, place]).reshape(-1)
    return Result(
        name=one.name,
        words=one.words,
        notes=one.notes,
        curve=curve_of(whole.equity[:, place].mean(axis=1), paths.per_day),
        by_symbol={
            symbol: curve_of(whole.equity[:, place, column], paths.per_day)
            for column, symbol in enumerate(paths.symbols)
        },
        turnover=float(whole.traded[0, place].mean()) / years,
        fees=float(whole.fees[0, place].mean()),
        slippage=float(whole.slippage[0, place].mean()),
        funding=float(whole.funding[0, place].mean()),
        liquidations=int(whole.liquidations[0, place].sum()),
        trades=int(whole.trades[0, place].sum()),
        in_market=float(whole.held[0, place].mean()) / len(paths),
        closest=_closest(distance, int(whole.liquidations[0, place].sum())),
        starts=None if begun is None else _survival(begun, place, paths.per_day, years),
        drawn=_survival(drawn, place, paths.per_day, years),
        drawn_drawdown=(float(np.median(lost)), float(np.quantile(lost, 0.975))),
    )


def _closest(distance: FloatArray, liquidations: int) -> float:
    """A liquidated position was at its price, however far its last whole bar kept away."""
    if liquidations:
        return 0.0
    return float(np.nanmin(distance)) if np.isfinite(distance).any() else float("nan")


def _stressed(paths: Paths, orders: Orders, costs: Costs, years: float) -> dict[str, dict[str, float]]:
    whole = walk(paths, orders, costs, record=True)
    begun = _begun(paths, orders, costs, days_apart=7)
    found = {}
    for place, name in enumerate(orders.names):
        curve = curve_of(
            np.empty(0) if whole.equity is None else whole.equity[:, place].mean(axis=1), paths.per_day
        )
        lives = None if begun is None else _survival(begun, place, paths.per_day, years)
        found[name] = {
            "total": curve.total,
            "drawdown": curve.drawdown,
            "calmar": curve.calmar,
            "liquidations_per_1000_days": float("nan") if lives is None else lives.liquidations,
            "survived": float("nan") if lives is None else lives.survived.share,
        }
    return found
