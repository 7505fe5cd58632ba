"""The signals: against slow oracles, on hand-made markets, and blind to the future to the last bit."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from features.history import History
from features.regimes import Regime
from features.signals import (
    SIGNALS,
    SignalColumns,
    SignalState,
    agreeing,
    available,
    confirmed_bear,
    readings,
    signal_table,
)

FloatArray = npt.NDArray[np.float64]
HOURS = {"1h": 1, "4h": 4, "1d": 24}
NAMES = ("moving_average_cross", "funding", "price_and_open_interest", "fear_greed")
EXTRA_NAMES = ("liquidations", "put_call", "whale_flows")
BEARISH, NEUTRAL, BULLISH, MISSING = -1, 0, 1, 2


def history(n: int, interval: str = "4h", /, **columns: FloatArray) -> History:
    """A quiet market of ``n`` bars: price 100, default funding, with the columns given."""
    stamps = pd.date_range("2022-01-03", periods=n, freq=f"{HOURS[interval]}h", tz="UTC", unit="ms")
    close = columns.pop("close", np.full(n, 100.0))
    table = dict.fromkeys(("open", "high", "low", "close"), close)
    table["volume"] = np.ones(n)
    table["funding_rate"] = np.full(n, 0.0001)
    table["funding_interval_hours"] = np.full(n, 8.0)
    table["open_interest"] = np.full(n, 1e9)
    table["fear_greed"] = np.full(n, 50.0)
    return History.from_columns("BTCUSDT", interval, stamps, table | columns)


def noisy(n: int, interval: str = "4h", seed: int = 7) -> History:
    """A market in which every signal changes often; a few bars and values are missing."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    columns = {
        "close": close,
        "funding_rate": np.round(1e-4 * np.sin(np.arange(n) / 15) + rng.normal(0, 2e-5, n), 8),
        "funding_interval_hours": rng.choice([8.0, 4.0], n),
        "open_interest": 1e9 * np.exp(np.cumsum(rng.normal(0, 0.02, n))),
        "fear_greed": rng.integers(0, 101, n).astype(np.float64),
    }
    columns["funding_rate"][rng.choice(n, 3, replace=False)] = np.nan
    columns["open_interest"][rng.choice(n, 5, replace=False)] = np.nan
    made = history(n, interval, **columns)
    made.frame.iloc[rng.choice(n - 20, 2, replace=False)] = np.nan
    return made


def rows_of(columns: SignalColumns, row: int) -> tuple[bytes, bytes, bytes, bytes]:
    """One row, to the bit."""
    return (
        columns.state[row].tobytes(),
        columns.value[row].tobytes(),
        columns.threshold[row].tobytes(),
        columns.late[row].tobytes(),
    )


def test_each_signal_is_declared_once_and_forgets_within_120_days() -> None:
    assert tuple(signal.name for signal in SIGNALS) == NAMES + EXTRA_NAMES
    assert tuple(signal.name for signal in SIGNALS if signal.extra) == EXTRA_NAMES
    assert all(signal.lookback(24) <= 120 * 24 + 1 for signal in SIGNALS)


@pytest.mark.parametrize(("interval", "n"), [("4h", 6 * 130), ("1d", 260)])
def test_moving_average_cross_equals_pandas(interval: str, n: int) -> None:
    made = noisy(n, interval)
    per_day = made.per_day
    close = made.frame["close"]
    fast = close.rolling(20 * per_day, min_periods=int(np.ceil(0.95 * 20 * per_day))).mean()
    slow = close.rolling(100 * per_day, min_periods=int(np.ceil(0.95 * 100 * per_day))).mean()
    expected = np.where(fast < slow, BEARISH, BULLISH)
    expected[(fast.isna() | slow.isna() | close.isna()).to_numpy()] = MISSING
    expected[: 100 * per_day - 1] = MISSING
    got = signal_table(made)["moving_average_cross"]
    assert got.state.tolist() == expected.tolist()
    known = expected != MISSING
    assert known.sum() > 20
    np.testing.assert_allclose(got.value[known], fast[known], rtol=1e-12)
    np.testing.assert_allclose(got.threshold[known], slow[known], rtol=1e-12)


