"""The store on an object store: S3 over real HTTP (moto's server on loopback), and fsspec's memory."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import store_writer
from histories import LONG, raw_market
from symbol_work import wait_until

from features.build import build_features
from features.errors import BearmodeError, LockedError, NothingUsableError, UsageError
from features.store import Store, locks

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a prefix in a fresh bucket, with all that a client needs in the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    fsspec.filesystem("s3").mkdir(bucket)
    yield f"s3://{bucket}/a/prefix"
    fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture(params=["s3", "memory"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "s3":
        found: str = request.getfixturevalue("s3")
        return found
    return f"memory://{uuid.uuid4().hex[:8]}/prefix"


def objects(url: str) -> dict[str, bytes]:
    """Every object below the URL but the lock, by its relative name."""
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    root = str(root)
    found = {str(name)[len(root) + 1 :]: fs.cat_file(name) for name in fs.find(root)}
    return {name: content for name, content in found.items() if not name.startswith(".")}


def writer(url: str, job: str, **settings: float) -> subprocess.Popen[str]:
    """Process that holds the lock once this returns."""
    code = "; ".join(
        [
            "import sys",
            "from features.store import locks",
            *(f"locks.{name} = {value}" for name, value in settings.items()),
            "import store_writer",
            "store_writer.main(*sys.argv[1:])",
        ]
    )
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    process = subprocess.Popen(
        [sys.executable, "-c", code, url, job],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_it_holds_the_same_bytes_as_a_local_folder(url: str, tmp_path: Path) -> None:
    market = raw_market(2000)
    for place in (url, tmp_path / "local"):
        store = Store(place)
        with store.writing():
            assert store.write(market) == 2000
            store.write(raw_market(30, "1d"))
        assert store.symbols() == store.symbols("1d") == ["TESTUSDT"]
        assert store.symbols("4h") == []
    local = {
        path.relative_to(tmp_path / "local").as_posix(): path.read_bytes()
        for path in (tmp_path / "local").rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert len(local) > 5
    assert objects(url) == local
    again = Store(url).read("TESTUSDT", "1h")
    assert market.funding is not None
    pd.testing.assert_frame_equal(again.bars, market.bars, check_exact=True)
    assert again.funding is not None
    pd.testing.assert_frame_equal(again.funding, market.funding, check_exact=True)


def test_an_empty_store_says_so(url: str) -> None:
    store = Store(url)
    assert store.symbols() == []
    assert store.state("TESTUSDT") is None
    assert store.table("TESTUSDT", "funding") is None
    with pytest.raises(NothingUsableError):
        store.read("TESTUSDT", "1h")


@pytest.mark.long
def test_features_are_built_from_it_in_parallel(s3: str, tmp_path: Path) -> None:
    for place in (s3, tmp_path / "local"):
        store = Store(place)
        with store.writing():
            store_writer.fill(store)
    build_features(out=tmp_path / "remote.parquet", store=s3, interval="1d", workers=2)
    build_features(out=tmp_path / "local.parquet", store=tmp_path / "local", interval="1d", workers=1)
    assert (tmp_path / "remote.parquet").read_bytes() == (tmp_path / "local.parquet").read_bytes()


def test_one_writer_at_a_time_whatever_process(s3: str) -> None:
    holder = writer(s3, "hold")
    try:
        with pytest.raises(LockedError) as caught, Store(s3).writing():
            pass
        assert str(holder.pid) in caught.value.message
    finally:
        end(holder)


def test_one_writer_at_a_time_in_one_process(url: str) -> None:
    store = Store(url)
    with store.writing(), pytest.raises(LockedError), Store(url).writing():
        pass
    with store.writing():
        store.write(raw_market(3, "1d"))
    assert Store(url).symbols() == ["TESTUSDT"]


def test_a_writer_that_fails_gives_the_lock_back(url: str) -> None:
    with pytest.raises(ZeroDivisionError), Store(url).writing():
        raise ZeroDivisionError
    with Store(url).writing():
        pass


@pytest.mark.long
def test_the_lease_of_a_killed_writer_ends(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_SECONDS", 0.1)
    holder = writer(s3, "hold", LEASE_SECONDS=6.0)
    end(holder)
    with pytest.raises(LockedError), Store(s3).writing():
        pass

    def free() -> bool:
        try:
            with Store(s3).writing():
                return True
        except LockedError:
            return False

    wait_until(free, 40)


def test_a_lease_is_kept_as_long_as_its_writer_lives(s3: str) -> None:
    holder = writer(s3, "hold", LEASE_SECONDS=0.8)
    try:
        fs = fsspec.filesystem("s3")
        name = f"{s3.removeprefix('s3://')}/.lock"
        contents: set[bytes] = set()

        def renewed() -> bool:
            contents.add(fs.cat_file(name))
            return len(contents) == 3

        wait_until(renewed)
        with pytest.raises(LockedError), Store(s3).writing():
            pass
    finally:
        end(holder)


def test_a_reader_sees_one_commit_or_the_other_never_a_mixture(s3: str) -> None:
    first, second = store_writer.markets()
    with Store(s3).writing():
        Store(s3).write(first)
    process = writer(s3, "flip")
    try:
        seen: set[int] = set()
        until = time.monotonic() + (20 if LONG else 1)
        while time.monotonic() < until or len(seen) < 2:
            found = Store(s3).read("AAAUSDT", "1d")
            whole = [
                index
                for index, market in enumerate((first, second))
                if np.array_equal(found.bars["close"], market.bars["close"])
                and found.open_interest is not None
                and market.open_interest is not None
                and np.array_equal(
                    found.open_interest["open_interest_value"], market.open_interest["open_interest_value"]
                )
            ]
            assert len(whole) == 1
            seen.add(whole[0])
            assert process.poll() is None
    finally:
        end(process)


def test_a_writer_killed_at_any_moment_leaves_a_store_that_goes_on(s3: str, tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole")
    with whole.writing():
        store_writer.fill(whole)
    rng = np.random.default_rng(5)
    for round_ in range(12 if LONG else 1):
        url = f"{s3}/{round_}"
        process = writer(url, "fill", LEASE_SECONDS=1.0)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(float(rng.uniform(0.05, 0.5)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        store = Store(url)
        for symbol in store.symbols():
            state = store.state(symbol)
            assert state is not None
            bars = store.read(symbol, "1d").bars
            assert len(bars) == sum(file.rows for file in state.files.values())
        fs = fsspec.filesystem("s3")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(locks, "SETTLE_SECONDS", 0.05)
            if fs.exists(f"{url.removeprefix('s3://')}/.lock"):
                fs.rm_file(f"{url.removeprefix('s3://')}/.lock")
            with store.writing():
                store_writer.fill(store)
        assert objects(url) == {
            path.relative_to(tmp_path / "whole").as_posix(): path.read_bytes()
            for path in (tmp_path / "whole").rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }


def refused(url: str) -> Iterator[BearmodeError]:
    """What each way to use a store says."""
    uses: list[Any] = [
        lambda: Store(url).symbols(),
        lambda: Store(url).read("TESTUSDT", "1h"),
        lambda: Store(url).writing().__enter__(),
    ]
    for use in uses:
        with pytest.raises(BearmodeError) as caught:
            use()
        yield caught.value


def test_a_bucket_that_is_not_there_is_one_clear_error(s3: str) -> None:
    for error in refused("s3://no-such-bucket/prefix"):
        assert error.code == "store_unreachable"
        assert "no-such-bucket" in error.message


def test_no_credentials_are_one_clear_error(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    fsspec.filesystem("s3").clear_instance_cache()
    for error in refused(s3):
        assert error.code == "store_unreachable"
        assert "redential" in error.message


def test_an_endpoint_that_is_down_is_one_clear_error(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.filesystem("s3").clear_instance_cache()
    started = time.monotonic()
    for error in refused(s3):
        assert error.code == "store_unreachable"
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("place", ["nope://bucket/prefix", "s3://", "s3:///", "s3:/bucket/prefix"])
def test_what_is_no_url_is_wrong_usage(place: str) -> None:
    with pytest.raises(UsageError) as caught:
        Store(place)
    assert caught.value.field == "store"
