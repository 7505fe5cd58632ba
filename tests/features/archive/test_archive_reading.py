"""Files of the archive to tables: every form alike, every defect named, nothing else ever raised."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.sources.archive import (
    Period,
    Reading,
    RefusedFileError,
    parse_name,
    read_csv,
    read_funding,
    read_klines,
    read_metrics,
    read_zip,
)
from features.sources.archive.layout import DAY_MS, HOUR_MS
from features.sources.archive.metrics import METRICS, joined_cells
from features.sources.archive.notes import Span
from features.sources.archive.reading import Settlement

LONG = os.environ.get("BEARMODE_TIER") == "long"
REAL = Path(__file__).resolve().parents[4] / "shared" / "market" / "raw" / "BTCUSDT-metrics-2023-11-14.csv"
"""First rows of a real file, beside the checkout; optional."""

EXAMPLES = 2000 if LONG else 40
DAY = Period.parse("2024-01-05")
KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)
METRICS_HEADER = ",".join(METRICS.columns)


def kline(hour: int, *, close: str = "101.5", volume: str = "12.5", unit: int = 1) -> str:
    opened = (DAY.start + hour * HOUR_MS) * unit
    return f"{opened},100.1,103.3,99.9,{close},{volume},{opened + HOUR_MS * unit - 1},1250.5,77,5.5,600.25,0"


def klines(lines: list[str], *, header: bool = True) -> bytes:
    return "\n".join([KLINE_HEADER, *lines] if header else lines).encode() + b"\n"


def bars(content: bytes) -> Reading:
    return read_klines(content, interval="1h", period=DAY)


def named(reading: Reading) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in reading.ledger:
        found[entry.kind] = found.get(entry.kind, 0) + entry.count
    return found


WHOLE = [kline(hour) for hour in range(24)]


def test_every_form_of_one_file_is_the_same_table() -> None:
    plain = bars(klines(WHOLE))
    assert plain.ledger == ()
    assert plain.rows == 24
    frame = plain.frames()["bars"]
    assert str(frame["open_time"].dtype) == "datetime64[ms, UTC]"
    assert frame["close"].tolist() == [101.5] * 24
    names = KLINE_HEADER.split(",")
    order = [*names[::-1]]
    turned = "\r\n".join(
        [",".join(order), *(",".join(line.split(",")[names.index(name)] for name in order) for line in WHOLE)]
    ).encode()
    forms = {
        "": turned,
        "no_header": klines(WHOLE, header=False),
        "microsecond_times": klines([kline(hour, unit=1000) for hour in range(24)]),
        " ": b"\xef\xbb\xbf" + klines(WHOLE),
        "  ": klines(WHOLE[::-1]),
    }
    for kind, content in forms.items():
        reading = bars(content)
        assert set(named(reading)) == ({kind} if kind.strip() else set())
        pd.testing.assert_frame_equal(reading.frames()["bars"], frame)


def exchanged(hour: int, line: str) -> list[str]:
    return [*WHOLE[:hour], line, *WHOLE[hour + 1 :]]


@pytest.mark.parametrize(
    ("lines", "kind", "count", "rows"),
    [
        ([*WHOLE[:5], kline(4, close="102"), *WHOLE[5:]], "double_rows", 1, 24),
        (exchanged(7, ",,,,,,,,,,,"), "blank_rows", 1, 23),
        ([*WHOLE[:9], "", *WHOLE[9:]], "blank_rows", 1, 24),
        ([*WHOLE[:9], "1,2,3", *WHOLE[9:]], "refused_rows", 1, 24),
        (exchanged(3, kline(3, close="0")), "refused_rows", 1, 23),
        (exchanged(3, kline(3, close="inf")), "refused_rows", 1, 23),
        (exchanged(3, kline(3, close="-1")), "refused_rows", 1, 23),
        (exchanged(3, kline(3, close="104")), "refused_rows", 1, 23),
        (exchanged(3, kline(3).replace("103.3", "90")), "refused_rows", 1, 23),
        (exchanged(3, kline(3, close="")), "blank_rows", 1, 23),
        (exchanged(3, kline(3, close="n/a")), "refused_value", 1, 23),
        (exchanged(3, kline(3, volume="")), "blank_rows", 1, 24),
        (exchanged(3, kline(3, volume="-4")), "refused_value", 1, 24),
        ([*WHOLE, kline(24), kline(900)], "refused_rows", 2, 24),
        ([*WHOLE, kline(3).replace("00000,", "00001,", 1)], "refused_rows", 1, 24),
        ([*WHOLE, "soon" + kline(3)[13:]], "refused_rows", 1, 24),
        ([*WHOLE[:5], *WHOLE[8:]], "missing_rows", 3, 21),
    ],
)
def test_each_defect_of_bars_is_named_and_costs_its_rows_only(
    lines: list[str], kind: str, count: int, rows: int
) -> None:
    reading = bars(klines(lines))
    found = named(reading)
    assert found.pop(kind) == count
    assert set(found) <= {"missing_rows"}
    assert reading.rows == rows
    assert np.isfinite(reading.tables["bars"]["close"]).all()


def test_entries_name_the_closes_and_missing_rows_are_not_named_twice() -> None:
    reading = bars(klines([*WHOLE[:5], kline(5, close="0"), *WHOLE[8:]]))
    refused, missing = reading.ledger
    assert (refused.kind, refused.start) == ("refused_rows", pd.Timestamp("2024-01-05 06:00", tz="UTC"))
    assert (missing.start, missing.end) == (
        pd.Timestamp("2024-01-05 07:00", tz="UTC"),
        pd.Timestamp("2024-01-05 08:00", tz="UTC"),
    )
    assert missing.count == 2


def test_what_is_true_of_a_file_is_named_within_its_own_span() -> None:
    foreign = kline(3).replace(str(DAY.start + 3 * HOUR_MS), str(DAY.start - 400 * 24 * HOUR_MS), 1)
    reading = bars(klines([foreign, *WHOLE[:12], "", *WHOLE[12:]], header=False))
    for entry in reading.ledger:
        if entry.kind != "refused_rows":
            assert entry.start == pd.Timestamp("2024-01-05 01:00", tz="UTC"), entry
    assert {entry.kind for entry in reading.ledger} == {"blank_rows", "no_header", "refused_rows"}


def test_many_holes_are_one_entry() -> None:
    month = Period.parse("2024-01")
    lines = [
        kline(hour).replace(str(DAY.start + hour * HOUR_MS), str(month.start + hour * HOUR_MS), 1)
        for hour in range(0, 31 * 24, 2)
    ]
    (entry,) = read_klines(klines(lines), interval="1h", period=month).ledger
    assert (entry.kind, entry.count) == ("missing_rows", 31 * 12)


def test_a_span_takes_closes_from_since_until_before_until() -> None:
    span = Span(DAY.start + 5 * HOUR_MS, DAY.start + 8 * HOUR_MS)
    reading = read_klines(klines(WHOLE), interval="1h", period=DAY, wanted=span)
    closes = (reading.tables["bars"]["open_time"] - DAY.start) / HOUR_MS + 1
    assert closes.tolist() == [5, 6, 7]
    assert reading.ledger == ()


def test_a_forming_bar_is_left_out_by_name() -> None:
    reading = read_klines(klines(WHOLE), interval="1h", period=None, now=DAY.end - 1)
    assert reading.rows == 23
    assert named(reading) == {"forming_bar": 1}


def test_taker_volume_is_of_whole_days_only() -> None:
    reading = bars(klines(WHOLE))
    taker = reading.tables["taker_volume"]
    assert taker["time"].tolist() == [DAY.end]
    assert taker["taker_buy_usd"].tolist() == [24 * 600.25]
    assert taker["taker_sell_usd"].tolist() == [24 * 1250.5 - 24 * 600.25]
    for lines in (WHOLE[1:], exchanged(4, kline(4).replace("600.25", ""))):
        assert len(bars(klines(lines)).tables["taker_volume"]["time"]) == 0
    more = exchanged(4, kline(4).replace("600.25", "1250.75"))
    assert len(bars(klines(more)).tables["taker_volume"]["time"]) == 0, "bought more than was traded"


def funding_csv(hours: list[float], rate: str = "0.0001", interval: str = "8") -> bytes:
    lines = [f"{DAY.start + round(hour * HOUR_MS)},{interval},{rate}" for hour in hours]
    return "\n".join(["calc_time,funding_interval_hours,last_funding_rate", *lines]).encode()


def test_funding_is_rounded_to_the_hour_and_its_jitter_named() -> None:
    reading = read_funding(funding_csv([0, 8 + 3 / HOUR_MS, 16 - 7 / HOUR_MS]), period=DAY)
    assert ((reading.tables["funding"]["time"] - DAY.start) // HOUR_MS).tolist() == [0, 8, 16]
    assert named(reading) == {"jittered_stamps": 2}
    before = Period.parse("2024-01-04")
    early = read_funding(funding_csv([-2 / HOUR_MS, 8, 16]), period=DAY)
    assert early.rows == 3, "two milliseconds before the day is the settlement of its midnight"
    assert read_funding(funding_csv([-2 / HOUR_MS]), period=before).rows == 0


def test_funding_without_intervals_takes_the_hours_since_the_settlement_before() -> None:
    csv = funding_csv([0, 8, 12, 16, 19], interval="")
    reading = read_funding(csv, previous=Settlement(DAY.start - 4 * HOUR_MS, 4.0))
    assert reading.tables["funding"]["funding_interval_hours"].tolist() == [4, 8, 4, 4, 2]
    assert named(reading) == {"blank_rows": 5, "snapped_interval": 1, "changed_interval": 3}
    assert read_funding(csv).tables["funding"]["funding_interval_hours"].tolist() == [8, 8, 4, 4, 2]


@pytest.mark.parametrize(
    ("content", "kinds", "rows"),
    [
        (funding_csv([0, 8, 16, 8.5]), {"refused_rows": 1}, 3),
        (funding_csv([0, 8, 8, 16]), {"double_rows": 1}, 3),
        (funding_csv([0, 16]), {"missing_rows": 1}, 2),
        (funding_csv([16]), {"missing_rows": 2}, 1),
        (funding_csv([0]), {"missing_rows": 2}, 1),
        (funding_csv([0, 8, 16], rate="0.5"), {"refused_rows": 3}, 0),
        (funding_csv([0, 8, 16], rate=""), {"blank_rows": 3}, 0),
        (funding_csv([0, 8, 16], rate="-0.0075"), {}, 3),
        (funding_csv([0, 8, 16], interval="0"), {"refused_value": 3}, 3),
    ],
)
def test_each_defect_of_funding_is_named(content: bytes, kinds: dict[str, int], rows: int) -> None:
    reading = read_funding(content, period=DAY)
    assert named(reading) == kinds
    assert reading.rows == rows


def metric(
    minute: int, *, value: str = "2934227437.9054494", symbol: str = "BTCUSDT", lsr: str = "1.09"
) -> str:
    stamp = pd.Timestamp(DAY.start + minute * 60_000, unit="ms")
    return f"{stamp:%Y-%m-%d %H:%M:%S},{symbol},80424.539,{value},1.094,1.379,{lsr},0.5629"


def metrics(lines: list[str]) -> bytes:
    return "\n".join([METRICS_HEADER, *lines]).encode() + b"\n"


FIVE = [metric(minute) for minute in range(0, 1440, 5)]


def test_metrics_are_known_when_they_are() -> None:
    reading = read_metrics(metrics(FIVE), symbol="BTCUSDT", period=DAY)
    assert reading.ledger == ()
    interest, ratios = reading.frames()["open_interest"], reading.frames()["positioning"]
    assert len(interest) == 288
    assert interest["open_interest_value"].iloc[0] == 2934227437.9054494
    assert interest["open_interest_coins"].iloc[0] == 80424.539
    assert len(ratios) == 289
    assert ratios["time"].iloc[-1] == pd.Timestamp("2024-01-06", tz="UTC")
    assert np.isnan(ratios["taker_ratio"].iloc[0])
    assert ratios["taker_ratio"].iloc[1:].tolist() == [0.5629] * 288
    assert ratios["lsr_global"].iloc[:-1].tolist() == [1.09] * 288
    assert np.isnan(ratios["lsr_global"].iloc[-1])


@pytest.mark.parametrize("text", ["0", "-3", "", "n/a"])
def test_open_interest_that_cannot_be_is_nan_and_named(text: str) -> None:
    lines = [*FIVE[:9], metric(45, value=text), *FIVE[10:]]
    reading = read_metrics(metrics(lines), symbol="BTCUSDT", period=DAY)
    values = reading.tables["open_interest"]["open_interest_value"]
    assert np.flatnonzero(np.isnan(values)).tolist() == [9]
    assert named(reading) == {"blank_rows" if text == "" else "refused_value": 1}


def test_metrics_may_run_from_either_midnight() -> None:
    older = [metric(minute) for minute in range(5, 1445, 5)]
    for lines in (FIVE, older, [*FIVE, metric(1440)]):
        reading = read_metrics(metrics(lines), symbol="BTCUSDT", period=DAY)
        assert reading.ledger == ()
        assert reading.rows == len(lines)
    neither = read_metrics(metrics(FIVE[1:]), symbol="BTCUSDT", period=DAY)
    assert named(neither) == {"missing_rows": 1}
    doubled = read_metrics(metrics([line for line in FIVE for _ in "12"]), symbol="BTCUSDT", period=DAY)
    assert (named(doubled), doubled.rows) == ({"double_rows": 288}, 288)
    outside = read_metrics(metrics([*FIVE, metric(1445)]), symbol="BTCUSDT", period=DAY)
    assert (named(outside), outside.rows) == ({"refused_rows": 1}, 288)


def test_rows_of_another_symbol_refuse_the_file() -> None:
    lines = [*FIVE[:-1], metric(1435, symbol="ETHUSDT")]
    with pytest.raises(RefusedFileError, match=r"another file.*ETHUSDT"):
        read_metrics(metrics(lines), symbol="BTCUSDT", period=DAY)
    quoted = [line.replace("BTCUSDT", '"BTCUSDT"') for line in FIVE]
    assert read_metrics(metrics(quoted), symbol="BTCUSDT", period=DAY).rows == 288


def test_cells_of_the_same_time_are_joined_the_later_one_counts() -> None:
    parts = [
        {"time": np.array([1, 2]), "a": np.array([1.0, 2.0]), "b": np.array([np.nan, 5.0])},
        {"time": np.array([2, 3]), "a": np.array([7.0, 8.0]), "b": np.array([np.nan, 6.0])},
    ]
    joined = joined_cells(parts)
    assert joined["time"].tolist() == [1, 2, 3]
    assert joined["a"].tolist() == [1, 7, 8]
    np.testing.assert_array_equal(joined["b"], [np.nan, 5, 6])


@pytest.mark.skipif(not REAL.is_file(), reason="the real file is not beside the checkout")
def test_a_real_file_is_read_to_the_last_digit() -> None:
    file = parse_name(REAL.name)
    assert file is not None
    reading = read_csv(REAL.read_bytes(), file)
    oracle = pd.read_csv(REAL)
    interest = reading.frames()["open_interest"]
    assert interest["open_interest_value"].tolist() == oracle["sum_open_interest_value"].tolist()
    assert interest["time"].dt.strftime("%Y-%m-%d %H:%M:%S").tolist() == oracle["create_time"].tolist()
    ratios = reading.frames()["positioning"].set_index("time")
    assert ratios["lsr_global"].dropna().tolist() == oracle["count_long_short_ratio"].tolist()
    taken = ratios["taker_ratio"].dropna()
    assert taken.tolist() == oracle["sum_taker_long_short_vol_ratio"].tolist()
    assert taken.index[0] == pd.Timestamp("2023-11-14 00:05", tz="UTC")


@given(st.lists(st.tuples(st.integers(0, 23), st.integers(1, 9_999)), min_size=1, max_size=60))
@settings(max_examples=EXAMPLES, deadline=None)
def test_rows_in_any_order_any_number_of_times(rows: list[tuple[int, int]]) -> None:
    """Against a dictionary: the last row of each hour is kept, in the order of the hours."""
    reading = bars(klines([kline(hour, volume=str(volume)) for hour, volume in rows]))
    oracle = dict(rows)
    held = reading.tables["bars"]
    assert ((held["open_time"] - DAY.start) // HOUR_MS).tolist() == sorted(oracle)
    assert held["volume"].tolist() == [oracle[hour] for hour in sorted(oracle)]
    found = named(reading)
    assert found.get("double_rows", 0) == len(rows) - len(oracle)
    assert found.get("missing_rows", 0) == 24 - len(oracle)


READERS: dict[str, tuple[bytes, Callable[[bytes], Reading]]] = {
    "klines": (klines(WHOLE), bars),
    "funding": (funding_csv([0, 8, 16]), lambda content: read_funding(content, period=DAY)),
    "metrics": (metrics(FIVE[:20]), lambda content: read_metrics(content, symbol="BTCUSDT", period=DAY)),
}


@pytest.mark.parametrize("dataset", READERS)
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_is_in_a_file_it_is_read_or_refused(dataset: str, data: st.DataObject) -> None:
    content, read = READERS[dataset]
    position = data.draw(st.integers(0, len(content)))
    inserted = data.draw(
        st.binary(max_size=30) | st.sampled_from([b",", b"\n", b'"', b"\x00", b"-", b"9" * 25])
    )
    cut = data.draw(st.integers(0, 40))
    try:
        reading = read(content[:position] + inserted + content[position + cut :])
    except RefusedFileError:
        return
    for columns in reading.tables.values():
        times = next(iter(columns.values()))
        assert (np.diff(times) > 0).all()
        assert ((times >= DAY.start) & (times <= DAY.end + 300_000)).all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"<html><body>no such file</body></html>",
        b"\x89PNG\r\n\x1a\n" + bytes(300),
        KLINE_HEADER.encode() + b"\n",
        METRICS_HEADER.encode() + b"\n2024-01-05 00:00:00,BTCUSDT,1,2,3,4,5,6\n",
        b"open_time,open_time,open,high,low,close,volume\n1,1,1,1,1,1,1\n",
        b"1704412800000,1,2,3\n",
        "öffnung,hoch\n1,2\n".encode("latin-1"),
        klines(WHOLE).replace(b",0\n", b"\n"),
        b"2024-01-05 00:00:00," + klines(["1,2,3,4,5,6,7,8,9,10,11"], header=False),
    ],
)
def test_what_is_no_csv_of_bars_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedFileError, match="unreadable"):
        bars(content)


def test_a_zip_is_read_by_its_name() -> None:
    file = parse_name("BTCUSDT-1h-2024-01-05.zip")
    assert file is not None
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("BTCUSDT-1h-2024-01-05.csv", klines(WHOLE))
    assert read_zip(sink.getvalue(), file).rows == 24


def test_names_say_what_a_file_is() -> None:
    for name in (
        "BTCUSDT-1h-2024-01.zip",
        "1000PEPEUSDT-metrics-2024-02-29.zip",
        "A1-fundingRate-2019-12.zip",
    ):
        file = parse_name(name)
        assert file is not None
        assert file.name == name
    for name in (
        "BTCUSDT-1h-2024-13.zip",
        "BTCUSDT-metrics-2023-02-29.zip",
        "BTCUSDT-7m-2024-01.zip",
        "../a.zip",
    ):
        assert parse_name(name) is None
    assert Period.parse("2023-12").end - Period.parse("2023-12").start == 31 * DAY_MS
