"""The store: round trips, merges, refusals, and a writer that is killed at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from histories import LONG, raw_market

from features.errors import DataError, LockedError, NothingUsableError
from features.raw import LedgerEntry, RawMarket
from features.store import Store

TABLES = ("bars", "funding", "open_interest", "positioning", "fear_greed")
HERE = Path(__file__).resolve().parent


def stamped(number: int, bars: int = 60) -> RawMarket:
    """A market in which every table says which writing it comes from."""
    market = raw_market(bars)
    columns = {
        "bars": "volume",
        "funding": "funding_rate",
        "open_interest": "open_interest_value",
        "positioning": "lsr_global",
        "fear_greed": "fear_greed",
    }
    return replace(
        market, **{name: getattr(market, name).assign(**{column: number}) for name, column in columns.items()}
    )


def stamp(market: RawMarket) -> int:
    """The number of the writing that every table came from; fails on a mixture."""
    assert market.funding is not None
    assert market.open_interest is not None
    assert market.positioning is not None
    assert market.fear_greed is not None
    found = {
        *market.bars["volume"].astype(int),
        *market.funding["funding_rate"].astype(int),
        *market.open_interest["open_interest_value"].astype(int),
        *market.positioning["lsr_global"].astype(int),
        *market.fear_greed["fear_greed"].astype(int),
    }
    assert len(found) == 1, found
    return int(found.pop())


def read(root: Path) -> RawMarket:
    return Store(root).read("TESTUSDT", "1h")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    entry = LedgerEntry("stale_value", "funding", pd.Timestamp("2022-01-05", tz="UTC"), None, 3, "why")
    market = replace(raw_market(100), ledger=(entry,), source="simulated")
    assert Store(tmp_path).write(market) == 100
    got = read(tmp_path)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(got, name), getattr(market, name), check_exact=True)
    assert (got.symbol, got.interval, got.source, got.ledger) == ("TESTUSDT", "1h", "simulated", (entry,))
    assert Store(tmp_path).symbols("1h") == ["TESTUSDT"]
    assert Store(tmp_path).symbols("1d") == []


def test_tables_that_were_not_there_stay_away(tmp_path: Path) -> None:
    Store(tmp_path).write(RawMarket("TESTUSDT", "1h", raw_market(30).bars))
    got = read(tmp_path)
    assert got.funding is got.open_interest is got.positioning is got.fear_greed is None


def test_later_rows_are_added_and_rows_of_the_same_time_are_replaced(tmp_path: Path) -> None:
    old, new = raw_market(100, seed=1), raw_market(160, seed=2)
    store = Store(tmp_path)
    store.write(old)
    later = replace(new, bars=new.bars.iloc[90:], funding=None)
    assert store.write(later) == 160
    got = read(tmp_path)
    expected = pd.concat([old.bars.iloc[:90], new.bars.iloc[90:]], ignore_index=True)
    pd.testing.assert_frame_equal(got.bars, expected, check_exact=True)
    assert old.funding is not None
    assert got.funding is not None
    pd.testing.assert_frame_equal(got.funding, old.funding, check_exact=True)


def test_earlier_rows_are_put_before_the_others(tmp_path: Path) -> None:
    whole = raw_market(120)
    Store(tmp_path).write(replace(whole, bars=whole.bars.iloc[50:]))
    Store(tmp_path).write(replace(whole, bars=whole.bars.iloc[:70]))
    pd.testing.assert_frame_equal(read(tmp_path).bars, whole.bars, check_exact=True)


def test_intervals_of_a_symbol_lie_apart(tmp_path: Path) -> None:
    Store(tmp_path).write(raw_market(50))
    Store(tmp_path).write(raw_market(20, "1d"))
    assert len(read(tmp_path).bars) == 50
    assert len(Store(tmp_path).read("TESTUSDT", "1d").bars) == 20


def test_simulated_and_real_rows_never_mix(tmp_path: Path) -> None:
    Store(tmp_path).write(stamped(1))
    with pytest.raises(DataError) as caught:
        Store(tmp_path).write(replace(stamped(2), source="simulated"))
    assert caught.value.code == "mixed_sources"
    assert "'files'" in caught.value.message
    assert "'simulated'" in caught.value.message
    assert stamp(read(tmp_path)) == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"schema_version": 2, "folder": "x", "source": "files", "ledger": []}', "newer_store"),
        ('{"folder": "x"}', "damaged_store"),
        ("[]", "damaged_store"),
        ("{", "damaged_store"),
        ("", "damaged_store"),
        ('{"schema_version": 1, "folder": "gone", "source": "files", "ledger": []}', "damaged_store"),
    ],
)
def test_a_newer_or_damaged_store_is_refused(tmp_path: Path, content: str, code: str) -> None:
    Store(tmp_path).write(stamped(1))
    (tmp_path / "TESTUSDT" / "1h" / "current.json").write_text(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.message
    if code == "newer_store":
        with pytest.raises(DataError):
            Store(tmp_path).write(stamped(2))


def test_a_symbol_that_is_not_there_is_nothing_usable(tmp_path: Path) -> None:
    Store(tmp_path).write(stamped(1))
    with pytest.raises(NothingUsableError, match="it holds TESTUSDT") as caught:
        Store(tmp_path).read("BTCUSDT", "1h")
    assert caught.value.exit_code == 3
    assert "bearmode fetch" in str(caught.value.hint)


def test_only_the_current_generation_and_the_one_before_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        Store(tmp_path).write(stamped(number))
    folder = tmp_path / "TESTUSDT" / "1h"
    assert sum(path.is_dir() for path in folder.iterdir()) == 2
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["current.json"]


class Crash(BaseException):
    """The process ends here."""


def crashing(after: int, step: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise Crash
        return step(*args, **options)

    return wrapped


STEPS: list[tuple[Any, str, int]] = [
    (Path, "mkdir", 0),
    *((pd.DataFrame, "to_parquet", table) for table in range(len(TABLES))),
    (Path, "rename", 0),
    (Path, "write_text", 0),
    (os, "replace", 0),
]


@pytest.mark.parametrize(("owner", "name", "after"), STEPS)
def test_a_writer_that_fails_at_any_step_leaves_the_old_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: int
) -> None:
    store = Store(tmp_path)
    store.write(stamped(1))
    calls: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing(after, getattr(owner, name), calls))
        patched.setattr(shutil, "rmtree", crashing(0, shutil.rmtree, []))  # no time to clean up
        with pytest.raises(Crash):
            store.write(stamped(2))
    assert len(calls) == after + 1
    assert stamp(read(tmp_path)) == 1
    assert store.write(stamped(3)) == 60
    assert stamp(read(tmp_path)) == 3
    folders = [path.name for path in (tmp_path / "TESTUSDT" / "1h").iterdir() if path.is_dir()]
    assert len(folders) == 2
    assert not any(folder.startswith(".") for folder in folders)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store import stamped, Store
store, number = Store(Path(sys.argv[1])), int(sys.argv[3])
markets = [stamped(number + step) for step in range(50)]
with store.writing():
    for market in markets * 100:
        store.write(market)
        print("wrote", flush=True)
"""


