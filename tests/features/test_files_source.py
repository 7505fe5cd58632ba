"""The ``files`` source: Parquet and CSV alike, errors that name the place, and the real history."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from histories import MARKET, bar_table, needs_market, raw_market, utc

from features.errors import BearmodeError, DataError, NothingUsableError, UsageError
from features.history import History
from features.raw import LedgerEntry, RawMarket
from features.sources.files import load_files

Change = Callable[[pd.DataFrame], pd.DataFrame]
HOUR = pd.Timedelta(hours=1)


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def write(table: pd.DataFrame, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        table.to_csv(file, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")
    else:
        table.to_parquet(file, index=False)


def folder(root: Path, suffix: str = "parquet", **changes: Change) -> Path:
    """A folder of one symbol with every known file; each may be changed before it is written."""
    raw = raw_market(200, seed=8)
    assert raw.funding is not None
    tables = {
        "bars_1h": raw.bars,
        "funding": raw.funding[["time", "funding_rate"]],
        "open_interest": raw.open_interest,
        "positioning_1d": raw.positioning,
        "fear_greed_1d": pd.DataFrame(
            {
                "timestamp": pd.date_range("2022-01-02", periods=9, tz="UTC", unit="ms"),
                "fear_greed": np.arange(20, 29),
                "label": "Fear",
            }
        ),
    }
    for name, table in tables.items():
        assert table is not None
        inside = root if name == "fear_greed_1d" else root / "TESTUSDT"
        write(changes.get(name, same)(table), inside / f"{name}.{suffix}")
    return root


def load(root: Path) -> RawMarket:
    (market,) = load_files(root, ["TESTUSDT"])
    return market


def setting(row: int, column: str, value: str) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        values = list(table[column])
        values[row] = value
        return table.assign(**{column: pd.Series(values, dtype=object)})

    return change


def named(market: RawMarket | History, kind: str) -> list[LedgerEntry]:
    return [entry for entry in market.ledger if entry.kind == kind]


def test_parquet_and_csv_give_the_same(tmp_path: Path) -> None:
    parquet = load(folder(tmp_path / "a"))
    text = load(folder(tmp_path / "b", "csv"))
    for name in ("bars", "funding", "open_interest", "positioning", "fear_greed"):
        pd.testing.assert_frame_equal(getattr(parquet, name), getattr(text, name), check_exact=True)
    assert parquet.ledger == text.ledger == ()
    assert (parquet.symbol, parquet.interval, parquet.source) == ("TESTUSDT", "1h", "files")
    expected = raw_market(200, seed=8).bars
    pd.testing.assert_frame_equal(parquet.bars, expected, check_exact=True)
    assert len(History.from_raw(parquet)) == 200


def test_times_in_milliseconds_and_in_other_zones_are_the_same_times(tmp_path: Path) -> None:
    def milliseconds(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(open_time=pd.DatetimeIndex(table["open_time"]).as_unit("ms").asi8)

    def tokyo(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(open_time=table["open_time"].dt.tz_convert("Asia/Tokyo"))

    plain = load(folder(tmp_path / "plain"))
    for number, change in enumerate((milliseconds, tokyo)):
        for suffix in ("parquet", "csv"):
            if suffix == "csv" and change is tokyo:
                continue  # the writer above writes Z
            got = load(folder(tmp_path / f"{suffix}{number}", suffix, bars_1h=change))
            pd.testing.assert_frame_equal(got.bars, plain.bars, check_exact=True)


@pytest.mark.parametrize(
    ("table", "change", "code", "field"),
    [
        ("bars_1h", lambda t: t.drop(columns="low"), "missing_column", "low"),
        ("bars_1h", lambda t: t.rename(columns={"open_time": "time"}), "missing_column", "open_time"),
        ("bars_1h", setting(17, "close", "n/k"), "not_a_number", "close[17]"),
        ("bars_1h", setting(17, "close", "-1"), "bad_price", "close[17]"),
        ("bars_1h", setting(17, "high", ""), "bad_price", "high[17]"),
        ("bars_1h", setting(17, "volume", "-3"), "bad_volume", "volume[17]"),
        ("bars_1h", setting(17, "open_time", "last week"), "bad_time", "open_time[17]"),
        ("bars_1h", setting(17, "open_time", ""), "bad_time", "open_time[17]"),
        ("bars_1h", setting(17, "open_time", "2022-01-03T17:00:00"), "naive_time", "open_time[17]"),
        ("bars_1h", lambda t: t.iloc[::-1], "unsorted_time", "time[1]"),
        ("bars_1h", lambda t: t.iloc[[0, 1, 1, 2]], "double_time", "time[2]"),
        ("bars_1h", lambda t: t.iloc[::4], "wrong_interval", "interval"),
        ("funding", setting(5, "funding_rate", "x"), "not_a_number", "funding_rate[5]"),
        ("funding", lambda t: t.drop(columns="funding_rate"), "missing_column", "funding_rate"),
        ("open_interest", setting(2, "time", "soon"), "bad_time", "time[2]"),
        ("positioning_1d", setting(2, "lsr_global", "high"), "not_a_number", "lsr_global[2]"),
        ("fear_greed_1d", setting(3, "fear_greed", "Fear"), "not_a_number", "fear_greed[3]"),
    ],
)
def test_an_error_names_file_column_and_row(
    tmp_path: Path, table: str, change: Change, code: str, field: str
) -> None:
    folder(tmp_path, "csv", **{table: change})
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert f"{table}.csv" in caught.value.message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("table", ["bars_1h", "funding", "open_interest", "fear_greed_1d"])
def test_an_empty_time_among_milliseconds_is_named(tmp_path: Path, table: str) -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        name = "open_time" if "open_time" in frame else "timestamp" if "timestamp" in frame else "time"
        stamps = pd.Series(pd.DatetimeIndex(frame[name]).as_unit("ms").asi8.astype(np.float64))
        stamps[4] = np.nan
        return frame.assign(**{name: stamps})

    folder(tmp_path, "csv", **{table: change})
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert caught.value.code == "bad_time"
    assert str(caught.value.field).endswith("time[4]") or caught.value.field == "timestamp[4]"


def test_a_bar_that_is_still_forming_is_refused(tmp_path: Path) -> None:
    now = pd.Timestamp.now(tz="UTC").floor("h")

    def until_now(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(open_time=pd.date_range(end=now, periods=200, freq="h", unit="ms"))

    folder(tmp_path, bars_1h=until_now)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert (caught.value.code, caught.value.field) == ("future_time", "time[199]")
    assert "bars_1h.parquet" in caught.value.message


def test_naive_times_in_parquet_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, bars_1h=lambda t: t.assign(open_time=t["open_time"].dt.tz_localize(None)))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert (caught.value.code, caught.value.field) == ("naive_time", "open_time")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path: Path, suffix: str) -> None:
    folder(tmp_path, suffix)
    file = tmp_path / "TESTUSDT" / f"funding.{suffix}"
    for content in (b"", b"PAR1\x00\xff\xfe\x00nonsense" if suffix == "parquet" else b'a,b\n1,2,3\n"\xff'):
        file.write_bytes(content)
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert (caught.value.code, caught.value.field) == ("unreadable_file", file.name)
        assert str(file) in caught.value.message


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("table", ["funding", "open_interest", "positioning_1d", "fear_greed_1d"])
def test_an_optional_file_without_rows_is_no_data(tmp_path: Path, suffix: str, table: str) -> None:
    made = History.from_raw(load(folder(tmp_path, suffix, **{table: lambda t: t.iloc[:0]})))
    column = {
        "funding": "funding_rate",
        "open_interest": "open_interest",
        "positioning_1d": "lsr_global",
        "fear_greed_1d": "fear_greed",
    }[table]
    assert np.isnan(made.column(column)).all()
    assert [entry.subject for entry in named(made, "no_data") if entry.count == 200] == [
        table.removesuffix("_1d")
    ]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_bars_without_rows_are_nothing_usable(tmp_path: Path, suffix: str) -> None:
    folder(tmp_path, suffix, bars_1h=lambda t: t.iloc[:0])
    with pytest.raises(NothingUsableError) as caught:
        load(tmp_path)
    assert caught.value.exit_code == 3
    assert f"bars_1h.{suffix}" in caught.value.message


def test_unknown_files_and_columns_are_in_the_ledger(tmp_path: Path) -> None:
    folder(
        tmp_path,
        bars_1h=lambda t: t.assign(market="spot", trades=1),
        funding=lambda t: t.assign(mark_price=1.0),
        fear_greed_1d=lambda t: t.assign(advice="buy"),
    )
    (tmp_path / "TESTUSDT" / "notes.txt").write_text("hello")
    (tmp_path / "TESTUSDT" / "liquidations.parquet").write_bytes(b"")
    write(bar_table(20), tmp_path / "TESTUSDT" / "bars_1h.csv")
    market = load(tmp_path)
    assert [entry.subject for entry in named(market, "ignored_file")] == [
        "bars_1h.csv",
        "liquidations.parquet",
        "notes.txt",
    ]
    assert {entry.subject for entry in named(market, "ignored_column")} == {
        "bars_1h.parquet:trades",
        "funding.parquet:mark_price",
        "fear_greed_1d.parquet:advice",
    }
    assert len(market.bars) == 200
    assert list(market.bars.columns) == ["open_time", "open", "high", "low", "close", "volume"]


def settlements(root: Path, hours: list[float], **columns: list[float | None]) -> RawMarket:
    times = utc("2022-01-03") + pd.to_timedelta(np.cumsum([0.0, *hours]), unit="h")
    table = pd.DataFrame({"time": times, "funding_rate": 1e-4} | columns)
    return load(folder(root, funding=lambda _: table))


def test_jittered_stamps_are_rounded_to_the_minute(tmp_path: Path) -> None:
    jitter = pd.to_timedelta([0, 3, 17, -5, 29_000, -9], unit="ms")

    def shaken(table: pd.DataFrame) -> pd.DataFrame:
        return table.iloc[:6].assign(time=table["time"].iloc[:6] + jitter)

    market = load(folder(tmp_path, funding=shaken))
    assert market.funding is not None
    expected = pd.date_range("2022-01-03", periods=6, freq="8h", tz="UTC")
    assert market.funding["time"].tolist() == expected.tolist()
    assert market.funding["funding_interval_hours"].tolist() == [8.0] * 6
    assert named(market, "snapped_interval") == []


def test_a_missing_interval_is_the_hours_since_the_last_settlement_snapped(tmp_path: Path) -> None:
    market = settlements(tmp_path, [8, 4, 4, 2, 1, 1, 3.5, 6.5, 24, 0.5])
    assert market.funding is not None
    assert market.funding["funding_interval_hours"].tolist() == [8, 8, 4, 4, 2, 1, 1, 4, 8, 8, 1]
    (entry,) = named(market, "snapped_interval")
    assert (entry.subject, entry.count) == ("funding", 4)


def test_an_interval_that_is_given_is_kept_and_only_gaps_are_filled(tmp_path: Path) -> None:
    market = settlements(tmp_path, [8, 5, 4], funding_interval_hours=[4.0, None, 2.0, None])
    assert market.funding is not None
    assert market.funding["funding_interval_hours"].tolist() == [4, 8, 2, 4]
    assert named(market, "snapped_interval") == []


@pytest.mark.parametrize("hours", [0.0, -8.0, np.inf])
def test_an_interval_that_is_no_span_of_time_is_refused(tmp_path: Path, hours: float) -> None:
    with pytest.raises(DataError) as caught:
        settlements(tmp_path, [8, 8], funding_interval_hours=[8.0, hours, 8.0])
    assert caught.value.field == "funding_interval_hours[1]"
    assert "funding.parquet" in caught.value.message


def test_unsorted_and_doubled_settlements_are_put_in_order_and_named(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "time": [utc("2022-01-03 08:00"), utc("2022-01-03"), utc("2022-01-03 08:00:00.004")],
            "funding_rate": [1e-4, 2e-4, 3e-4],
        }
    )
    market = load(folder(tmp_path, funding=lambda _: table))
    assert market.funding is not None
    assert market.funding["funding_rate"].tolist() == [2e-4, 3e-4]
    assert [entry.count for entry in named(market, "double_rows")] == [1]


def test_fear_and_greed_of_a_day_joins_from_the_next_midnight(tmp_path: Path) -> None:
    made = History.from_raw(load(folder(tmp_path)))
    column = made.frame["fear_greed"]
    assert column[utc("2022-01-04") - HOUR] == 20  # the value of 2 January, known at the end of it
    assert column[utc("2022-01-04")] == 21
    assert column[utc("2022-01-05") - HOUR] == 21


def test_no_symbols_means_every_folder_with_bars(tmp_path: Path) -> None:
    folder(tmp_path)
    write(bar_table(30), tmp_path / "OTHER" / "bars_1h.csv")
    write(bar_table(30, "1d"), tmp_path / "DAILY" / "bars_1d.parquet")
    (tmp_path / "raw").mkdir()
    assert [market.symbol for market in load_files(tmp_path, [])] == ["OTHER", "TESTUSDT"]
    assert [market.symbol for market in load_files(tmp_path, [], interval="1d")] == ["DAILY"]


@pytest.mark.parametrize(
    ("symbols", "interval", "kind", "exit_code"),
    [
        (["NOPE"], "1h", NothingUsableError, 3),
        (["TESTUSDT"], "4h", NothingUsableError, 3),
        ([], "1d", NothingUsableError, 3),
        (["TESTUSDT"], "2h", UsageError, 2),
    ],
)
def test_what_is_not_there(
    tmp_path: Path, symbols: list[str], interval: str, kind: type[BearmodeError], exit_code: int
) -> None:
    folder(tmp_path)
    with pytest.raises(kind) as caught:
        load_files(tmp_path, symbols, interval=interval)
    assert caught.value.exit_code == exit_code


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", folder(tmp_path) / "fear_greed_1d.parquet"):
        with pytest.raises(UsageError) as caught:
            load_files(path, [])
        assert (caught.value.field, caught.value.exit_code) == ("path", 2)


ALTCOINS = ("ETHUSDT", "SOLUSDT", "BNBUSDT", "DOGEUSDT")


@cache
def real(symbol: str) -> tuple[RawMarket, History]:
    (market,) = load_files(MARKET, [symbol])
    return market, History.from_raw(market)


@needs_market
def test_the_anchor_points_of_bitcoin() -> None:
    _, made = real("BTCUSDT")
    day = made.frame[utc("2021-11-10 01:00") : utc("2021-11-11 00:00")]
    assert day["high"].max() == 69_198.7 == made.frame["high"][: utc("2022-12-31")].max()
    crash = made.frame[utc("2020-03-13 01:00") : utc("2020-03-14 00:00")]
    assert crash["low"].min() == 3_621.81 == made.frame["low"].min()
    assert named(made, "missing_bars") == []
    assert int(made.frame["volume"].eq(0).sum() + made.frame["volume"].isna().sum()) == 3


@needs_market
@pytest.mark.parametrize(
    ("symbol", "lowest", "month"), [("ETHUSDT", -0.00302, "2022-09"), ("SOLUSDT", -0.02, "2022-11")]
)
def test_the_lowest_funding(symbol: str, lowest: float, month: str) -> None:
    market, made = real(symbol)
    assert market.funding is not None
    worst = market.funding.sort_values("funding_rate").iloc[0]
    assert worst["funding_rate"] == pytest.approx(lowest, abs=1e-5)
    settled = worst["time"]
    assert f"{settled:%Y-%m}" == month
    if symbol == "ETHUSDT":
        assert settled.day == 15
    assert made.frame["funding_rate"].loc[settled] == worst["funding_rate"]


@needs_market
@pytest.mark.parametrize("symbol", ALTCOINS)
def test_the_four_gaps_of_each_altcoin_are_in_the_ledger(symbol: str) -> None:
    _, made = real(symbol)
    gaps = named(made, "missing_bars")
    assert [(f"{gap.start:%Y-%m-%d %H}", gap.count) for gap in gaps] == [
        ("2021-04-20 03", 2),
        ("2021-04-25 06", 3),
        ("2021-08-13 03", 4),
        ("2021-09-29 08", 2),
    ]
    for gap in gaps:
        assert made.frame.loc[gap.start : gap.end].isna().all(axis=None)
    assert int(made.frame["close"].isna().sum()) == 11


@needs_market
def test_the_funding_gap_of_solana_is_stale_by_name() -> None:
    _, made = real("SOLUSDT")
    gap = max(
        (entry for entry in named(made, "stale_value") if entry.subject == "funding"),
        key=lambda entry: entry.count,
    )
    assert gap.start is not None
    assert gap.end is not None
    assert utc("2023-04-29") < gap.start < utc("2023-05-01")
    assert utc("2023-05-23") < gap.end < utc("2023-05-25")
    assert made.frame.loc[gap.start : gap.end, "funding_rate"].isna().all()
    assert made.frame.loc[gap.start : gap.end, "close"].notna().all()
