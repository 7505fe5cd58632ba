"""``bearmode update`` for 300 symbols that lack nothing, as a whole process.

``current``
    every bar, settlement and hour of open interest that can be there is there, and so is yesterday's
    file: nobody is asked;
``unpublished``
    the same, but yesterday's files are not out yet: the archive (a server on loopback with nothing in
    it) is asked for them, and says 404.

Each symbol holds a year of hourly bars, funding and hourly open interest, and the ledger of the files
that it came from.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.faulty_server import serving
from benchmarks.results import options, report
from features.store import Change, SourceFile, Store

SYMBOLS = 300
NOW = pd.Timestamp("2024-06-20 10:20", tz="UTC").as_unit("ms")
PUBLISHED = pd.Timestamp("2024-06-19", tz="UTC")


def year(now: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """A year of rows up to ``now``."""
    last = now.floor("h")
    opens = pd.date_range(end=last - pd.Timedelta(hours=1), periods=8760, freq="h", unit="ms")
    price = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.005, len(opens))))
    settled = pd.date_range(end=now.floor("8h"), periods=1095, freq="8h", unit="ms")
    bars = {"open": price, "high": price, "low": price, "close": price, "volume": price}
    rates = {
        "funding_rate": np.full(len(settled), 1e-4),
        "funding_interval_hours": np.full(len(settled), 8.0),
    }
    hours = opens + pd.Timedelta(hours=1)
    return {
        "bars_1h": pd.DataFrame({"open_time": opens, **bars}),
        "funding": pd.DataFrame({"time": settled, **rates}),
        "open_interest": pd.DataFrame({"time": hours, "open_interest_value": 1e9 * price}),
        "positioning": pd.DataFrame({"time": hours, "lsr_global": price}),
    }


def files(published: pd.Timestamp) -> dict[str, SourceFile]:
    """A year of files that were read, the last ones of the day before ``published``."""
    last = published.tz_localize(None) - pd.Timedelta(days=1)
    months = pd.period_range(end=last.to_period("M") - 1, periods=12, freq="M")
    days = pd.date_range(last.replace(day=1), last)
    names = [f"{dataset}/{month}" for dataset in ("klines-1h", "fundingRate") for month in months]
    names += [f"klines-1h/{day:%Y-%m-%d}" for day in days]
    names += [f"metrics/{day:%Y-%m-%d}" for day in pd.date_range(months[0].start_time, last)]
    return dict.fromkeys(names, SourceFile("read", "0" * 64, 24))


def seconds(store: Path, url: str) -> tuple[float, str]:
    """Wall time of the command, and what it said."""
    started = time.perf_counter()
    command = ["-m", "bearmode", "update", "--store", str(store), "--until", NOW.isoformat()]
    done = subprocess.run(
        [sys.executable, *command, "--archive-url", url, "--exchange-url", url],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    return time.perf_counter() - started, done.stdout.strip().splitlines()[-1]


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    figures: dict[str, object] = {"symbols": SYMBOLS}
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty"
        empty.mkdir()
        with serving(empty) as server:
            for name, published in (
                ("current", PUBLISHED + pd.Timedelta(days=1)),
                ("unpublished", PUBLISHED),
            ):
                root = Path(folder) / name
                store = Store(root)
                tables, read = year(NOW), files(published)
                with store.writing():
                    for number in range(SYMBOLS):
                        store.commit(f"S{number:03d}USDT", Change("binance", tables, files=read))
                server.forget()
                figures[f"{name}_s"], figures[f"{name}_says"] = seconds(root, server.url)
                figures[f"{name}_requests"] = len(server.log())
    report("update_many", figures, arguments.json)


if __name__ == "__main__":
    main()
