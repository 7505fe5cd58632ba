"""The store: round trips, merges, refusals, and a writer that is killed at any moment."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from histories import LONG, raw_market, utc

from features.errors import DataError, LockedError, NothingUsableError, UsageError
from features.raw import LedgerEntry, RawMarket, Series
from features.store import Change, SourceFile, Store
from features.store.folders import LocalFolder

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
        ('{"schema_version": 3, "symbol": "TESTUSDT"}', "newer_store"),
        ('{"symbol": "TESTUSDT"}', "damaged_store"),
        ("[]", "damaged_store"),
        ("{", "damaged_store"),
        ("", "damaged_store"),
        ('{"schema_version": 2, "symbol": "TESTUSDT", "source": "files"}', "damaged_store"),
    ],
)
def test_a_newer_or_damaged_store_is_refused(tmp_path: Path, content: str, code: str) -> None:
    Store(tmp_path).write(stamped(1))
    (tmp_path / "TESTUSDT" / "manifest.json").write_text(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.message
    with pytest.raises(DataError):
        Store(tmp_path).write(stamped(2))
    assert (tmp_path / "TESTUSDT" / "manifest.json").read_text() == content


def test_a_partition_that_is_lost_or_damaged_is_named(tmp_path: Path) -> None:
    Store(tmp_path).write(stamped(1))
    (file,) = (tmp_path / "TESTUSDT" / "bars_1h").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(DataError, match=file.name) as caught:
        read(tmp_path)
    assert caught.value.code == "damaged_store"
    file.unlink()
    with pytest.raises(DataError, match="is missing") as caught:
        read(tmp_path)
    assert caught.value.code == "damaged_store"


def test_a_symbol_that_is_not_there_is_nothing_usable(tmp_path: Path) -> None:
    Store(tmp_path).write(stamped(1))
    with pytest.raises(NothingUsableError, match="it holds TESTUSDT") as caught:
        Store(tmp_path).read("BTCUSDT", "1h")
    assert caught.value.exit_code == 3
    assert "bearmode fetch" in str(caught.value.hint)


def objects(root: Path) -> dict[str, bytes]:
    """All files but the lock."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_nothing_is_kept_of_what_was_replaced(tmp_path: Path) -> None:
    for number in range(5):
        Store(tmp_path / "many").write(stamped(number))
    Store(tmp_path / "one").write(stamped(4))
    assert objects(tmp_path / "many") == objects(tmp_path / "one")


def test_a_day_more_rewrites_one_partition_of_each_kind(tmp_path: Path) -> None:
    whole = raw_market(24 * 100)
    store = Store(tmp_path)
    store.write(replace(whole, bars=whole.bars.iloc[:-24]))
    before = objects(tmp_path)
    store.write(whole)
    after = objects(tmp_path)
    new = set(after) - set(before)
    assert {name.split("/")[1] for name in new} == {"bars_1h"}
    assert len(new) == 1
    assert after["TESTUSDT/manifest.json"] != before["TESTUSDT/manifest.json"]
    store.write(whole)
    assert objects(tmp_path) == after


def test_the_order_of_partial_commits_leaves_no_trace(tmp_path: Path) -> None:
    bars = raw_market(24 * 90).bars
    for folder, cuts in (("a", [0, 500, 2160]), ("b", [0, 100, 1000, 1001, 2160]), ("c", [0, 2160])):
        for first, last in itertools.pairwise(cuts):
            change = Change("files", {"bars_1h": bars.iloc[first:last]})
            Store(tmp_path / folder).commit("TESTUSDT", change)
    assert objects(tmp_path / "a") == objects(tmp_path / "b") == objects(tmp_path / "c")


def test_cleared_spans_lose_their_old_rows_and_nothing_else(tmp_path: Path) -> None:
    bars = raw_market(24 * 60).bars
    store = Store(tmp_path)
    store.commit("TESTUSDT", Change("files", {"bars_1h": bars}))
    start, end = bars["open_time"].iloc[100], bars["open_time"].iloc[900]
    new = bars.iloc[[200, 300]].assign(close=1.0)
    store.commit("TESTUSDT", Change("files", {"bars_1h": new}, cleared={"bars_1h": [(start, end)]}))
    expected = pd.concat([bars.iloc[:101], new, bars.iloc[900:]], ignore_index=True)
    pd.testing.assert_frame_equal(read(tmp_path).bars, expected, check_exact=True)
    everything = (start - pd.Timedelta(days=999), end + pd.Timedelta(days=999))
    state = store.commit("TESTUSDT", Change("files", cleared={"bars_1h": [everything]}))
    assert state.kinds == {}
    assert list(objects(tmp_path)) == ["TESTUSDT/manifest.json"]


