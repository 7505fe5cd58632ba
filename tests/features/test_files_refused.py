"""A folder of mixed quality: every bad file is reported with its first problem, the rest is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from histories import LONG, bar_table, raw_market
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataError, NothingUsableError
from features.history import History
from features.sources import file_tables
from features.sources.files import RefusedFile, load_files

Damage = Callable[[Path], object]


@cache
def contents(suffix: str, n: int) -> dict[str, bytes]:
    """Bytes of each file of a good symbol."""
    raw = raw_market(n, seed=8)
    found = {}
    for stem in ("bars_1h", "funding", "open_interest", "positioning_1d"):
        table: pd.DataFrame = getattr(raw, stem.removesuffix("_1h").removesuffix("_1d"))
        if suffix == "csv":
            text = table.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")
            found[f"{stem}.csv"] = text.encode()
        else:
            found[f"{stem}.parquet"] = table.to_parquet(index=False)
    return found


def symbol(root: Path, name: str, suffix: str = "parquet", n: int = 60) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for file, content in contents(suffix, n).items():
        (folder / file).write_bytes(content)
    return folder


def load(root: Path, *symbols: str) -> tuple[list[str], list[RefusedFile]]:
    refused: list[RefusedFile] = []
    markets = load_files(root, symbols, refused=refused)
    for market in markets:
        History.from_raw(market)
    return [market.symbol for market in markets], refused


def test_each_bad_file_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    symbol(tmp_path, "AAUSDT")
    bars = symbol(tmp_path, "BBUSDT", "csv") / "bars_1h.csv"
    lines = bars.read_text().splitlines()
    cells = lines[18].split(",")
    lines[18] = ",".join([*cells[:4], "n/k", *cells[5:]])
    bars.write_text("\n".join(lines))
    funding = symbol(tmp_path, "CCUSDT", "csv") / "funding.csv"
    funding.write_text("time,rate\n2022-01-03T00:00:00Z,0.1\n")
    (symbol(tmp_path, "DDUSDT") / "open_interest.parquet").write_bytes(b"PAR1")
    (tmp_path / "fear_greed_1d.csv").write_text("timestamp,fear_greed\nyesterday,5\n")
    refused: list[RefusedFile] = []
    markets = {market.symbol: market for market in load_files(tmp_path, [], refused=refused)}
    assert [(one.file, one.symbol, one.code, one.field) for one in refused] == [
        ("fear_greed_1d.csv", "", "bad_time", "timestamp[0]"),
        ("BBUSDT/bars_1h.csv", "BBUSDT", "not_a_number", "close[17]"),
        ("CCUSDT/funding.csv", "CCUSDT", "missing_column", "funding_rate"),
        ("DDUSDT/open_interest.parquet", "DDUSDT", "unreadable_file", "open_interest.parquet"),
    ]
    assert "row 17: 'n/k' is not a number" in refused[1].reason
    assert refused[0].as_dict()["symbol"] is None
    assert [*markets] == ["AAUSDT", "CCUSDT", "DDUSDT"]
    for name, files in {
        "AAUSDT": ["fear_greed_1d.csv"],
        "CCUSDT": ["fear_greed_1d.csv", "CCUSDT/funding.csv"],
        "DDUSDT": ["fear_greed_1d.csv", "DDUSDT/open_interest.parquet"],
    }.items():
        assert [entry.subject for entry in markets[name].ledger if entry.kind == "refused_file"] == files
    assert markets["CCUSDT"].funding is None
    assert markets["CCUSDT"].open_interest is not None
    assert markets["DDUSDT"].open_interest is None


def test_without_a_report_the_first_bad_file_is_an_error(tmp_path: Path) -> None:
    symbol(tmp_path, "AAUSDT")
    (symbol(tmp_path, "BBUSDT") / "funding.parquet").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load_files(tmp_path, [])
    assert caught.value.code == "unreadable_file"


def test_a_symbol_that_is_not_there_is_reported_too(tmp_path: Path) -> None:
    symbol(tmp_path, "AAUSDT")
    names, refused = load(tmp_path, "ZZUSDT", "AAUSDT")
    assert names == ["AAUSDT"]
    assert [(one.symbol, one.code) for one in refused] == [("ZZUSDT", "nothing_usable")]
    assert "bars_1h.parquet" in refused[0].reason


def test_a_folder_with_nothing_readable_is_one_error_that_lists_what_was_refused(tmp_path: Path) -> None:
    for number in range(12):
        (symbol(tmp_path, f"S{number:02d}USDT", n=5) / "bars_1h.parquet").write_bytes(b"no")
    with pytest.raises(NothingUsableError) as caught:
        load(tmp_path)
    assert caught.value.exit_code == 3
    for said in ("S00USDT/bars_1h.parquet: not readable", "and 4 more", "futures.feather", "-2024-01.zip"):
        assert said in caught.value.message
    assert len(caught.value.one_line()) < 4_000


@pytest.mark.parametrize("make", [Path.exists, lambda path: (path / "x.csv").mkdir()])
def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path, make: Damage) -> None:
    make(tmp_path)
    reports: tuple[list[RefusedFile] | None, ...] = (None, [])
    for refused in reports:
        with pytest.raises(NothingUsableError) as caught:
            load_files(tmp_path, [], refused=refused)
        assert "Refused" not in caught.value.message


def csv_of(lines: Callable[[list[str]], list[str]]) -> Damage:
    def damage(file: Path) -> None:
        file.write_text("\n".join(lines(file.read_text().splitlines())))

    return damage


def cell(text: str) -> Damage:
    """Another close in row 8."""

    def changed(lines: list[str]) -> list[str]:
        cells = lines[9].split(",")
        return [*lines[:9], ",".join([*cells[:4], text, *cells[5:]]), *lines[10:]]

    return csv_of(changed)


HOSTILE: dict[str, tuple[Damage, str]] = {
    "empty": (lambda file: file.write_bytes(b""), "unreadable_file"),
    "binary": (lambda file: file.write_bytes(bytes(range(256)) * 40), "unreadable_file"),
    "zeros": (lambda file: file.write_bytes(b"\0" * 5_000), "missing_column"),
    "latin": (csv_of(lambda lines: lines), "unreadable_file"),
    "utf16": (lambda file: file.write_text(file.read_text(), "utf-16"), "unreadable_file"),
    "one long line": (lambda file: file.write_bytes(b"a" * (3 << 20)), "unreadable_file"),
    "a long cell": (cell("x" * (1 << 20)), "not_a_number"),
    "an open quote": (csv_of(lambda lines: [*lines[:9], '"' + lines[9], *lines[10:]]), "unreadable_file"),
    "short header": (csv_of(lambda lines: [lines[0].rpartition(",")[0], *lines[1:]]), "unreadable_file"),
    "a longer row": (csv_of(lambda lines: [*lines[:9], lines[9] + ",1,2", *lines[10:]]), "unreadable_file"),
    "a shorter row": (
        csv_of(lambda lines: [*lines[:9], lines[9].rpartition(",")[0][:33], *lines[10:]]),
        "bad_price",
    ),
    "semicolons": (csv_of(lambda lines: [line.replace(",", ";") for line in lines]), "missing_column"),
    "header twice": (csv_of(lambda lines: [*lines[:9], lines[0], *lines[9:]]), "bad_time"),
    "column twice": (
        csv_of(lambda lines: [line + "," + line.split(",")[4] for line in lines]),
        "double_column",
    ),
    "no rows": (csv_of(lambda lines: lines[:1]), "nothing_usable"),
    "huge number": (cell("1e999"), "bad_price"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_csv_is_one_refusal(tmp_path: Path, name: str) -> None:
    damage, code = HOSTILE[name]
    symbol(tmp_path, "AAUSDT", "csv")
    file = symbol(tmp_path, "BBUSDT", "csv") / "bars_1h.csv"
    damage(file)
    if name == "latin":
        file.write_bytes(file.read_text().replace("volume", "volume,\xfc").encode("latin-1"))
    names, refused = load(tmp_path)
    assert names == ["AAUSDT"]
    assert [(one.file, one.code) for one in refused] == [("BBUSDT/bars_1h.csv", code)]
    assert len(refused[0].reason) < 800


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = symbol(tmp_path, "AAUSDT", "csv") / "bars_1h.csv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    (market,) = load_files(tmp_path, [])
    pd.testing.assert_frame_equal(market.bars, bar_table(60, seed=8), check_exact=True)


COLUMNS: dict[str, tuple[pa.Array, str]] = {
    "lists": (pa.array([[1.0]] * 60), "not_a_number"),
    "structs": (pa.array([{"a": 1}] * 60), "not_a_number"),
    "booleans": (pa.array([True] * 60), "not_a_number"),
    "times": (pa.array([1] * 60, pa.timestamp("ms")), "not_a_number"),
    "bytes": (pa.array([b"\xff\x00"] * 60), "not_a_number"),
    "words": (pa.array(["x"] * 60).dictionary_encode(), "not_a_number"),
    "nothing": (pa.nulls(60), "bad_price"),
    "negative": (pa.array([-1] * 60), "bad_price"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_parquet_of_wrong_types_is_one_refusal(tmp_path: Path, name: str) -> None:
    column, code = COLUMNS[name]
    file = symbol(tmp_path, "AAUSDT") / "bars_1h.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index("close"), "close", column), file)
    with pytest.raises(DataError) as caught:
        load_files(tmp_path, [])
    assert caught.value.code == code
    assert str(file) in caught.value.message


@pytest.mark.parametrize(
    "column",
    [
        [[1]] * 60,
        [True] * 60,
        [{"a": 1}] * 60,
        [b"\xff"] * 60,
        [1e300] * 60,
        ["soon"] * 60,
        [None] * 60,
        ["1600-01-01T00:00:00Z"] * 60,
    ],
)
def test_parquet_whose_times_are_none_is_one_refusal(tmp_path: Path, column: list[object]) -> None:
    file = symbol(tmp_path, "AAUSDT") / "bars_1h.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(0, "open_time", pa.array(column)), file)
    with pytest.raises(DataError) as caught:
        load_files(tmp_path, [])
    assert caught.value.code == "bad_time"


def test_parquet_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    file = symbol(tmp_path, "AAUSDT") / "bars_1h.parquet"
    table = pq.read_table(file)
    pq.write_table(table.append_column("close", table["open"]), file)
    with pytest.raises(DataError) as caught:
        load_files(tmp_path, [])
    assert caught.value.code in {"double_column", "unreadable_file"}


def test_an_index_of_a_data_frame_is_a_column_like_any_other(tmp_path: Path) -> None:
    file = symbol(tmp_path, "AAUSDT") / "bars_1h.parquet"
    pd.read_parquet(file).set_index("open_time").to_parquet(file)
    (market,) = load_files(tmp_path, [])
    expected = bar_table(60, seed=8)
    pd.testing.assert_frame_equal(market.bars, expected, check_exact=True)


def test_what_a_terminal_would_obey_is_not_reported_as_it_stands(tmp_path: Path) -> None:
    symbol(tmp_path, "AAUSDT")
    (symbol(tmp_path, "BBUSDT", "csv") / "bars_1h.csv").write_text("\x1b[2Jopen,b\n1,2\n")
    _, refused = load(tmp_path)
    assert "?[2Jopen" in refused[0].reason
    assert refused[0].reason.isprintable()


def test_folders_links_and_pipes_in_place_of_files(tmp_path: Path) -> None:
    folder = symbol(tmp_path, "AAUSDT")
    for stem in ("funding", "open_interest"):
        (folder / f"{stem}.parquet").unlink()
    (folder / "funding.csv").mkdir()
    (folder / "open_interest.csv").symlink_to(folder / "open_interest.csv")
    (tmp_path / "LOOPUSDT").symlink_to(tmp_path / "LOOPUSDT")
    (tmp_path / "ROUNDUSDT").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "ETHUSDT_1h.csv").symlink_to("/dev/zero")
    (market,) = load_files(tmp_path, [])
    assert (market.symbol, market.funding, market.open_interest) == ("AAUSDT", None, None)
    assert {entry.subject for entry in market.ledger if entry.kind == "ignored_file"} == {
        "funding.csv",
        "open_interest.csv",
    }


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tables, "FILE_LIMIT", 100)
    symbol(tmp_path, "AAUSDT")
    with pytest.raises(DataError) as caught:
        load_files(tmp_path, [])
    assert caught.value.code == "too_large"


@settings(max_examples=400 if LONG else 30, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("damaged")
    suffix = data.draw(st.sampled_from(["csv", "parquet"]))
    folder = symbol(root, "AAUSDT", suffix, n=12)
    file = folder / f"{data.draw(st.sampled_from(['bars_1h', 'funding', 'open_interest']))}.{suffix}"
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 20))
        content[at : at + gone] = data.draw(st.binary(max_size=20))
    file.write_bytes(bytes(content))
    refused: list[RefusedFile] = []
    with suppress(NothingUsableError):
        for market in load_files(root, [], refused=refused):
            assert np.isfinite(market.bars["close"].dropna()).all()
            History.from_raw(market)
        return
    assert refused
