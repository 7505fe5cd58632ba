"""A store on a disk that is full, read-only, of another version or damaged: one clear error, data whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
import store_writer
from histories import LONG, raw_market

from features.errors import BearmodeError, DataError, LockedError
from features.raw import LedgerEntry, RawMarket
from features.store import Change, Store, ledger_of

HERE = Path(__file__).resolve().parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
TABLES = ("bars", "funding", "open_interest", "positioning", "fear_greed")


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a store but the lock."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def same(left: RawMarket, right: RawMarket) -> None:
    for name in TABLES:
        one, other = getattr(left, name), getattr(right, name)
        assert one is not None
        pd.testing.assert_frame_equal(one, other, check_exact=True)


# A disk that is full


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Callable[[str], None]]:
    """A small file system of its own; gives the function that mounts it again with other options."""
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no file system can be mounted here")

    def remount(again: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{again}", str(folder)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_clear_error_and_the_store_as_it_was(tmp_path: Path) -> None:
    small, large = replace(raw_market(60, "1d"), symbol="AAAUSDT"), raw_market(20_000)
    with mounted(tmp_path / "disk", "size=400k") as remount:
        root = tmp_path / "disk" / "store"
        store = Store(root)
        with store.writing():
            store.write(small)
        before = contents(root)
        with store.writing():
            for market in (large, replace(large, symbol="AAAUSDT")):
                with pytest.raises(BearmodeError) as caught:
                    store.write(market)
                assert caught.value.code == "disk_full"
                assert "No space left" in caught.value.message
                assert str(root) in caught.value.message
        same(Store(root).read("AAAUSDT", "1d"), small)
        assert Store(root).symbols() == ["AAAUSDT"]
        with Store(root).writing():
            pass
        assert contents(root) == before, "what was written in vain is removed at the next writing"
        remount("size=40m")
        with store.writing():
            store.write(large)
        same(Store(root).read("TESTUSDT", "1h"), large)


LIMITED = """
import resource, signal, sys
from pathlib import Path
from histories import raw_market
from features.errors import BearmodeError
from features.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
store = Store(Path(sys.argv[1]))
with store.writing():
    try:
        store.write(raw_market(2000))
    except BearmodeError as error:
        print(error.code, error.message)
"""


def test_a_file_that_may_not_grow_is_told_like_a_full_disk(tmp_path: Path) -> None:
    """The same where no file system can be mounted: the limit of a process on the size of its files."""
    root = tmp_path / "store"
    with Store(root).writing():
        Store(root).write(raw_market(60, "1d"))
    before = contents(root)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(root)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("disk_full ")
    assert "File too large" in done.stdout
    same(Store(root).read("TESTUSDT", "1d"), raw_market(60, "1d"))
    with Store(root).writing():
        pass
    assert contents(root) == before


# A folder that may only be read


def test_a_read_only_store_is_read_and_its_writer_told_at_once(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4m") as remount:
        root = tmp_path / "disk" / "store"
        with Store(root).writing():
            Store(root).write(raw_market(60, "1d"))
        old = tmp_path / "disk" / "old"
        _version_one(old, "OLDUSDT", [raw_market(30, "1d")])
        remount("ro")
        assert Store(root).symbols() == ["TESTUSDT"]
        same(Store(root).read("TESTUSDT", "1d"), raw_market(60, "1d"))
        for use in (lambda: Store(root).writing().__enter__(), lambda: Store(old).read("OLDUSDT", "1d")):
            with pytest.raises(BearmodeError) as caught:
                use()
            assert caught.value.code == "store_unreachable"
            assert "Read-only file system" in caught.value.message
        remount("rw")


def test_a_store_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    store = Store(tmp_path / "store")
    assert store.symbols() == []
    with pytest.raises(BearmodeError) as caught, store.writing():
        pass
    assert caught.value.code == "store_unreachable"


# Other versions


def _version_one(root: Path, symbol: str, markets: list[RawMarket]) -> None:
    """A symbol as version 0.1.0 wrote it."""
    for market in markets:
        folder, generation = root / symbol / market.interval, uuid.uuid4().hex[:12]
        (folder / generation).mkdir(parents=True)
        for name in TABLES:
            table = getattr(market, name)
            if table is not None:
                table.to_parquet(folder / generation / f"{name}.parquet", index=False)
        meta = {
            "schema_version": 1,
            "folder": generation,
            "source": market.source,
            "ledger": [entry.as_dict() for entry in market.ledger],
        }
        (folder / "current.json").write_text(
            json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    (root / ".lock").touch()


ENTRY = LedgerEntry(
    "ignored_column",
    "funding",
    pd.Timestamp("2022-01-04", tz="UTC").as_unit("ms"),
    pd.Timestamp("2022-01-05", tz="UTC").as_unit("ms"),
    3,
    "of an older version",
)


def old_store(root: Path) -> list[RawMarket]:
    """Two symbols of version 1, one of them at two intervals."""
    first = replace(raw_market(500), symbol="AAAUSDT", ledger=(ENTRY,))
    second = replace(raw_market(90, "1d"), symbol="AAAUSDT")
    third = replace(raw_market(90, "1d", seed=4), symbol="BBBUSDT", source="simulated", fear_greed=None)
    _version_one(root, "AAAUSDT", [first, second])
    _version_one(root, "BBBUSDT", [third])
    return [first, second, third]


def test_a_store_of_version_one_is_read_and_carried_over(tmp_path: Path) -> None:
    hourly, _, simulated = old_store(tmp_path / "store")
    found = Store(tmp_path / "store").read("AAAUSDT", "1h")
    pd.testing.assert_frame_equal(found.bars, hourly.bars, check_exact=True)
    assert ENTRY in found.ledger
    assert Store(tmp_path / "store").symbols() == ["AAAUSDT", "BBBUSDT"]
    store = Store(tmp_path / "store")
    with store.writing():
        pass
    assert store.symbols() == store.symbols("1d") == ["AAAUSDT", "BBBUSDT"]
    assert store.symbols("1h") == ["AAAUSDT"]
    assert store.read("BBBUSDT", "1d").source == "simulated"
    pd.testing.assert_frame_equal(store.read("BBBUSDT", "1d").bars, simulated.bars, check_exact=True)
    daily = store.read("AAAUSDT", "1d")
    assert ENTRY not in daily.ledger, "it was of the hourly bars"
    assert daily.funding is not None
    assert hourly.funding is not None
    known = set(daily.funding["time"])
    assert known >= set(hourly.funding["time"]), "funding of both intervals is there"
    assert not list((tmp_path / "store").rglob("current.json"))
    assert not list((tmp_path / "store").rglob("bars.parquet"))


MIGRATE = """
import sys
from features.store import Store
print("go", flush=True)
with Store(sys.argv[1]).writing():
    pass
