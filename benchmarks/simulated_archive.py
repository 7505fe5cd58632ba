"""A folder in the true layout of the Binance public archive, made from the simulated market.

Klines (monthly, or daily where asked for), funding (monthly) and 5-minute metrics (daily), each a zip
with its ``.zip.CHECKSUM``; the same call writes the same bytes. Beside the files stands the truth:
the tables that a correct store must hold, to the last digit, and the ledger entries it must give.
Defects (:mod:`benchmarks.row_defects`, :mod:`benchmarks.file_defects`) are functions of an
``ArchiveFile`` that change lines, zip or checksum, and the truth with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.archive_files import COLUMNS, ArchiveFile, Defect, Expected, Table, csv_lines, zipped
from benchmarks.archive_tables import (
    HOUR,
    daily_taker_volume,
    funding_rows,
    kline_rows,
    metrics_rows,
    milliseconds,
    positioning,
)
from features.raw import INTERVALS, RawMarket
from features.sources.simulated import simulate

__all__ = ["Listing", "SimulatedArchive"]


@dataclass(frozen=True)
class Listing:
    """One symbol of an archive.

    Attributes
    ----------
    simulated : str
        Name in the simulated market.
    since, until : str
        First day and the day after the last; both the archive's own where empty.
    metrics_since : str
        First day of the metrics.
    daily_months : tuple of str
        Months whose klines are daily files.
    funding_hours : tuple of (str, int)
        From when on funding is settled every so many hours (a divisor of 8).
    defects : mapping of (dataset, period) to defects
    """

    simulated: str
    since: str = ""
    until: str = ""
    metrics_since: str = ""
    daily_months: tuple[str, ...] = ()
    funding_hours: tuple[tuple[str, int], ...] = ()
    defects: Mapping[tuple[str, str], Sequence[Defect]] = field(default_factory=dict)


class SimulatedArchive:
    """An archive on disk, and the truth about it.

    Parameters
    ----------
    folder : Path
        Becomes the root that a server serves.
    symbols : mapping of str to Listing
        By archive name, such as ``BTCUSDT``.
    since, until : str
        First day, and the day after the last.
    interval : str
        Of the klines.
    seed : int
        Of the simulated market.

    Attributes
    ----------
    tables : dict of str to dict of str to Table
        By symbol and dataset.
    expected : dict of str to list of Expected
        By symbol.
    files : dict of str to dict of str to (str, str)
        Paths of the zips that are there, by symbol, each with its dataset and period.
    """

    def __init__(
        self,
        folder: Path,
        symbols: Mapping[str, Listing],
        *,
        since: str,
        until: str,
        interval: str = "1h",
        seed: int = 7,
    ) -> None:
        self.folder, self.interval = folder, interval
        self.since, self.until = pd.Timestamp(since, tz="UTC"), pd.Timestamp(until, tz="UTC")
        early = pd.Timedelta(days=2)
        world = simulate(
            [listing.simulated for listing in symbols.values()],
            seed=seed,
            since=self.since - early,
            until=self.until + early,
            interval=interval,
        )
        self.tables: dict[str, dict[str, Table]] = {}
        self.expected: dict[str, list[Expected]] = {}
        self.files: dict[str, dict[str, tuple[str, str]]] = {}
        for symbol, listing in symbols.items():
            market = world.markets[listing.simulated]
            start = pd.Timestamp(listing.since, tz="UTC") if listing.since else self.since
            end = pd.Timestamp(listing.until, tz="UTC") if listing.until else self.until
            measured = pd.Timestamp(listing.metrics_since, tz="UTC") if listing.metrics_since else start
            self.tables[symbol] = {
                "klines": Table(kline_rows(market, start, end)),
                "fundingRate": Table(funding_rows(market, start, end, listing.funding_hours)),
                "metrics": Table(metrics_rows(market, symbol, max(measured, start), end)),
            }
            self.expected[symbol], self.files[symbol] = [], {}
            for file in self._files(symbol, listing):
                for defect in listing.defects.get((file.dataset, file.period), ()):
                    defect(file)
                self._write(file)

    def rewrite(self, symbol: str, dataset: str, period: str, *defects: Defect) -> ArchiveFile:
        """Write a file once more: a revision, with other lines or with its defects mended.

        The truth of its rows begins afresh; what was expected of the file before is forgotten.
        """
        table = self.tables[symbol][dataset]
        file = self._file(symbol, dataset, period, table, csv_lines(table, dataset))
        rows = slice(file.first_row, file.first_row + len(file.lines))
        table.truth.iloc[rows] = table.rows.iloc[rows]
        table.keep[rows] = True
        self.expected[symbol] = [
            one
            for one in self.expected[symbol]
            if not (one.dataset == dataset and file.start <= one.start < file.end)
        ]
        file.expected = self.expected[symbol]
        for defect in defects:
            defect(file)
        self._write(file)
        return file

    def truth(self, symbol: str, since: str | None = None, until: str | None = None) -> RawMarket:
        """The tables of a correct store, cut to bars that close in the span and to values known in it."""
        bars, funding, metrics = (self.tables[symbol][name].kept() for name in COLUMNS)
        delta = INTERVALS[self.interval] * HOUR
        bars = _between(bars, "open_time", since, until, delta)
        known = positioning(metrics).merge(daily_taker_volume(bars, delta), on="time", how="outer")
        stamped = {
            "funding": funding.rename(columns={"calc_time": "time", "last_funding_rate": "funding_rate"}),
            "open_interest": metrics.rename(
                columns={"create_time": "time", "sum_open_interest_value": "open_interest_value"}
            )[["time", "open_interest_value"]].dropna(),
            "positioning": known.sort_values("time").reset_index(drop=True),
        }
        tables = {name: _stamped(_between(table, "time", since, until)) for name, table in stamped.items()}
        columns = ["open_time", "open", "high", "low", "close", "volume"]
        settled = ["time", "funding_rate", "funding_interval_hours"]
        return RawMarket(
            symbol,
            self.interval,
            _stamped(bars[columns]),
            funding=tables["funding"][settled].dropna().reset_index(drop=True),
            open_interest=tables["open_interest"],
            positioning=tables["positioning"],
            source="binance",
        )

    def _files(self, symbol: str, listing: Listing) -> Iterator[ArchiveFile]:
        for dataset, table in self.tables[symbol].items():
            lines = csv_lines(table, dataset)
            days = np.unique(table.time.astype("datetime64[ms]").astype("datetime64[D]"))
            for month in np.unique(days.astype("datetime64[M]")):
                daily = dataset == "metrics" or (dataset == "klines" and str(month) in listing.daily_months)
                periods = days[days.astype("datetime64[M]") == month].astype(str)
                for period in periods if daily else [str(month)]:
                    file = self._file(symbol, dataset, period, table, lines)
                    file.expected = self.expected[symbol]
                    yield file

    def _file(self, symbol: str, dataset: str, period: str, table: Table, lines: list[bytes]) -> ArchiveFile:
        header = ",".join(COLUMNS[dataset]).encode()
        file = ArchiveFile(symbol, dataset, period, self.interval, table, 0, [], header, [])
        first, after = np.searchsorted(table.time, [milliseconds(file.start), milliseconds(file.end)])
        file.first_row = int(first)
        file.lines = [[line] for line in lines[first:after]]
        return file

    def _write(self, file: ArchiveFile) -> None:
        target = self.folder / file.path
        sums = target.with_name(target.name + ".CHECKSUM")
        target.unlink(missing_ok=True)
        sums.unlink(missing_ok=True)
        if file.absent:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        content = zipped({file.csv_name: file.csv()}) if file.content is None else file.content
        target.write_bytes(content)
        checksum = file.checksum
        if checksum is None:
            checksum = f"{hashlib.sha256(content).hexdigest()}  {target.name}\n".encode()
        if checksum:
            sums.write_bytes(checksum)
        self.files[file.symbol][file.path] = file.dataset, file.period


def _between(
    table: pd.DataFrame, key: str, since: str | None, until: str | None, later: int = 0
) -> pd.DataFrame:
    keep = pd.Series(True, index=table.index)
    if since is not None:
        keep &= table[key] + later >= milliseconds(pd.Timestamp(since, tz="UTC"))
    if until is not None:
        keep &= table[key] + later < milliseconds(pd.Timestamp(until, tz="UTC"))
    return table.loc[keep].reset_index(drop=True)


def _stamped(table: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds of the first column to UTC times."""
    stamps = pd.to_datetime(table.iloc[:, 0], unit="ms", utc=True).dt.as_unit("ms")
    return table.assign(**{str(table.columns[0]): stamps})
