"""History: the one table that everything starts from.

Index ``time`` is each bar's CLOSE (tz-aware UTC) on the full grid of one interval. A value is in a
row only if it was available at that close and not staler than its limit. A bar that the source
lacks is a row of NaN; what is missing or stale is in the ledger by name. Nothing is filled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.as_of_join import join_as_of, runs
from features.bar_rules import (
    POSITIONING_COLUMNS,
    PRICE_COLUMNS,
    RANGES,
    SERIES_COLUMNS,
    check_bars,
    out_of_range,
)
from features.errors import HistoryError, NothingUsableError, UsageError
from features.raw import LedgerEntry, RawMarket, bars_per_day, interval_delta

__all__ = ["OPTIONAL_COLUMNS", "REQUIRED_COLUMNS", "STALE_AFTER_HOURS", "History", "check_series_name"]

REQUIRED_COLUMNS = (*PRICE_COLUMNS, "volume", "funding_rate", "funding_interval_hours", "open_interest")
OPTIONAL_COLUMNS = (*POSITIONING_COLUMNS, "fear_greed", *SERIES_COLUMNS)

STALE_AFTER_HOURS = {"funding": 24, "open_interest": 48, "positioning": 48, "fear_greed": 48}
"""A joined value older than this at the bar's close is NaN, and named in the ledger."""

_SERIES_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
_NOT_FOR_SERIES = frozenset(
    {*REQUIRED_COLUMNS, "time", "open_time", "open_interest_value", "symbol", "interval", "as_of", "source"}
)

FloatArray = npt.NDArray[np.float64]


@cache
def _names(names: tuple[str, ...]) -> pd.Index[str]:
    """Column names as an index, made once: pandas takes half a millisecond for it."""
    return pd.Index(names)


def check_series_name(name: str) -> None:
    """Refuse a name that an optional signal may not bear.

    Raises
    ------
    UsageError
        For a name of another form, or one that a column of the market bears.

    Examples
    --------
    >>> check_series_name("active_addresses")
    >>> check_series_name("fear_greed")
    """
    if not _SERIES_NAME.match(name):
        raise UsageError(
            f"{name[:60]!r} is no name of a signal",
            code="bad_series_name",
            field="signal",
            hint="small letters, digits and underscores, a letter first, at most 40: active_addresses",
        )
    if name in _NOT_FOR_SERIES:
        raise UsageError(
            f"a signal may not bear the name {name!r}: the market's own column does",
            code="reserved_series_name",
            field="signal",
            hint="name it otherwise",
        )


class LookedUp(NamedTuple):
    """A frame's columns as read-only arrays of shape (n_bars,); good for that very frame."""

    frame: pd.DataFrame
    columns: Mapping[str, FloatArray]


