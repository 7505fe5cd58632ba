"""A symbol from the archive into a store: months, days, midnights, revisions, spans that grow."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_host import SYMBOL, Host, bars_file, metrics_file, put_bars, put_funding, put_metrics, serving

from features.errors import BearmodeError, DataError, NothingUsableError, UsageError
from features.sources.archive import FetchReport, Period, fetch_symbol
from features.sources.archive.layout import ArchiveFile, days, months
from features.store import Change, Store

# 1d bars, a settlement every 8 hours, metrics on four days.
NOW = pd.Timestamp("2024-03-03 12:00", tz="UTC")
SINCE = "2024-01-25"
DAYS = ("2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02")


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as found:
        yield found


@pytest.fixture
def archive(host: Host) -> Host:
    """January's file, February and two more days as days; metrics around the month's end."""
    put_bars(host, "2024-01")
    put_funding(host, "2024-01")
    for day in days(Period.parse("2024-02-01").start, Period.parse("2024-03-03").start):
        put_bars(host, day.name)
    for name in DAYS:
        put_metrics(host, name)
    return host


def fetch(host: Host, store: Path, since: str = SINCE, until: str | None = None, **more: Any) -> FetchReport:
    with Store(store).writing():
        return fetch_symbol(
            SYMBOL,
            store_root=store,
            settings=host.settings(**more),
            interval="1d",
            since=pd.Timestamp(since, tz="UTC"),
            until=None if until is None else pd.Timestamp(until, tz="UTC"),
            now=NOW,
        )


def content(store: Path) -> dict[str, bytes]:
    """All that a store holds."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def scopes(store: Path) -> dict[str, list[str]]:
    state = Store(store).state(SYMBOL)
    assert state is not None
    return {scope: [entry.kind for entry in entries] for scope, entries in state.ledger.items()}


def table(store: Path, kind: str) -> pd.DataFrame:
    found = Store(store).table(SYMBOL, kind)
    assert found is not None
    return found


