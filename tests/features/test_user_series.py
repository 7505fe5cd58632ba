"""A user's own series: when a value was known, which column holds it, what is left out by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from histories import bar_table, utc

from features.errors import BearmodeError, DataError, NothingUsableError, UsageError
from features.history import History
from features.raw import RawMarket
from features.sources.series import load_series, parse_delay, parse_signal

DAYS = ["2024-03-01", "2024-03-02", "2024-03-03"]


def write(root: Path, table: pd.DataFrame, name: str = "series.csv") -> Path:
    file = root / name
    if file.suffix == ".csv":
        table.to_csv(file, index=False)
    elif file.suffix == ".feather":
        table.to_feather(file)
    else:
        table.to_parquet(file, index=False)
    return file


def test_a_value_joins_the_bars_from_its_time_and_the_delay_on(tmp_path: Path) -> None:
    file = write(tmp_path, pd.DataFrame({"date": DAYS, "put_call": [0.5, 0.6, 0.7]}))
    series, ledger = load_series(file, "put_call", "1d")
    assert (series.stale_after_hours, ledger) == (48.0, ())
    assert series.table["time"].tolist() == [utc("2024-03-02"), utc("2024-03-03"), utc("2024-03-04")]
    assert str(series.table["time"].dtype) == "datetime64[ms, UTC]"
    raw = RawMarket("TESTUSDT", "1h", bar_table(72, start="2024-03-01"), extras={"put_call": series})
    column = History.from_raw(raw).frame["put_call"]
    assert column.first_valid_index() == utc("2024-03-02")
    assert column[utc("2024-03-02 23:00")] == 0.5
    assert column[utc("2024-03-03")] == 0.6


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather"])
@pytest.mark.parametrize("form", ["aware", "seconds", "milliseconds", "text"])
def test_times_in_every_form_are_the_same_times(tmp_path: Path, suffix: str, form: str) -> None:
    stamps = pd.date_range("2024-03-01", periods=3, freq="8h", tz="UTC", unit="ms")
    made: dict[str, object] = {
        "aware": stamps.tz_convert("Asia/Tokyo"),
        "seconds": stamps.as_unit("s").asi8,
        "milliseconds": stamps.asi8,
        "text": stamps.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    file = write(tmp_path, pd.DataFrame({"timestamp": made[form], "value": [1, 2, 3]}), f"s.{suffix}")
    series, _ = load_series(file, "mine", "8h", stale_after="36h")
    assert series.table["time"].tolist() == [*(stamps + pd.Timedelta(hours=8))]
    assert series.table["value"].tolist() == [1.0, 2.0, 3.0]
    assert series.stale_after_hours == 36.0


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"mine": [1.0], "value": [2.0], "other": [3.0]}, 1.0),
        ({"other": [3.0], "value": [2.0]}, 2.0),
        ({"other": [3.0]}, 3.0),
    ],
)
def test_the_values_are_in_the_signals_column_in_value_or_in_the_only_one(
    tmp_path: Path, columns: dict[str, list[float]], expected: float
) -> None:
    series, ledger = load_series(write(tmp_path, pd.DataFrame({"date": DAYS[:1], **columns})), "mine", "0h")
    assert series.table["value"].tolist() == [expected]
    assert [entry.kind for entry in ledger] == ["ignored_column"] * (len(columns) - 1)


def test_blank_infinite_and_doubled_rows_are_left_out_by_name(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "date": ["2024-03-03", "2024-03-01", "2024-03-02", "2024-03-04", "2024-03-03", "2024-03-03"],
            "value": [7.0, 1.0, np.nan, np.inf, 3.0, np.nan],
        }
    )
    series, ledger = load_series(write(tmp_path, table, "s.parquet"), "mine", "1d")
    assert series.table["time"].tolist() == [utc("2024-03-02"), utc("2024-03-04")]
    assert series.table["value"].tolist() == [1.0, 3.0]
    assert [(entry.kind, entry.subject, entry.count, entry.start) for entry in ledger] == [
        ("blank_rows", "mine", 2, utc("2024-03-03")),
        ("refused_value", "mine", 1, utc("2024-03-05")),
        ("double_rows", "mine", 1, utc("2024-03-04")),
    ]


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ({"day": DAYS, "value": [1, 2, 3]}, "missing_column"),
        ({"date": DAYS, "time": DAYS, "value": [1, 2, 3]}, "missing_column"),
        ({"date": DAYS}, "missing_column"),
        ({"date": DAYS, "a": [1, 2, 3], "b": [1, 2, 3]}, "missing_column"),
        ({"date": DAYS, "value": ["1", "many", "3"]}, "not_a_number"),
        ({"date": ["2024-03-01", "soon", "2024-03-03"], "value": [1, 2, 3]}, "bad_time"),
        ({"date": ["2024-03-01", None, "2024-03-03"], "value": [1, 2, 3]}, "bad_time"),
        ({"date": ["2024-03-01 05:00", *DAYS[1:]], "value": [1, 2, 3]}, "naive_time"),
        ({"date": DAYS, "value": [None, None, None]}, "nothing_usable"),
    ],
)
def test_what_is_no_series_is_one_error(tmp_path: Path, table: dict[str, list[object]], code: str) -> None:
    file = write(tmp_path, pd.DataFrame(table))
    with pytest.raises(DataError if code != "nothing_usable" else NothingUsableError) as caught:
        load_series(file, "mine", "1d")
    assert caught.value.code == code
    assert str(file) in caught.value.message


@pytest.mark.parametrize("delay", ["", "1", "-1d", "1w", "1 month", "d", "1e3d", "99999d", "nan"])
def test_a_delay_that_is_none_is_wrong_usage(tmp_path: Path, delay: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_delay(delay)
    assert (caught.value.field, caught.value.exit_code) == ("available-after", 2)


@pytest.mark.parametrize(
    ("text", "minutes"), [("0h", 0), ("15min", 15), ("1d", 1440), (" 1.5 h ", 90), ("90s", 1.5)]
)
def test_delays(text: str, minutes: float) -> None:
    assert parse_delay(text) == pd.Timedelta(minutes=minutes)


def test_the_delay_is_never_guessed_and_never_negative(tmp_path: Path) -> None:
    file = write(tmp_path, pd.DataFrame({"date": DAYS, "value": [1, 2, 3]}))
    with pytest.raises(TypeError):
        load_series(file, "mine")  # type: ignore[call-arg]
    for wrong in (pd.Timedelta(-1), pd.NaT):
        with pytest.raises(UsageError):
            load_series(file, "mine", wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        load_series(file, "mine", "1d", stale_after="0h")
    assert caught.value.field == "stale-after"


@pytest.mark.parametrize("name", ["close", "funding_rate", "open_interest", "time", "Upper", "1st", "x y"])
def test_names_of_the_market_are_not_free(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_series(tmp_path / "none.csv", name, "1d")
    assert caught.value.field == "signal"


def test_a_file_that_is_not_there_or_of_another_kind_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "s.xlsx").write_bytes(b"PK")
    for name in ("none.csv", "folder.csv", "s.xlsx"):
        with pytest.raises(UsageError):
            load_series(tmp_path / name, "mine", "1d")
    for name, content in (("s.csv", b"\xff\xfe\x00\x01"), ("s.parquet", b"PAR1"), ("t.csv", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            load_series(tmp_path / name, "mine", "1d")
        assert caught.value.code == "unreadable_file"


def test_the_option_is_a_name_and_a_file() -> None:
    assert parse_signal("put_call=a=b.csv") == ("put_call", Path("a=b.csv"))
    for text in ("put_call", "=x.csv", "put_call=", "Close=x.csv", "close=x.csv"):
        with pytest.raises(UsageError):
            parse_signal(text)


def test_liquidations_come_as_a_series_too(tmp_path: Path) -> None:
    file = write(tmp_path, pd.DataFrame({"date": DAYS, "liq_short_usd": [1e6, 2e6, -3e6]}))
    series, _ = load_series(file, "liq_short_usd", "1d")
    raw = RawMarket("TESTUSDT", "1h", bar_table(96, start="2024-03-01"))
    made = History.from_raw(replace(raw, extras={"liq_short_usd": series}))
    assert made.frame["liq_short_usd"].dropna().unique().tolist() == [1e6, 2e6]
    assert [entry.count for entry in made.ledger if entry.kind == "refused_value"] == [1]


def test_any_error_is_of_the_tree(tmp_path: Path) -> None:
    wrong: list[pd.Series] = [
        pd.Series([[1], [2], [3]]),
        pd.Series([{"a": 1}] * 3),
        pd.Series([True, False, True]),
        pd.Series(pd.to_timedelta([1, 2, 3], unit="h")),
        pd.Series(pd.date_range("2024-03-01", periods=3, tz="UTC")),
        pd.Series(["x", "y", "z"], dtype="category"),
        pd.Series([b"\xff", b"\x00", b"1"]),
    ]
    for number, column in enumerate(wrong):
        good = pd.Series(pd.date_range("2024-03-01", periods=3, tz="UTC"))
        file = write(tmp_path, pd.DataFrame({"time": good, "value": column}), f"value{number}.parquet")
        with pytest.raises(BearmodeError) as caught:
            load_series(file, "mine", "1d")
        assert caught.value.code == "not_a_number"
        if number == 4:
            continue
        file = write(
            tmp_path, pd.DataFrame({"time": column, "value": [1.0, 2.0, 3.0]}), f"time{number}.parquet"
        )
        with pytest.raises(BearmodeError) as caught:
            load_series(file, "mine", "1d")
        assert caught.value.code == "bad_time"