def test_scopes_of_the_ledger_replace_one_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    bars = raw_market(48).bars

    def entry(day: int, what: str = "x") -> LedgerEntry:
        return LedgerEntry("no_header", what, utc(f"2022-01-{day:02d}"), utc(f"2022-01-{day + 1:02d}"), 1, "")

    ledger = {"klines-1h/a": [entry(3)], "klines-1h/b": [entry(4)], "klines-4h/a": [entry(9)]}
    files = {"klines-1h/a": SourceFile("read", "ab", 3), "klines-1h/b": SourceFile("missing", reason="404")}
    store.commit("TESTUSDT", Change("files", {"bars_1h": bars}, ledger=ledger, files=files))
    assert read(tmp_path).ledger == (replace(entry(3), end=utc("2022-01-05"), count=2),)
    store.commit("TESTUSDT", Change("files", ledger={"klines-1h/a": [], "klines-1h/b": [entry(4, "y")]}))
    assert read(tmp_path).ledger == (entry(4, "y"),)
    state = Store(tmp_path).state("TESTUSDT")
    assert state is not None
    assert dict(state.files) == files
    assert set(state.ledger) == {"klines-1h/b", "klines-4h/a"}


def test_series_of_all_symbols_reach_those_that_have_none_of_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    market = replace(raw_market(60), fear_greed=None)
    days = pd.date_range("2022-01-03", periods=3, tz="UTC", unit="ms")
    own, shared = (pd.DataFrame({"time": days, "value": np.arange(3.0) + n}) for n in (0, 10))
    mood = pd.DataFrame({"time": days, "fear_greed": [10.0, 20.0, 30.0]})
    store.write(replace(market, extras={"put_call": Series(own, 72.0)}))
    tables = {"fear_greed": mood, "signal_put_call": shared, "signal_flows": shared}
    store.commit("_market", Change("signals", tables, options={"signal_flows": {"stale_after_hours": 6}}))
    got = read(tmp_path)
    assert got.fear_greed is not None
    pd.testing.assert_frame_equal(got.fear_greed, mood)
    pd.testing.assert_frame_equal(got.extras["put_call"].table, own)
    pd.testing.assert_frame_equal(got.extras["flows"].table, shared)
    assert [got.extras[name].stale_after_hours for name in ("put_call", "flows")] == [72.0, 6.0]
    assert store.symbols() == ["TESTUSDT"]


@pytest.mark.parametrize("name", ["../x", "a", "BTC/USDT", "", "btcusdt", "_other"])
def test_what_is_no_symbol_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        Store(tmp_path / "store").commit(name, Change("files", {"bars_1h": raw_market(2).bars}))
    with pytest.raises(UsageError):
        Store(tmp_path / "store").read(name, "1h")
    assert not (tmp_path / "store").exists()


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
    *((Path, "write_bytes", number) for number in range(len(TABLES) + 1)),
    *((os, "replace", number) for number in range(len(TABLES) + 1)),
]


@pytest.mark.parametrize(("owner", "name", "after"), STEPS)
def test_a_writer_that_fails_at_any_step_leaves_the_old_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: int
) -> None:
    store = Store(tmp_path / "a")
    store.write(stamped(1))
    calls: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing(after, getattr(owner, name), calls))
        patched.setattr(Path, "unlink", crashing(0, Path.unlink, []))  # no time to clean up
        with pytest.raises(Crash):
            store.write(stamped(2))
    assert len(calls) == after + 1
    assert stamp(read(tmp_path / "a")) == 1
    with store.writing():
        assert store.write(stamped(3)) == 60
    assert stamp(read(tmp_path / "a")) == 3
    Store(tmp_path / "b").write(stamped(3))
    assert objects(tmp_path / "a") == objects(tmp_path / "b")


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
    Store(tmp_path / "other").write(stamped(7))
    found = objects(tmp_path)
    assert objects(tmp_path / "other") == {n: c for n, c in found.items() if not n.startswith("other/")}


def test_the_lock_is_free_after_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError), Store(tmp_path).writing():
        raise DataError("no")
    with Store(tmp_path).writing(), pytest.raises(LockedError), Store(tmp_path).writing():
        pass


@pytest.mark.parametrize("writes", [1, 2, 3])
@pytest.mark.parametrize("moment", range(len(TABLES)))
def test_a_reader_overtaken_by_writers_sees_one_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int, writes: int
) -> None:
    """The writers come in just before the reader opens its n-th partition."""
    store = Store(tmp_path)
    store.write(stamped(1))
    plain = LocalFolder.get
    pending = [stamped(2 + number) for number in range(writes)]
    opened: list[str] = []

    def overtaken(folder: LocalFolder, name: str) -> bytes | None:
        if name.endswith(".parquet") and len(opened) <= moment:
            opened.append(name)
            if len(opened) > moment:
                monkeypatch.setattr(LocalFolder, "get", plain)
                for market in pending:
                    store.write(market)
                pending.clear()
        return plain(folder, name)

    monkeypatch.setattr(LocalFolder, "get", overtaken)
    assert stamp(store.read("TESTUSDT", "1h")) == 1 + writes
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
