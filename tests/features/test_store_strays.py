"""What a store removes at the next writing: its own leftovers, and never a file of somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from histories import raw_market

from features.store import Store

THEIRS = (
    "BTCUSDT/bars_1h.parquet",
    "BTCUSDT/funding.parquet",
    "BTCUSDT/bars_1h/2024-01.parquet",
    "ETHUSDT/bars_1h.parquet",
    "ETHUSDT/notes.part",
    "DATA/deep/below/table.parquet",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in THEIRS:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"years of work")
    return tmp_path


def test_files_that_were_there_before_the_store_are_left_alone(folder: Path) -> None:
    store = Store(folder)
    for _ in range(2):
        with store.writing():
            store.write(raw_market(50))
    assert {name: (folder / name).read_bytes() for name in THEIRS} == dict.fromkeys(THEIRS, b"years of work")
    assert store.symbols() == [raw_market(50).symbol]


def test_leftovers_of_a_killed_writer_go(folder: Path) -> None:
    hashed = "2031-01.0123456789abcdef.parquet"
    strays = [
        folder / "BTCUSDT" / "bars_1h" / hashed,
        folder / "BTCUSDT" / "bars_1h" / f".{hashed}.4711.part",
        folder / "BTCUSDT" / ".manifest.json.4711.part",
        folder / "XRPUSDT" / "funding" / "2031.0123456789abcdef.parquet",
    ]
    for path in strays:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    with Store(folder).writing():
        pass
    assert [path.exists() for path in strays] == [False] * len(strays)
