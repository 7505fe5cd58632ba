"""Where the public archive of Binance keeps what: datasets, periods, file names and paths.

    data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip
    data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01-05.zip
    data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-01.zip
    data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2024-01-05.zip

each with its SHA-256 in ``<name>.CHECKSUM``. Times inside this package are whole UTC milliseconds.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from features.raw import INTERVALS

__all__ = [
    "ARCHIVE_URL",
    "DATASETS",
    "DAY_MS",
    "FIRST_KLINES",
    "FIRST_METRICS",
    "HOUR_MS",
    "VENUE",
    "ArchiveFile",
    "Period",
    "days",
    "months",
    "parse_name",
]

ARCHIVE_URL = "https://data.binance.vision"
VENUE = "binance"
"""Source of its rows in the store."""
DATASETS = ("klines", "fundingRate", "metrics")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_EPOCH = dt.date(1970, 1, 1)
_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9]{2,24})-(?P<what>fundingRate|metrics|\d{1,2}[smhdw]|\d{1,2}mo)"
    r"-(?P<period>\d{4}-\d{2}(?:-\d{2})?)(?:\.csv|\.zip)?"
)


def _milliseconds(day: dt.date) -> int:
    return (day - _EPOCH).days * DAY_MS


@dataclass(frozen=True, order=True, slots=True)
class Period:
    """One UTC month or day; periods order by their start.

    Attributes
    ----------
    start, end : int
        UTC milliseconds, ``start`` included, ``end`` not.
    name : str
        ``2024-01`` or ``2024-01-05``.
    """

    start: int
    end: int
    name: str

    @classmethod
    def month(cls, year: int, month: int) -> Period:
        """One month."""
        after = dt.date(year + month // 12, month % 12 + 1, 1)
        return cls(_milliseconds(dt.date(year, month, 1)), _milliseconds(after), f"{year:04d}-{month:02d}")

    @classmethod
    def parse(cls, name: str) -> Period:
        """The period of a name.

        Raises
        ------
        ValueError
            If there is no such month or day.

        Examples
        --------
        >>> Period.parse("2024-02").day_names()[-1]
        '2024-02-29'
        """
        parts = [int(part) for part in name.split("-")]
        if len(parts) == 2:
            return cls.month(*parts)
        start = _milliseconds(dt.date(*parts))
        return cls(start, start + DAY_MS, name)

    @property
    def is_month(self) -> bool:
        """Whether it is a month."""
        return len(self.name) == 7

    @property
    def month_name(self) -> str:
        """The month it is in, or is."""
        return self.name[:7]

    def days(self) -> list[Period]:
        """Its days, oldest first."""
        return days(self.start, self.end)

    def day_names(self) -> list[str]:
        """Names of its days, oldest first."""
        return [day.name for day in self.days()]


FIRST_KLINES = Period.month(2019, 9)
"""The venue's first month."""
FIRST_METRICS = Period.month(2020, 9)
"""The first month with 5-minute metrics."""


def days(start: int, end: int) -> list[Period]:
    """UTC days that meet the span ``start <= time < end`` (milliseconds), oldest first."""
    first, after = start // DAY_MS, -(-end // DAY_MS)
    return [
        Period(number * DAY_MS, (number + 1) * DAY_MS, (_EPOCH + dt.timedelta(number)).isoformat())
        for number in range(first, after)
    ]


def months(start: int, end: int) -> list[Period]:
    """UTC months that meet the span ``start <= time < end`` (milliseconds), oldest first.

    Examples
    --------
    >>> [month.name for month in months(Period.parse("2023-12-31").start, Period.parse("2024-02").start)]
    ['2023-12', '2024-01']
    """
    found = []
    day = _EPOCH + dt.timedelta(start // DAY_MS)
    month = Period.month(day.year, day.month)
    while month.start < end:
        found.append(month)
        day = _EPOCH + dt.timedelta(month.end // DAY_MS)
        month = Period.month(day.year, day.month)
    return found


@dataclass(frozen=True, order=True, slots=True)
class ArchiveFile:
    """One file of the archive.

    Attributes
    ----------
    symbol : str
    dataset : {"klines", "fundingRate", "metrics"}
    interval : str
        Of klines; empty for the others.
    period : Period
    """

    symbol: str
    dataset: str
    interval: str
    period: Period

    @property
    def name(self) -> str:
        """Name of the zip file."""
        return f"{self.symbol}-{self.interval or self.dataset}-{self.period.name}.zip"

    @property
    def path(self) -> str:
        """Path below the archive's address."""
        span = "monthly" if self.period.is_month else "daily"
        folder = f"{self.symbol}/{self.interval}" if self.interval else self.symbol
        return f"data/futures/um/{span}/{self.dataset}/{folder}/{self.name}"

    @property
    def scope(self) -> str:
        """Name of the dataset in ledgers: ``klines-1h``, ``fundingRate``, ``metrics``."""
        return f"{self.dataset}-{self.interval}" if self.interval else self.dataset

    @property
    def key(self) -> str:
        """Name in ledgers: ``klines-1h/2024-01``."""
        return f"{self.scope}/{self.period.name}"


def parse_name(name: str) -> ArchiveFile | None:
    """What a file's name says; ``None`` for a name that is not one of the archive's.

    Parameters
    ----------
    name : str
        Such as ``BTCUSDT-1h-2024-01.zip``; ``.csv`` and no suffix are the same.

    Examples
    --------
    >>> parse_name("BTCUSDT-metrics-2024-01-05.csv").path
    'data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2024-01-05.zip'
    >>> parse_name("notes.csv") is None
    True
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        period = Period.parse(found["period"])
    except ValueError:
        return None
    what = found["what"]
    if what in DATASETS:
        return ArchiveFile(found["symbol"], what, "", period)
    return ArchiveFile(found["symbol"], "klines", what, period) if what in INTERVALS else None
