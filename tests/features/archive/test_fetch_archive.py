"""``fetch --source archive`` as a user sees it, from an archive that has every defect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from archive_world import (
    SINCE,
    UNTIL,
    Ended,
    assert_holds,
    command,
    fetch,
    ledger_of,
    plant_everything,
    store_hashes,
    unnamed,
)

from benchmarks.faulty_server import FaultyServer, serving
from benchmarks.simulated_archive import SimulatedArchive
from features.store import Store

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Fetched(NamedTuple):
    """A fetch of everything, and what it was fetched from."""

    root: Path
    archive: SimulatedArchive
    server: FaultyServer
    store: Path
    ended: Ended
    result: dict[str, Any]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetched]:
    """Everything fetched once; read it, never change it."""
    root = tmp_path_factory.mktemp("planted")
    archive = plant_everything(root / "served" / "archive")
    store = root / "deep" / "down" / "store"
    with serving(archive.folder) as server:
        ended = fetch(server.url, ",".join(SYMBOLS), store, "--workers", "1", "--json", root / "result.json")
        assert ended.code == 0, ended.err
        result = json.loads((root / "result.json").read_text())
        yield Fetched(root, archive, server, store, ended, result)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_value_is_there_to_the_last_bit_and_nothing_else(planted: Fetched, symbol: str) -> None:
    assert_holds(
        Store(planted.store).read(symbol, "1h"), planted.archive.truth(symbol, SINCE, UNTIL), SINCE, UNTIL
    )


def test_the_ledger_names_every_planted_defect(planted: Fetched) -> None:
    left_out = unnamed(ledger_of(planted.store, "BTCUSDT"), planted.archive.expected["BTCUSDT"])
    assert not left_out, "\n".join(f"{one.dataset} {one.defect} {one.start} {one.kinds}" for one in left_out)


def test_the_ledger_of_a_faultless_symbol_is_empty(planted: Fetched) -> None:
    assert ledger_of(planted.store, "SOLUSDT") == []


def test_what_was_not_yet_or_no_longer_listed_is_named(planted: Fetched) -> None:
    missing = [entry for _, entry in ledger_of(planted.store, "ETHUSDT")]
    assert {entry.kind for entry in missing} <= {"missing_file", "missing_rows", "no_data"}
    spans = [(one.start, one.end) for one in missing if one.start is not None and one.end is not None]
    for moment in ("2024-01-10", "2024-06-10"):
        stamp = pd.Timestamp(moment, tz="UTC")
        assert [span for span in spans if span[0] <= stamp <= span[1]], moment
    assert len(missing) <= 12, "a range of files that never were is one entry, not one for each file"


def test_each_refused_or_missing_file_is_printed_with_its_date_and_reason(planted: Fetched) -> None:
    lines = planted.ended.out.splitlines()
    skipped = json.dumps(planted.result["BTCUSDT"])
    reasons = {
        "wrong_checksum": r"checksum|SHA",
        "no_checksum": r"checksum",
        "other_name_in_checksum": r"checksum",
        "garbage_checksum": r"checksum",
        "truncated": r"zip|unreadable|truncat",
        "html_page": r"zip|unreadable",
        "escaping_member": r"path",
        "two_members": r"member|files|one CSV",
        "no_member": r"member|files|one CSV",
        "garbage": r"CSV|column|table|unreadable|text",
        "other_table": r"column|header",
        "bomb": r"large|MB|bytes|limit",
        "lying_bomb": r"large|MB|bytes|limit|unreadable|declare|damaged",
        "absent": r"missing|not published|404",
    }
    for one in planted.archive.expected["BTCUSDT"]:
        if not one.file:
            continue
        day = f"{one.start:%Y-%m-%d}" if "/daily/" in one.file else f"{one.start:%Y-%m}"
        about = [line for line in lines if day in line and re.search(reasons[one.defect], line, re.I)]
        assert about, f"{one.file}: {one.defect} is not printed: {[line for line in lines if day in line]}"
        assert day in skipped


def test_nothing_of_a_zip_is_written_where_its_member_points(planted: Fetched) -> None:
    assert not [path for path in planted.root.rglob("*") if "evil" in path.name]
    assert not Path("/tmp/evil.csv").exists()
    left = [path for path in planted.store.rglob("*") if path.suffix in {".zip", ".csv", ".part"}]
    assert not [path for path in left if ".downloads" not in path.parts]


def test_a_second_run_downloads_nothing_that_it_has_and_changes_no_byte(planted: Fetched) -> None:
    before = store_hashes(planted.store)
    stamps = {path: (planted.store / path).stat().st_mtime_ns for path in before}
    planted.server.forget()
    ended = fetch(planted.server.url, ",".join(SYMBOLS), planted.store, "--workers", "1")
    assert ended.code == 0, ended.err
    assert store_hashes(planted.store) == before
    assert {path: (planted.store / path).stat().st_mtime_ns for path in before} == stamps
    bad = {one.file for one in planted.archive.expected["BTCUSDT"] if one.file}
    again = {path.lstrip("/") for path in planted.server.asked()}
    there = {path for files in planted.archive.files.values() for path in files}
    assert not again & (there - bad)


def test_history_joins_each_value_as_of_the_close(planted: Fetched, tmp_path: Path) -> None:
    out = tmp_path / "history.parquet"
    ended = command("history", "BTCUSDT", "--store", planted.store, "--out", out, "--json", tmp_path / "j")
    assert ended.code == 0, ended.err
    table = pd.read_parquet(out).set_index("time")
    truth = planted.archive.truth("BTCUSDT", SINCE, UNTIL)
    closes = pd.DatetimeIndex(truth.bars["open_time"]) + pd.Timedelta(hours=1)
    bars = truth.bars.set_index(closes)
    assert list(table.index) == list(pd.date_range(closes[0], closes[-1], freq="h"))
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(table[name].to_numpy(), bars[name].reindex(table.index).to_numpy())
    present = table["close"].notna()
    sources = {
        "funding_rate": (truth.funding, "funding_rate", 24),
        "open_interest": (truth.open_interest, "open_interest_value", 48),
        "lsr_global": (truth.positioning, "lsr_global", 48),
        "taker_buy_usd": (truth.positioning, "taker_buy_usd", 48),
        "taker_sell_usd": (truth.positioning, "taker_sell_usd", 48),
    }
    for name, (source, column, hours) in sources.items():
        assert source is not None
        known = source.set_index("time")[column].dropna()
        right = known.reindex(table.index, method="ffill", tolerance=pd.Timedelta(hours=hours))
        np.testing.assert_array_equal(table[name].to_numpy(), right.where(present).to_numpy(), err_msg=name)
    kinds = {entry["kind"] for entry in json.loads((tmp_path / "j").read_text())["ledger"]}
    assert kinds >= {"missing_bars", "missing_file", "refused_file"}
