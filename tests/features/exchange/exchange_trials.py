"""A small simulated market, and one way to ask a venue for it quickly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import pandas as pd
from fake_exchange import Fake

from features.raw import RawMarket
from features.sources.exchange import EXCHANGES, Exchange, Fetched, Patience
from features.sources.simulated import simulate

__all__ = [
    "ALL",
    "BARS",
    "BEGIN",
    "FUNDING",
    "INTEREST",
    "LIST",
    "LONG",
    "NOW",
    "QUICK",
    "RATIO",
    "SINCE",
    "VENUES",
    "after",
    "asking",
    "assert_same",
    "entry_of",
    "everything",
    "fetched",
    "market",
    "utc",
]

LONG = os.environ.get("BEARMODE_TIER") == "long"
"""Full counts for properties."""
VENUES = tuple(EXCHANGES)
ALL = ("bars", "funding", "open_interest", "positioning", "taker_volume")
QUICK = Patience(attempts=3, first_wait=0.001, timeout=5.0, pace=0.0)
"""No waiting for a server that is our own."""


def utc(text: str) -> pd.Timestamp:
    """A UTC time from ISO text."""
    return pd.Timestamp(text, tz="UTC").as_unit("ms")


BEGIN, NOW = utc("2024-03-01"), utc("2024-06-20 10:20")


BARS = {"binanceusdm": "klines", "okx": "candles", "bybit": "kline"}
FUNDING = {"binanceusdm": "fundingRate", "okx": "funding-rate-history", "bybit": "funding/history"}
INTEREST = {"binanceusdm": "openInterestHist", "okx": "open-interest-history", "bybit": "open-interest"}
RATIO = {"binanceusdm": "globalLongShort", "okx": "account-ratio", "bybit": "account-ratio"}
LIST = {"binanceusdm": "exchangeInfo", "okx": "instruments", "bybit": "instruments-info"}
"""What the paths of each question hold, by exchange."""


@cache
def market() -> Mapping[str, RawMarket]:
    """Hourly bars, funding, daily open interest and positioning of two contracts."""
    return simulate(["BTCUSDT", "ETHUSDT"], since=BEGIN, until=utc("2024-06-25")).markets


@contextmanager
def asking(fake: Fake, exchange: str, patience: Patience = QUICK) -> Iterator[Exchange]:
    """The exchange of that name, as the fake plays it."""
    with Exchange(exchange, url=fake.url, now=fake.clock, patience=patience) as asked:
        yield asked


def everything(since: pd.Timestamp) -> dict[str, pd.Timestamp | None]:
    """All kinds after one time."""
    return dict.fromkeys(ALL, since)


def fetched(
    fake: Fake,
    exchange: str,
    since: Mapping[str, pd.Timestamp | None],
    *,
    symbol: str = "BTCUSDT",
    interval: str = "1h",
    until: pd.Timestamp | None = None,
    patience: Patience = QUICK,
) -> Fetched:
    """One fetch over a line of its own."""
    with asking(fake, exchange, patience) as asked:
        return asked.fetch(symbol, interval, since=since, until=until or fake.clock())


def after(result: Fetched, otherwise: Mapping[str, pd.Timestamp | None]) -> dict[str, pd.Timestamp | None]:
    """``since`` of the next fetch: the newest row of each table, else what it was."""
    found = dict(otherwise)
    for kind, table in result.tables.items():
        name = "bars" if kind.startswith("bars") else kind
        found[name] = table["open_time" if name == "bars" else "time"].iloc[-1]
    return found


def entry_of(result: Fetched, kind: str, subject: str) -> Any:
    (entry,) = [e for e in result.ledger if (e.kind, e.subject) == (kind, subject)]
    return entry


def assert_same(result: Fetched, true: Fetched) -> None:
    """The same tables to the bit."""
    assert set(result.tables) == set(true.tables)
    for kind, table in true.tables.items():
        pd.testing.assert_frame_equal(result.tables[kind], table, check_exact=True)


SINCE = everything(utc("2024-06-10"))
"""Ten days of everything."""