def test_months_then_days_then_nothing_new(archive: Host, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    with Store(tmp_path).writing():
        report = fetch_symbol(
            SYMBOL,
            lambda *step: steps.append(step),
            store_root=tmp_path,
            settings=archive.settings(),
            interval="1d",
            since=pd.Timestamp(SINCE, tz="UTC"),
            now=NOW,
        )
    assert report.rows == {
        "bars_1d": 8 + 29 + 2,
        "taker_volume": 39,
        "funding": 7 * 3,
        "open_interest": 4 * 288,
        "positioning": 4 * 288 + 2,  # the row between two months is written with each
    }
    assert steps[-1][1] == steps[-1][2] == max(step[2] for step in steps)
    assert [step[1] for step in steps] == sorted(step[1] for step in steps)
    assert not list((tmp_path / ".downloads").rglob("*.zip*"))
    held = content(tmp_path)
    assert scopes(tmp_path)["fundingRate/after"] == ["missing_file"]
    assert "klines-1d/2024-02" not in scopes(tmp_path), "the month's file is not due yet"
    archive.asked.clear()
    again = fetch(archive, tmp_path)
    assert (again.changed, again.read, again.kept) == (False, 0, report.read)
    assert archive.zips() == []
    assert content(tmp_path) == held
    questions = sum(archive.asked.values())
    archive.asked.clear()
    assert not fetch(archive, tmp_path, recheck_files=0).changed
    assert sum(archive.asked.values()) == questions - report.read, "only what gave no row is asked for"


def test_a_month_takes_the_place_of_its_days(archive: Host, tmp_path: Path) -> None:
    archive.take_away(bars_file("2024-02-09"))
    fetch(archive, tmp_path)
    assert scopes(tmp_path)["klines-1d/2024-02-09"] == ["missing_file"]
    put_bars(archive, "2024-02", price=200.0)
    report = fetch(archive, tmp_path)
    assert report.read == 1
    bars = table(tmp_path, "bars_1d").set_index("open_time")["open"]
    assert len(bars) == 39
    assert (bars.loc["2024-02-01":"2024-02-29"] == 200.0).all()
    assert bars.loc["2024-03-01":].tolist() == [100.0, 100.0]
    assert "klines-1d/2024-02-09" not in scopes(tmp_path)
    archive.asked.clear()
    assert not fetch(archive, tmp_path).changed
    assert not [path for path in archive.asked if "1d-2024-02-" in path]


def test_a_refused_month_is_read_day_by_day_and_said_so(archive: Host, tmp_path: Path) -> None:
    archive.put(bars_file("2024-01"), "not,a,table")
    for day in days(Period.parse("2024-01-24").start, Period.parse("2024-02-01").start):
        put_bars(archive, day.name, price=300.0)
    archive.take_away(bars_file("2024-01-27"))
    put_bars(archive, "2024-02")
    report = fetch(archive, tmp_path)
    assert scopes(tmp_path)["klines-1d/2024-01"] == ["refused_file"]
    assert scopes(tmp_path)["klines-1d/2024-01-27"] == ["missing_file"]
    assert any("BTCUSDT-1d-2024-01.zip  refused" in line and "day by day" in line for line in report.lines())
    assert len(table(tmp_path, "bars_1d")) == 38
    held, zips = content(tmp_path), archive.zips()
    assert not fetch(archive, tmp_path).changed
    assert content(tmp_path) == held
    assert archive.zips() == zips, "the same bytes were refused: there is nothing to download"


def test_a_month_without_any_day_is_one_entry(archive: Host, tmp_path: Path) -> None:
    put_bars(archive, "2023-12")
    put_bars(archive, "2024-02")
    archive.take_away(bars_file("2024-01"))
    fetch(archive, tmp_path, since="2023-12-30")
    state = Store(tmp_path).state(SYMBOL)
    assert state is not None
    entries = {scope: found for scope, found in state.ledger.items() if scope.startswith("klines-1d/2024-01")}
    ((entry,),) = entries.values()
    assert (entry.kind, entry.count) == ("missing_file", 31)
    assert entry.start == pd.Timestamp("2024-01-02", tz="UTC")
    assert entry.end == pd.Timestamp("2024-02-01", tz="UTC")


def test_days_before_a_refused_month_are_found(archive: Host, tmp_path: Path) -> None:
    archive.put(bars_file("2024-01"), "not,a,table")  # and there are no days of it
    for day in days(Period.parse("2023-12-20").start, Period.parse("2024-01-01").start):
        put_bars(archive, day.name)
    fetch(archive, tmp_path, since="2023-12-21")
    opens = table(tmp_path, "bars_1d")["open_time"]
    assert (opens < pd.Timestamp("2024-01-01", tz="UTC")).sum() == 12
    assert len(opens) == 12 + 29 + 2
    assert "klines-1d/before" not in scopes(tmp_path)
    assert scopes(tmp_path)["klines-1d/2024-01"] == ["refused_file"]


FORMS = [(True, False), (True, True), (False, True), (False, True)]
"""Which of its two midnights each file has."""


@pytest.mark.parametrize("order", [(1, 3, 0, 2), (3, 2, 1, 0), (0, 2, 3, 1)])
def test_days_fetched_in_any_order_are_the_same_rows(
    archive: Host, tmp_path: Path, order: tuple[int, ...]
) -> None:
    """Midnights belong to two files: whichever came first, the cells of both are there."""
    for name, midnights in zip(DAYS, FORMS, strict=True):
        put_metrics(archive, name, midnights=midnights)
    whole = {path: archive.bodies.pop(path) for name in DAYS for path in both(metrics_file(name))}
    for number in order:
        archive.bodies |= {path: whole[path] for path in both(metrics_file(DAYS[number]))}
        fetch(archive, tmp_path / "store", "2024-01-29", "2024-02-04")
    fetch(archive, tmp_path / "whole", "2024-01-29", "2024-02-04")
    for kind in ("open_interest", "positioning"):
        pd.testing.assert_frame_equal(table(tmp_path / "store", kind), table(tmp_path / "whole", kind))
    ratios = table(tmp_path / "whole", "positioning").set_index("time")
    assert ratios.index.is_unique
    assert ratios.iloc[1:-1].notna().all(axis=None), "both kinds of ratio at every midnight"


def both(file: ArchiveFile) -> tuple[str, str]:
    return file.path, f"{file.path}.CHECKSUM"


def test_a_revised_day_takes_its_own_rows_only(archive: Host, tmp_path: Path) -> None:
    fetch(archive, tmp_path)
    before = table(tmp_path, "open_interest").set_index("time")["open_interest_value"]
    taker = table(tmp_path, "positioning").set_index("time")["taker_ratio"]
    put_metrics(archive, "2024-01-31", value=5e9)
    report = fetch(archive, tmp_path)
    assert (report.read, report.revised) == (1, 1)
    after = table(tmp_path, "open_interest").set_index("time")["open_interest_value"]
    changed = after.index[after != before]
    assert (changed[0], changed[-1]) == (
        pd.Timestamp("2024-01-31", tz="UTC"),
        pd.Timestamp("2024-01-31 23:55", tz="UTC"),
    )
    pd.testing.assert_series_equal(table(tmp_path, "positioning").set_index("time")["taker_ratio"], taker)
    assert scopes(tmp_path)["metrics/2024-01-31"] == ["revised_file", "no_header"]


def test_a_newer_version_that_is_refused_leaves_the_older_rows(archive: Host, tmp_path: Path) -> None:
    fetch(archive, tmp_path)
    held = table(tmp_path, "bars_1d")
    good = {path: archive.bodies[path] for path in both(bars_file("2024-01"))}
    archive.put(bars_file("2024-01"), "<html>")
    report = fetch(archive, tmp_path)
    assert any("newer version" in line for line in report.lines())
    pd.testing.assert_frame_equal(table(tmp_path, "bars_1d"), held)
    assert scopes(tmp_path)["klines-1d/2024-01"] == ["no_header", "refused_file"]
    archive.bodies |= good
    fetch(archive, tmp_path)
    assert scopes(tmp_path)["klines-1d/2024-01"] == ["no_header"]
    archive.take_away(bars_file("2024-01"))
    report = fetch(archive, tmp_path)
    assert not report.changed
    assert any("no longer in the archive" in line for line in report.lines())


def test_a_span_that_grows_reads_the_edges_again(archive: Host, tmp_path: Path) -> None:
    fetch(archive, tmp_path / "whole")
    store = tmp_path / "grown"
    for since, until in (("2024-01-31", "2024-02-02"), ("2024-01-31", "2024-02-20"), (SINCE, None)):
        fetch(archive, store, since, until)
        times = table(store, "bars_1d")["open_time"] + pd.Timedelta(days=1)
        assert times.iloc[0] == pd.Timestamp(since, tz="UTC")
        assert times.iloc[-1] < (NOW if until is None else pd.Timestamp(until, tz="UTC"))
    for kind in ("bars_1d", "funding", "taker_volume", "open_interest", "positioning"):
        pd.testing.assert_frame_equal(table(store, kind), table(tmp_path / "whole", kind))
    assert content(store) == content(tmp_path / "whole")


def test_the_interval_before_a_month_is_known_after_a_pause_too(archive: Host, tmp_path: Path) -> None:
    put_funding(archive, "2024-02", interval="")
    fetch(archive, tmp_path / "whole")
    fetch(archive, tmp_path / "paused", until="2024-02-01")
    fetch(archive, tmp_path / "paused")
    assert (table(tmp_path / "whole", "funding")["funding_interval_hours"] == 8).all()
    assert content(tmp_path / "whole") == content(tmp_path / "paused")


def test_days_that_never_were_cost_few_questions(archive: Host, tmp_path: Path) -> None:
    for month in months(Period.parse("2021-01").start, Period.parse("2024-01").start):
        put_bars(archive, month.name)
    for day in ("2022-06-16", "2022-07-16"):
        put_metrics(archive, day)
    for day in DAYS:
        archive.take_away(metrics_file(day))
    fetch(archive, tmp_path, since="2021-01-02")
    asked = {path for path in archive.asked if "/metrics/" in path and path.endswith("CHECKSUM")}
    assert len(asked) < 39 + 4 * 31, "a day of each month, and the months around those that are there"
    assert len(table(tmp_path, "open_interest")) == 2 * 288
    assert scopes(tmp_path)["metrics/before"] == ["missing_file"]
    assert scopes(tmp_path)["metrics/after"] == ["missing_file"]


def test_a_day_that_is_not_over_is_not_missing(host: Host, tmp_path: Path) -> None:
    for day in days(Period.parse("2024-03-01").start, Period.parse("2024-03-03").start):
        put_bars(host, day.name)
        put_metrics(host, day.name)
    fetch(host, tmp_path, since="2024-03-02")
    store = Store(tmp_path)
    today = table(tmp_path, "bars_1d").tail(1).assign(open_time=NOW.floor("D").as_unit("ms"))
    with store.writing():  # what an exchange has that the archive has not
        store.commit(SYMBOL, Change("binance", {"bars_1d": today}))
    found = fetch(host, tmp_path, since="2024-03-02")
    assert "metrics/after" not in scopes(tmp_path)
    assert [one.file for one in found.skipped] == [f"{SYMBOL}-fundingRate"]
    assert str(found.skipped[0].last) == "2024-03-02"


def test_nothing_usable_says_so_and_writes_nothing(archive: Host, tmp_path: Path) -> None:
    with pytest.raises(NothingUsableError, match=r"BTCUSDT.*127\.0\.0\.1.*no file"):
        fetch(archive, tmp_path, since="2020-01-01", until="2020-03-01")
    archive.put(bars_file("2024-01"), "<html>")
    with pytest.raises(NothingUsableError, match=r"1 files.*refused.*unreadable"):
        fetch(archive, tmp_path, until="2024-02-01")
    assert content(tmp_path) == {}


def test_dates_that_cannot_be_are_refused(archive: Host, tmp_path: Path) -> None:
    for since, until in (("2024-02-01", "2024-01-01"), ("2024-01-01", "2024-01-01"), ("2030-01-01", None)):
        with pytest.raises(UsageError) as caught:
            fetch(archive, tmp_path, since, until)
        assert caught.value.field == "since"
    with pytest.raises(UsageError):
        fetch_symbol(SYMBOL, store_root=tmp_path, interval="7m")
    with pytest.raises(UsageError):
        fetch_symbol("../../etc", store_root=tmp_path)
    assert not archive.asked


def test_another_venue_is_refused_before_a_question(archive: Host, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.commit(SYMBOL, Change("okx", {"funding": funding_table()}))
    held = content(tmp_path)
    with pytest.raises(DataError) as caught:
        fetch(archive, tmp_path)
    assert caught.value.code == "mixed_sources"
    assert not archive.asked
    assert content(tmp_path) == held


def funding_table() -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=3, freq="8h", tz="UTC", unit="ms")
    return pd.DataFrame({"time": times, "funding_rate": 0.0001, "funding_interval_hours": 8.0})


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The nearest thing to a full disk that needs no disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [300, 3000])
def test_a_full_disk_is_one_error_and_the_next_run_goes_on(archive: Host, tmp_path: Path, size: int) -> None:
    fetch(archive, tmp_path / "whole")
    store = tmp_path / "store"
    with files_of_at_most(size), pytest.raises(BearmodeError) as caught:
        fetch(archive, store)
    assert caught.value.code == "disk_full"
    assert not list(store.rglob("*.part"))
    fetch(archive, store)
    assert content(store) == content(tmp_path / "whole")
