"""What a store removes: its own leftovers, and never what somebody else put there or writes now."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import raw_market

from features.errors import DataError, LockedError
from features.store import Change, Store
from features.store.folders import LocalFolder

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


def test_a_damaged_symbol_keeps_its_files_and_stops_no_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.write(raw_market(60))
        store.write(replace(raw_market(60), symbol="OTHERUSDT"))
    manifest = tmp_path / "TESTUSDT" / "manifest.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:99])
    with Store(tmp_path).writing():
        Store(tmp_path).write(replace(raw_market(90), symbol="OTHERUSDT"))
        with pytest.raises(DataError, match="TESTUSDT"):
            Store(tmp_path).write(raw_market(90))
    manifest.write_bytes(whole)
    assert len(Store(tmp_path).read("TESTUSDT", "1h").bars) == 60
    assert len(Store(tmp_path).read("OTHERUSDT", "1h").bars) == 90


def more(store: Store, number: int) -> None:
    """A change of the one partition of funding."""
    table = raw_market(60).funding
    assert table is not None
    store.commit("TESTUSDT", Change("files", {"funding": table.assign(funding_rate=number / 1000)}))


@pytest.mark.parametrize("other", ["commits", "sweeps"])
def test_a_writer_whose_lock_is_another_ones_by_now_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.write(raw_market(60))
    put = LocalFolder.put

    def interrupted(folder: LocalFolder, name: str, content: bytes) -> None:
        put(folder, name, content)
        monkeypatch.undo()
        with Store(tmp_path).writing():  # sweeps what no manifest names
            if other == "commits":
                more(Store(tmp_path), 2)

    monkeypatch.setattr(LocalFolder, "put", interrupted)
    with pytest.raises(LockedError, match="another process"):
        more(store, 1)
    market = Store(tmp_path).read("TESTUSDT", "1h")  # whole, and as the other one left it
    assert market.funding is not None
    assert (market.funding["funding_rate"] == 0.002).all() == (other == "commits")


@pytest.mark.parametrize(
    "change",
    [
        lambda kind: kind.update(partitions={}),
        lambda kind: kind.update(options=7),
        lambda kind: kind["partitions"].update({"2022": kind["partitions"].pop("2022-01")}),
        lambda kind: kind["partitions"]["2022-01"].__setitem__(1, -5),
        lambda kind: kind["partitions"]["2022-01"].__setitem__(2, 10**19),
    ],
)
def test_a_manifest_that_cannot_be_is_named_as_damaged(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with Store(tmp_path).writing():
        Store(tmp_path).write(raw_market(60))
    path = tmp_path / "TESTUSDT" / "manifest.json"
    content = json.loads(path.read_bytes())
    change(content["kinds"]["bars_1h"])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        Store(tmp_path).read("TESTUSDT", "1h")
