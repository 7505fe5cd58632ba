"""freqtrade's futures data: candles, funding in both names, and what else lies in the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from histories import bar_table, utc

from features.errors import DataError, NothingUsableError, UsageError
from features.history import History
from features.raw import RawMarket
from features.sources.files import RefusedFile, load_files

N = 120


def candles(n: int = N, interval: str = "1h", start: str = "2022-01-03") -> pd.DataFrame:
    return bar_table(n, interval, seed=6, start=start).rename(columns={"open_time": "date"})


def rates(n: int = 15, start: str = "2022-01-03", hours: int = 8) -> pd.DataFrame:
    """Settlements as freqtrade writes them: the rate in ``open``, the rest zero, jittered stamps."""
    stamps = pd.date_range(start, periods=n, freq=f"{hours}h", tz="UTC", unit="ms")
    jitter = pd.to_timedelta(np.arange(n) % 4 * 5, unit="ms")
    zero = dict.fromkeys(("high", "low", "close", "volume"), 0.0)
    return pd.DataFrame({"date": stamps + jitter, "open": 1e-5 * np.arange(1, n + 1)} | zero)


def write(table: pd.DataFrame, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    if file.suffix == ".parquet":
        table.to_parquet(file, index=False)
    else:
        table.to_feather(file)


def user_data(root: Path, exchange: str = "binance") -> Path:
    folder = root / "user_data" / "data" / exchange / "futures"
    write(candles(), folder, "BTC_USDT_USDT-1h-futures.feather")
    write(candles(30, "4h"), folder, "BTC_USDT_USDT-4h-futures.feather")
    write(candles(), folder, "BTC_USDT_USDT-1h-mark.feather")
    write(rates(), folder, "BTC_USDT_USDT-8h-funding_rate.feather")
    write(candles(50), folder, "1000PEPE_USDT_USDT-1h-futures.feather")
    write(candles(50), folder, "BTC_USD_BTC-1h-futures.feather")
    write(candles(50), folder, "BTC_USDT_USDT-240329-1h-futures.feather")
    write(candles(50), folder.parent, "ETH_USDT-1h.feather")
    return folder


def load(path: Path, **options: str) -> RawMarket:
    (market,) = load_files(path, ["BTCUSDT"], **options)  # type: ignore[arg-type]
    return market


def kinds(market: RawMarket) -> list[tuple[str, str, int]]:
    return [(entry.kind, entry.subject, entry.count) for entry in market.ledger]


def test_every_folder_from_user_data_down_gives_the_same(tmp_path: Path) -> None:
    futures = user_data(tmp_path)
    expected = bar_table(N, seed=6)
    for path in (futures, futures.parent, futures.parents[1], futures.parents[2]):
        market = load(path)
        pd.testing.assert_frame_equal(market.bars, expected, check_exact=True)
        assert market.source == "binance"
        assert kinds(market) == [
            ("ignored_file", "BTC_USDT_USDT-1h-mark.feather", 0),
            ("ignored_file", "BTC_USDT_USDT-4h-futures.feather", 0),
        ]
        assert [one.symbol for one in load_files(path, [])] == ["1000PEPEUSDT", "BTCUSDT"]
    assert len(load(futures, interval="4h").bars) == 30


def test_the_date_is_the_open_and_the_rate_is_in_the_column_open(tmp_path: Path) -> None:
    made = History.from_raw(load(user_data(tmp_path)))
    assert made.time[0] == utc("2022-01-03 01:00")
    assert made.frame["funding_rate"][utc("2022-01-03 08:00")] == pytest.approx(2e-5)
    assert made.frame["funding_rate"][utc("2022-01-03 07:00")] == pytest.approx(1e-5)
    assert (made.frame["funding_interval_hours"] == 8.0).all()
    assert made.frame["open_interest"].isna().all()


def test_the_newer_name_of_funding_holds_settlements_and_not_hours(tmp_path: Path) -> None:
    folder = user_data(tmp_path)
    newer = rates(18)
    newer["open"] *= 10
    write(newer.iloc[10:].reset_index(drop=True), folder, "BTC_USDT_USDT-1h-funding_rate.feather")
    market = load(folder)
    assert market.funding is not None
    assert market.funding["funding_interval_hours"].tolist() == [8.0] * 18
    assert market.funding["funding_rate"].tolist()[9:12] == pytest.approx([1e-4, 1.1e-3, 1.2e-3])
    assert ("double_rows", "funding", 5) in kinds(market)


@pytest.mark.parametrize("form", ["naive", "milliseconds", "parquet"])
def test_dates_are_utc_however_they_are_written(tmp_path: Path, form: str) -> None:
    table = candles()
    if form == "naive":
        table["date"] = table["date"].dt.tz_localize(None)
    elif form == "milliseconds":
        table["date"] = pd.DatetimeIndex(table["date"]).as_unit("ms").asi8
    suffix = "parquet" if form == "parquet" else "feather"
    write(table, tmp_path / "okx" / "futures", f"BTC_USDT_USDT-1h-futures.{suffix}")
    market = load(tmp_path)
    pd.testing.assert_frame_equal(market.bars, bar_table(N, seed=6), check_exact=True)
    assert market.source == "okx"


def test_order_doubles_and_the_forming_candle_are_put_right_by_name(tmp_path: Path) -> None:
    now = pd.Timestamp.now(tz="UTC").floor("h")
    table = candles()
    table["date"] = pd.date_range(end=now, periods=N, freq="h", unit="ms")
    again = table.iloc[[40]].assign(volume=1.0)
    write(
        pd.concat([table.iloc[::-1], again]).reset_index(drop=True),
        tmp_path,
        "BTC_USDT_USDT-1h-futures.feather",
    )
    market = load(tmp_path)
    assert len(market.bars) == N - 1
    assert market.bars["volume"].iloc[40] == 1.0
    assert kinds(market) == [("double_rows", "bars", 1), ("forming_bar", "bars", 1)]
    assert len(History.from_raw(market)) == N - 1
    assert market.source == "files"


def test_a_bad_price_refuses_the_file_with_its_row(tmp_path: Path) -> None:
    folder = user_data(tmp_path)
    table = candles()
    table.loc[17, "low"] = 0.0
    write(table, folder, "BTC_USDT_USDT-1h-futures.feather")
    with pytest.raises(DataError) as caught:
        load(folder)
    assert (caught.value.code, caught.value.field) == ("bad_price", "low[17]")
    assert "BTC_USDT_USDT-1h-futures.feather" in caught.value.message
    refused: list[RefusedFile] = []
    assert [one.symbol for one in load_files(folder, [], refused=refused)] == ["1000PEPEUSDT"]
    assert [(one.file, one.symbol, one.field) for one in refused] == [
        ("BTC_USDT_USDT-1h-futures.feather", "BTCUSDT", "low[17]")
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "unreadable_file"), (b"ARROW1\x00\x00nonsense", "unreadable_file"), (None, "missing_column")],
)
def test_funding_that_is_none_leaves_the_candles(tmp_path: Path, content: bytes | None, code: str) -> None:
    folder = user_data(tmp_path)
    file = folder / "BTC_USDT_USDT-8h-funding_rate.feather"
    if content is None:
        write(rates().drop(columns="open"), folder, file.name)
    else:
        file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert caught.value.code == code
    refused: list[RefusedFile] = []
    (market,) = load_files(folder, ["BTCUSDT"], refused=refused)
    assert (market.funding, len(market.bars)) == (None, N)
    assert [(one.file, one.code) for one in refused] == [(file.name, code)]
    assert [entry.subject for entry in market.ledger if entry.kind == "refused_file"] == [file.name]


def test_several_exchanges_are_not_mixed(tmp_path: Path) -> None:
    user_data(tmp_path)
    okx = user_data(tmp_path, "okx")
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "user_data")
    assert (caught.value.code, caught.value.field) == ("several_exchanges", "path")
    assert load(okx).source == "okx"


def test_a_timeframe_that_is_not_there_is_nothing_usable(tmp_path: Path) -> None:
    with pytest.raises(NothingUsableError) as caught:
        load_files(user_data(tmp_path), [], interval="1d")
    assert "1d-futures.feather" in caught.value.message
