"""History: the one table that everything starts from.

Index ``time`` is each bar's CLOSE (tz-aware UTC) on the full grid of one interval. A value is in a
row only if it was available at that close and not staler than its limit. A bar that the source
lacks is a row of NaN; what is missing or stale is in the ledger by name. Nothing is filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import HistoryError, NothingUsableError, UsageError
from features.raw import INTERVALS, LedgerEntry, RawMarket, bars_per_day, interval_delta

__all__ = ["OPTIONAL_COLUMNS", "PRICE_COLUMNS", "REQUIRED_COLUMNS", "History", "check_bars"]

PRICE_COLUMNS = ("open", "high", "low", "close")
REQUIRED_COLUMNS = (*PRICE_COLUMNS, "volume", "funding_rate", "funding_interval_hours", "open_interest")
POSITIONING_COLUMNS = ("liq_long_usd", "liq_short_usd", "lsr_global", "taker_buy_usd", "taker_sell_usd")
OPTIONAL_COLUMNS = (*POSITIONING_COLUMNS, "fear_greed")

STALE_AFTER_HOURS = {"funding": 24, "open_interest": 48, "positioning": 48, "fear_greed": 48}
"""A joined value older than this at the bar's close is NaN, and named in the ledger."""

FloatArray = npt.NDArray[np.float64]


class Range(NamedTuple):
    """What a joined value may be; outside it, it is no value of its kind."""

    low: float
    high: float
    words: str


_MONEY = Range(0.0, 1e18, "zero or more, in USD")
RANGES: dict[str, Range] = {
    "funding_rate": Range(-0.1, 0.1, "a fraction per interval between -0.1 and 0.1"),
    "funding_interval_hours": Range(1.0, 24.0, "hours between 1 and 24"),
    "open_interest": Range(1e-9, 1e18, "more than zero, in USD"),
    **{name: _MONEY for name in POSITIONING_COLUMNS if name != "lsr_global"},
    "lsr_global": Range(0.0, 1e6, "a ratio, zero or more"),
    "fear_greed": Range(0.0, 100.0, "a number between 0 and 100"),
}
"""Ranges of the joined columns; the exchanges' own funding caps are 0.02 and less."""


def out_of_range(name: str, values: FloatArray) -> npt.NDArray[np.bool_]:
    """Flag values that are there and cannot be meant."""
    allowed = RANGES[name]
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
    stamps = time.as_unit("ms").asi8
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
    off_grid = (stamps % step != 0) | np.asarray(time.as_unit("ms") != time)
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


