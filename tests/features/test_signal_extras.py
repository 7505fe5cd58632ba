"""The extras: liquidations, put/call and whale flows, where the user has them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from histories import LONG, FloatArray, utc
from rich_histories import rich_market

from features.history import History
from features.raw import Series
from features.regimes import Regime
from features.signals import (
    SIGNALS,
    SignalColumns,
    agreeing,
    available,
    confirmed_bear,
    signal_rows,
    signal_table,
)

BEARISH, NEUTRAL, BULLISH, MISSING = -1, 0, 1, 2
EXTRAS = ("liquidations", "put_call", "whale_flows")
DAYS = 97
"""Enough for the longest of them: 3 days of mean, each held against 90 more."""


def daily(per_day: int, **columns: FloatArray) -> History:
    """A quiet market of daily values that step at each midnight; price 100."""
    (n,) = {len(values) for values in columns.values()}
    hours = 24 // per_day
    stamps = pd.date_range(utc("2022-01-03"), periods=n * per_day, freq=f"{hours}h", unit="ms")
    table = dict.fromkeys(("open", "high", "low", "close"), np.full(len(stamps), 100.0))
    table |= {"volume": np.ones(len(stamps))}
    table |= {
        name: np.repeat(np.asarray(values, dtype=np.float64), per_day) for name, values in columns.items()
    }
    return History.from_columns("BTCUSDT", {1: "1d", 6: "4h", 24: "1h"}[per_day], stamps, table)


def last_of(made: History, name: str) -> tuple[int, float, float]:
    columns = signal_table(made, last=1)[name]
    return int(columns.state[0]), float(columns.value[0]), float(columns.threshold[0])


def ramp(*tail: float, low: float = 1.0, high: float = 9.0) -> FloatArray:
    """Days that go up and down between two values, then the tail."""
    days = np.tile(np.append(np.linspace(low, high, 9), np.linspace(high, low, 9)), 6)[: DAYS - len(tail)]
    return np.append(days, tail)


def slow_edges(values: FloatArray, at: int) -> tuple[float, float]:
    """20th and 80th percentile of the 90 values before, or NaN below 81 of them."""
    before = values[at - 90 : at]
    before = before[np.isfinite(before)]
    if len(before) < 81:
        return np.nan, np.nan
    low, high = np.percentile(before, [20, 80])
    return float(low), float(high)


# --- liquidations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("per_day", [1, 6, 24])
@pytest.mark.parametrize(
    ("longs", "shorts", "state", "value"),
    [
        (60e6, 1e6, BEARISH, -59e6),  # longs are forced out
        (1e6, 60e6, BULLISH, 59e6),  # a short squeeze
        (61e6, 60e6, NEUTRAL, -1e6),  # both sides, an even fight
        (1e6, 1e6, NEUTRAL, 0.0),
        (2e6, 1e6, NEUTRAL, -1e6),  # more longs than shorts, as on many a day
    ],
)
def test_a_burst_of_liquidations(per_day: int, longs: float, shorts: float, state: int, value: float) -> None:
    quiet = ramp()[: DAYS - 3] * 1e6  # 1 to 9 million of either side, a day apart: net -1 to 1 million
    made = daily(
        per_day,
        liq_long_usd=np.append(quiet, [longs] * 3),
        liq_short_usd=np.append(np.roll(quiet, 1), [shorts] * 3),
    )
    got, net, threshold = last_of(made, "liquidations")
    assert got == state
    assert net == pytest.approx(value)
    assert threshold <= 0 if value <= 0 else threshold >= 0
    assert abs(threshold) < 2e6


def test_more_of_one_side_than_of_the_other_is_not_enough_nor_is_an_unusual_day_of_the_other_side() -> None:
    """Beyond the percentile AND on that side of zero."""
    mostly_longs = ramp() * 1e6
    nothing = np.zeros(DAYS)
    calm = mostly_longs.copy()
    calm[-3:] = 0.1e6  # by far the fewest longs of the 90 days, and still no short
    state, value, threshold = last_of(daily(6, liq_long_usd=calm, liq_short_usd=nothing), "liquidations")
    assert (state, threshold) == (NEUTRAL, 0.0)
    assert value == pytest.approx(-0.1e6)
    state, value, threshold = last_of(daily(6, liq_long_usd=nothing, liq_short_usd=calm), "liquidations")
    assert (state, threshold) == (NEUTRAL, 0.0)
    assert value == pytest.approx(0.1e6)


def test_liquidations_equal_a_slow_percentile_day_by_day() -> None:
    rng = np.random.default_rng(2)
    n = 240
    longs, shorts = rng.lognormal(16, 1.0, (2, n))
    longs[50:64] = np.nan
    longs[190] = np.nan
    made = daily(1, liq_long_usd=longs, liq_short_usd=shorts)
    got = signal_table(made)["liquidations"]
    net = shorts - longs
    mean = np.array([net[max(0, t - 2) : t + 1].mean() if t >= 2 else np.nan for t in range(n)])
    seen = set[int]()
    for t in range(n):
        low, high = slow_edges(mean, t) if t >= 92 else (np.nan, np.nan)
        if np.isnan(low) or np.isnan(mean[t]):
            assert got.state[t] == MISSING, t
            continue
        low, high = min(low, 0.0), max(high, 0.0)
        expected = BEARISH if mean[t] < low else BULLISH if mean[t] > high else NEUTRAL
        assert got.state[t] == expected, t
        nearer = low if mean[t] - low <= high - mean[t] else high
        assert got.threshold[t] == pytest.approx(nearer, rel=1e-12)
        seen.add(expected)
    assert seen == {BEARISH, NEUTRAL, BULLISH}
    assert (got.state[93:] == MISSING).any()
    assert (got.state[193:] != MISSING).all()


def test_only_whole_days_of_liquidations_count() -> None:
    """A running sum within the day, as 5-minute sources have it, changes nothing until midnight."""
    made = daily(24, liq_long_usd=ramp() * 1e6, liq_short_usd=ramp()[::-1] * 1e6)
    other = made.frame.copy()
    between = np.asarray(made.time.hour != 0)
    other.loc[between, "liq_long_usd"] *= 7.0
    before, after = (
        signal_table(one, last=200)["liquidations"] for one in (made, replace(made, frame=other))
    )
    assert after.state.tolist() == before.state.tolist()
    np.testing.assert_array_equal(after.value, before.value)
    assert (before.state != MISSING).any()


# --- put/call --------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_day", [1, 6])
@pytest.mark.parametrize(
    ("ratio", "state", "edge"),
    [(1.9, BEARISH, "high"), (0.1, BULLISH, "low"), (0.7, NEUTRAL, "high"), (0.5, NEUTRAL, "low")],
)
def test_put_call(per_day: int, ratio: float, state: int, edge: str) -> None:
    ratios = ramp(ratio, low=0.2, high=1.0)
    low, high = slow_edges(ratios, DAYS - 1)
    got, value, threshold = last_of(daily(per_day, put_call=ratios), "put_call")
    assert (got, value) == (state, ratio)
    assert threshold == pytest.approx(high if edge == "high" else low)
    assert [low, high] == pytest.approx([0.3, 0.9])


def test_put_call_on_its_edge_is_neutral_and_one_that_never_moves_says_nothing() -> None:
    ratios = ramp(0.5, low=0.2, high=1.0)
    _, high = slow_edges(ratios, DAYS - 1)
    assert last_of(daily(1, put_call=np.append(ratios[:-1], high)), "put_call")[0] == NEUTRAL
    assert last_of(daily(1, put_call=np.append(ratios[:-1], high * 1.001)), "put_call")[0] == BEARISH
    assert last_of(daily(6, put_call=np.full(DAYS, 1 / 3)), "put_call")[0] == NEUTRAL


# --- whale flows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("per_day", [1, 6, 24])
@pytest.mark.parametrize(
    ("flow", "state"),
    [(3000.0, BEARISH), (-3000.0, BULLISH), (10.0, NEUTRAL), (-10.0, NEUTRAL)],
)
def test_whale_flows(per_day: int, flow: float, state: int) -> None:
    flows = ramp(*[flow] * 4, low=-500.0, high=500.0)
    got, value, threshold = last_of(daily(per_day, exchange_inflow=flows), "whale_flows")
    assert got == state
    assert value == pytest.approx(flow)
    assert 100 < abs(threshold) < 500


def test_coins_that_leave_more_slowly_than_usual_are_not_sold() -> None:
    leaving = ramp(*[-1.0] * 4, low=-900.0, high=-100.0)
    state, value, threshold = last_of(daily(6, exchange_inflow=leaving), "whale_flows")
    assert (state, threshold) == (NEUTRAL, 0.0)
    assert value == pytest.approx(-1.0)
    coming = ramp(*[1.0] * 4, low=100.0, high=900.0)  # gross inflow: bearish or neutral, never bullish
    assert last_of(daily(6, exchange_inflow=coming), "whale_flows")[0] == NEUTRAL
    assert last_of(daily(6, exchange_inflow=coming * 1000), "whale_flows")[0] == NEUTRAL
    burst = ramp(*[2000.0] * 4, low=100.0, high=900.0)
    assert last_of(daily(6, exchange_inflow=burst), "whale_flows")[0] == BEARISH


@pytest.mark.parametrize("value", [0.0, 123.456, -1 / 3, 0.1, -7.7, 1e17])
def test_a_flow_that_never_moves_says_nothing(value: float) -> None:
    """Means of equal values, of which a few are missing, differ in their last bits; that is no flow."""
    made = daily(24, exchange_inflow=np.full(DAYS, value))
    for missing in range(4):
        flow = made.column("exchange_inflow").copy()
        flow[-30 : -30 + missing] = np.nan
        columns = signal_table(replace(made, frame=made.frame.assign(exchange_inflow=flow)), last=48)
        assert (columns["whale_flows"].state == NEUTRAL).all()


# --- missing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_without_its_columns_or_with_half_of_them_is_missing(name: str) -> None:
    (signal,) = [one for one in SIGNALS if one.name == name]
    made = History.from_raw(rich_market(DAYS * 6 + 60, "4h"))
    assert signal_table(made, last=1)[name].state[0] != MISSING
    for column in signal.inputs:
        without = replace(made, frame=made.frame.drop(columns=column))
        empty = replace(made, frame=made.frame.assign(**{column: np.nan}))
        for one in (without, empty):
            table = signal_table(one, last=3)
            assert (table[name].state == MISSING).all()
            assert np.isnan([table[name].value, table[name].threshold]).all()
            assert (available(table) == len(SIGNALS) - 1).all()


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_with_too_little_history_is_missing(name: str) -> None:
    """81 of the 90 days must be there: 80 are not enough."""
    (signal,) = [one for one in SIGNALS if one.name == name]
    head = 0 if name == "put_call" else 2
    states = []
    for days in (81, 80):
        columns = {}
        for seed, column in enumerate(signal.inputs):
            values = np.random.default_rng(seed).lognormal(1, 0.3, 100)
            values[: 100 - days - head - 1] = np.nan
            columns[column] = values
        states.append(last_of(daily(1, **columns), name)[0])
    assert states[0] != MISSING
    assert states[1] == MISSING


def test_a_stale_series_is_missing() -> None:
    raw = rich_market(DAYS * 6 + 60, "4h")
    table = raw.extras["put_call"].table
    late = replace(raw, extras={**raw.extras, "put_call": Series(table.iloc[:-4])})
    assert signal_table(History.from_raw(raw), last=1)["put_call"].state[0] != MISSING
    assert signal_table(History.from_raw(late), last=1)["put_call"].state[0] == MISSING
    patient = replace(
        raw, extras={**raw.extras, "put_call": Series(table.iloc[:-4], stale_after_hours=24 * 7)}
    )
    assert signal_table(History.from_raw(patient), last=1)["put_call"].state[0] != MISSING


# --- beside the four -------------------------------------------------------------------------------


def test_extras_leave_the_four_as_they_are_to_the_bit() -> None:
    made = History.from_raw(rich_market(DAYS * 6 + 200, "4h"))
    columns = [column for one in SIGNALS if one.extra for column in one.inputs]
    plain = replace(made, frame=made.frame.drop(columns=columns))
    with_extras, without = signal_table(made), signal_table(plain)
    for one in SIGNALS:
        if not one.extra:
            for part in ("state", "value", "threshold", "late"):
                before, after = (getattr(table[one.name], part) for table in (without, with_extras))
                assert before.tobytes() == after.tobytes(), (one.name, part)
    assert (available(with_extras) > available(without)).any()


def test_the_four_say_what_they_have_always_said() -> None:
    """Their states over a market of 200 days, pinned when they were the only ones."""
    table = signal_table(History.from_raw(rich_market(200 * 6, "4h", seed=11)))
    found = {
        one.name: hashlib.sha256(table[one.name].state.tobytes()).hexdigest()[:12]
        for one in SIGNALS
        if not one.extra
    }
    assert found == {
        "moving_average_cross": "0e63fb0c2aac",
        "funding": "84d61939da6a",
        "price_and_open_interest": "f20c925eecad",
        "fear_greed": "8ffa6f03052b",
    }


def states(**given: int) -> dict[str, SignalColumns]:
    """One row of the signals named, the others missing."""
    nothing = np.zeros(1)
    return {
        one.name: SignalColumns(
            np.array([given.get(one.name, MISSING)], dtype=np.int8), nothing, nothing, nothing > 0
        )
        for one in SIGNALS
    }


def test_extras_that_are_there_count_towards_the_three_that_confirm() -> None:
    two = states(moving_average_cross=BEARISH, funding=BEARISH, fear_greed=NEUTRAL)
    three = states(moving_average_cross=BEARISH, funding=BEARISH, fear_greed=NEUTRAL, whale_flows=BEARISH)
    alone = states(liquidations=BEARISH, put_call=BEARISH, whale_flows=BEARISH)
    against = states(moving_average_cross=BEARISH, put_call=BULLISH, whale_flows=NEUTRAL)
    assert [bool(confirmed_bear(one)[0]) for one in (two, three, alone, against)] == [
        False,
        True,
        True,
        False,
    ]
    assert [int(available(one)[0]) for one in (two, three, alone, against)] == [3, 4, 3, 3]
    assert [int(agreeing(three, regime)[0]) for regime in Regime] == [3, 1, 3, 0]


@pytest.mark.parametrize("interval", ["1h", "4h", "1d"])
def test_a_window_of_the_look_back_gives_the_same_bits(interval: str) -> None:
    per_day = {"1h": 24, "4h": 6, "1d": 1}[interval]
    made = History.from_raw(rich_market(140 * per_day, interval, seed=6))
    table = signal_table(made)
    rng = np.random.default_rng(3)
    for one in (one for one in SIGNALS if one.extra):
        bars = one.lookback(per_day)
        for end in {len(made) - 1, bars - 1, *rng.integers(bars, len(made), 60 if LONG else 8).tolist()}:
            part = signal_table(made.window(end, bars), last=1)[one.name]
            whole = table[one.name]
            assert part.state[0] == whole.state[end], (one.name, end)
            assert part.value.tobytes() == whole.value[end : end + 1].tobytes(), (one.name, end)
            assert part.threshold.tobytes() == whole.threshold[end : end + 1].tobytes(), (one.name, end)
        assert (table[one.name].state[bars:] != MISSING).mean() > 0.5
        assert (table[one.name].state == BEARISH).any()
        assert not table[one.name].late.any()  # that is said of price and open interest alone


def test_rows_hold_the_table() -> None:
    made = History.from_raw(rich_market(130 * 6, "4h"))
    rows, table = signal_rows(made, last=9), signal_table(made, last=9)
    for name, columns in table.items():
        for part in ("state", "value", "threshold", "late"):
            assert getattr(rows.columns[name], part).tobytes() == getattr(columns, part).tobytes()
