"""A writer of a store, as a process of its own: ``python store_writer.py URL JOB``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from histories import raw_market

from features.raw import LedgerEntry, RawMarket
from features.store import Change, SourceFile, Store

__all__ = ["SYMBOLS", "changes", "fill", "markets"]

SYMBOLS = ("AAAUSDT", "BBBUSDT")


def changes(seed: int) -> Iterator[Change]:
    """Eight months, one at a time, with ledger and files."""
    raw = raw_market(243, "1d", seed=seed)
    assert raw.funding is not None
    for month in pd.period_range("2022-01", "2022-08", freq="M"):
        name = str(month)
        bars = raw.bars[_of(raw.bars["open_time"], month)]
        funding = raw.funding[_of(raw.funding["time"], month)]
        if bars.empty:
            continue
        scope = f"klines-1d/{name}"
        yield Change(
            "binance",
            {"bars_1d": bars, "funding": funding},
            ledger={scope: [LedgerEntry("double_rows", "bars", count=month.month, detail=name)]},
            files={scope: SourceFile("read", "00" * 32, len(bars))},
        )


def _of(times: pd.Series[pd.Timestamp], month: pd.Period) -> pd.Series[bool]:
    return (times.dt.year == month.year) & (times.dt.month == month.month)


def fill(store: Store) -> None:
    """Bring every symbol to its end, from wherever it is; the lock is held."""
    for seed, symbol in enumerate(SYMBOLS):
        state = store.state(symbol)
        known = {} if state is None else state.files
        for change in changes(seed):
            if not known.keys() >= change.files.keys():
                store.commit(symbol, change)


def markets() -> tuple[RawMarket, RawMarket]:
    """Two markets of the same times whose every value differs."""
    first = replace(raw_market(90, "1d"), symbol="AAAUSDT")
    second = replace(raw_market(90, "1d", seed=9), symbol="AAAUSDT")
    return first, second


def main(url: str, job: str) -> None:
    """Do one job until the end, or until killed."""
    store = Store(url)
    with store.writing():
        print("held", flush=True)
        if job == "fill":
            fill(store)
        elif job == "flip":
            while True:
                for market in markets():
                    store.write(market)
        elif job == "hold":
            threading.Event().wait()
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
