"""Declared columns: whose names they are, which times they say, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from histories import bar_table, utc
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DataError, UsageError
from features.history import History
from features.raw import RawMarket
from features.sources.file_columns import parse_columns
from features.sources.files import load_files

NAMES = {"open_time": "ts", "open": "o", "high": "h", "low": "l", "close": "last", "volume": "vol"}
DECLARED = ",".join(f"bars.{name}={source}" for name, source in NAMES.items())
HOUR = pd.Timedelta(hours=1)


def foreign(unit: int | None = 1000, n: int = 50) -> pd.DataFrame:
    """Bars under other names; times as whole numbers, ``unit`` to a second, or as text."""
    table = bar_table(n)
    seconds = pd.DatetimeIndex(table["open_time"]).as_unit("s").asi8
    stamps = table["open_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ") if unit is None else seconds * unit
    return table.assign(open_time=stamps).rename(columns=NAMES)


def write(table: pd.DataFrame, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        table.to_csv(file, index=False)
    else:
        table.to_parquet(file, index=False)


def load(root: Path, columns: str | None = DECLARED) -> RawMarket:
    (market,) = load_files(root, ["BTCUSDT"], columns=columns)
    return market


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT.csv", "BTCUSDT-1h.csv", "BTCUSDT_1h.parquet", "BTCUSDT/bars_1h.csv", "BTCUSDT_bars_1h.csv"],
)
@pytest.mark.parametrize("unit", [1, 1000, 10**6, 10**9, None])
def test_a_file_with_other_names_and_times_gives_the_same_bars(
    tmp_path: Path, name: str, unit: int | None
) -> None:
    write(foreign(unit), tmp_path / name)
    market = load(tmp_path)
    pd.testing.assert_frame_equal(market.bars, bar_table(50), check_exact=True)
    assert (market.source, market.ledger) == ("files", ())


@pytest.mark.parametrize("early", [0, 1])
def test_bars_may_say_their_close_also_as_exchanges_stamp_it(tmp_path: Path, early: int) -> None:
    table = foreign()
    table["ts"] += 3_600_000 - early
    write(table, tmp_path / "BTCUSDT.csv")
    market = load(tmp_path, DECLARED.replace("open_time", "close_time"))
    pd.testing.assert_frame_equal(market.bars, bar_table(50), check_exact=True)


def test_what_is_not_declared_keeps_its_name_and_the_declared_column_wins(tmp_path: Path) -> None:
    table = bar_table(50).assign(last=lambda t: t["close"], close="not a price")
    write(table, tmp_path / "BTCUSDT" / "bars_1h.parquet")
    market = load(tmp_path, "bars.close=last")
    pd.testing.assert_frame_equal(market.bars, bar_table(50), check_exact=True)
    assert [entry.subject for entry in market.ledger] == ["bars_1h.parquet:close"]


def test_optional_tables_lie_beside_and_have_columns_of_their_own(tmp_path: Path) -> None:
    write(foreign(), tmp_path / "BTCUSDT.csv")
    start = int(utc("2022-01-03").timestamp())
    write(
        pd.DataFrame({"when": [start, start + 28_800], "r": [1e-4, 2e-4]}), tmp_path / "BTCUSDT-funding.csv"
    )
    write(pd.DataFrame({"time": [start * 1000], "oi": [5e8]}), tmp_path / "BTCUSDT_open_interest.csv")
    write(pd.DataFrame({"d": [start], "fg": [40]}), tmp_path / "fear_greed_1d.csv")
    market = load(
        tmp_path,
        f"{DECLARED},funding.time=when,funding.funding_rate=r,open_interest.open_interest_value=oi,"
        "fear_greed.timestamp=d,fear_greed.fear_greed=fg",
    )
    made = History.from_raw(market)
    assert made.frame["funding_rate"].dropna().unique().tolist() == [1e-4, 2e-4]
    assert made.frame["open_interest"].iloc[0] == 5e8
    assert made.frame["fear_greed"].first_valid_index() == utc("2022-01-04")


def test_files_beside_one_another_need_no_declaration_if_they_say_the_interval(tmp_path: Path) -> None:
    write(
        bar_table(50).assign(open_time=lambda t: t["open_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")),
        tmp_path / "BTCUSDT_1h.csv",
    )
    write(bar_table(50), tmp_path / "ETHUSDT.parquet")  # no interval and no declaration: not looked at
    assert [market.symbol for market in load_files(tmp_path, [])] == ["BTCUSDT"]
    assert [market.symbol for market in load_files(tmp_path, [], columns="bars.close=close")] == [
        "BTCUSDT",
        "ETHUSDT",
    ]


def test_a_declared_column_that_the_file_lacks_is_named_with_its_use(tmp_path: Path) -> None:
    write(foreign().drop(columns="last"), tmp_path / "BTCUSDT.csv")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert (caught.value.code, caught.value.field) == ("missing_column", "close")
    assert "'last' (declared for close)" in caught.value.message


def test_a_column_that_is_declared_for_another_is_not_taken_twice(tmp_path: Path) -> None:
    write(bar_table(50), tmp_path / "BTCUSDT" / "bars_1h.parquet")
    with pytest.raises(DataError) as caught:
        load(tmp_path, "bars.open=close")
    assert (caught.value.code, caught.value.field) == ("missing_column", "close")
    assert "declared for another" in caught.value.message


@pytest.mark.parametrize(
    ("row", "value"), [(0, 5), (7, 1_640_995_200), (7, 1_640_995_200_000_000), (7, 9e30)]
)
def test_times_of_mixed_units_are_refused_with_the_row(tmp_path: Path, row: int, value: float) -> None:
    table = foreign().astype({"ts": "float64"})
    table.loc[row, "ts"] = value
    write(table, tmp_path / "BTCUSDT.csv")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert caught.value.code == "bad_time"
    assert str(caught.value.field).startswith("ts[")


@pytest.mark.parametrize("unit", [1, 10**6])
def test_without_a_declaration_whole_numbers_are_milliseconds(tmp_path: Path, unit: int) -> None:
    table = foreign(unit).rename(columns={source: name for name, source in NAMES.items()})
    write(table, tmp_path / "BTCUSDT" / "bars_1h.csv")
    with pytest.raises(DataError) as caught:
        load(tmp_path, None)
    assert (caught.value.code, caught.value.field) == ("bad_time", "open_time[0]")
    assert "milliseconds" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "declares nothing"),
        (" , ", "declares nothing"),
        ("bars", "declares no column"),
        ("bars.close", "declares no column"),
        ("bars.close=", "declares no column"),
        ("=last", "declares no column"),
        ("close=last", "declares no column"),
        ("candles.close=last", "no table 'candles'"),
        ("bars.price=last", "no column 'price'"),
        ("funding.close_time=last", "no column 'close_time'"),
        ("bars.close=last,bars.close=c", "declared twice"),
        ("bars.close=last,bars.open=last", "for two columns"),
        ("bars.open_time=a,bars.close_time=b", "both declared"),
    ],
)
def test_declarations_that_make_no_sense_are_wrong_usage(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_files(tmp_path, [], columns=text)
    assert says in caught.value.message
    assert (caught.value.code, caught.value.field, caught.value.exit_code) == ("bad_columns", "columns", 2)


@given(st.text(max_size=60))
def test_any_text_is_columns_or_wrong_usage(text: str) -> None:
    with suppress(UsageError):
        declared = parse_columns(text)
        assert declared is not None
        assert any(declared.tables.values())