def test_funding_equals_a_slow_percentile() -> None:
    made = noisy(6 * 130)
    filled = made.frame.ffill()
    filled.loc[filled.index[[300, 301, 302, *range(640, 654)]], "funding_rate"] = (
        np.nan
    )  # 7 and then 14 days lost
    made = History(made.symbol, made.interval, filled)
    got = signal_table(made)["funding"]
    rate = (made.frame["funding_rate"] * 8 / made.frame["funding_interval_hours"]).to_numpy()
    mean = np.array(
        [
            np.nanmean(rate[t - 41 : t + 1])
            if t >= 41 and np.isfinite(rate[t - 41 : t + 1]).sum() >= 42 * 0.95
            else np.nan
            for t in range(len(rate))
        ]
    )
    seen = set[int]()
    for t in range(len(rate)):
        days = np.array([mean[t - 6 * d] if t >= 6 * d else np.nan for d in range(1, 91)])
        there = days[np.isfinite(days)]
        if t < 6 * 90 or len(there) < 81 or np.isnan(mean[t]):
            assert got.state[t] == MISSING, t
            continue
        low, high = np.percentile(there, [20, 80])
        expected = BEARISH if mean[t] < low else BULLISH if mean[t] > high else NEUTRAL
        assert got.state[t] == expected, t
        assert got.value[t] == pytest.approx(mean[t], abs=1e-15)
        nearer = low if abs(mean[t] - low) <= abs(mean[t] - high) else high
        assert got.threshold[t] == pytest.approx(nearer, abs=1e-15)
        seen.add(expected)
    assert seen == {BEARISH, NEUTRAL, BULLISH}
    assert got.state[600] != MISSING
    assert got.state[700] == MISSING


def day_path(interval: str, price: list[float], interest: list[float]) -> History:
    """Bars whose price and open interest step at each midnight."""
    per_day = 24 // HOURS[interval]
    return history(
        len(price) * per_day,
        interval,
        close=np.repeat(np.asarray(price), per_day),
        open_interest=np.repeat(np.asarray(interest), per_day),
    )


@pytest.mark.parametrize("interval", ["1h", "4h"])
@pytest.mark.parametrize(
    ("price", "interest", "state", "value"),
    [
        (90.0, 1.1, BEARISH, 0.1),  # new shorts
        (90.0, 0.9, NEUTRAL, -0.1),  # longs give up
        (90.0, 0.95, NEUTRAL, -0.05),  # up in coins, down in USD
        (110.0, 1.21, BULLISH, 0.1),  # new longs: 10 % more coins
        (110.0, 1.05, NEUTRAL, 1.05 / 1.1 - 1),  # up in USD, down in coins
        (110.0, 0.9, NEUTRAL, 0.9 / 1.1 - 1),  # shorts cover
        (100.0, 1.1, NEUTRAL, 0.1),
        (100.0, 1.0, NEUTRAL, 0.0),
    ],
)
def test_price_and_open_interest_quadrants(
    interval: str, price: float, interest: float, state: int, value: float
) -> None:
    made = day_path(interval, [100.0] * 3 + [price], [1e9] * 3 + [interest * 1e9])
    columns = signal_table(made)["price_and_open_interest"]
    assert columns.state[-1] == state
    assert columns.value[-1] == pytest.approx(value, abs=1e-12)
    assert columns.threshold[-1] == 0
    assert columns.late[-1] == (state == BEARISH)
    assert (columns.state[: 3 * made.per_day] == MISSING).all()


@pytest.mark.parametrize("column", ["open_interest", "close"])
def test_what_happens_between_day_ends_does_not_count(column: str) -> None:
    made = day_path("1h", [100.0, 100, 100, 90], [1e9, 1e9, 1e9, 1.1e9])
    other = made.frame[column].to_numpy(copy=True)
    row = np.arange(len(other))
    other[row % 24 != 0] *= 1.03 ** row[row % 24 != 0]
    changed = History(made.symbol, made.interval, made.frame.assign(**{column: other}))
    before, after = (signal_table(one)["price_and_open_interest"] for one in (made, changed))
    assert after.state.tolist() == before.state.tolist()
    np.testing.assert_array_equal(after.value, before.value)


def test_fear_greed_edges() -> None:
    given = np.array([0, 24.9, 25, 49, 51, 75, 75.1, 100, np.nan])
    columns = signal_table(history(len(given), fear_greed=given))["fear_greed"]
    expected = [BEARISH] * 2 + [NEUTRAL] * 4 + [BULLISH] * 2 + [MISSING]
    assert columns.state.tolist() == expected
    assert columns.threshold[:8].tolist() == [25, 25, 25, 25, 75, 75, 75, 75]
    assert np.isnan(columns.value[8:]).all()
    assert np.isnan(columns.threshold[8:]).all()


@pytest.mark.parametrize("price", [100.0, 0.1, 43_021.7, 1 / 3])
def test_a_market_that_does_not_move_says_nothing(price: float) -> None:
    n = 24 * 110
    table = signal_table(
        history(n, "1h", close=np.full(n, price), funding_rate=np.full(n, 0.00012345)), last=24
    )
    for name in NAMES:
        assert (table[name].state == NEUTRAL).all(), name


@pytest.mark.parametrize(("interval", "n"), [("1h", 24 * 115), ("4h", 6 * 130), ("1d", 200)])
def test_a_window_of_the_lookback_gives_the_same_bits(interval: str, n: int) -> None:
    made = noisy(n, interval)
    whole = signal_table(made)
    rng = np.random.default_rng(1)
    for signal in SIGNALS:
        bars = signal.lookback(made.per_day)
        ends = {n - 1, bars - 1, *rng.integers(bars - 1, n, 25).tolist()}
        for end in ends:
            part = signal_table(made.window(end, bars))[signal.name]
            assert rows_of(part, -1) == rows_of(whole[signal.name], end), (signal.name, end)


