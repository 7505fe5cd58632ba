"""What a table of bars may hold: order, grid, prices, and the ranges of the joined values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import HistoryError
from features.raw import INTERVALS, interval_delta

__all__ = [
    "POSITIONING_COLUMNS",
    "PRICE_COLUMNS",
    "RANGES",
    "SERIES_COLUMNS",
    "Range",
    "check_bars",
    "out_of_range",
    "range_of",
]

PRICE_COLUMNS = ("open", "high", "low", "close")
_MONEY_COLUMNS = ("liq_long_usd", "liq_short_usd", "taker_buy_usd", "taker_sell_usd")
_RATIO_COLUMNS = ("lsr_global", "lsr_top_accounts", "lsr_top_positions", "taker_ratio")
POSITIONING_COLUMNS = (
    *("liq_long_usd", "liq_short_usd", "lsr_global", "taker_buy_usd", "taker_sell_usd"),
    *("lsr_top_accounts", "lsr_top_positions", "taker_ratio"),
)
"""Daily sums in USD and the ratio of accounts; then what only 5-minute sources have."""
SERIES_COLUMNS = ("put_call", "exchange_inflow")
"""Signals with a name of their own that no source has: they come as a user's series."""

FloatArray = npt.NDArray[np.float64]


class Range(NamedTuple):
    """What a joined value may be; outside it, it is no value of its kind."""

    low: float
    high: float
    words: str


_MONEY = Range(0.0, 1e18, "zero or more, in USD")
_RATIO = Range(0.0, 1e6, "a ratio, zero or more")
RANGES: dict[str, Range] = {
    "funding_rate": Range(-0.1, 0.1, "a fraction per interval between -0.1 and 0.1"),
    "funding_interval_hours": Range(1.0, 24.0, "hours between 1 and 24"),
    "open_interest": Range(1e-9, 1e18, "more than zero, in USD"),
    **dict.fromkeys(_MONEY_COLUMNS, _MONEY),
    **dict.fromkeys(_RATIO_COLUMNS, _RATIO),
    "fear_greed": Range(0.0, 100.0, "a number between 0 and 100"),
    "put_call": _RATIO,
    "exchange_inflow": Range(-1e18, 1e18, "an amount, negative where more flows out than in"),
}
"""Ranges of the joined columns; the exchanges' own funding caps are 0.02 and less."""

_FINITE = Range(-1.7e308, 1.7e308, "a finite number")


def range_of(name: str) -> Range:
    """Range of a joined column; any finite number for a user's own.

    Examples
    --------
    >>> range_of("fear_greed").high, range_of("active_addresses").words
    (100.0, 'a finite number')
    """
    return RANGES.get(name, _FINITE)


def out_of_range(name: str, values: FloatArray) -> npt.NDArray[np.bool_]:
    """Flag values that are there and cannot be meant."""
    allowed = range_of(name)
    there = ~np.isnan(values)
    return np.asarray(there & ~((values >= allowed.low) & (values <= allowed.high)))


def check_bars(
    time: pd.DatetimeIndex,
    columns: Mapping[str, FloatArray],
    interval: str,
    *,
    now: pd.Timestamp | None = None,
) -> None:
    """Refuse a bar table that breaks a rule of the data.

    Parameters
    ----------
    time : pandas.DatetimeIndex of length n_bars
        Each bar's CLOSE, tz-aware UTC.
    columns : mapping of str to ndarray of shape (n_bars,)
        At least ``open, high, low, close`` and ``volume``. A row whose four prices are all NaN is
        a missing bar and is passed over.
    interval : str
        ``1h``, ``4h`` or ``1d``.
    now : pandas.Timestamp, optional
        A bar that closes later is still forming and is refused.

    Raises
    ------
    HistoryError
        With ``field`` such as ``close[17]``: the first row at fault.
    """
    if interval not in INTERVALS:
        raise HistoryError(
            f"interval is {interval!r}, expected one of {', '.join(INTERVALS)}",
            code="unknown_interval",
            field="interval",
        )
    if len(time) == 0:
        raise HistoryError("there is no bar at all", code="no_bars", field="time")
    if time.tz is None:
        raise HistoryError("times have no time zone, expected UTC", code="naive_time", field="time")
    _check_times(time, interval, now)
    _check_values(columns)


def _check_times(time: pd.DatetimeIndex, interval: str, now: pd.Timestamp | None) -> None:
    whole = time if time.unit == "ms" else time.as_unit("ms")
    stamps = whole.asi8
    step = int(interval_delta(interval) / pd.Timedelta(milliseconds=1))
    spacing = np.diff(stamps)
    if (spacing <= 0).any():
        row = int(np.argmax(spacing <= 0)) + 1
        double = spacing[row - 1] == 0
        raise HistoryError(
            f"time[{row}] is {time[row]}, {'the same as' if double else 'earlier than'} the row before",
            code="double_time" if double else "unsorted_time",
            field=f"time[{row}]",
            hint="send each bar once, oldest first",
        )
    off_grid = stamps % step != 0
    if whole is not time:
        off_grid |= np.asarray(whole != time)
    if off_grid.any():
        row = int(np.argmax(off_grid))
        raise HistoryError(
            f"time[{row}] is {time[row]}, not a {interval} bar's close in UTC",
            code="wrong_interval",
            field=f"time[{row}]",
            hint="bars must lie on the UTC grid of their interval",
        )
    if len(spacing) and spacing.min() > step:
        raise HistoryError(
            f"no two bars are {interval} apart; the closest are "
            f"{pd.Timedelta(milliseconds=int(spacing.min()))}",
            code="wrong_interval",
            field="interval",
            hint="name the interval of the bars",
        )
    if now is not None and time[-1] > now:
        raise HistoryError(
            f"time[{len(time) - 1}] is {time[-1]}, later than {now}: that bar is still forming",
            code="future_time",
            field=f"time[{len(time) - 1}]",
            hint="time is the bar's CLOSE; leave the forming bar out",
        )


def _check_values(columns: Mapping[str, FloatArray]) -> None:
    prices = np.stack([columns[name] for name in PRICE_COLUMNS])
    missing = np.isnan(prices).all(axis=0)
    bad = ~(np.isfinite(prices) & (prices > 0)) & ~missing
    if bad.any():
        row = int(np.argmax(bad.any(axis=0)))
        name = PRICE_COLUMNS[int(np.argmax(bad[:, row]))]
        raise HistoryError(
            f"{name}[{row}] is {columns[name][row]}, expected a positive finite price",
            code="bad_price",
            field=f"{name}[{row}]",
            hint="a bar that is missing has no row, or null in all four prices",
        )
    with np.errstate(invalid="ignore"):
        upside_down = columns["high"] < columns["low"]
        outside = (columns["high"] < np.maximum(columns["open"], columns["close"])) | (
            columns["low"] > np.minimum(columns["open"], columns["close"])
        )
    for wrong, code, words in (
        (upside_down, "high_below_low", "is below low"),
        (outside, "price_outside_range", "and low do not hold open and close"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            shown = ", ".join(f"{name} {columns[name][row]}" for name in PRICE_COLUMNS)
            raise HistoryError(f"high[{row}] {words}: {shown}", code=code, field=f"high[{row}]")
    volume = columns["volume"]
    bad_volume = np.isinf(volume) | (volume < 0)
    if bad_volume.any():
        row = int(np.argmax(bad_volume))
        raise HistoryError(
            f"volume[{row}] is {volume[row]}, expected zero or more",
            code="bad_volume",
            field=f"volume[{row}]",
        )
