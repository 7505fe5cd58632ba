"""The simulated archive and its server, held against the slowest and simplest readers."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pandas as pd
import pytest
from archive_world import plant_everything, small_archive

from benchmarks.archive_files import COLUMNS, archive_path
from benchmarks.faulty_server import Rule, serving
from benchmarks.simulated_archive import SimulatedArchive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SimulatedArchive:
    return small_archive(tmp_path_factory.mktemp("small"))


def rows_of(archive: SimulatedArchive, symbol: str, dataset: str) -> list[list[str]]:
    """All cells of a dataset's files, oldest first, each file checked against its checksum."""
    found: list[list[str]] = []
    for path in sorted(path for path in archive.files[symbol] if f"/{dataset}/" in path):
        content = (archive.folder / path).read_bytes()
        said, name = (archive.folder / f"{path}.CHECKSUM").read_text().split()
        assert (said, name) == (hashlib.sha256(content).hexdigest(), path.rpartition("/")[2])
        with zipfile.ZipFile(io.BytesIO(content)) as unpacked:
            (member,) = unpacked.namelist()
            assert member == name.replace(".zip", ".csv")
            rows = list(csv.reader(io.TextIOWrapper(unpacked.open(member))))
        assert tuple(rows[0]) == COLUMNS[dataset]
        found += rows[1:]
    return found


def test_the_files_say_what_the_truth_says(archive: SimulatedArchive) -> None:
    truth = archive.truth("BTCUSDT")
    assert truth.funding is not None
    assert truth.open_interest is not None
    bars = truth.bars.assign(open_time=truth.bars["open_time"].astype("int64"))
    klines = rows_of(archive, "BTCUSDT", "klines")
    assert [[float(cell) for cell in row[:6]] for row in klines] == bars.to_numpy().tolist()
    funding = [
        (pd.Timestamp(int(time), unit="ms", tz="UTC"), float(rate), float(hours))
        for time, hours, rate in rows_of(archive, "BTCUSDT", "fundingRate")
    ]
    assert funding == list(truth.funding.itertuples(index=False, name=None))
    interest = [
        (pd.Timestamp(row[0], tz="UTC"), float(row[3])) for row in rows_of(archive, "BTCUSDT", "metrics")
    ]
    assert interest == list(truth.open_interest.itertuples(index=False, name=None))
    assert len(klines) == 60 * 24
    assert len(funding) == 60 * 3
    assert len(interest) == 12 * 288


def test_every_planted_defect_changed_the_bytes_or_the_truth(tmp_path: Path) -> None:
    archive = plant_everything(tmp_path)
    planted = archive.expected["BTCUSDT"]
    assert {one.dataset for one in planted} == set(COLUMNS)
    kinds = {kind for one in planted for kind in one.kinds}
    assert kinds >= {
        *("missing_file", "refused_file", "no_header", "microsecond_times", "jittered_stamps"),
        *("double_rows", "blank_rows", "refused_rows", "missing_rows", "changed_interval"),
    }
    for symbol in ("ETHUSDT", "SOLUSDT"):
        assert all(table.keep.all() for table in archive.tables[symbol].values())
    for one in planted:
        there = (tmp_path / one.file).is_file() if one.file else True
        assert there == (one.defect != "absent"), one
    kept = archive.truth("BTCUSDT").bars["open_time"]
    assert not ((kept >= "2024-04-01") & (kept < "2024-05-01")).any()
    assert len(kept) == len(archive.tables["BTCUSDT"]["klines"].rows) - 8 - 8 - 16 * 24 - 30 * 24


PATH = archive_path("BTCUSDT", "klines", "2024-01")


def test_the_server_does_what_it_is_told(archive: SimulatedArchive) -> None:
    whole = (archive.folder / PATH).read_bytes()
    with serving(archive.folder) as server:

        def get(path: str = PATH, timeout: float = 10) -> tuple[int, bytes, str | None]:
            connection = HTTPConnection("127.0.0.1", server.port, timeout=timeout)
            with closing(connection):
                connection.request("GET", f"/{path}")
                answer = connection.getresponse()
                with closing(answer):
                    return answer.status, answer.read(), answer.getheader("Retry-After")

        right = (200, whole, None)
        assert get() == right
        assert [get(path)[0] for path in ("nothing", "data/../../etc/passwd")] == [404, 404]
        server.spoil(Rule("status", "*.zip", 429, first=2, retry_after="1"))
        assert [get()[0::2] for _ in range(3)] == [(429, "1"), (429, "1"), (200, None)]
        server.spoil(Rule("status", value=500, every=2))
        assert [get()[0] for _ in range(4)] == [200, 500, 200, 500]
        server.spoil(Rule("reset", value=0.5))
        with pytest.raises(ConnectionResetError):
            get()
        server.spoil(Rule("short", value=0.5))
        with pytest.raises(IncompleteRead):
            get()
        server.spoil(Rule("understate", value=9))
        assert get()[1] == whole[:-9]
        server.spoil(Rule("corrupt", first=1))
        spoilt = get()[1]
        assert len(spoilt) == len(whole)
        assert spoilt != whole
        server.spoil(Rule("trickle", value=len(whole) / 3))
        assert get() == right
        server.spoil(Rule("hang"))
        with pytest.raises(TimeoutError):
            get(timeout=0.2)
        server.spoil()
        assert get() == right
        log = server.log()
        assert server.asked()["/" + PATH] == len(log) - 2
        assert [one.whole for one in log].count(True) == 6
        server.forget()
        assert server.log() == []
