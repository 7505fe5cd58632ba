"""Files of the public archive in a user's folder: any depth, packed or not, months and days."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from histories import bar_table, utc

from features.errors import DataError
from features.history import History
from features.raw import RawMarket
from features.sources.files import RefusedFile, load_files

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
BARS = bar_table(60 * 24, start="2022-01-01")


def klines(start: str, end: str, header: bool = True) -> str:
    table = BARS[(BARS["open_time"] >= utc(start)) & (BARS["open_time"] < utc(end))]
    stamps = pd.DatetimeIndex(table["open_time"]).as_unit("ms").asi8
    lines = [HEADER] if header else []
    for stamp, row in zip(stamps, table.itertuples(index=False), strict=True):
        prices = ",".join(repr(float(value)) for value in row[1:6])
        lines.append(f"{stamp},{prices},{stamp + 3_599_999},100.0,7,1.0,60.0,0")
    return "\n".join(lines) + "\n"


def funding(start: str, days: int) -> str:
    stamps = pd.date_range(start, periods=3 * days, freq="8h", tz="UTC", unit="ms").asi8 + 3
    return "calc_time,funding_interval_hours,last_funding_rate\n" + "".join(
        f"{stamp},8,0.0001\n" for stamp in stamps
    )


def metrics(day: str) -> str:
    stamps = pd.date_range(day, periods=288, freq="5min").strftime("%Y-%m-%d %H:%M:%S")
    return (
        METRICS
        + "\n"
        + "".join(f"{stamp},BTCUSDT,10,{1e9 + n},1.1,1.2,1.3,0.9\n" for n, stamp in enumerate(stamps))
    )


def put(root: Path, name: str, text: str) -> Path:
    """A CSV, or a zip with one, at ``name`` below the root."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{file.stem}.csv", text)
        file.write_bytes(packed.getvalue())
    else:
        file.write_text(text)
    return file


def mirror(root: Path) -> Path:
    """January as a month, 1 to 3 February as days, in the depths of a mirror and beside it."""
    deep = "data/futures/um"
    put(
        root,
        f"{deep}/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2022-01.zip",
        klines("2022-01-01", "2022-02-01", False),
    )
    put(root, f"{deep}/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2022-02-01.zip", klines("2022-02-01", "2022-02-02"))
    put(root, "BTCUSDT-1h-2022-02-02.csv", klines("2022-02-02", "2022-02-03"))
    put(root, "more/BTCUSDT-1h-2022-02-03.csv", klines("2022-02-03", "2022-02-04"))
    put(
        root, f"{deep}/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2022-01.zip", funding("2022-01-01", 31)
    )
    put(root, "BTCUSDT-fundingRate-2022-02.csv", funding("2022-02-01", 28))
    for day in ("2022-01-30", "2022-01-31"):
        put(root, f"{deep}/daily/metrics/BTCUSDT/BTCUSDT-metrics-{day}.zip", metrics(day))
    return root


def load(root: Path, refused: list[RefusedFile] | None = None) -> RawMarket:
    (market,) = load_files(root, [], refused=refused)
    return market


def kinds(market: RawMarket) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in market.ledger:
        found.setdefault(entry.kind, []).append(entry.subject)
    return found


def test_months_and_days_at_any_depth_are_one_history(tmp_path: Path) -> None:
    market = load(mirror(tmp_path))
    assert (market.symbol, market.source) == ("BTCUSDT", "binance")
    expected = BARS.iloc[: 34 * 24]
    pd.testing.assert_frame_equal(market.bars[list(expected.columns)], expected, check_exact=True)
    made = History.from_raw(market)
    assert made.frame["close"].notna().all()
    assert made.frame["funding_rate"].iloc[-1] == 1e-4
    assert (made.frame["funding_interval_hours"].dropna() == 8.0).all()
    assert made.frame["open_interest"][utc("2022-01-30 01:00")] == 1e9 + 12
    assert made.frame["lsr_global"].notna().any()
    assert made.frame["taker_buy_usd"][utc("2022-01-02 05:00")] == 24 * 60.0
    assert made.frame["taker_sell_usd"][utc("2022-01-02 05:00")] == pytest.approx(24 * 40.0)
    assert kinds(market)["no_header"] == ["klines-1h"]


def test_other_markets_other_intervals_and_days_of_a_whole_month_are_left_out(tmp_path: Path) -> None:
    root = mirror(tmp_path)
    wrong = klines("2022-02-04", "2022-02-05")
    put(root, "data/futures/um/daily/markPriceKlines/BTCUSDT/1h/BTCUSDT-1h-2022-02-04.zip", wrong)
    put(root, "data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2022-02-04.csv", wrong)
    put(root, "BTCUSDT-1d-2022-02.csv", wrong)
    put(root, "BTCUSDT-5m-2022-02.csv", wrong)
    put(root, "BTCUSDT-1h-2022-01-05.csv", "not read at all")
    put(root, "BTCUSDT-1h-2022-02-02.zip", "neither")
    put(root, ".hidden/BTCUSDT-1h-2022-02-04.csv", wrong)
    market = load(root)
    assert len(market.bars) == 34 * 24
    reasons = {
        entry.detail.partition(";")[0]: entry.count for entry in market.ledger if entry.kind == "ignored_file"
    }
    assert reasons == {
        "in a folder markPriceKlines": 0,
        "in a folder spot": 0,
        "not read for 1h": 2,
        "the same period is read from another file": 0,
    }