def killed_writer(root: Path, number: int, delay: float) -> None:
    """Start a process that writes without end; kill it ``delay`` seconds after its first writing."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(HERE), str(number)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "wrote\n"
        with pytest.raises(LockedError) as caught, Store(root).writing():
            pass
        assert caught.value.exit_code == 5
        drain = threading.Thread(target=process.stdout.read)
        drain.start()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        process.kill()
        drain.join()
        assert process.wait(timeout=30) == -9


def test_a_killed_writer_leaves_a_readable_store_and_no_lock(tmp_path: Path) -> None:
    moments = random.Random(11)
    for turn in range(30 if LONG else 5):
        killed_writer(tmp_path, 100 * turn, moments.uniform(0.001, 0.2))
        assert 100 * turn <= stamp(read(tmp_path)) < 100 * turn + 50
    with Store(tmp_path).writing():
        Store(tmp_path).write(stamped(7))
    assert stamp(read(tmp_path)) == 7
    assert sum(path.is_dir() for path in (tmp_path / "TESTUSDT" / "1h").iterdir()) == 2


def test_the_lock_is_free_after_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError), Store(tmp_path).writing():
        raise DataError("no")
    with Store(tmp_path).writing(), pytest.raises(LockedError), Store(tmp_path).writing():
        pass


@pytest.mark.parametrize("writes", [1, 2, 3])
@pytest.mark.parametrize("moment", TABLES)
def test_a_reader_overtaken_by_writers_sees_one_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, writes: int
) -> None:
    """The writers come in just before the reader opens the table ``moment``."""
    store = Store(tmp_path)
    store.write(stamped(1))
    plain = Store._table
    pending = [stamped(2 + number) for number in range(writes)]

    def overtaken(folder: Path, name: str) -> pd.DataFrame | None:
        if name == moment and pending:
            monkeypatch.setattr(Store, "_table", staticmethod(plain))
            for market in pending:
                store.write(market)
            pending.clear()
        return plain(folder, name)

    monkeypatch.setattr(Store, "_table", staticmethod(overtaken))
    assert stamp(store.read("TESTUSDT", "1h")) in {1, 1 + writes}
    assert not pending


def test_readers_beside_a_writer_see_whole_writings_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    markets = [stamped(number) for number in range(40)]
    store.write(markets[0])
    writer = threading.Thread(target=lambda: [store.write(market) for market in markets])
    writer.start()
    seen = [stamp(read(tmp_path))]
    while writer.is_alive():
        seen.append(stamp(read(tmp_path)))
    writer.join()
    assert seen == sorted(seen)
    assert stamp(read(tmp_path)) == 39


def test_the_pointer_says_what_it_holds(tmp_path: Path) -> None:
    Store(tmp_path).write(stamped(1))
    folder = tmp_path / "TESTUSDT" / "1h"
    found = json.loads((folder / "current.json").read_text())
    assert (found["schema_version"], found["source"], found["ledger"]) == (1, "files", [])
    assert sorted(path.name for path in (folder / found["folder"]).iterdir()) == sorted(
        f"{name}.parquet" for name in TABLES
    )
