"""The archive with every planted defect, fetched and audited: each of them is on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from audit_stores import places_at

from benchmarks.faulty_server import serving
from benchmarks.planted_archive import SINCE, UNTIL, plant_everything
from benchmarks.simulated_archive import SimulatedArchive
from features.audit import Audit, audit_market
from features.sources.archive import ArchiveSettings, fetch_symbol
from features.store import Store
from training.data.audit_command import audit

NOW = pd.Timestamp(UNTIL, tz="UTC")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulatedArchive, Path]:
    root = tmp_path_factory.mktemp("planted")
    archive = plant_everything(root / "archive")
    store = Store(root / "store")
    since = pd.Timestamp(SINCE, tz="UTC")
    with serving(archive.folder) as server, store.writing():
        settings = ArchiveSettings(archive_url=server.url)
        fetch_symbol("BTCUSDT", store_root=root / "store", settings=settings, since=since, until=NOW, now=NOW)
    return archive, root / "store"


@pytest.fixture(scope="module")
def examined(planted: tuple[SimulatedArchive, Path]) -> Audit:
    return audit_market(Store(planted[1]).read("BTCUSDT", "1h"), now=NOW)


def test_what_the_reader_left_out_is_told(
    planted: tuple[SimulatedArchive, Path], tmp_path: Path, examined: Audit
) -> None:
    archive, store = planted
    audit("BTCUSDT", places_at(store), html=tmp_path / "a.html", now=NOW)
    page = re.sub(r"\s+", " ", (tmp_path / "a.html").read_text())
    ledger = [one for one in examined.findings if one.origin == "ledger"]
    hour = pd.Timedelta("1h")
    for expected in archive.expected["BTCUSDT"]:
        told = [
            one
            for one in ledger
            if one.kind in expected.kinds
            and (one.start is None or one.start <= expected.end + hour)
            and (one.end is None or one.end >= expected.start - hour)
        ]
        assert told, f"{expected.dataset} {expected.defect} {expected.start}"
        assert any(
            one.kind in page and (one.start is None or f"{one.start:%Y-%m-%d %H:%M}" in page) for one in told
        )


@pytest.mark.parametrize(
    ("kind", "table", "day", "count"),
    [
        ("zero_volume", "bars", "2024-05-02", 3),
        ("outlier_bar", "bars", "2024-05-17", 1),
        ("beyond_funding_cap", "funding", "2024-04-09", 2),
        ("open_interest_jump", "open_interest", "2024-05-10", 288),
        ("changed_interval", "funding", "2024-02-15", 1),
        ("changed_interval", "funding", "2024-06-15", 1),
        ("missing_bars", "bars", "2024-04-01", 720),
        ("missing_rows", "open_interest", "2024-01-08", 31),
    ],
)
def test_what_the_values_show_is_found(examined: Audit, kind: str, table: str, day: str, count: int) -> None:
    told = [
        one.count
        for one in examined.findings
        if (one.kind, one.table, one.origin) == (kind, table, "audit") and f"{one.start:%Y-%m-%d}" == day
    ]
    assert told == [count]


def test_prices_of_the_simulated_market_are_not_called_wrong(examined: Audit) -> None:
    errors = [one for one in examined.findings if one.severity == "error" and one.origin == "audit"]
    assert {one.kind for one in errors} == {"outlier_bar", "beyond_funding_cap"}
