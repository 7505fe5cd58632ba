"""Small synthetic markets for the tests of this room, and where the real history lies."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from features.history import History
from features.raw import INTERVALS, RawMarket

__all__ = [
    "LONG",
    "MARKET",
    "FloatArray",
    "bar_table",
    "frame_bits",
    "history",
    "needs_market",
    "raw_market",
    "utc",
    "with_table",
]

FloatArray = npt.NDArray[np.float64]

LONG = os.environ.get("BEARMODE_TIER") == "long"
"""Full counts for properties and faults."""

MARKET = Path(__file__).resolve().parents[3] / "shared" / "market"
"""Real history beside the checkout; optional."""

needs_market = pytest.mark.skipif(not MARKET.is_dir(), reason="the real history is not beside the checkout")


def utc(text: str) -> pd.Timestamp:
    """A UTC time from ISO text."""
    return pd.Timestamp(text, tz="UTC").as_unit("ms")


def bar_table(n: int, interval: str = "1h", *, seed: int = 1, start: str = "2022-01-03") -> pd.DataFrame:
    """``n`` bars of a fat-tailed random walk with valid prices; ``start`` is the first OPEN."""
    rng = np.random.default_rng(seed)
    hours = INTERVALS[interval]
    steps = rng.standard_t(4, n) * 0.006 * np.sqrt(hours)
    close = 100 * np.exp(np.cumsum(steps))
    opened = np.concatenate(([100.0], close[:-1]))
    wick = np.abs(rng.normal(0, 0.003 * np.sqrt(hours), (2, n)))
    return pd.DataFrame(
        {
            "open_time": pd.date_range(start, periods=n, freq=f"{hours}h", tz="UTC", unit="ms"),
            "open": opened,
            "high": np.maximum(opened, close) * (1 + wick[0]),
            "low": np.minimum(opened, close) * (1 - wick[1]),
            "close": close,
            "volume": rng.lognormal(3, 0.8, n),
        }
    )


def raw_market(n: int, interval: str = "1h", *, seed: int = 1, start: str = "2022-01-03") -> RawMarket:
    """Bars with 8-hourly funding, daily open interest, positioning and fear & greed over their span."""
    rng = np.random.default_rng(seed + 1000)
    bars = bar_table(n, interval, seed=seed, start=start)
    first = bars["open_time"].iloc[0].floor("D")
    end = bars["open_time"].iloc[-1] + pd.Timedelta(hours=INTERVALS[interval])
    settled = pd.date_range(first, end, freq="8h", unit="ms")
    days = pd.date_range(first, end, freq="D", unit="ms")
    funding = pd.DataFrame(
        {
            "time": settled,
            "funding_rate": np.round(1e-4 + 4e-4 * rng.standard_t(4, len(settled)), 8),
            "funding_interval_hours": np.full(len(settled), 8.0),
        }
    )
    interest = 1e9 * np.exp(np.cumsum(rng.normal(0, 0.04, len(days))))
    return RawMarket(
        "TESTUSDT",
        interval,
        bars,
        funding,
        pd.DataFrame({"time": days, "open_interest_value": interest}),
        pd.DataFrame({"time": days, "lsr_global": rng.lognormal(0, 0.2, len(days))}),
        pd.DataFrame({"time": days, "fear_greed": rng.integers(5, 95, len(days)).astype(np.float64)}),
    )


def history(
    n: int,
    interval: str = "1h",
    *,
    seed: int = 1,
    missing: tuple[int, ...] = (),
    start: str = "2022-01-03",
) -> History:
    """The joined history of :func:`raw_market`, with the bars of the rows ``missing`` taken out."""
    raw = raw_market(n, interval, seed=seed, start=start)
    bars = raw.bars.drop(index=list(missing)).reset_index(drop=True)
    return History.from_raw(
        RawMarket(raw.symbol, interval, bars, raw.funding, raw.open_interest, raw.positioning, raw.fear_greed)
    )


def with_table(raw: RawMarket, name: str, table: pd.DataFrame) -> RawMarket:
    """The market with one of its tables replaced, by name."""
    changes: dict[str, Any] = {name: table}
    return replace(raw, **changes)


def frame_bits(frame: pd.DataFrame) -> bytes:
    """The values of a float frame to the last bit, NaN included."""
    return np.ascontiguousarray(frame.to_numpy(np.float64)).tobytes()
