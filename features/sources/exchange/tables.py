"""Rows of a venue to tables: once each, oldest first, in range; what is left out is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bar_rules import PRICE_COLUMNS, RANGES, Range
from features.raw import LedgerEntry
from features.sources.exchange.paging import Row

__all__ = ["BAR_COLUMNS", "bar_table", "funding_table", "runs", "series_table", "stamp", "stamps"]

BAR_COLUMNS = ("open_time", *PRICE_COLUMNS, "volume", "quote_volume", "taker_buy_quote_volume")
"""Columns of a bar row; a venue may leave out the last two."""
_MINUTE, _HOUR = 60_000, 3_600_000
_SNAP = np.array([1.0, 2.0, 4.0, 8.0])

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def stamp(at: int) -> pd.Timestamp:
    """UTC time of a Unix ms."""
    return pd.Timestamp(at, unit="ms", tz="UTC").as_unit("ms")


def stamps(times: pd.Series) -> Ints:
    """Unix ms of UTC times."""
    return np.asarray(pd.DatetimeIndex(times).as_unit("ms").asi8)


def bar_table(
    rows: Sequence[Row], kind: str, step: int, complete: int
) -> tuple[pd.DataFrame, list[LedgerEntry]]:
    """Bars that are complete and keep the rules of bars.

    Parameters
    ----------
    rows : sequence of Row
        As :data:`BAR_COLUMNS`.
    kind : str
        ``bars_1h`` and so on; the subject of the ledger entries.
    step : int
        Length of a bar, ms.
    complete : int
        Open of the last bar that is complete; one that opens later is still forming.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`BAR_COLUMNS` that were there.
    list of LedgerEntry
        Times are bar closes.
    """
    columns = BAR_COLUMNS[: len(rows[0])] if rows else BAR_COLUMNS[:6]
    frame, ledger = _once(rows, columns, kind, shift=step)
    opens = _stamps(frame)
    forming = opens > complete
    if forming.any():
        ledger.append(_entry("forming_bar", kind, opens[forming] + step, "still forming: left out"))
    frame, opens = frame.loc[~forming], opens[~forming]
    prices = frame[list(PRICE_COLUMNS)].to_numpy(np.float64)
    volume = frame["volume"].to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        faults: dict[str, Bools] = {
            "off the UTC grid": opens % step != 0,
            "with a bad price": ~(np.isfinite(prices) & (prices > 0)).all(axis=1),
            "whose high and low do not hold open and close": (prices[:, 1] < prices.max(axis=1))
            | (prices[:, 2] > prices.min(axis=1)),
            "with a bad volume": np.isinf(volume) | (volume < 0),
        }
    frame = _kept(frame, faults, kind, ledger, shift=step)
    for name in columns[6:]:
        values = frame[name]
        frame[name] = values.where(np.isfinite(values) & (values >= 0))
    return _timed(frame, "open_time"), ledger


def series_table(
    rows: Sequence[Row], kind: str, columns: Mapping[str, str], *, lag: int, optional: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[LedgerEntry]]:
    """Rows of a statistic, each with the time when it was known.

    Parameters
    ----------
    rows : sequence of Row
        Stamp and one value for each of ``columns`` and ``optional``.
    kind : str
        Of the store; the subject of the ledger entries.
    columns : mapping of str to str
        Name to its entry in :data:`features.bar_rules.RANGES`; a row that breaks one is refused.
    lag : int
        From the stamp to the moment when the value counts as known, ms.
    optional : sequence of str
        Further columns, amounts: NaN where they cannot be meant.
    """
    frame, ledger = _once(rows, ("time", *columns, *optional), kind, shift=lag)
    faults = {}
    for name, meant in columns.items():
        allowed: Range = RANGES[meant]
        values = frame[name].to_numpy(np.float64)
        faults[f"whose {name} is not {allowed.words}"] = ~((values >= allowed.low) & (values <= allowed.high))
    frame = _kept(frame, faults, kind, ledger, shift=lag)
    for name in optional:
        frame[name] = frame[name].where(np.isfinite(frame[name]) & (frame[name] >= 0))
    return _timed(frame.assign(time=frame["time"] + lag), "time"), ledger


def funding_table(rows: Sequence[Row], since: int, until: int) -> tuple[pd.DataFrame, list[LedgerEntry]]:
    """Settlements after ``since`` with the hours since the one before.

    Parameters
    ----------
    rows : sequence of Row
        Stamp and rate; those before ``since`` only give the first interval.
    since, until : int
        Unix ms; a row is kept if ``since < time <= until``.
    """
    rounded = [((row[0] + _MINUTE // 2) // _MINUTE * _MINUTE, row[1]) for row in rows]
    shifted = sum(before[0] != after[0] for before, after in zip(rows, rounded, strict=True))
    frame, ledger = _once(rounded, ("time", "funding_rate"), "funding", shift=0)
    if shifted:
        detail = "stamps beside the minute are rounded to it"
        ledger.append(LedgerEntry("jittered_stamps", "funding", count=shifted, detail=detail))
    allowed = RANGES["funding_rate"]
    rate = frame["funding_rate"].to_numpy(np.float64)
    faults = {f"whose rate is not {allowed.words}": ~((rate >= allowed.low) & (rate <= allowed.high))}
    # Intervals first: a settlement with a bad rate still happened.
    times = _stamps(frame)
    hours, odd = _intervals(times)
    frame = frame.assign(funding_interval_hours=hours)
    wanted = (times > since) & (times <= until)
    if (odd & wanted).any():
        detail = "time since the settlement before, snapped to 1, 2, 4 or 8 h"
        ledger.append(_entry("snapped_interval", "funding", times[odd & wanted], detail))
    changed = np.r_[False, hours[1:] != hours[:-1]] & wanted & ~odd if len(hours) else wanted
    if changed.any():
        steps = ", ".join(f"{hours[i - 1]:g} to {hours[i]:g} h" for i in np.flatnonzero(changed)[:3])
        ledger.append(_entry("changed_interval", "funding", times[changed], f"from {steps}"))
    kept = _kept(
        frame.loc[wanted], {why: bad[wanted] for why, bad in faults.items()}, "funding", ledger, shift=0
    )
    return _timed(kept, "time"), ledger


def runs(opens: Ints, first: int, last: int, step: int) -> list[tuple[int, int]]:
    """Spans of opens between ``first`` and ``last``, both included, that are not there.

    Examples
    --------
    >>> runs(np.array([20, 40]), 0, 50, 10)
    [(0, 10), (30, 30), (50, 50)]
    """
    marks = np.concatenate(([first - step], opens, [last + step]))
    return [
        (int(before + step), int(after - step)) for before, after in pairwise(marks) if after - before > step
    ]


def _once(
    rows: Sequence[Row], columns: Sequence[str], kind: str, *, shift: int
) -> tuple[pd.DataFrame, list[LedgerEntry]]:
    """Rows as a frame, sorted, the last of doubled stamps; values float64, stamps int64."""
    frame = pd.DataFrame({name: [row[at] for row in rows] for at, name in enumerate(columns)})
    frame = frame.astype({columns[0]: "int64", **dict.fromkeys(columns[1:], "float64")})
    frame = frame.sort_values(columns[0], kind="stable")
    doubled = frame[columns[0]].duplicated(keep="last").to_numpy()
    if not doubled.any():
        return frame.reset_index(drop=True), []
    at = frame.loc[doubled, columns[0]].to_numpy(np.int64) + shift
    return frame.loc[~doubled].reset_index(drop=True), [
        _entry("double_rows", kind, at, "the last one is kept")
    ]


def _intervals(times: Ints) -> tuple[npt.NDArray[np.float64], Bools]:
    """Hours since the settlement before, snapped, and where that was no whole interval.

    The first one has none before it: it takes the interval of the second, or 8 hours.
    """
    if len(times) == 0:
        return np.empty(0), np.empty(0, bool)
    gaps = np.diff(times) / _HOUR
    first = gaps[0] if len(gaps) else 8.0
    since_last = np.r_[first, gaps]
    snapped = _SNAP[np.abs(since_last[:, None] - _SNAP).argmin(axis=1)]
    odd = since_last != snapped
    odd[0] |= len(gaps) == 0
    return snapped, odd


def _kept(
    frame: pd.DataFrame, faults: Mapping[str, Bools], kind: str, ledger: list[LedgerEntry], *, shift: int
) -> pd.DataFrame:
    """Rows without a fault; the others are named, each by its first fault."""
    refused = np.zeros(len(frame), dtype=bool)
    reasons = []
    for why, bad in faults.items():
        fresh = bad & ~refused
        if fresh.any():
            reasons.append(f"{int(fresh.sum())} {why}")
        refused |= bad
    if refused.any():
        at = _stamps(frame)[refused] + shift
        ledger.append(_entry("refused_rows", kind, at, "; ".join(reasons)))
    return frame.loc[~refused].reset_index(drop=True)


def _timed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    times = pd.to_datetime(frame[name], unit="ms", utc=True).dt.as_unit("ms")
    return frame.assign(**{name: times}).reset_index(drop=True)


def _stamps(frame: pd.DataFrame) -> Ints:
    return frame.iloc[:, 0].to_numpy(np.int64)


def _entry(kind: str, subject: str, at: Ints, detail: str) -> LedgerEntry:
    return LedgerEntry(kind, subject, stamp(int(at.min())), stamp(int(at.max())), len(at), detail)
