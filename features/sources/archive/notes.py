"""What reading one file gives: tables as arrays, and what was wrong with the file by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.raw import LedgerEntry

__all__ = ["EVER", "Columns", "Notes", "Reading", "Span", "frame_of", "stamp"]

Columns = dict[str, npt.NDArray[np.int64] | npt.NDArray[np.float64]]
"""A table: its key column (``open_time`` or ``time``, UTC milliseconds) and float64 columns."""

_RUNS = 20
"""More stretches than this in one file become one entry."""


@dataclass(frozen=True, slots=True)
class Span:
    """Times that are wanted: ``start <= time < end``, UTC milliseconds."""

    start: int
    end: int

    def meet(self, other: Span) -> Span:
        """The times in both."""
        return Span(max(self.start, other.start), min(self.end, other.end))

    def holds(self, other: Span) -> bool:
        """Whether it holds all of another."""
        return other.start >= other.end or (self.start <= other.start and other.end <= self.end)

    def __bool__(self) -> bool:
        return self.start < self.end


EVER = Span(0, 1 << 52)
"""All times."""


@dataclass(frozen=True)
class Reading:
    """What one file holds.

    Attributes
    ----------
    tables : mapping of str to Columns
        By kind: ``bars``, ``taker_volume``, ``funding``, ``open_interest``, ``positioning``.
    ledger : tuple of LedgerEntry
        What was wrong, by name; nothing of it was filled.
    """

    tables: Mapping[str, Columns]
    ledger: tuple[LedgerEntry, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the first table, which the others are taken from."""
        first = next(iter(self.tables.values()))
        return len(next(iter(first.values())))

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables as data frames, times tz-aware UTC."""
        return {kind: frame_of([columns]) for kind, columns in self.tables.items()}


def frame_of(parts: Sequence[Columns]) -> pd.DataFrame:
    """One data frame of tables that follow one another."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return pd.DataFrame(
        {
            name: pd.DatetimeIndex(values.astype("datetime64[ms]")).tz_localize("UTC")
            if values.dtype == np.int64
            else values
            for name, values in columns.items()
        }
    )


def stamp(milliseconds: int) -> pd.Timestamp:
    """UTC time of Unix milliseconds."""
    return pd.Timestamp(milliseconds, unit="ms", tz="UTC").as_unit("ms")


@dataclass
class Notes:
    """Ledger entries of one file, gathered while it is read.

    Attributes
    ----------
    subject : str
        The dataset, such as ``klines-1h``.
    shift : int
        Milliseconds from a row's stamp to the moment that entries name: bars are named by CLOSE.
    """

    subject: str
    shift: int = 0
    entries: list[LedgerEntry] = field(default_factory=list)

    def add(self, kind: str, times: npt.NDArray[np.int64], detail: str, count: int | None = None) -> None:
        """Name the rows of some stamps; no stamp and no count, no entry."""
        count = len(times) if count is None else count
        if count == 0:
            return
        known = times[times >= 0]
        start, end = (None, None) if len(known) == 0 else (int(known.min()), int(known.max()))
        self.entries.append(
            LedgerEntry(
                kind,
                self.subject,
                None if start is None else stamp(start + self.shift),
                None if end is None else stamp(end + self.shift),
                count,
                detail,
            )
        )

    def missing(self, times: npt.NDArray[np.int64], step: int, detail: str) -> None:
        """Name stamps that are not there, an entry for each stretch of them."""
        if len(times) == 0:
            return
        edges = np.flatnonzero(np.diff(times) > step) + 1
        runs = np.split(times, edges)
        if len(runs) > _RUNS:
            self.add("missing_rows", times, f"{detail}, in {len(runs)} stretches")
            return
        for run in runs:
            self.add("missing_rows", run, detail)
