"""Checks of bars: what is wrong is found where it is, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from audit_markets import LONG, audited, clean, close_of, found, kinds, now_of, with_bars, with_table
from hypothesis import given, settings
from hypothesis import strategies as st

from features.audit.excursions import excursions
from features.audit.price_checks import robust_sigma
from features.audit.tables import CROWD
from features.raw import INTERVALS, RawMarket

FloatArray = npt.NDArray[np.float64]
PRICES = ("open", "high", "low", "close")


def scaled(factor: float) -> Any:
    return lambda values: values * factor


def spiked(market: RawMarket, row: int, factor: float, volume: float = 1.0) -> RawMarket:
    """One bar at other prices; its neighbours stay, as a bad print leaves them."""
    return with_bars(market, row, **dict.fromkeys(PRICES, scaled(factor)), volume=scaled(volume))


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("seed", range(20 if LONG else 3))
def test_nothing_is_found_where_nothing_is_wrong(interval: str, seed: int) -> None:
    assert audited(clean(100, interval, seed=seed)).findings == ()


@pytest.mark.parametrize("factor", [1.3, 0.7, 10.0, 0.1])
def test_a_bad_print_is_an_error_at_its_bar(factor: float) -> None:
    market = spiked(clean(), 700, factor)
    (one,) = audited(market).findings
    assert one.kind == "outlier_bar"
    assert (one.start, one.end, one.count, one.severity) == (*[close_of(market, 700)] * 2, 1, "error")
    assert one.worst is not None
    assert one.worst > 20
    assert "back after 1 h" in one.detail


def test_a_print_that_is_wrong_for_hours_is_one_finding() -> None:
    market = clean()
    for row in range(700, 705):
        market = spiked(market, row, 1.5)
    (one,) = found(market, "outlier_bar")
    assert (one.start, one.end, one.count) == (close_of(market, 700), close_of(market, 704), 5)


def test_a_shock_that_trades_is_a_note_and_a_silent_one_that_stays_a_warning() -> None:
    after = {name: scaled(0.7) for name in ("open", "high", "low", "close")}
    shock = with_bars(clean(), slice(700, None), **after)
    shock = with_bars(shock, 700, open=scaled(1 / 0.7), high=scaled(1 / 0.7))
    (silent,) = found(shock, "outlier_bar")
    assert (silent.start, silent.severity, silent.count) == (close_of(shock, 700), "warning", 1)
    (traded,) = found(with_bars(shock, 700, volume=scaled(10)), "outlier_bar")
    assert traded.severity == "note"
    assert "back" not in traded.detail


def test_one_bad_bar_does_not_hide_another() -> None:
    """Thirty bars a thousand times too high bend any sigma that is not robust."""
    market = clean()
    wild = list(range(600, 900, 10))
    for row in wild:
        market = spiked(market, row, 1000.0)
    market = spiked(market, 755, 1.2)
    rows = {one.start for one in found(market, "outlier_bar") if one.severity == "error"}
    assert rows == {close_of(market, row) for row in (*wild, 755)}


def test_sigma_is_of_the_time_not_of_the_whole_sample() -> None:
    """A move that is usual in a wild year is an outlier in a calm one."""
    rng = np.random.default_rng(3)
    steps = np.concatenate((rng.normal(0, 0.03, 2_400), rng.normal(0, 0.001, 2_400)))
    steps[[1_200, 3_600]] = 0.05
    market = clean(200)
    close = 100 * np.exp(np.cumsum(steps))
    opened = np.concatenate(([100.0], close[:-1]))
    edge = np.maximum(opened, close), np.minimum(opened, close)
    market = with_bars(market, slice(None), open=opened, high=edge[0], low=edge[1], close=close)
    assert [one.start for one in found(market, "outlier_bar")] == [close_of(market, 3_600)]


@pytest.mark.parametrize(("name", "factor"), [("high", 1.4), ("low", 0.6)])
def test_a_wick_is_an_outlier_although_the_close_is_usual(name: str, factor: float) -> None:
    market = with_bars(clean(), 500, **{name: scaled(factor)})
    (one,) = found(market, "outlier_bar")
    assert (one.start, one.severity) == (close_of(market, 500), "error")
    assert "wick" in one.detail


@settings(max_examples=200 if LONG else 15, deadline=None)
@given(
    rows=st.sets(st.integers(2, 797), min_size=1, max_size=6).filter(
        lambda rows: all(abs(a - b) > 30 for a in rows for b in rows if a != b)
    ),
    factor=st.sampled_from([0.5, 0.75, 1.4, 3.0]),
)
def test_bad_prints_anywhere_are_all_found_and_nothing_else(rows: set[int], factor: float) -> None:
    market = clean(800 // 24 + 1)
    for row in rows:
        market = spiked(market, row, factor)
    assert {one.start for one in found(market, "outlier_bar")} == {close_of(market, row) for row in rows}


def test_sigma_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(0)
    change = rng.normal(0, 0.01, 400)
    change[[5, 200, 201]] = [np.nan, 3.0, -3.0]
    for row in (0, 30, 200, 399):
        near = np.abs(change[max(0, row - 30) : row + 31])
        assert robust_sigma(change, 60)[row] == pytest.approx(1.4826 * np.nanmedian(near))


def test_a_market_that_stood_still_does_not_make_the_next_bar_an_outlier() -> None:
    market = clean()
    close = market.bars["close"].to_numpy(copy=True)
    close[401:801] = close[400]
    close[801:] *= close[400] / market.bars["close"].iloc[800]
    opened = np.concatenate(([100.0], close[:-1]))
    edge = np.maximum(opened, close), np.minimum(opened, close)
    still = with_bars(market, slice(None), open=opened, high=edge[0], low=edge[1], close=close)
    assert [(one.kind, one.count) for one in audited(still).findings] == [("stuck_price", 401)]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ([1, 1, 5, 1, 1], [(2, 2, True)]),
        ([1, 1, 5, 5, 5, 5, 1, 1], [(2, 5, True)]),
        ([1, 1, 5, 5, 5, 5], [(2, 2, False)]),
        ([5, 1, 1, 1], [(1, 1, False)]),
        ([1, 5, 1, 5, 1], [(1, 1, True), (3, 3, True)]),
        (
            [1, 5, 25, 25, 1],
            [
                (1, 3, True),
            ],
        ),
        ([1, 5, 3.3, 2.2, 1.4, 1], [(1, 1, False)]),
        ([1, 1, 1], []),
        ([], []),
    ],
)
def test_excursions(level: list[float], expected: list[tuple[int, int, bool]]) -> None:
    logs = np.log(np.array(level, dtype=np.float64))
    flagged = np.abs(np.diff(logs, prepend=logs[:1])) > 1
    assert [tuple(one) for one in excursions(logs, flagged, longest=4)] == expected


def test_bars_without_volume_are_named_by_run() -> None:
    market = with_bars(clean(), [10, 50, 51, 52], volume=0.0)
    runs = [(one.start, one.end, one.count) for one in found(market, "zero_volume")]
    assert runs == [
        (close_of(market, 10), close_of(market, 10), 1),
        (close_of(market, 50), close_of(market, 52), 3),
    ]
    (one,) = found(with_bars(clean(), 7, volume=np.nan), "zero_volume")
    assert "missing" in one.detail


@pytest.mark.parametrize(("bars", "is_stuck"), [(5, False), (6, True), (40, True)])
def test_a_price_that_stands_still(bars: int, is_stuck: bool) -> None:
    market = clean()
    price = float(market.bars["close"].iloc[100])
    rows = slice(101, 100 + bars)
    market = with_bars(market, rows, **dict.fromkeys(PRICES, price))
    market = with_bars(
        market, 100 + bars, open=price, high=lambda v: max(v, price), low=lambda v: min(v, price)
    )
    stuck = found(market, "stuck_price")
    assert [(one.start, one.count) for one in stuck] == ([(close_of(market, 100), bars)] if is_stuck else [])


def test_an_open_far_from_the_close_before() -> None:
    market = clean()
    before = market.bars["close"].iloc[299]
    moved = with_bars(market, 300, open=before * 1.02, high=lambda v: max(v, before * 1.02))
    (one,) = found(moved, "open_jump")
    assert one.start == close_of(market, 300)
    assert one.worst == pytest.approx(2.0)
    assert not found(with_bars(market, 300, open=before * 1.001), "open_jump")


def test_a_gap_is_no_jump_and_no_outlier() -> None:
    market = clean()
    apart = with_bars(market, slice(300, None), **dict.fromkeys(PRICES, scaled(1.03)))
    with_gap = with_table(apart, "bars", apart.bars.drop(index=range(288, 300)).reset_index(drop=True))
    assert kinds(with_gap) == {"missing_bars"}


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ({"close": 0.0}, "close 0"),
        ({"close": -3.0}, "close -3"),
        ({"open": np.inf}, "open inf"),
        ({"low": np.nan}, "low nan"),
        ({"high": 1.0, "low": 2.0}, "high 1"),
        ({"high": 1.0}, "high 1"),
        ({"volume": -1.0}, "volume -1"),
        ({"volume": np.inf}, "volume inf"),
    ],
)
def test_a_bar_that_cannot_be_is_an_error_and_disturbs_nothing_else(
    cells: dict[str, float], shown: str
) -> None:
    market = with_bars(clean(), 321, **cells)
    (one,) = audited(market).findings
    assert (one.kind, one.start, one.severity) == ("impossible_bar", close_of(market, 321), "error")
    assert shown in one.detail


def test_double_and_unsorted_rows_and_bars_off_the_grid() -> None:
    market = clean()
    doubled = with_table(market, "bars", pd.concat([market.bars, market.bars.iloc[[40, 41]]]))
    assert kinds(doubled, now=now_of(market)) == {"double_rows", "unsorted_rows"}
    (one,) = found(doubled, "double_rows", now=now_of(market))
    assert (one.start, one.end, one.count) == (close_of(market, 40), close_of(market, 41), 2)
    again = spiked(market, 40, 1.5).bars.iloc[[40]]
    assert "outlier_bar" in kinds(
        with_table(market, "bars", pd.concat([market.bars, again])), now=now_of(market)
    )
    first = with_table(market, "bars", pd.concat([again, market.bars]))
    assert "outlier_bar" not in kinds(first, now=now_of(market))
    between = market.bars.iloc[[40]].assign(open_time=lambda rows: rows["open_time"] + pd.Timedelta("30min"))
    off = with_table(market, "bars", pd.concat([market.bars.iloc[:41], between, market.bars.iloc[41:]]))
    assert "double_rows" in kinds(off)


def test_a_bar_that_has_not_closed_is_from_the_future() -> None:
    market = clean()
    now = close_of(market, len(market.bars) - 3)
    (one,) = [one for one in found(market, "future_rows", now=now) if one.table == "bars"]
    assert (one.count, one.severity) == (2, "error")


def test_a_crowd_of_findings_is_summed_up() -> None:
    market = clean()
    market = with_bars(market, slice(0, 2400, 2), volume=0.0)
    runs = found(market, "zero_volume")
    assert len(runs) == CROWD
    assert sum(one.count for one in runs) == 1_200
    assert runs[-1].detail == "201 more such findings"
    assert runs[-1].end == close_of(market, 2_398)
