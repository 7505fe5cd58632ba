"""Candles and funding as freqtrade keeps them: ``user_data/data/<exchange>/futures/*.feather``.

    BTC_USDT_USDT-1h-futures.feather         candles; ``date`` is the candle's OPEN
    BTC_USDT_USDT-8h-funding_rate.feather    settlements: ``date``, the rate in ``open``, the rest 0
    BTC_USDT_USDT-1h-funding_rate.feather    the same, as newer versions call it; the rows are still
                                             one for each settlement
    BTC_USDT_USDT-1h-mark.feather            mark prices; not read

Columns are ``date, open, high, low, close, volume``. ``date`` is UTC whether it says so or not,
funding dates have the exchange's few milliseconds of jitter. The last candle may still be forming:
it is left out by name. freqtrade itself puts candles in order and keeps one of a time, so this
reader does (the last one, named). There is no open interest in freqtrade's data.

Source: ``freqtrade/data/history/datahandlers`` (IDataHandler, FeatherDataHandler) and the
documentation's page on downloading data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from features.bar_rules import PRICE_COLUMNS
from features.errors import BearmodeError, DataError, NothingUsableError, UsageError
from features.raw import LedgerEntry, RawMarket, interval_delta
from features.sources.file_cells import numbers, times
from features.sources.file_tables import read_frame
from features.sources.refusals import Refusals
from features.sources.settlements import settlements
from features.sources.symbol_files import check_file_bars

__all__ = ["PairFiles", "find_pairs", "load_pair"]

VENUES = {"binance": "binance", "binanceusdm": "binance", "okx": "okx", "bybit": "bybit"}
"""freqtrade's exchange folder to the venue here; rows of any other are ``files``."""

_NAME = re.compile(
    r"(?P<base>[A-Za-z0-9]{1,20})_(?P<quote>[A-Z0-9]+)_(?P<settle>[A-Z0-9]+)"
    r"-(?P<timeframe>\d{1,3}[a-zA-Z]{1,2})-(?P<kind>[A-Za-z_]+)\.(?:feather|parquet)"
)
_FOLDERS = (".", "futures", "*/futures", "data/*/futures")
"""Where candles of perpetuals are, below the exchange's folder, the data folder or user_data."""
_COLUMNS = ("date", *PRICE_COLUMNS, "volume")


@dataclass(frozen=True)
class PairFiles:
    """Files of one perpetual.

    Attributes
    ----------
    symbol : str
        ``BTCUSDT`` for ``BTC/USDT:USDT``.
    folder : Path
    candles : Path
    funding : tuple of Path
        The file of the longest timeframe first.
    ignored : tuple of LedgerEntry
    """

    symbol: str
    folder: Path
    candles: Path
    funding: tuple[Path, ...] = ()
    ignored: tuple[LedgerEntry, ...] = ()

    @property
    def venue(self) -> str:
        """Source of the rows."""
        return VENUES.get(self.folder.resolve().parent.name, "files")


@dataclass
class _Pair:
    candles: list[Path] = field(default_factory=list)
    funding: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def find_pairs(path: Path, interval: str) -> dict[str, PairFiles]:
    """Perpetuals with candles of the interval: settled in the currency that they are quoted in.

    Raises
    ------
    UsageError
        If the folder holds several exchanges.
    """
    folders = {
        folder: pairs
        for pattern in _FOLDERS
        for folder in ([path] if pattern == "." else sorted(path.glob(pattern)))
        if folder.is_dir() and (pairs := _pairs(folder, interval))
    }
    if len(folders) > 1:
        raise UsageError(
            f"{path} holds futures of {len(folders)} exchanges: {', '.join(map(str, folders))}",
            code="several_exchanges",
            field="path",
            hint="name one of these folders",
        )
    for folder, pairs in folders.items():
        return {symbol: _files(symbol, folder, pair, interval) for symbol, pair in sorted(pairs.items())}
    return {}


def _pairs(folder: Path, interval: str) -> Mapping[str, _Pair]:
    pairs: dict[str, _Pair] = {}
    for file in sorted(folder.iterdir()):
        named = _NAME.fullmatch(file.name)
        if named is None or named["quote"] != named["settle"] or not file.is_file():
            continue
        symbol = f"{named['base'].upper()}{named['quote']}"
        if not re.fullmatch(r"[A-Z0-9]{2,24}", symbol):
            continue
        pair = pairs.setdefault(symbol, _Pair())
        if (named["kind"], named["timeframe"]) == ("futures", interval):
            pair.candles.append(file)
        elif named["kind"] == "funding_rate":
            pair.funding.append(file)
        else:
            pair.others.append(file)
    return {symbol: pair for symbol, pair in pairs.items() if pair.candles}