@dataclass(frozen=True)
class History:
    """The joined table of one symbol, with its gap ledger.

    Attributes
    ----------
    symbol : str
    interval : str
        ``1h``, ``4h`` or ``1d``.
    frame : pandas.DataFrame of shape (n_bars, n_columns)
        Index ``time`` (bar CLOSE, UTC, full grid); columns :data:`REQUIRED_COLUMNS` and those of
        :data:`OPTIONAL_COLUMNS` that were there, all float64.
    ledger : tuple of LedgerEntry
        What is missing or stale, by name.
    source : str
        Where the data came from; ``simulated`` is said in every answer.
    """

    symbol: str
    interval: str
    frame: pd.DataFrame
    ledger: tuple[LedgerEntry, ...] = field(default=())
    source: str = "files"

    @classmethod
    def from_raw(
        cls, raw: RawMarket, *, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
    ) -> History:
        """Join the raw tables of a symbol at each bar's close.

        Parameters
        ----------
        raw : RawMarket
        since, until : pandas.Timestamp, optional
            Bounds on bar closes, ``since`` included, ``until`` excluded. The join happens before
            the cut, so that a cut history equals the rows of the whole one.

        Raises
        ------
        HistoryError
            If the bars break a rule.
        NothingUsableError
            If no bar is left.
        """
        delta = interval_delta(raw.interval)
        close_time = pd.DatetimeIndex(raw.bars["open_time"]).as_unit("ms") + delta
        columns = {name: raw.bars[name].to_numpy(np.float64) for name in (*PRICE_COLUMNS, "volume")}
        if len(close_time) == 0:
            raise NothingUsableError(f"{raw.symbol}: there is no bar")
        check_bars(close_time, columns, raw.interval, now=pd.Timestamp.now(tz="UTC"))
        grid = pd.date_range(close_time[0], close_time[-1], freq=delta, name="time", unit="ms")
        frame = pd.DataFrame(columns, index=close_time).reindex(grid)
        frame.index.name = "time"
        present = frame["close"].notna().to_numpy()
        ledger = list(raw.ledger)
        ledger += _runs(grid, ~present, "missing_bars", "bars", "the source has no bar here")
        ledger += _join(frame, "funding", raw.funding, ["funding_rate", "funding_interval_hours"])
        interest = raw.open_interest
        if interest is not None:
            interest = interest.rename(columns={"open_interest_value": "open_interest"})
        ledger += _join(frame, "open_interest", interest, ["open_interest"])
        if raw.positioning is not None:
            there = [name for name in POSITIONING_COLUMNS if name in raw.positioning]
            ledger += _join(frame, "positioning", raw.positioning, there)
        if raw.fear_greed is not None:
            ledger += _join(frame, "fear_greed", raw.fear_greed, ["fear_greed"])
        frame.loc[~present] = np.nan
        history = cls(raw.symbol, raw.interval, frame, tuple(ledger), raw.source)
        return history.between(since, until)

    @classmethod
    def from_columns(
        cls,
        symbol: str,
        interval: str,
        time: pd.DatetimeIndex,
        columns: Mapping[str, FloatArray],
        *,
        source: str = "request",
        now: pd.Timestamp | None = None,
        last: int | None = None,
    ) -> History:
        """Build a history from joined columns, as a request sends them.

        Columns that are not there become NaN; bars that are not there become rows of NaN. With
        ``last`` only that many bars of the grid are kept.

        Raises
        ------
        HistoryError
            If the bars break a rule.
        """
        check_bars(time, columns, interval, now=now)
        names = [*REQUIRED_COLUMNS, *(name for name in OPTIONAL_COLUMNS if name in columns)]
        table = {name: columns.get(name, np.full(len(time), np.nan)) for name in names}
        for name in names[len(PRICE_COLUMNS) + 1 :]:
            wrong = out_of_range(name, table[name])
            if wrong.any():
                row = int(np.argmax(wrong))
                raise HistoryError(
                    f"{name}[{row}] is {table[name][row]}, expected {RANGES[name].words}",
                    code="bad_value",
                    field=f"{name}[{row}]",
                    hint="send null where the value is not known",
                )
        index = time.as_unit("ms")
        frame = pd.DataFrame(table, index=index)
        delta = interval_delta(interval)
        if last is not None:
            frame = frame.loc[index > index[-1] - last * delta]
            index = pd.DatetimeIndex(frame.index)
        if len(index) != (index[-1] - index[0]) // delta + 1:
            frame = frame.reindex(pd.date_range(index[0], index[-1], freq=delta, unit="ms"))
        frame.index.name = "time"
        frame.loc[frame["close"].isna()] = np.nan
        return cls(symbol, interval, frame, (), source)

    @property
    def time(self) -> pd.DatetimeIndex:
        """Bar closes, tz-aware UTC."""
        index = self.frame.index
        if not isinstance(index, pd.DatetimeIndex):
            raise HistoryError("the frame has no time index", code="internal")
        return index

    @property
    def per_day(self) -> int:
        """Bars in a day."""
        return bars_per_day(self.interval)

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> FloatArray:
        """One column as float64, shape (n_bars,); all NaN where the history lacks it."""
        if name not in self.frame:
            return np.full(len(self), np.nan)
        return self.frame[name].to_numpy(np.float64)

    def between(self, since: pd.Timestamp | None, until: pd.Timestamp | None) -> History:
        """Rows whose close is at or after ``since`` and before ``until``.

        Raises
        ------
        UsageError
            If the dates are the wrong way round.
        NothingUsableError
            If no bar lies in the span.
        """
        if since is None and until is None:
            return self
        if since is not None and until is not None and since >= until:
            raise UsageError(f"since {since.date()} is not before until {until.date()}", field="since")
        keep = np.ones(len(self), dtype=bool)
        if since is not None:
            keep &= np.asarray(self.time >= since)
        if until is not None:
            keep &= np.asarray(self.time < until)
        if not keep.any():
            raise NothingUsableError(
                f"{self.symbol}: no bar between {since} and {until}; "
                f"there is {self.time[0]} to {self.time[-1]}"
            )
        frame = self.frame.loc[keep]
        first, last = self.time[keep][0], self.time[keep][-1]
        ledger = tuple(
            entry
            for entry in self.ledger
            if entry.start is None or entry.end is None or (entry.start <= last and entry.end >= first)
        )
        return History(self.symbol, self.interval, frame, ledger, self.source)

    def window(self, end: int, bars: int) -> History:
        """The ``bars`` rows that end with row ``end`` (included): what was known at that close."""
        part = self.frame.iloc[max(0, end + 1 - bars) : end + 1]
        return History(self.symbol, self.interval, part, (), self.source)

    def table(self) -> pd.DataFrame:
        """The file form: ``time`` as a plain first column."""
        return self.frame.reset_index()


