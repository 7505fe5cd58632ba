"""The simulated market as a source: seeded, reproducible, with known regimes.

Four states (:data:`features.sources.semi_markov.STATES`) that all symbols share last as long as a
semi-Markov chain says; given the state and the observed past, every bar's return, funding rate and
change of open interest has a closed-form density (:mod:`features.sources.simulated_density`). The
same seed gives the same history on every machine: prices are rounded to the tick, the rest to eight
digits. See ``docs/simulated-market.md``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.errors import NothingUsableError, UsageError
from features.raw import INTERVALS, RawMarket, interval_delta
from features.sources.simulated_parameters import LEADER, SimulationParameters
from features.sources.simulated_path import Path, draw_path, random_stream, significant_all
from features.sources.simulated_tables import (
    bar_table,
    fear_greed_table,
    funding_table,
    open_interest_table,
    positioning_table,
)

__all__ = ["SIMULATED_SYMBOLS", "Simulation", "load_simulated", "simulate"]

SIMULATED_SYMBOLS: tuple[str, ...] = (LEADER, "SIMETH", "SIMSOL")
"""Symbols of the demonstration; any other name that matches ``^[A-Z0-9]{2,24}$`` works too."""

START = pd.Timestamp("2021-01-01", tz="UTC")
END = pd.Timestamp("2025-01-01", tz="UTC")
_HOUR = pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Simulation:
    """A simulated history and what only the simulator knows.

    Attributes
    ----------
    markets : dict of str to RawMarket
        As a source hands it over; nothing in it names a state.
    states : dict of str to pandas.DataFrame
        ``time`` (bar close), ``state`` (index into ``STATES``) and ``age`` (hourly bars of the spell
        so far, this one included) of each bar; for tests and documentation only.
    parameters : SimulationParameters
        What a Bayes filter may know.
    """

    markets: dict[str, RawMarket]
    states: dict[str, pd.DataFrame]
    parameters: SimulationParameters


def simulate(
    symbols: Sequence[str],
    *,
    seed: int = 7,
    since: pd.Timestamp = START,
    until: pd.Timestamp = END,
    interval: str = "1h",
    parameters: SimulationParameters | None = None,
) -> Simulation:
    """Simulate a market.

    Parameters
    ----------
    symbols : sequence of str
        Names; a symbol's history depends on its name, the seed and ``since``, not on the others.
    seed : int, default=7
        Non-negative.
    since : pandas.Timestamp
        Open of the first bar, a whole UTC hour: the process starts there.
    until : pandas.Timestamp
        Bars close before it. A later one only appends.
    interval : {"1h", "4h", "1d"}
        Longer bars are aggregated from the hourly ones and aligned to UTC midnight.
    parameters : SimulationParameters, optional
        The documented ones by default.

    Returns
    -------
    Simulation

    Raises
    ------
    UsageError
        For a bad name, a double name, an unknown interval, a naive or uneven time.
    NothingUsableError
        If no whole bar lies between ``since`` and ``until``.

    Examples
    --------
    >>> week = simulate(["SIMBTC"], until=pd.Timestamp("2021-01-08", tz="UTC"))
    >>> list(week.markets["SIMBTC"].bars.columns)
    ['open_time', 'open', 'high', 'low', 'close', 'volume']
    >>> len(week.markets["SIMBTC"].bars), list(week.states["SIMBTC"].columns)
    (167, ['time', 'state', 'age'])
    """
    _check(symbols, seed, since, until, interval)
    parameters = parameters or SimulationParameters()
    n_bars = int((until - since - pd.Timedelta(1, unit="ns")) // _HOUR)
    if n_bars < INTERVALS[interval]:
        raise NothingUsableError(f"no whole {interval} bar closes between {since} and {until}")
    open_times = pd.date_range(since, periods=n_bars, freq=_HOUR, unit="ns")
    closes_at = open_times + _HOUR
    hours = np.asarray(closes_at.hour, dtype=np.int64)
    states, ages = parameters.regimes.sample(random_stream(seed, "market", "spells"), n_bars)
    leader = draw_path(parameters.of(LEADER), states, hours, seed)
    mood = fear_greed_table(leader, closes_at, seed)
    truth = pd.DataFrame({"time": closes_at, "state": states, "age": ages})
    markets, truths = {}, {}
    for symbol in symbols:
        path = leader if symbol == LEADER else draw_path(parameters.of(symbol), states, hours, seed, leader)
        hourly = _market(parameters, symbol, path, open_times, mood, seed)
        markets[symbol] = hourly if interval == "1h" else _aggregated(hourly, interval)
        closes = pd.DatetimeIndex(markets[symbol].bars["open_time"]) + interval_delta(interval)
        truths[symbol] = truth[truth["time"].isin(closes)].reset_index(drop=True)
    return Simulation(markets, truths, parameters)


def load_simulated(
    symbols: Sequence[str],
    *,
    interval: str = "1h",
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    seed: int = 7,
) -> list[RawMarket]:
    """Load markets of the simulation that starts at 2021-01-01, cut to the span asked for.

    Parameters
    ----------
    since, until : pandas.Timestamp, optional
        On bar closes, ``since`` included and ``until`` excluded; 2021-01-01 and 2025-01-01 by
        default. The simulated history has nothing before 2021, and a bar is the same whatever the span.

    Raises
    ------
    UsageError, NothingUsableError
        As :func:`simulate`; also if no bar closes in the span.
    """
    end = END if until is None else until
    if end <= START:
        raise NothingUsableError(
            f"the simulated history starts at {START:%Y-%m-%d}, nothing closes before {end}",
            hint="choose a later --until",
        )
    markets = simulate(symbols, seed=seed, until=end, interval=interval).markets
    cut = [market if since is None else _since(market, since) for market in markets.values()]
    if any(market.bars.empty for market in cut):
        raise NothingUsableError(f"no {interval} bar closes from {since} to before {end}")
    return cut


def _check(
    symbols: Sequence[str], seed: int, since: pd.Timestamp, until: pd.Timestamp, interval: str
) -> None:
    if not symbols:
        raise UsageError("no symbols given, expected at least one", hint="for example SIMBTC,SIMETH,SIMSOL")
    for symbol in symbols:
        if not re.fullmatch(r"[A-Z0-9]{2,24}", symbol):
            raise UsageError(f"symbol {symbol!r} is not 2 to 24 capital letters and digits", field="symbols")
    if len(set(symbols)) != len(symbols):
        raise UsageError(f"symbols {list(symbols)} name one twice", field="symbols")
    if interval not in INTERVALS:
        raise UsageError(f"interval is {interval!r}, expected one of {list(INTERVALS)}", field="interval")
    if seed < 0:
        raise UsageError(f"seed is {seed}, expected 0 or more", field="seed")
    for name, moment in (("since", since), ("until", until)):
        if moment.tzinfo is None:
            raise UsageError(f"{name} {moment} has no time zone, expected UTC", field=name)
    if since != since.floor("h"):
        raise UsageError(f"since {since} is not a whole hour", field="since")


def _market(
    parameters: SimulationParameters,
    symbol: str,
    path: Path,
    open_times: pd.DatetimeIndex,
    mood: pd.DataFrame,
    seed: int,
) -> RawMarket:
    closes_at = open_times + _HOUR
    bars = bar_table(parameters.of(symbol), path, open_times, seed)
    turnover = (bars["volume"] * bars["close"]).to_numpy(dtype=np.float64)
    return RawMarket(
        symbol=symbol,
        interval="1h",
        bars=bars,
        funding=funding_table(path, closes_at),
        open_interest=open_interest_table(path, closes_at),
        positioning=positioning_table(symbol, path, closes_at, turnover, seed),
        fear_greed=mood,
        source="simulated",
    )


def _aggregated(market: RawMarket, interval: str) -> RawMarket:
    """Whole bars of a longer interval, aligned to UTC midnight."""
    grouped = market.bars.groupby(market.bars["open_time"].dt.floor(interval_delta(interval)))
    bars = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    bars["volume"] = significant_all(bars["volume"].to_numpy(dtype=np.float64))
    whole = bars[grouped.size() == INTERVALS[interval]]
    return replace(market, interval=interval, bars=whole.rename_axis("open_time").reset_index())


def _since(market: RawMarket, since: pd.Timestamp) -> RawMarket:
    """Rows known at or after ``since``."""

    def later(table: pd.DataFrame | None) -> pd.DataFrame | None:
        return None if table is None else table[table["time"] >= since].reset_index(drop=True)

    closes = market.bars["open_time"] + interval_delta(market.interval)
    return replace(
        market,
        bars=market.bars[closes >= since].reset_index(drop=True),
        funding=later(market.funding),
        open_interest=later(market.open_interest),
        positioning=later(market.positioning),
        fear_greed=later(market.fear_greed),
    )
