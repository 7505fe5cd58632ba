"""What a source hands over: the raw tables of one symbol, each row with the time it was known.

The tables stay as they came (real settlements, real publication times); joining them to bars is
:mod:`features.history`'s work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

__all__ = ["INTERVALS", "LedgerEntry", "RawMarket", "Series", "bars_per_day", "interval_delta"]

INTERVALS: dict[str, int] = {"1h": 1, "4h": 4, "1d": 24}
"""Supported bar intervals and their hours."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One thing that is missing, stale, refused or ignored, by name.

    Attributes
    ----------
    kind : str
        ``missing_bars``, ``stale_value``, ``no_data``, ``ignored_file``, ``ignored_column``,
        ``snapped_interval`` or another snake-case name.
    subject : str
        The table, column or file it is about.
    start, end : pandas.Timestamp or None
        First and last bar CLOSE touched, UTC, both included.
    count : int
        How many bars or rows.
    detail : str
        In words.
    """

    kind: str
    subject: str
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    count: int = 0
    detail: str = ""

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form; times as ISO 8601 with ``Z``."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "start": None if self.start is None else self.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "end": None if self.end is None else self.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "count": self.count,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class Series:
    """One optional signal.

    Attributes
    ----------
    table : pandas.DataFrame
        ``time`` (UTC, when the value was KNOWN) and ``value`` (float64).
    stale_after_hours : float
        A value older than this at a bar's close does not join it.
    """

    table: pd.DataFrame
    stale_after_hours: float = 48.0


@dataclass(frozen=True)
class RawMarket:
    """The raw tables of one symbol. All times tz-aware UTC.

    Attributes
    ----------
    symbol : str
        Such as ``BTCUSDT``.
    interval : str
        ``1h``, ``4h`` or ``1d``.
    bars : pandas.DataFrame
        ``open_time, open, high, low, close, volume``; ``open_time`` is the bar's OPEN, prices in
        the quote currency, volume in coins.
    funding : pandas.DataFrame or None
        ``time, funding_rate, funding_interval_hours``; ``time`` is the settlement, the rate a
        fraction per interval, positive when longs pay shorts.
    open_interest : pandas.DataFrame or None
        ``time, open_interest_value``; USD, ``time`` is when the value was known.
    positioning : pandas.DataFrame or None
        ``time`` (when known) and any of ``liq_long_usd, liq_short_usd, lsr_global,
        taker_buy_usd, taker_sell_usd`` (daily sums in USD; ratio of accounts) and, from 5-minute
        sources, ``lsr_top_accounts, lsr_top_positions, taker_ratio``.
    fear_greed : pandas.DataFrame or None
        ``time`` (when known: the day's end), ``fear_greed`` (0 to 100).
    source : str
        The venue of the rows: ``binance``, ``okx``, ``bybit``, or ``files``, ``simulated``; rows of
        different venues never mix, and the answer says ``simulated`` wherever it matters.
    ledger : tuple of LedgerEntry
        What the source itself left out.
    extras : mapping of str to Series
        Optional signals by name: ``put_call``, ``exchange_inflow``, a user's own.
    """

    symbol: str
    interval: str
    bars: pd.DataFrame
    funding: pd.DataFrame | None = None
    open_interest: pd.DataFrame | None = None
    positioning: pd.DataFrame | None = None
    fear_greed: pd.DataFrame | None = None
    source: str = "files"
    ledger: tuple[LedgerEntry, ...] = field(default=())
    extras: Mapping[str, Series] = field(default_factory=dict)


def interval_delta(interval: str) -> pd.Timedelta:
    """Length of one bar.

    Raises
    ------
    KeyError
        For an interval that is not supported; callers check against :data:`INTERVALS`.

    Examples
    --------
    >>> interval_delta("4h")
    Timedelta('0 days 04:00:00')
    """
    return pd.Timedelta(hours=INTERVALS[interval])


def bars_per_day(interval: str) -> int:
    """Bars in one UTC day: 24, 6 or 1."""
    return 24 // INTERVALS[interval]
