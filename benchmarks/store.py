"""What the store costs: loading five years of a symbol, and adding a day to them.

One symbol with hourly bars, 8-hourly funding, 5-minute open interest and 5-minute ratios of five years.
``load`` is read and joined (``History.from_raw``); a day's update is one commit. Medians of many runs on
a warm disk.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.results import options, report
from features.history import History
from features.store import Change, Store

RUNS = 15
SYMBOL = "BTCUSDT"
START, END = pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC")


def tables(start: pd.Timestamp, end: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """Rows of the span, as the archive gives them."""
    rng = np.random.default_rng(int(start.timestamp()))
    hours = pd.date_range(start, end, freq="h", inclusive="left", unit="ms")
    price = np.round(2e4 * np.exp(np.cumsum(rng.normal(0, 0.005, len(hours) + 1))), 1)
    settled = pd.date_range(start, end, freq="8h", inclusive="left", unit="ms")
    fives = pd.date_range(start, end, freq="5min", inclusive="left", unit="ms")
    coins = np.round(9e4 * np.exp(np.cumsum(rng.normal(0, 0.0005, len(fives)))), 3)
    turnover = np.round(rng.lognormal(17, 1, len(hours)), 2)
    return {
        "bars_1h": pd.DataFrame(
            {
                "open_time": hours,
                "open": price[:-1],
                "high": np.round(np.maximum(price[:-1], price[1:]) * 1.002, 1),
                "low": np.round(np.minimum(price[:-1], price[1:]) * 0.998, 1),
                "close": price[1:],
                "volume": np.round(turnover / price[1:], 3),
                "quote_volume": turnover,
                "taker_buy_quote_volume": np.round(turnover * rng.uniform(0.4, 0.6, len(hours)), 2),
            }
        ),
        "funding": pd.DataFrame(
            {
                "time": settled,
                "funding_rate": np.round(rng.normal(1e-4, 1e-4, len(settled)), 8),
                "funding_interval_hours": np.full(len(settled), 8.0),
            }
        ),
        "open_interest": pd.DataFrame(
            {
                "time": fives,
                "open_interest_value": np.round(coins * 2e4, 2),
                "open_interest_coins": coins,
            }
        ),
        "positioning": pd.DataFrame(
            {
                "time": fives,
                **{
                    name: np.round(rng.lognormal(0, 0.2, len(fives)), 4)
                    for name in ("lsr_global", "lsr_top_accounts", "lsr_top_positions", "taker_ratio")
                },
            }
        ),
    }


def milliseconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median of many runs."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def sizes(root: Path) -> dict[str, int]:
    """Bytes of every file of the store."""
    return {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        store = Store(root)
        years = tables(START, END)
        with store.writing():
            started = time.perf_counter()
            store.commit(SYMBOL, Change("binance", years))
            filled = (time.perf_counter() - started) * 1e3
        before = sizes(root)
        raw = store.read(SYMBOL, "1h")
        read = milliseconds(lambda: Store(root).read(SYMBOL, "1h"))
        join = milliseconds(lambda: History.from_raw(raw))
        load = milliseconds(lambda: History.from_raw(Store(root).read(SYMBOL, "1h")))
        with store.writing():
            nothing = milliseconds(lambda: store.commit(SYMBOL, Change("binance")))
            day = END + pd.Timedelta(days=14)  # in the middle of a month's partition
            store.commit(SYMBOL, Change("binance", tables(END, day)))
            middle = sizes(root)
            started = time.perf_counter()
            store.commit(SYMBOL, Change("binance", tables(day, day + pd.Timedelta(days=1))))
            update = (time.perf_counter() - started) * 1e3
        after = sizes(root)
        written = {name: size for name, size in after.items() if name not in middle or "manifest" in name}
        figures = {
            "rows": sum(len(table) for table in years.values()),
            "store_bytes": sum(before.values()),
            "files": len(before),
            "fill_ms": filled,
            "read_ms": read,
            "join_ms": join,
            "load_ms": load,
            "commit_of_nothing_ms": nothing,
            "day_update_ms": update,
            "day_update_files": len(written),
            "day_update_bytes": sum(written.values()),
            "day_update_share_of_store": sum(written.values()) / sum(after.values()),
        }
    report("store", figures, arguments.json)


if __name__ == "__main__":
    main()
