"""Rows that a venue sends twice, out of order, not at all, or with values that cannot be meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from exchange_trials import (
    BARS,
    FUNDING,
    INTEREST,
    NOW,
    RATIO,
    SINCE,
    VENUES,
    assert_same,
    entry_of,
    fetched,
    market,
    utc,
)
from fake_exchange import Fake, Fault, start_fake

from features.store import Store

HOUR = pd.Timedelta(hours=1)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with start_fake(market(), now=NOW) as running:
        yield running


def rows_of(answer: Any) -> list[Any]:
    """The list of rows in an answer of any of the venues."""
    rows: list[Any] = answer
    if isinstance(answer, dict):
        rows = answer["data"] if "data" in answer else answer["result"]["list"]
    return rows


def changing(change: Callable[[list[Any]], list[Any]]) -> Callable[[Any], Any]:
    """A fault that changes the rows of an answer and leaves its frame."""

    def applied(answer: Any) -> Any:
        rows = rows_of(answer)
        rows[:] = change(list(rows))
        return answer

    return applied


@pytest.mark.parametrize("exchange", VENUES)
def test_order_and_doubles_do_not_matter_and_are_named(fake: Fake, exchange: str) -> None:
    true = fetched(fake, exchange, SINCE)
    mixed = changing(lambda rows: [*rows[::2], *rows[1::2], *rows[-3:]])
    fake.faults = [Fault(where[exchange], change=mixed) for where in (BARS, FUNDING, INTEREST, RATIO)]
    result = fetched(fake, exchange, SINCE)
    assert_same(result, true)
    for kind in ("bars_1h", "open_interest", "positioning"):
        assert entry_of(result, "double_rows", kind).count >= 1


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize("most", [100, 37])
def test_a_venue_with_shorter_pages_loses_no_bar(fake: Fake, exchange: str, most: int) -> None:
    true = fetched(fake, exchange, {"bars": SINCE["bars"], "open_interest": SINCE["bars"]})
    fake.faults = [
        Fault(where[exchange], change=changing(lambda rows: rows[:most])) for where in (BARS, INTEREST)
    ]
    result = fetched(fake, exchange, {"bars": SINCE["bars"], "open_interest": SINCE["bars"]})
    for kind in ("bars_1h", "open_interest"):
        whole, got = true.tables[kind], result.tables[kind]
        assert 0 <= len(whole) - len(got) < 10
        held = whole.iloc[:, 0].isin(got.iloc[:, 0])
        pd.testing.assert_frame_equal(got, whole.loc[held].reset_index(drop=True))
    named = sum(e.count for e in result.ledger if e.kind == "missing_bars")
    assert named == len(true.tables["bars_1h"]) - len(result.tables["bars_1h"])


@pytest.mark.parametrize("exchange", VENUES)
def test_bars_that_are_not_there_are_named(fake: Fake, exchange: str) -> None:
    hole = {int(utc(f"2024-06-15 {hour:02}:00").timestamp() * 1000) for hour in (3, 4, 9)}
    fake.faults = [
        Fault(BARS[exchange], change=changing(lambda rows: [row for row in rows if int(row[0]) not in hole]))
    ]
    result = fetched(fake, exchange, {"bars": SINCE["bars"]})
    assert [(e.start, e.count) for e in result.ledger if e.kind == "missing_bars"] == [
        (utc("2024-06-15 04:00"), 2),
        (utc("2024-06-15 10:00"), 1),
    ]
    assert not result.change().ledger


BAD_BARS: list[tuple[object, int]] = [
    ("", 1),
    ("NaN", 4),
    ("Infinity", 2),
    ("-5", 3),
    ("0", 1),
    ("0.0000001", 2),
    ("1e12", 3),
    ("-1", 5),
    ("n/a", 4),
    (None, 4),
]
"""A value, and the place of open, high, low, close or volume that it takes."""


@pytest.mark.parametrize("exchange", VENUES)
def test_a_bar_that_breaks_a_rule_is_refused_by_name(fake: Fake, exchange: str) -> None:
    first = utc("2024-06-16 07:00")
    bad = {first + 2 * at * HOUR: fault for at, fault in enumerate(BAD_BARS)}

    def spoil(rows: list[Any]) -> list[Any]:
        for row in rows:
            value, place = bad.get(pd.Timestamp(int(row[0]), unit="ms", tz="UTC"), (row[1], 1))
            row[6 if exchange == "okx" and place == 5 else place] = value
        return rows

    fake.faults = [Fault(BARS[exchange], change=changing(spoil))]
    result = fetched(fake, exchange, {"bars": SINCE["bars"]})
    entry = entry_of(result, "refused_rows", "bars_1h")
    assert (entry.start, entry.end, entry.count) == (first + HOUR, max(bad) + HOUR, len(bad))
    for words in ("with a bad price", "do not hold open and close", "with a bad volume"):
        assert words in entry.detail
    assert not set(bad) & set(result.tables["bars_1h"]["open_time"])
    assert [e.end - HOUR for e in result.ledger if e.kind == "missing_bars" and e.end is not None] == list(
        bad
    )
    (stored,) = result.change().ledger.values()
    assert stored == [entry]


def test_what_was_refused_before_stays_named(fake: Fake, tmp_path: Path) -> None:
    bad = [utc("2024-06-12 05:00"), utc("2024-06-17 05:00")]

    def spoil(rows: list[Any]) -> list[Any]:
        for row in rows:
            if pd.Timestamp(int(row[0]), unit="ms", tz="UTC") in bad:
                row[2] = "0"
        return rows

    fake.faults = [Fault("klines", change=changing(spoil))]
    store, since = Store(tmp_path / "store"), utc("2024-06-10")
    for until in (utc("2024-06-15"), NOW):
        result = fetched(fake, "binanceusdm", {"bars": since}, until=until)
        with store.writing():
            state = store.commit("BTCUSDT", result.change("BTCUSDT"))
        since = state.kinds["bars_1h"].last
    named = [entry for entries in state.ledger.values() for entry in entries]
    assert [(entry.kind, entry.start) for entry in named] == [("refused_rows", at + HOUR) for at in bad]


def test_days_that_do_not_open_in_utc_are_refused(fake: Fake) -> None:
    def eight_hours_on(rows: list[Any]) -> list[Any]:
        return [[str(int(row[0]) + 8 * 3_600_000), *row[1:]] for row in rows]

    fake.faults = [Fault("candles", change=changing(eight_hours_on))]
    result = fetched(fake, "okx", {"bars": utc("2024-06-01")}, interval="1d")
    assert "bars_1d" not in result.tables
    assert "off the UTC grid" in entry_of(result, "refused_rows", "bars_1d").detail


@pytest.mark.parametrize("exchange", VENUES)
def test_values_out_of_range_are_refused_by_name(fake: Fake, exchange: str) -> None:
    def spoil(rows: list[Any]) -> list[Any]:
        for place, value in ((3, "nonsense"), (5, "5e30"), (7, "-1")):
            row = rows[place]
            if isinstance(row, dict):
                for name in set(row) & {
                    "fundingRate",
                    "realizedRate",
                    "sumOpenInterestValue",
                    "openInterest",
                }:
                    row[name] = value
            else:
                row[3] = value
        return rows

    fake.faults = [Fault(where[exchange], change=changing(spoil)) for where in (FUNDING, INTEREST)]
    since = {"bars": SINCE["bars"], "funding": SINCE["bars"], "open_interest": SINCE["bars"]}
    result = fetched(fake, exchange, since)
    for kind in ("funding", "open_interest"):
        assert entry_of(result, "refused_rows", kind).count % 3 == 0
        assert np.isfinite(result.tables[kind].to_numpy()[:, 1].astype(float)).all()
    # A settlement whose rate is of no use still happened: the next interval does not grow.
    assert (result.tables["funding"]["funding_interval_hours"] == 8).all()


def test_intervals_that_change_are_named(fake: Fake) -> None:
    def hourly(rows: list[Any]) -> list[Any]:
        last = rows[-1]
        more = [{**last, "fundingTime": last["fundingTime"] - h * 3_600_000} for h in (1, 2, 4)]
        return sorted([*rows, *more], key=lambda row: row["fundingTime"])

    fake.faults = [Fault("fundingRate", change=changing(hourly))]
    result = fetched(fake, "binanceusdm", {"funding": SINCE["bars"]})
    assert list(result.tables["funding"]["funding_interval_hours"][-5:]) == [8, 4, 2, 1, 1]
    entry = entry_of(result, "changed_interval", "funding")
    assert (entry.count, entry.detail) == (3, "from 8 to 4 h, 4 to 2 h, 2 to 1 h")
