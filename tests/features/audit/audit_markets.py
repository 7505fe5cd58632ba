"""A market with nothing wrong in it, and ways to spoil one thing at a time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.audit import Audit, Finding, audit_market
from features.raw import INTERVALS, RawMarket, Series, interval_delta

__all__ = [
    "LONG",
    "MARKET",
    "START",
    "audited",
    "clean",
    "close_of",
    "found",
    "kinds",
    "needs_market",
    "now_of",
    "with_bars",
    "with_table",
]

LONG = os.environ.get("BEARMODE_TIER") == "long"
MARKET = Path(__file__).resolve().parents[4] / "shared" / "market"
"""Real history beside the checkout; optional."""
needs_market = pytest.mark.skipif(not MARKET.is_dir(), reason="the real history is not beside the checkout")

START = pd.Timestamp("2022-01-03", tz="UTC").as_unit("ms")


def clean(days: int = 100, interval: str = "1h", *, seed: int = 1, symbol: str = "TESTUSDT") -> RawMarket:
    """Calm normal returns, every bar, settlement and day there, all of it up to the last bar's close."""
    rng = np.random.default_rng(seed)
    hours = INTERVALS[interval]
    n = days * 24 // hours
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.004 * np.sqrt(hours), n)))
    opened = np.concatenate(([100.0], close[:-1]))
    wick = np.abs(rng.normal(0, 0.001 * np.sqrt(hours), (2, n)))
    bars = pd.DataFrame(
        {
            "open_time": pd.date_range(START, periods=n, freq=f"{hours}h", unit="ms"),
            "open": opened,
            "high": np.maximum(opened, close) * (1 + wick[0]),
            "low": np.minimum(opened, close) * (1 - wick[1]),
            "close": close,
            "volume": rng.lognormal(3, 0.2, n),
        }
    )
    settled = pd.date_range(START, periods=days * 3 + 1, freq="8h", unit="ms")
    daily = pd.date_range(START, periods=days + 1, freq="D", unit="ms")
    funding = pd.DataFrame(
        {
            "time": settled,
            "funding_rate": rng.normal(1e-4, 1e-4, len(settled)),
            "funding_interval_hours": 8.0,
        }
    )
    interest = 1e9 * np.exp(np.cumsum(rng.normal(0, 0.03, len(daily))))
    return RawMarket(
        symbol,
        interval,
        bars,
        funding,
        pd.DataFrame({"time": daily, "open_interest_value": interest}),
        pd.DataFrame({"time": daily, "lsr_global": rng.lognormal(0, 0.1, len(daily))}),
        pd.DataFrame({"time": daily, "fear_greed": rng.integers(5, 95, len(daily)).astype(np.float64)}),
        source="simulated",
        extras={"put_call": Series(pd.DataFrame({"time": daily, "value": rng.normal(1, 0.1, len(daily))}))},
    )


def now_of(market: RawMarket) -> pd.Timestamp:
    """Ten minutes after the last bar's close."""
    return (
        pd.Timestamp(market.bars["open_time"].iloc[-1])
        + interval_delta(market.interval)
        + pd.Timedelta("10min")
    )


def audited(market: RawMarket, *, now: pd.Timestamp | None = None, against: RawMarket | None = None) -> Audit:
    """The audit just after the last close."""
    return audit_market(market, now=now_of(market) if now is None else now, against=against)


def found(market: RawMarket, kind: str, **options: Any) -> list[Finding]:
    """Findings of one kind."""
    return [one for one in audited(market, **options).findings if one.kind == kind]


def kinds(market: RawMarket, **options: Any) -> set[str]:
    """Kinds of all findings."""
    return {one.kind for one in audited(market, **options).findings}


def with_table(market: RawMarket, name: str, table: pd.DataFrame | None) -> RawMarket:
    """The market with one of its tables replaced."""
    changes: dict[str, Any] = {name: table}
    return replace(market, **changes)


def with_bars(market: RawMarket, rows: int | list[int] | slice, **values: Any) -> RawMarket:
    """The market with some cells of its bars replaced; a function is given the cell's value."""
    bars = market.bars.copy()
    for name, value in values.items():
        column = bars[name].to_numpy(copy=True)
        column[rows] = value(column[rows]) if callable(value) else value
        bars[name] = column
    return with_table(market, "bars", bars)


def close_of(market: RawMarket, row: int) -> pd.Timestamp:
    """Close of a bar."""
    return pd.Timestamp(market.bars["open_time"].iloc[row]) + interval_delta(market.interval)