def _join(
    frame: pd.DataFrame, subject: str, table: pd.DataFrame | None, names: Sequence[str]
) -> list[LedgerEntry]:
    """Add ``names`` of ``table`` to ``frame`` as of each close; NaN and a ledger entry where stale."""
    grid = pd.DatetimeIndex(frame.index)
    if table is None or table.empty or not names:
        for name in names:
            frame[name] = np.nan
        return [LedgerEntry("no_data", subject, grid[0], grid[-1], len(grid), "the source has none of it")]
    needed = list(names) if subject == "positioning" else [names[0]]
    ordered = table.dropna(subset=needed, how="all").sort_values("time", kind="stable")
    ordered = ordered.drop_duplicates("time", keep="last")
    known = pd.DatetimeIndex(ordered["time"]).as_unit("ms")
    row = np.asarray(known.searchsorted(grid, side="right")) - 1
    there = row >= 0
    age = np.full(len(grid), np.inf)
    age[there] = (grid[there].asi8 - known.asi8[row[there]]) / 3_600_000
    fresh = age <= STALE_AFTER_HOURS[subject]
    refused: list[LedgerEntry] = []
    for name in names:
        values = ordered[name].to_numpy(np.float64, copy=True)
        wrong = out_of_range(name, values)
        if wrong.any():
            values[wrong] = np.nan
            refused.append(
                LedgerEntry("refused_value", name, count=int(wrong.sum()), detail=f"not {RANGES[name].words}")
            )
        frame[name] = np.where(fresh, values[np.maximum(row, 0)], np.nan)
    limit = f"older than {STALE_AFTER_HOURS[subject]} h at the close"
    return (
        refused
        + _runs(grid, ~there, "no_data", subject, "not yet published")
        + _runs(grid, there & ~fresh, "stale_value", subject, limit)
    )


def _runs(
    grid: pd.DatetimeIndex, flag: npt.NDArray[np.bool_], kind: str, subject: str, detail: str
) -> list[LedgerEntry]:
    """One ledger entry for each unbroken run of flagged bars."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flag, [False])).astype(np.int8)))
    return [
        LedgerEntry(kind, subject, grid[first], grid[after - 1], int(after - first), detail)
        for first, after in zip(edges[::2], edges[1::2], strict=True)
    ]
