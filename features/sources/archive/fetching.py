"""A symbol from the archive into a store: the task that runs once for each symbol."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pandas as pd

from features.errors import BearmodeError, LockedError, UsageError
from features.parallel.outcomes import Tell
from features.raw import INTERVALS
from features.sources.archive.layout import FIRST_KLINES, HOUR_MS, VENUE
from features.sources.archive.notes import Span
from features.sources.archive.report import FetchReport
from features.sources.archive.settings import ArchiveSettings
from features.store import Store

__all__ = ["fetch_symbol"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def fetch_symbol(
    symbol: str,
    tell: Tell | None = None,
    *,
    store_root: Path | str,
    settings: ArchiveSettings | None = None,
    interval: str = "1h",
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    now: pd.Timestamp | None = None,
) -> FetchReport:
    """Bring bars, funding and metrics of a symbol from the archive into a store.

    Only what the store has not read yet is downloaded; each zip is verified before a byte of it is
    used; a killed run is taken up where it was. The caller, or the process that started this one,
    holds :meth:`features.store.Store.writing`.

    Parameters
    ----------
    symbol : str
        As the exchange spells it: ``BTCUSDT``.
    tell : callable, optional
        Told ``(symbol, steps done, steps in all)``.
    store_root : Path or str
        Folder or URL of the store.
    settings : ArchiveSettings, optional
    interval : str
        Of the bars: ``1h``, ``4h`` or ``1d``.
    since, until : pandas.Timestamp, optional
        Bounds on bar closes, and on the times of other rows; ``since`` included, ``until`` not.
        From 2019-09 until now by default.
    now : pandas.Timestamp, optional
        Only months and days that are over are asked for.

    Returns
    -------
    FetchReport

    Raises
    ------
    UsageError
        For dates the wrong way round or an interval that is none.
    NothingUsableError
        If the archive has no usable bars of the symbol in the span.
    DataError
        ``mixed_sources``, before anything is downloaded, if the store holds the symbol from
        another venue; ``damaged_store``, ``newer_store``.
    LockedError
        If another process turns out to be at work on the symbol.
    BearmodeError
        ``archive_unreachable``, ``archive_rate_limited``, ``archive_restricted``, ``disk_full``.
    """
    # The HTTP client takes long to import, and many import this package who fetch nothing.
    from features.sources.archive.bringing import bring_symbol  # noqa: PLC0415
    from features.sources.archive.downloads import Downloads  # noqa: PLC0415

    settings = settings or ArchiveSettings()
    wanted, moment = _wanted(interval, since, until, now)
    store = Store(store_root)
    store.check_source(symbol, VENUE)
    downloads = Downloads(store.downloads / symbol)

    try:
        report = asyncio.run(
            bring_symbol(
                symbol,
                store,
                downloads,
                settings,
                interval=interval,
                wanted=wanted,
                since_given=since is not None,
                now=moment,
                tell=tell,
            )
        )
    except FileNotFoundError as error:
        raise LockedError(
            f"{symbol}: a download has vanished from {downloads.folder}: another process works on the symbol",
            hint="run the command again when the other one has ended",
        ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise BearmodeError(
            f"{symbol}: the disk is full below {downloads.folder}: {error.strerror}",
            code="disk_full",
            hint="make room and run the command again: what is in the store is whole, and goes on from there",
        ) from error
    downloads.clear()
    return report


def _wanted(
    interval: str, since: pd.Timestamp | None, until: pd.Timestamp | None, now: pd.Timestamp | None
) -> tuple[Span, int]:
    """Span of bar closes, and now, in milliseconds."""
    if interval not in INTERVALS:
        raise UsageError(
            f"interval is {interval!r}, expected one of {', '.join(INTERVALS)}", field="interval"
        )
    moment = _milliseconds(now if now is not None else pd.Timestamp.now(tz="UTC"))
    if since is not None and until is not None and since >= until:
        raise UsageError(f"--since {since} is not before --until {until}", field="since")
    first = FIRST_KLINES.start + INTERVALS[interval] * HOUR_MS
    start = first if since is None else max(first, _milliseconds(since))
    end = moment + 1 if until is None else min(moment + 1, _milliseconds(until))
    if start >= end:
        words = f"until {until}" if until is not None and end <= first else f"since {since}"
        raise UsageError(
            f"there can be no bar {words}: the archive is from 2019-09-01 until now", field="since"
        )
    return Span(start, end), moment


def _milliseconds(time: pd.Timestamp) -> int:
    if time.tzinfo is None:
        raise UsageError(f"{time} has no time zone, expected UTC", field="since")
    return int(time.as_unit("ns").value // 1_000_000)
