"""``fetch --source archive`` from servers in trouble, of revised files, and of what makes no sense."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from archive_world import (
    LONG,
    Ended,
    assert_holds,
    command,
    fetch,
    ledger_of,
    small_archive,
    store_hashes,
)

from benchmarks.archive_files import archive_path
from benchmarks.faulty_server import FaultyServer, Rule, serving
from benchmarks.row_defects import changed_value, missing_rows
from benchmarks.simulated_archive import Listing, SimulatedArchive
from features.errors import BearmodeError
from features.history import History
from features.raw import RawMarket
from features.sources.archive import ArchiveSettings, fetch_symbol
from features.store import Store

Small = tuple[SimulatedArchive, FaultyServer, Path]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """Two faultless months, the server of them, and a store fetched without trouble."""
    root = tmp_path_factory.mktemp("small")
    archive = small_archive(root / "archive")
    with serving(archive.folder) as server:
        ended = fetch(server.url, "BTCUSDT", root / "store", since="2024-01-02", until="2024-03-01")
        assert ended.code == 0, ended.err
        yield archive, server, root / "store"


def patient_fetch(url: str, store: Path) -> BearmodeError | None:
    """The same with short waits between tries, and without a command line around it."""
    with Store(store).writing():
        settings = ArchiveSettings(archive_url=url, backoff_seconds=0.02)
        span = {"since": pd.Timestamp("2024-01-02", tz="UTC"), "until": pd.Timestamp("2024-03-01", tz="UTC")}
        now = pd.Timestamp.now(tz="UTC")
        try:
            fetch_symbol(
                "BTCUSDT",
                lambda *_: None,
                store_root=store,
                settings=settings,
                interval="1h",
                now=now,
                **span,
            )
        except BearmodeError as error:
            return error
    return None


def small_fetch(url: str, store: Path, *more: str) -> Ended:
    return fetch(url, "BTCUSDT", store, *more, since="2024-01-02", until="2024-03-01")


FAULTS: dict[str, tuple[Rule, ...]] = {
    "every third connection reset in mid-body": (Rule("reset", "*.zip", 0.5, every=3),),
    "every fourth answer short": (Rule("short", "*", 0.7, every=4),),
    "each file fails at first": (Rule("status", "*", 500, first=1, each=True),),
    "unavailable twice": (Rule("status", "*.CHECKSUM", 503, first=2, each=True),),
    "slow and trickling": (Rule("slow", "*.CHECKSUM", 0.05), Rule("trickle", "*klines*", 9_000)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_server_in_trouble_changes_nothing_in_the_store(small: Small, tmp_path: Path, name: str) -> None:
    _, server, clean = small
    server.spoil(*FAULTS[name])
    try:
        assert patient_fetch(server.url, tmp_path / "store") is None
    finally:
        server.spoil()
    assert store_hashes(tmp_path / "store") == store_hashes(clean)


def test_many_files_at_once_but_not_too_many(small: Small, tmp_path: Path) -> None:
    _, server, clean = small
    server.spoil(Rule("slow", "*", 0.03))
    server.forget()
    try:
        assert small_fetch(server.url, tmp_path / "store").code == 0
    finally:
        server.spoil()
    assert 4 <= max(one.at_once for one in server.log()) <= 16
    assert store_hashes(tmp_path / "store") == store_hashes(clean)


def test_a_rate_limit_pauses_the_whole_client_as_long_as_it_says(small: Small, tmp_path: Path) -> None:
    _, server, clean = small
    server.spoil(Rule("status", "*", 429, first=1, retry_after="1"), Rule("slow", "*", 0.1))
    server.forget()
    try:
        assert small_fetch(server.url, tmp_path / "store").code == 0
    finally:
        server.spoil()
    log = server.log()
    (limited,) = [one for one in log if one.status == 429]
    early = [one for one in log if limited.seconds + 0.25 < one.seconds < limited.seconds + 0.95]
    assert not early
    assert store_hashes(tmp_path / "store") == store_hashes(clean)


@pytest.mark.parametrize("fault", ["corrupt", "understate"])
def test_bytes_that_change_on_the_way_never_enter_the_store(small: Small, tmp_path: Path, fault: str) -> None:
    archive, server, clean = small
    store = tmp_path / "store"
    path = archive_path("BTCUSDT", "klines", "2024-02")
    server.spoil(Rule(fault, f"/{path}", 7))
    try:
        ended = small_fetch(server.url, store)
    finally:
        server.spoil()
    assert ended.code == 0, ended.err
    held = Store(store).read("BTCUSDT", "1h")
    assert held.bars["open_time"].max() < pd.Timestamp("2024-02-01", tz="UTC")
    assert [entry for _, entry in ledger_of(store, "BTCUSDT") if entry.kind == "refused_file"]
    assert small_fetch(server.url, store).code == 0
    assert_small(archive, store)
    assert not [entry for _, entry in ledger_of(store, "BTCUSDT") if entry.kind == "refused_file"]
    assert store_hashes(store) == store_hashes(clean)


def assert_small(
    archive: SimulatedArchive, store: Path, since: str = "2024-01-02", until: str = "2024-03-01"
) -> None:
    assert_holds(Store(store).read("BTCUSDT", "1h"), archive.truth("BTCUSDT", since, until), since, until)


def test_a_revised_file_is_noticed_taken_and_named(tmp_path: Path) -> None:
    archive = small_archive(tmp_path / "archive")
    store = tmp_path / "store"
    with serving(archive.folder) as server:
        assert small_fetch(server.url, store).code == 0
        revised = {("klines", "2024-01"), ("fundingRate", "2024-02"), ("metrics", "2024-02-20")}
        for dataset, period in revised:
            archive.rewrite("BTCUSDT", dataset, period, changed_value)
        server.forget()
        ended = small_fetch(server.url, store)
        assert ended.code == 0, ended.err
        paths = {f"/{archive_path('BTCUSDT', dataset, period)}" for dataset, period in revised}
        assert set(server.asked()) == paths
        assert_small(archive, store)
        named = [entry for _, entry in ledger_of(store, "BTCUSDT") if entry.kind == "revised_file"]
        assert len(named) == 3
        # A revision may also take rows away.
        archive.rewrite("BTCUSDT", "klines", "2024-02", partial(missing_rows, first=100, last=120))
        archive.rewrite("BTCUSDT", "metrics", "2024-02-21", partial(missing_rows, first=100, last=120))
        assert small_fetch(server.url, store).code == 0
        assert_small(archive, store)
        before = store_hashes(store)
        server.forget()
        assert small_fetch(server.url, store).code == 0
        assert store_hashes(store) == before
        assert not server.asked()


def test_spans_may_begin_and_end_anywhere_and_grow(small: Small, tmp_path: Path) -> None:
    archive, server, _ = small
    store = tmp_path / "store"
    spans = [("2024-01-20", "2024-02-20"), ("2024-01-20", "2024-03-01"), ("2024-01-02", "2024-03-01")]
    for since, until in spans[: 3 if LONG else 2]:
        ended = fetch(server.url, "BTCUSDT", store, since=since, until=until)
        assert ended.code == 0, ended.err
        held = Store(store).read("BTCUSDT", "1h")
        truth = archive.truth("BTCUSDT", since, until)
        closes = held.bars["open_time"] + pd.Timedelta(hours=1)
        there = held.bars.loc[closes >= pd.Timestamp(since, tz="UTC"), "open_time"]
        assert list(there) == list(truth.bars["open_time"])


def test_other_intervals(tmp_path: Path) -> None:
    archive = SimulatedArchive(
        tmp_path / "archive",
        {"BTCUSDT": Listing("SIMBTC", metrics_since="2024-01-30")},
        since="2024-01-01",
        until="2024-02-01",
        interval="4h",
    )
    since, until = "2024-01-02", "2024-02-01"
    with serving(archive.folder) as server:
        ended = fetch(server.url, "BTCUSDT", tmp_path / "store", "--interval", "4h", since=since, until=until)
    assert ended.code == 0, ended.err
    held: RawMarket = Store(tmp_path / "store").read("BTCUSDT", "4h")
    assert_holds(held, archive.truth("BTCUSDT", since, until), since, until)
    assert len(History.from_raw(held)) == 30 * 6


# Bad input: one clear line, nothing half-written.


def one_line(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, (ended.out, ended.err)
    lines = [line for line in ended.err.splitlines() if line.startswith("bearmode:")]
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word.lower() in lines[0].lower(), lines[0]


def test_an_unknown_symbol_is_one_line_and_costs_few_requests(small: Small, tmp_path: Path) -> None:
    _, server, _ = small
    server.forget()
    ended = fetch(server.url, "NOSUCHUSDT", tmp_path / "store", since="2020-01", until="2024-03-01")
    one_line(ended, 3, "NOSUCHUSDT")
    assert len(server.log()) < 300
    assert Store(tmp_path / "store").symbols() == []


def test_an_unknown_symbol_leaves_the_others_whole(small: Small, tmp_path: Path) -> None:
    _, server, clean = small
    ended = fetch(
        server.url,
        "NOSUCHUSDT,BTCUSDT",
        tmp_path / "store",
        "--workers",
        "1",
        since="2024-01-02",
        until="2024-03-01",
    )
    one_line(ended, 3, "NOSUCHUSDT")
    assert store_hashes(tmp_path / "store") == store_hashes(clean)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--since", "2024-02-01", "--until", "2024-01-01"), ("2024-02-01", "2024-01-01")),
        (("--since", "2024-01-01", "--until", "2024-01-01"), ("before",)),
        (("--since", "yesterday"), ("yesterday", "ISO")),
        (("--symbols", "../../etc"), ("no symbol",)),
        (("--symbols", ""), ("symbol",)),
        (("--interval", "7m"), ("7m", "1h")),
        (("--archive-url", "file:///etc"), ("file:///etc", "http")),
        (("--archive-url", "not a url"), ("not a url",)),
    ],
)
def test_wrong_usage_is_refused_before_a_request(
    small: Small,
    tmp_path: Path,
    more: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    _, server, _ = small
    server.forget()
    one_line(small_fetch(server.url, tmp_path / "store", *more), 2, *words)
    assert server.log() == []
    assert not (tmp_path / "store").exists()


def test_dates_in_the_future_are_nothing_usable(small: Small, tmp_path: Path) -> None:
    _, server, _ = small
    ended = fetch(server.url, "BTCUSDT", tmp_path / "store", since="2190-01-01", until="2190-02-01")
    assert ended.code in {2, 3}, ended
    one_line(ended, ended.code)


def test_a_server_that_is_down_is_one_line_and_leaves_the_store(small: Small, tmp_path: Path) -> None:
    archive, _, _ = small
    store = tmp_path / "store"
    with serving(archive.folder) as server:
        assert small_fetch(server.url, store).code == 0
    before = store_hashes(store)
    error = patient_fetch(server.url, store)
    assert error is not None
    assert (error.code, error.exit_code) == ("archive_unreachable", 1)
    assert server.url in error.message
    assert store_hashes(store) == before


def test_the_url_may_come_from_the_environment(small: Small, tmp_path: Path) -> None:
    _, server, clean = small
    ended = command(
        *("fetch", "--source", "archive", "--symbols", "BTCUSDT", "--store", tmp_path / "store"),
        *("--since", "2024-01-02", "--until", "2024-03-01"),
        ARCHIVE_URL=f"{server.url}/",
    )
    assert ended.code == 0, ended.err
    assert store_hashes(tmp_path / "store") == store_hashes(clean)


def test_rows_of_another_source_are_not_mixed_in(small: Small, tmp_path: Path) -> None:
    _, server, _ = small
    store = tmp_path / "store"
    made = command(
        "fetch",
        "--source",
        "simulated",
        "--symbols",
        "SIMBTC",
        "--interval",
        "1d",
        "--until",
        "2021-06-01",
        "--store",
        store,
    )
    assert made.code == 0, made.err
    before = store_hashes(store)
    server.forget()
    one_line(fetch(server.url, "SIMBTC", store), 1, "simulated", "binance")
    assert server.log() == []
    assert store_hashes(store) == before


REFUSALS = {
    "restricted": (Rule("status", "*", 451), 20),
    "unauthorised": (Rule("status", "*", 401), 100),
    "redirected to a file": (Rule("redirect", "*", target="file:///etc/passwd"), 100),
    "redirected in circles": (Rule("redirect", "*", target="/data/x"), 400),
    "out of order": (Rule("status", "*", 503), 100),
    "forbidden": (Rule("status", "*", 403), 200),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_host_that_refuses_everything_is_one_error_soon(small: Small, tmp_path: Path, name: str) -> None:
    _, server, _ = small
    rule, most = REFUSALS[name]
    server.spoil(rule)
    server.forget()
    try:
        error = patient_fetch(server.url, tmp_path / "store")
    finally:
        server.spoil()
    assert error is not None
    assert error.exit_code in {1, 3}
    assert server.url in error.message
    assert len(server.log()) < most, "it goes on asking"
    assert Store(tmp_path / "store").symbols() == []


@pytest.mark.parametrize(
    "name",
    ["restricted", "out of order", "unauthorised", "redirected to a file", "redirected in circles"],
)
def test_a_host_that_refuses_everything_leaves_the_store_as_it_is(
    small: Small, tmp_path: Path, name: str
) -> None:
    _, server, clean = small
    shutil.copytree(clean, tmp_path / "store")
    server.spoil(REFUSALS[name][0])
    try:
        error = patient_fetch(server.url, tmp_path / "store")
    finally:
        server.spoil()
    assert error is not None
    assert store_hashes(tmp_path / "store") == store_hashes(clean)
