"""History: the one table that everything starts from.

Index ``time`` is each bar's CLOSE (tz-aware UTC) on the full grid of one interval. A value is in a
row only if it was available at that close and not staler than its limit. A bar that the source
lacks is a row of NaN; what is missing or stale is in the ledger by name. Nothing is filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bar_rules import POSITIONING_COLUMNS, PRICE_COLUMNS, RANGES, check_bars, out_of_range
from features.errors import HistoryError, NothingUsableError, UsageError
from features.raw import LedgerEntry, RawMarket, bars_per_day, interval_delta

__all__ = ["OPTIONAL_COLUMNS", "REQUIRED_COLUMNS", "History"]

REQUIRED_COLUMNS = (*PRICE_COLUMNS, "volume", "funding_rate", "funding_interval_hours", "open_interest")
OPTIONAL_COLUMNS = (*POSITIONING_COLUMNS, "fear_greed")

STALE_AFTER_HOURS = {"funding": 24, "open_interest": 48, "positioning": 48, "fear_greed": 48}
"""A joined value older than this at the bar's close is NaN, and named in the ledger."""

FloatArray = npt.NDArray[np.float64]


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
