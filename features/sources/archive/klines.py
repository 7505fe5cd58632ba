"""Bars of the archive, and the taker volume of their complete days.

Source: ``klines`` files. ``volume`` is in coins; ``quote_volume`` is in the quote currency, of which
``taker_buy_quote_volume`` was bought by takers; the rest was sold by them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.raw import INTERVALS
from features.sources.archive.csv_table import CsvForm, CsvTable, parse_csv
from features.sources.archive.layout import DAY_MS, HOUR_MS, Period
from features.sources.archive.notes import EVER, Columns, Notes, Reading, Span
from features.sources.archive.rows import doubled_last, name_blank, name_file, name_no_number, with_time

__all__ = ["KLINES", "read_klines"]

KLINES = CsvForm(
    "klines",
    (
        "open_time",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "close_time",
        "quote_volume",
        "count",
        "taker_buy_volume",
        "taker_buy_quote_volume",
        "ignore",
    ),
    "open_time",
    ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_quote_volume"),
    optional=("quote_volume", "taker_buy_quote_volume"),
)
_PRICES = ("open", "high", "low", "close")
_VOLUMES = ("volume", "quote_volume", "taker_buy_quote_volume")

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def read_klines(
    content: bytes,
    *,
    interval: str,
    period: Period | None = None,
    wanted: Span = EVER,
    now: int | None = None,
) -> Reading:
    """Bars from the CSV of a ``klines`` file.

    Parameters
    ----------
    content : bytes
        The CSV.
    interval : str
        ``1h``, ``4h`` or ``1d``.
    period : Period, optional
        The file's own span; rows outside it are refused by name, bars that lack in it are named.
    wanted : Span
        Of bar CLOSES; other rows are passed over in silence.
    now : int, optional
        UTC milliseconds; a bar that closes later is still forming and is left out by name.

    Returns
    -------
    Reading
        ``bars`` (``open_time`` is the bar's OPEN) and ``taker_volume`` (``time`` is the end of a
        UTC day all of whose bars are there; ``taker_buy_usd, taker_sell_usd``).

    Raises
    ------
    RefusedFileError
        If it is no CSV of bars.

    Examples
    --------
    >>> hour = 1704067200000
    >>> reading = read_klines(f"{hour},1,3,1,2,10,{hour + 3599999},20,5,4,8,0".encode(), interval="1h")
    >>> float(reading.tables["bars"]["close"][0]), [entry.kind for entry in reading.ledger]
    (2.0, ['no_header'])
    """
    table = parse_csv(content, KLINES)
    step = INTERVALS[interval] * HOUR_MS
    notes = Notes(f"klines-{interval}", shift=step)
    name_file(table, period, notes)
    times = table.times
    opens = Span(wanted.start - step, wanted.end - step)
    keep = with_time(table, times, period, opens, notes)
    keep &= _on_grid(times, keep, step, now, notes)
    there = np.unique(times[keep])
    name_no_number(table, times, keep, notes)
    keep &= _priced(table, times, keep, notes)
    volumes = [name for name in _VOLUMES if not np.isnan(table.values[name]).all()]
    name_blank(table, times, keep, volumes, notes)
    values = {name: _not_negative(table, name, times, keep, notes) for name in _VOLUMES}
    rows = doubled_last(times, keep, notes)
    bars: Columns = {"open_time": times[rows]}
    bars |= {name: table.values[name][rows] for name in _PRICES}
    bars |= {name: values[name][rows] for name in _VOLUMES}
    if period is not None:
        inside = opens.meet(Span(period.start, period.end))
        first = -(-inside.start // step) * step
        grid = np.arange(first, inside.end, step, dtype=np.int64)
        notes.missing(np.setdiff1d(grid, there, assume_unique=True), step, "the file has no such row")
    return Reading({"bars": bars, "taker_volume": _taker_volume(bars, step)}, tuple(notes.entries))


def _on_grid(times: IntArray, keep: BoolArray, step: int, now: int | None, notes: Notes) -> BoolArray:
    good = times % step == 0
    notes.add("refused_rows", times[keep & ~good], "no open of a bar of this interval")
    if now is not None:
        forming = times + step > now
        notes.add("forming_bar", times[keep & good & forming], "the bar has not closed")
        good &= ~forming
    return np.asarray(good)


def _priced(table: CsvTable, times: IntArray, keep: BoolArray, notes: Notes) -> BoolArray:
    """Rows whose prices can be meant: there, positive, high and low around open and close."""
    prices = np.stack([table.values[name] for name in _PRICES])
    said = np.zeros(len(times), np.bool_)
    for name in _PRICES:
        said |= table.no_number.get(name, said)
    absent = np.isnan(prices).any(axis=0)
    notes.add("blank_rows", times[keep & absent & ~said], "a price is blank")
    with np.errstate(invalid="ignore"):
        positive = (np.isfinite(prices) & (prices > 0)).all(axis=0)
        opened, high, low, closed = prices
        around = (high >= np.maximum(opened, closed)) & (low <= np.minimum(opened, closed))
    notes.add("refused_rows", times[keep & ~absent & ~positive], "a price is not positive")
    upside_down = keep & positive & (high < low)
    notes.add("refused_rows", times[upside_down], "high is below low")
    notes.add(
        "refused_rows", times[keep & positive & ~around & ~upside_down], "high and low do not hold the bar"
    )
    return np.asarray(positive & around)


def _not_negative(
    table: CsvTable, name: str, times: IntArray, keep: BoolArray, notes: Notes
) -> npt.NDArray[np.float64]:
    values = table.values[name]
    bad = np.isinf(values) | (values < 0)
    if not bad.any():
        return values
    notes.add("refused_value", times[bad & keep], f"{name} is below zero or infinite")
    return np.where(bad, np.nan, values)


def _taker_volume(bars: Columns, step: int) -> Columns:
    """Daily sums of the days that have all their bars, each with both volumes."""
    quote, bought = bars["quote_volume"], bars["taker_buy_quote_volume"]
    with np.errstate(invalid="ignore"):
        good = bought <= quote
    day, where = np.unique(bars["open_time"][good] // DAY_MS, return_inverse=True)
    full = np.bincount(where, minlength=len(day)) == DAY_MS // step
    buy = np.bincount(where, weights=bought[good], minlength=len(day))
    total = np.bincount(where, weights=quote[good], minlength=len(day))
    return {
        "time": ((day + 1) * DAY_MS)[full].astype(np.int64),
        "taker_buy_usd": buy[full],
        "taker_sell_usd": (total - buy)[full],
    }
