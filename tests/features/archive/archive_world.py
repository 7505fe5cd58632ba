"""What the black-box tests of the archive share: run the command, hold a store against the truth."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import bearmode
from benchmarks.archive_files import Expected
from benchmarks.planted_archive import SINCE, UNTIL, plant_everything
from benchmarks.simulated_archive import Listing, SimulatedArchive
from features.raw import LedgerEntry, RawMarket
from features.store import Store

__all__ = [
    "LONG",
    "SINCE",
    "UNTIL",
    "Ended",
    "assert_holds",
    "command",
    "disagreements",
    "fetch",
    "ledger_of",
    "plant_everything",
    "small_archive",
    "store_hashes",
    "unnamed",
]

LONG = os.environ.get("BEARMODE_TIER") == "long"
"""Full counts."""

DATASET_WORDS = {
    "klines": r"kline|bars|volume|open|high|low|close",
    "fundingRate": r"funding",
    "metrics": r"metric|open_interest|positioning|lsr|taker",
}
"""What the scope, subject or detail of an entry about a dataset says."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def command(*arguments: str | Path, **environment: str) -> Ended:
    """Run the command line in this process; ``environment`` names variables without ``BEARMODE_``."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bearmode", *map(str, arguments)])
        for name, value in environment.items():
            patch.setenv(f"BEARMODE_{name}", value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                bearmode.main()
            except SystemExit as stop:
                code = int(stop.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def fetch(
    url: str,
    symbols: str,
    store: Path,
    *more: str | Path,
    since: str = SINCE,
    until: str = UNTIL,
) -> Ended:
    """``bearmode fetch --source archive``."""
    return command(
        *("fetch", "--source", "archive", "--archive-url", url, "--symbols", symbols),
        *("--since", since, "--until", until, "--store", store, *more),
    )


def small_archive(folder: Path, symbols: Iterable[str] = ("BTCUSDT",)) -> SimulatedArchive:
    """Two months of klines and funding and twelve days of metrics for each symbol, nothing wrong."""
    listings = {name: Listing("SIM" + name[:3], metrics_since="2024-02-18") for name in symbols}
    return SimulatedArchive(folder, listings, since="2024-01-01", until="2024-03-01")


def store_hashes(root: Path) -> dict[str, str]:
    """SHA-256 of every file of a store that is data: not the lock, not the downloads."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".lock", ".downloads"} & set(path.relative_to(root).parts)
    }


def assert_holds(market: RawMarket, truth: RawMarket, since: str, until: str) -> None:
    """Every value of every table is there to the last bit, and nothing else is."""
    wrong = disagreements(market, truth, since, until)
    assert not wrong, "\n".join(wrong)


def disagreements(market: RawMarket, truth: RawMarket, since: str, until: str) -> list[str]:
    """Where the tables differ, in words."""
    wrong: list[str] = []
    for name in ("bars", "funding", "open_interest", "positioning"):
        right, held = getattr(truth, name), getattr(market, name)
        if held is None:
            wrong.append(f"{name}: there is no table")
            continue
        key = "open_time" if name == "bars" else "time"
        stamps = held[key]
        if str(stamps.dtype) != "datetime64[ms, UTC]" or not stamps.is_monotonic_increasing:
            wrong.append(f"{name}: {key} is {stamps.dtype}, or not in order")
        if not stamps.is_unique:
            wrong.append(f"{name}: {key} is not unique")
        for column in right.columns.drop(key):
            if column not in held:
                wrong.append(f"{name}.{column} is missing")
                continue
            wrong += _compared(f"{name}.{column}", held.set_index(key)[column], right.set_index(key)[column])
    return wrong


def _compared(name: str, held: pd.Series, right: pd.Series) -> list[str]:
    """Compare the values that are there; a row of NaN and no row are the same."""
    held, right = held.dropna().astype(np.float64), right.dropna().astype(np.float64)
    extra, lost = held.index.difference(right.index), right.index.difference(held.index)
    words = [
        f"{name}: {len(found)} {what}, first at {found[0]}, last at {found[-1]}"
        for what, found in (("too many", extra), ("lost", lost))
        if len(found)
    ]
    common = held.index.intersection(right.index)
    differ = common[(held[common].to_numpy() != right[common].to_numpy())]
    if len(differ):
        first = differ[0]
        words.append(f"{name}: {len(differ)} differ, first at {first}: {held[first]} for {right[first]}")
    return words


def ledger_of(store: Path, symbol: str) -> list[tuple[str, LedgerEntry]]:
    """Every entry of a symbol's ledger with its scope."""
    state = Store(store).state(symbol)
    assert state is not None
    return [(scope, entry) for scope, entries in state.ledger.items() for entry in entries]


def unnamed(ledger: list[tuple[str, LedgerEntry]], expected: Iterable[Expected]) -> list[Expected]:
    """What the ledger should name and does not."""
    return [one for one in expected if not any(_names(scope, entry, one) for scope, entry in ledger)]


def _names(scope: str, entry: LedgerEntry, one: Expected) -> bool:
    words = f"{scope} {entry.subject} {entry.detail}"
    if entry.kind not in one.kinds or not re.search(DATASET_WORDS[one.dataset], words):
        return False
    hour = pd.Timedelta(hours=1)
    start = entry.start if entry.start is not None else one.start
    end = entry.end if entry.end is not None else start
    return bool(start <= one.end + hour and end >= one.start - hour)