"""


def test_carrying_over_survives_kills(tmp_path: Path) -> None:
    old_store(tmp_path / "whole")
    with Store(tmp_path / "whole").writing():
        pass
    expected = contents(tmp_path / "whole")
    rng = np.random.default_rng(3)
    for round_ in range(20 if LONG else 1):
        root = tmp_path / str(round_)
        old_store(root)
        process = subprocess.Popen(
            [sys.executable, "-c", MIGRATE, str(root)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        with suppress(subprocess.TimeoutExpired):
            process.wait(float(rng.uniform(0, 0.05)))
        process.kill()
        process.communicate()
        assert Store(root).symbols() == ["AAAUSDT", "BBBUSDT"]
        with Store(root).writing():
            pass
        assert contents(root) == expected


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"schema_version": 2}', "newer_store"),
        ('{"schema_version": 1}', "damaged_store"),
        ('{"schema_version": 1, "folder": "gone", "source": "files", "ledger": []}', "damaged_store"),
        ('{"schema_version": 1, "folder": "../../..", "source": "files", "ledger": []}', "damaged_store"),
        ("[]", "damaged_store"),
        ("", "damaged_store"),
        ("{", "damaged_store"),
    ],
)
def test_a_bad_store_of_version_one_is_refused_and_left_alone(
    tmp_path: Path, content: str, code: str
) -> None:
    root = tmp_path / "store"
    old_store(root)
    (root / "BBBUSDT" / "1d" / "current.json").write_text(content)
    before = {name: content for name, content in contents(root).items() if name.startswith("BBBUSDT")}
    for use in (lambda: Store(root).read("BBBUSDT", "1d"), lambda: Store(root).writing().__enter__()):
        with pytest.raises(DataError) as caught:
            use()
        assert caught.value.code == code
        assert "BBBUSDT" in caught.value.message
    assert {name: content for name, content in contents(root).items() if name.startswith("BBBUSDT")} == before


def test_a_newer_store_is_neither_read_nor_written_nor_swept(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with Store(root).writing():
        Store(root).write(raw_market(90, "1d"))
    manifest = root / "TESTUSDT" / "manifest.json"
    found = orjson.loads(manifest.read_bytes())
    manifest.write_bytes(orjson.dumps({"schema_version": 3, "tables": found["kinds"]}))
    before = contents(root)
    store = Store(root)
    uses: list[Callable[[], Any]] = [
        store.symbols,
        lambda: store.state("TESTUSDT"),
        lambda: store.read("TESTUSDT", "1d"),
        lambda: store.table("TESTUSDT", "funding"),
        lambda: store.commit("TESTUSDT", Change("files")),
        lambda: store.writing().__enter__(),
    ]
    for use in uses:
        with pytest.raises(DataError) as caught:
            use()
        assert caught.value.code == "newer_store"
        assert caught.value.hint
        assert "version 3" in caught.value.message
    assert contents(root) == before


# Damage


def _wrecks(whole: bytes) -> dict[str, bytes]:
    found = orjson.loads(whole)
    bars = found["kinds"]["bars_1d"]["partitions"]
    period, part = next(iter(bars.items()))
    changed = {
        "no kinds": {**found, "kinds": None},
        "kinds as a list": {**found, "kinds": []},
        "a kind outside": {**found, "kinds": {"../funding": found["kinds"]["funding"]}},
        "a partition too short": _with(found, period, part[:2]),
        "rows as text": _with(found, period, [part[0], "many", *part[2:]]),
        "a file outside": _with(found, period, ["../../../outside.parquet", *part[1:]]),
        "an absolute file": _with(found, period, ["/outside.parquet", *part[1:]]),
        "another symbol": {**found, "symbol": "OTHERUSDT"},
        "a ledger of text": {**found, "ledger": "none"},
        "files of text": {**found, "files": {"klines": "none"}},
    }
    return {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "zeros": b"\0" * len(whole),
        "a number": b"3",
        "null": b"null",
        "deep": b"[" * 100_000,
        **{name: orjson.dumps(content) for name, content in changed.items()},
    }


def _with(found: dict[str, Any], period: str, part: list[Any]) -> dict[str, Any]:
    kinds = json.loads(json.dumps(found["kinds"]))
    kinds["bars_1d"]["partitions"][period] = part
    return {**found, "kinds": kinds}


@pytest.fixture(scope="module")
def wrecks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("whole")
    with Store(root).writing():
        Store(root).write(raw_market(90, "1d"))
    return _wrecks((root / "TESTUSDT" / "manifest.json").read_bytes())


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "cut",
        "zeros",
        "a number",
        "null",
        "deep",
        "no kinds",
        "kinds as a list",
        "a kind outside",
        "a partition too short",
        "rows as text",
        "a file outside",
        "an absolute file",
        "another symbol",
        "a ledger of text",
        "files of text",
    ],
)
def test_a_damaged_manifest_is_one_clear_error_and_nothing_is_touched(
    tmp_path: Path, wrecks: dict[str, bytes], name: str
) -> None:
    root = tmp_path / "store"
    with Store(root).writing():
        Store(root).write(raw_market(90, "1d"))
    outside = tmp_path / "outside.parquet"
    raw_market(3, "1d").bars.to_parquet(outside)
    kept = outside.read_bytes()
    (root / "TESTUSDT" / "manifest.json").write_bytes(wrecks[name])
    before = contents(root)
    uses: list[Callable[[], Any]] = [
        lambda: Store(root).read("TESTUSDT", "1d"),
        lambda: Store(root).write(raw_market(90, "1d", seed=8)),
    ]
    for use in uses:
        with pytest.raises(DataError) as caught:
            use()
        assert caught.value.code == "damaged_store"
        assert "TESTUSDT" in caught.value.message
    assert contents(root) == before
    assert outside.read_bytes() == kept


def test_a_flipped_bit_in_a_partition_never_becomes_a_price(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with Store(root).writing():
        Store(root).write(raw_market(90, "1d"))
    (path,) = (root / "TESTUSDT" / "bars_1d").iterdir()
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for position in rng.integers(0, len(whole), 300 if LONG else 60):
        wreck = bytearray(whole)
        wreck[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(wreck)
        with pytest.raises(DataError) as caught:
            Store(root).read("TESTUSDT", "1d")
        assert caught.value.code == "damaged_store"
        assert str(path) in caught.value.message


# Other processes


def test_another_process_holds_the_lock_until_it_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "store"
    process = subprocess.Popen(
        [sys.executable, str(HERE / "store_writer.py"), str(root), "hold"],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(LockedError), Store(root).writing():
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Store(root).writing():
        pass


def test_a_writer_killed_at_any_moment_leaves_a_store_that_goes_on(tmp_path: Path) -> None:
    with Store(tmp_path / "whole").writing():
        store_writer.fill(Store(tmp_path / "whole"))
    expected = contents(tmp_path / "whole")
    rng = np.random.default_rng(7)
    for round_ in range(30 if LONG else 2):
        root = tmp_path / str(round_)
        process = subprocess.Popen(
            [sys.executable, str(HERE / "store_writer.py"), str(root), "fill"],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        until = int(rng.integers(1, 25))
        while len(list(root.rglob("*.parquet"))) < until and process.poll() is None:
            pass
        process.kill()
        process.communicate()
        store = Store(root)
        for symbol in store.symbols():
            state = store.state(symbol)
            assert state is not None
            bars = store.read(symbol, "1d").bars
            assert len(bars) == sum(file.rows for file in state.files.values())
            assert len(ledger_of(state, "1d")) == len(state.files)
        with store.writing():
            store_writer.fill(store)
        assert contents(root) == expected