def test_the_lookback_is_not_declared_too_short() -> None:
    """One bar less than declared must matter for the funding signal's farthest day."""
    made = noisy(6 * 130)
    bars = next(signal for signal in SIGNALS if signal.name == "moving_average_cross").lookback(6)
    end = len(made) - 1
    shorter = signal_table(made.window(end, bars - 60))["moving_average_cross"]
    assert shorter.state[-1] == MISSING
    assert signal_table(made)["moving_average_cross"].state[end] != MISSING


def test_no_signal_sees_later_bars() -> None:
    made = noisy(6 * 125)
    whole = signal_table(made)
    bumped = made.frame.copy()
    bumped.iloc[-1] = bumped.iloc[-1] * 1.7
    other = signal_table(History(made.symbol, made.interval, bumped))
    cut = signal_table(made.window(len(made) - 2, len(made)))
    for name in NAMES:
        for row in range(len(made) - 1):
            assert rows_of(whole[name], row) == rows_of(other[name], row), (name, row)
            assert rows_of(whole[name], row) == rows_of(cut[name], row), (name, row)


@pytest.mark.parametrize("last", [1, 7, 10_000])
def test_last_rows_equal_those_of_the_whole(last: int) -> None:
    made = noisy(6 * 120)
    whole, part = signal_table(made), signal_table(made, last=last)
    for name in NAMES:
        assert len(part[name].state) == min(last, len(made))
        assert rows_of(part[name], -1) == rows_of(whole[name], -1)
        np.testing.assert_array_equal(part[name].state, whole[name].state[-last:])


@pytest.mark.parametrize(
    ("column", "signal"),
    [
        ("funding_rate", "funding"),
        ("funding_interval_hours", "funding"),
        ("open_interest", "price_and_open_interest"),
        ("fear_greed", "fear_greed"),
    ],
)
def test_a_missing_input_is_missing_and_touches_no_other_signal(column: str, signal: str) -> None:
    n = 6 * 110
    table = signal_table(history(n, "4h", **{column: np.full(n, np.nan)}), last=5)
    for name in NAMES:
        assert (table[name].state == (MISSING if name == signal else NEUTRAL)).all(), name
    assert available(table).tolist() == [3] * 5


def test_a_missing_bar_and_a_short_history_are_missing() -> None:
    made = history(6 * 110)
    made.frame.iloc[-1] = np.nan
    one = {name: columns.state[-1] for name, columns in signal_table(made).items()}
    assert one["moving_average_cross"] == one["fear_greed"] == MISSING
    table = signal_table(history(1))
    assert [int(table[name].state[0]) for name in NAMES] == [MISSING, MISSING, MISSING, NEUTRAL]


def table_of(*states: list[int]) -> dict[str, SignalColumns]:
    """Signals by their states alone."""
    return {
        name: SignalColumns(
            np.array(state, dtype=np.int8),
            np.zeros(len(state)),
            np.zeros(len(state)),
            np.zeros(len(state), dtype=bool),
        )
        for name, state in zip(NAMES, states, strict=True)
    }


def test_a_bear_is_confirmed_by_three() -> None:
    table = table_of([-1, -1, -1, -1, -1], [-1, -1, -1, -1, 2], [-1, -1, 0, 2, 2], [-1, 1, -1, 0, -1])
    assert confirmed_bear(table).tolist() == [True, True, True, False, False]
    assert available(table).tolist() == [4, 4, 4, 3, 2]


def test_agreeing_counts_what_the_regime_says() -> None:
    table = table_of([-1] * 4, [-1] * 4, [0] * 4, [1, 1, 1, 2])
    assert agreeing(table, list(Regime)).tolist() == [2, 1, 2, 0]
    assert agreeing(table, int(Regime.BULL)).tolist() == [1, 1, 1, 0]


def test_readings_are_one_row_in_words() -> None:
    made = day_path("4h", [100.0] * 3 + [90.0], [1e9] * 3 + [1.1e9])
    read = readings(signal_table(made, last=3), -1)
    assert [(one.name, one.state.label, one.late) for one in read] == [
        ("moving_average_cross", "missing", False),
        ("funding", "missing", False),
        ("price_and_open_interest", "bearish", True),
        ("fear_greed", "neutral", False),
        *((name, "missing", False) for name in EXTRA_NAMES),
    ]
    assert read[2].state is SignalState.BEARISH
    assert np.isnan(read[0].value)
    assert read[3].value == 50.0


def test_six_years_of_hours_take_less_than_a_second() -> None:
    made = noisy(50_000, "1h")
    begin = time.perf_counter()
    table = signal_table(made)
    assert time.perf_counter() - begin < 1.0
    assert (table["funding"].state != MISSING).mean() > 0.5