def test_links_that_lead_in_circles_are_not_followed(tmp_path: Path) -> None:
    root = mirror(tmp_path / "mirror")
    (root / "more" / "again").symlink_to(root, target_is_directory=True)
    (root / "BTCUSDT-1h-2022-02-05.csv").symlink_to(root / "BTCUSDT-1h-2022-02-05.csv")
    (root / "BTCUSDT-1h-2022-02-06.csv").mkdir()
    market = load(root)
    assert len(market.bars) == 34 * 24
    assert "ignored_file" not in kinds(market)


def test_a_refused_month_is_read_from_its_days_and_named(tmp_path: Path) -> None:
    root = mirror(tmp_path)
    month = root / "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2022-01.zip"
    month.write_bytes(month.read_bytes()[:-40])
    for day in range(1, 31):
        start = utc(f"2022-01-{day:02d}")
        text = klines(str(start.date()), str((start + pd.Timedelta(days=1)).date()))
        put(root, f"days/BTCUSDT-1h-2022-01-{day:02d}.csv", text)
    with pytest.raises(DataError) as caught:
        load(root)
    assert month.name in caught.value.message
    refused: list[RefusedFile] = []
    market = load(root, refused)
    assert [(one.file, one.symbol, one.code) for one in refused] == [
        (str(month.relative_to(root)), "BTCUSDT", "refused_file")
    ]
    assert kinds(market)["refused_file"] == [str(month.relative_to(root))]
    made = History.from_raw(market)
    assert made.frame["close"].isna().sum() == 24
    (gap,) = [entry for entry in made.ledger if entry.kind == "missing_bars"]
    assert (gap.start, gap.count) == (utc("2022-01-31 01:00"), 24)


@pytest.mark.parametrize("damage", ["checksum", "bomb", "path", "html", "empty", "other", "binary"])
def test_a_bad_file_gives_no_row_and_its_reason(tmp_path: Path, damage: str) -> None:
    root = mirror(tmp_path)
    name = "data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2022-02-01.zip"
    file = root / name
    packed = io.BytesIO()
    if damage == "checksum":
        file.with_name(f"{file.name}.CHECKSUM").write_text(
            f"{hashlib.sha256(b'').hexdigest()}  {file.name}\n"
        )
    elif damage == "binary":
        file.write_bytes(np.random.default_rng(1).bytes(5_000))
    else:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            member = "../BTCUSDT-1h-2022-02-01.csv" if damage == "path" else "BTCUSDT-1h-2022-02-01.csv"
            text = {"html": "<html><body>451</body></html>", "empty": "", "other": metrics("2022-02-01")}
            archive.writestr(member, "0" * (70 << 20) if damage == "bomb" else text.get(damage, "x"))
        file.write_bytes(packed.getvalue())
    refused: list[RefusedFile] = []
    market = load(root, refused)
    assert [one.file for one in refused] == [name]
    says = {"checksum": "checksum", "bomb": "too large", "path": "unsafe path"}.get(damage, "unreadable")
    assert says in refused[0].reason
    assert len(market.bars) == 33 * 24


def test_a_checksum_that_agrees_is_no_trouble(tmp_path: Path) -> None:
    root = mirror(tmp_path)
    for file in root.rglob("*.zip"):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        file.with_name(f"{file.name}.CHECKSUM").write_text(f"{digest}  {file.name}\n")
    refused: list[RefusedFile] = []
    assert len(load(root, refused).bars) == 34 * 24
    assert refused == []


def test_a_bar_that_is_still_forming_is_left_out_by_name(tmp_path: Path) -> None:
    now = pd.Timestamp.now(tz="UTC")
    start = now.floor("D") - pd.Timedelta(days=1)
    for day in (start, start + pd.Timedelta(days=1)):
        lines = [HEADER]
        for hour in range(24):
            stamp = int(day.timestamp() * 1000) + hour * 3_600_000
            if stamp < now.timestamp() * 1000:
                lines.append(f"{stamp},1,2,1,1.5,5,{stamp + 3_599_999},10,5,1,5,0")
        put(tmp_path, f"BTCUSDT-1h-{day:%Y-%m-%d}.csv", "\n".join(lines))
    market = load(tmp_path)
    assert kinds(market)["forming_bar"] == ["klines-1h"]
    assert market.bars["open_time"].iloc[-1] == now.floor("h") - pd.Timedelta(hours=1)
    assert len(History.from_raw(market)) == len(market.bars)