def _files(symbol: str, folder: Path, pair: _Pair, interval: str) -> PairFiles:
    candles, *doubles = pair.candles
    # The newer name is the shorter timeframe: where both are there, its rows count.
    funding = sorted(pair.funding, key=lambda file: (-_hours(file), file.name))
    ignored = tuple(
        LedgerEntry("ignored_file", file.name, detail=f"not read for {interval}")
        for file in sorted([*doubles, *pair.others])
    )
    return PairFiles(symbol, folder, candles, tuple(funding), ignored)


def _hours(file: Path) -> float:
    named = _NAME.fullmatch(file.name)
    text = "1h" if named is None else named["timeframe"]
    number, unit = re.fullmatch(r"(\d+)([a-zA-Z]+)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 1 / 60, "h": 1.0, "d": 24.0}.get(unit, 168.0)


def load_pair(
    files: PairFiles, interval: str, refusals: Refusals, shared: tuple[LedgerEntry, ...] = ()
) -> RawMarket | None:
    """Raw tables of one perpetual; ``None`` where its candles were refused.

    Raises
    ------
    DataError, NothingUsableError
        For the first bad file, where nobody asked for a report.
    """
    ledger = [*files.ignored, *shared]
    try:
        bars = _candles(files, interval, ledger)
    except BearmodeError as error:
        refusals.refuse(files.candles, files.symbol, error)
        return None
    parts = []
    for file in files.funding:
        try:
            parts.append(_rates(file, ledger))
        except DataError as error:
            ledger.append(refusals.refuse(file, files.symbol, error))
    funding = settlements(pd.concat(parts, ignore_index=True), files.symbol, ledger) if parts else None
    return RawMarket(files.symbol, interval, bars, funding, source=files.venue, ledger=tuple(ledger))


def _table(file: Path) -> pd.DataFrame:
    frame = read_frame(file)
    missing = [name for name in _COLUMNS if name not in frame]
    if missing:
        raise DataError(
            f"{file}: column {missing[0]!r} is missing; there are "
            f"{', '.join(map(str, frame.columns))[:300] or 'none'}",
            code="missing_column",
            field=missing[0],
            hint="freqtrade's files have date, open, high, low, close, volume",
        )
    return pd.DataFrame(
        {
            name: times(frame[name], file, name, naive_is_utc=True)
            if name == "date"
            else numbers(frame[name], file, name)
            for name in _COLUMNS
        }
    )


def _candles(files: PairFiles, interval: str, ledger: list[LedgerEntry]) -> pd.DataFrame:
    bars = _table(files.candles).rename(columns={"date": "open_time"})
    bars = bars.sort_values("open_time", kind="stable")
    close = bars["open_time"] + interval_delta(interval)
    doubled = bars["open_time"].duplicated(keep="last").to_numpy()
    forming = (close > pd.Timestamp.now(tz="UTC")).to_numpy()
    for kind, flag, words in (
        ("double_rows", doubled, "the last one is kept"),
        ("forming_bar", forming & ~doubled, "the candle has not closed"),
    ):
        if flag.any():
            touched = close[flag]
            ledger.append(
                LedgerEntry(kind, "bars", touched.iloc[0], touched.iloc[-1], int(flag.sum()), words)
            )
    bars = bars.loc[~(doubled | forming)].reset_index(drop=True)
    if bars.empty:
        raise NothingUsableError(f"{files.symbol}: {files.candles} has no candle in it", field="symbols")
    check_file_bars(bars, interval, files.candles)
    return bars


def _rates(file: Path, ledger: list[LedgerEntry]) -> pd.DataFrame:
    table = _table(file)
    blank = table["open"].isna().to_numpy()
    if blank.any():
        ledger.append(
            LedgerEntry("blank_rows", "funding", count=int(blank.sum()), detail=f"{file.name}: no rate")
        )
    rows = table.loc[~blank]
    return pd.DataFrame({"time": rows["date"], "funding_rate": rows["open"]})
