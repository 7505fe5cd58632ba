"""Stores to audit: one small market after another, some of them spoilt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from features.raw import LedgerEntry, RawMarket
from features.store import Store
from training.settings import Places

__all__ = ["HOSTILE", "NOW", "market", "places_at", "spoilt", "store_with"]

START = pd.Timestamp("2024-01-01", tz="UTC").as_unit("ms")
DAYS = 60
NOW = START + pd.Timedelta(DAYS, unit="D") + pd.Timedelta("5min")
HOSTILE = '<script>alert(1)</script> & "quoted" [red]markup[/red] {{ 7 * 7 }} \''
"""What an unfriendly source may call its files."""


def market(symbol: str, seed: int = 1) -> RawMarket:
    """Sixty days of hourly bars with nothing wrong."""
    rng = np.random.default_rng(seed)
    n = DAYS * 24
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.004, n)))
    opened = np.concatenate(([50.0], close[:-1]))
    bars = pd.DataFrame(
        {
            "open_time": pd.date_range(START, periods=n, freq="h", unit="ms"),
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": rng.lognormal(3, 0.2, n),
        }
    )
    settled = pd.date_range(START, periods=DAYS * 3 + 1, freq="8h", unit="ms")
    days = pd.date_range(START, periods=DAYS + 1, freq="D", unit="ms")
    return RawMarket(
        symbol,
        "1h",
        bars,
        pd.DataFrame({"time": settled, "funding_rate": 1e-4, "funding_interval_hours": 8.0}),
        pd.DataFrame({"time": days, "open_interest_value": np.linspace(1e9, 2e9, len(days))}),
        source="files",
    )


def spoilt(symbol: str, seed: int = 1) -> RawMarket:
    """The same with ten bars missing, one bad print, and a ledger of a source that means no good."""
    clean = market(symbol, seed)
    bars = clean.bars.copy()
    bars.loc[700, ["open", "high", "low", "close"]] *= 1.5
    entry = LedgerEntry("refused_file", HOSTILE, START, START + pd.Timedelta("1D"), 24, HOSTILE)
    return replace(clean, bars=bars.drop(index=range(300, 310)).reset_index(drop=True), ledger=(entry,))


def store_with(root: Path, *markets: RawMarket) -> Store:
    """A store that holds these markets."""
    store = Store(root)
    with store.writing():
        for one in markets:
            store.write(one)
    return store


def places_at(root: Path) -> Places:
    """Places whose store is there."""
    return Places(store=root, bundles=root.parent / "bundles", mlruns=root.parent / "mlruns")