@dataclass(frozen=True)
class History:
    """The joined table of one symbol, with its gap ledger.

    Attributes
    ----------
    symbol : str
    interval : str
        ``1h``, ``4h`` or ``1d``.
    frame : pandas.DataFrame of shape (n_bars, n_columns)
        Index ``time`` (bar CLOSE, UTC, full grid); columns :data:`REQUIRED_COLUMNS`, those of
        :data:`OPTIONAL_COLUMNS` that were there, then a user's own series, all float64.
    ledger : tuple of LedgerEntry
        What is missing or stale, by name.
    source : str
        Where the data came from; ``simulated`` is said in every answer.
    context : mapping of str to ndarray of shape (n_bars,)
        Closes of the symbols that features across markets look at, on the same grid: NaN where one
        of them has no bar. Its keys are the whole universe, sorted, this symbol's own name among
        them if it belongs to it (its closes are then read from ``frame``); empty: no context.
        :mod:`features.context` fills it.
    looked_up : LookedUp, optional
        The columns of ``frame`` as arrays: :meth:`sealed` fills it.
    """

    symbol: str
    interval: str
    frame: pd.DataFrame
    ledger: tuple[LedgerEntry, ...] = field(default=())
    source: str = "files"
    context: Mapping[str, FloatArray] = field(default_factory=dict)
    looked_up: LookedUp | None = field(default=None, repr=False, compare=False)

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
        bars = pd.DataFrame(columns, index=close_time).reindex(grid)
        present = bars["close"].notna().to_numpy()
        ledger = list(raw.ledger)
        ledger += runs(grid, ~present, "missing_bars", "bars", "the source has no bar here")
        joined = {str(name): bars[name].to_numpy(np.float64) for name in bars}
        joined |= _joined_tables(raw, grid, ledger)
        frame = pd.DataFrame(
            {name: np.where(present, values, np.nan) for name, values in joined.items()}, index=grid
        )
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
        for name in names[len(PRICE_COLUMNS) + 1 :]:
            if name not in columns:
                continue
            wrong = out_of_range(name, columns[name])
            if wrong.any():
                row = int(np.argmax(wrong))
                raise HistoryError(
                    f"{name}[{row}] is {columns[name][row]}, expected {RANGES[name].words}",
                    code="bad_value",
                    field=f"{name}[{row}]",
                    hint="send null where the value is not known",
                )
        index = time.as_unit("ms")
        delta = interval_delta(interval)
        begin = 0 if last is None else int(index.searchsorted(index[-1] - last * delta, side="right"))
        index = index[begin:]
        rows: slice | npt.NDArray[np.intp] = slice(None)
        if len(index) != (index[-1] - index[0]) // delta + 1:
            grid = pd.date_range(index[0], index[-1], freq=delta, unit="ms")
            rows, index = grid.get_indexer(index), grid
        table = np.full((len(names), len(index)), np.nan)
        for values, name in zip(table, names, strict=True):
            if name in columns:
                values[rows] = columns[name][begin:]
        missing = np.isnan(table[names.index("close")])
        if missing.any():
            table[:, missing] = np.nan
        frame = pd.DataFrame(table.T, index=index.rename("time"), columns=_names(tuple(names)), copy=False)
        return cls(symbol, interval, frame, (), source)

    def sealed(self) -> History:
        """The same history, read-only from here on: its columns are looked up once, not at each use.

        Looking up a column in a frame takes longer than many a sum over it.
        """
        if self._columns is not None:
            return self
        table = np.ascontiguousarray(self.frame.to_numpy(np.float64).T)
        table.flags.writeable = False
        columns = dict(zip([str(name) for name in self.frame], table, strict=True))
        return replace(self, looked_up=LookedUp(self.frame, columns))

    @property
    def _columns(self) -> Mapping[str, FloatArray] | None:
        """Columns that are looked up already."""
        if self.looked_up is None or self.looked_up.frame is not self.frame:
            return None
        return self.looked_up.columns

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
        columns = self._columns
        if columns is not None and name in columns:
            return columns[name]
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
            raise UsageError(f"--since {since.date()} is not before --until {until.date()}", field="since")
        keep = np.ones(len(self), dtype=bool)
        if since is not None:
            keep &= np.asarray(self.time >= since)
        if until is not None:
            keep &= np.asarray(self.time < until)
        if not keep.any():
            asked = {"from": since, "before": until}
            span = " and ".join(f"{name} {time:%Y-%m-%d %H:%M}" for name, time in asked.items() if time)
            raise NothingUsableError(
                f"{self.symbol}: no bar closes {span}; "
                f"the bars close from {self.time[0]:%Y-%m-%d %H:%M} to {self.time[-1]:%Y-%m-%d %H:%M}"
            )
        rows = np.flatnonzero(keep)
        first, last = self.time[rows[0]], self.time[rows[-1]]
        ledger = tuple(
            entry
            for entry in self.ledger
            if entry.start is None or entry.end is None or (entry.start <= last and entry.end >= first)
        )
        return replace(self.part(int(rows[0]), int(rows[-1]) + 1), ledger=ledger)

    def part(self, start: int, stop: int) -> History:
        """The rows from ``start`` (included) to ``stop`` (excluded), without the ledger."""
        columns = self._columns
        if columns is not None and start <= 0 and stop >= len(self) and not self.ledger:
            return self
        context = {name: closes[start:stop] for name, closes in self.context.items()}
        frame = self.frame.iloc[start:stop]
        if columns is not None:
            columns = {name: values[start:stop] for name, values in columns.items()}
        looked_up = None if columns is None else LookedUp(frame, columns)
        return replace(self, frame=frame, ledger=(), context=context, looked_up=looked_up)

    def window(self, end: int, bars: int) -> History:
        """The ``bars`` rows that end with row ``end`` (included): what was known at that close."""
        return self.part(max(0, end + 1 - bars), end + 1)

    def table(self) -> pd.DataFrame:
        """The file form: ``time`` as a plain first column."""
        return self.frame.reset_index()


def _joined_tables(
    raw: RawMarket, grid: pd.DatetimeIndex, ledger: list[LedgerEntry]
) -> dict[str, FloatArray]:
    """Every column that is joined to the bars, in the order of a history."""
    columns: dict[str, FloatArray] = {}

    def join(subject: str, table: pd.DataFrame | None, names: Sequence[str], together: bool = False) -> None:
        joined = join_as_of(
            grid, subject, table, names, stale_after_hours=STALE_AFTER_HOURS[subject], together=together
        )
        columns.update(joined.columns)
        ledger.extend(joined.ledger)

    join("funding", raw.funding, ["funding_rate", "funding_interval_hours"], together=True)
    interest = raw.open_interest
    if interest is not None:
        interest = interest.rename(columns={"open_interest_value": "open_interest"})
    join("open_interest", interest, ["open_interest"])
    replaced = {*(raw.positioning if raw.positioning is not None else ())}
    replaced |= {"fear_greed"} if raw.fear_greed is not None else set()
    ledger += [
        LedgerEntry("ignored_column", name, detail="the series given for it is read instead")
        for name in sorted(replaced & raw.extras.keys())
    ]
    if raw.positioning is not None:
        own = [name for name in POSITIONING_COLUMNS if name in raw.positioning and name not in raw.extras]
        if own or not replaced & raw.extras.keys():
            join("positioning", raw.positioning, own)
    if raw.fear_greed is not None and "fear_greed" not in raw.extras:
        join("fear_greed", raw.fear_greed, ["fear_greed"])
    for name in sorted(raw.extras):
        check_series_name(name)
        series = raw.extras[name]
        joined = join_as_of(
            grid,
            name,
            series.table.rename(columns={"value": name}),
            [name],
            stale_after_hours=series.stale_after_hours,
        )
        columns.update(joined.columns)
        ledger.extend(joined.ledger)
    last = [name for name in columns if name not in OPTIONAL_COLUMNS and name not in REQUIRED_COLUMNS]
    ordered = [name for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if name in columns]
    return {name: columns[name] for name in (*ordered, *last)}
