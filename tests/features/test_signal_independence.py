"""The effective number of signals: against eigenvalues, on hand-made markets, and causal to the bit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from histories import LONG, FloatArray, utc
from hypothesis import given, settings
from hypothesis import strategies as st
from rich_histories import changed, random_history, rich_history

from features.bars import Bars
from features.history import History
from features.signals import (
    CORRELATED_DAYS,
    SIGNALS,
    Signal,
    SignalColumns,
    SignalState,
    available,
    effective_signals,
    longest_signal_lookback,
    signal_rows,
    signal_table,
)
from features.signals.declaration import Computed

DAYS = CORRELATED_DAYS
every_interval = pytest.mark.parametrize(("interval", "per_day"), [("1h", 24), ("4h", 6), ("1d", 1)])


def never_read(_bars: Bars) -> Computed:
    raise AssertionError("the table is given")


def given_values(values: FloatArray, _bars: Bars) -> FloatArray:
    return values


def planted(
    *measures: FloatArray, missing: tuple[int, ...] = (), last: int = 1, per_day: int = 1
) -> FloatArray:
    """Effective number of signals with these measures, one value a bar."""
    n = len(measures[0])
    stamps = pd.date_range(utc("2022-01-03"), periods=n, freq=f"{24 // per_day}h", unit="ms")
    price = dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(n))
    bars = Bars(History.from_columns("BTCUSDT", {1: "1d", 6: "4h"}[per_day], stamps, price))
    signals, table = [], {}
    for number, measure in enumerate(measures):
        name = f"planted_{number}"
        signals.append(Signal(name, 1, (), "", never_read, partial(given_values, measure), 0, ""))
        state = SignalState.MISSING if number in missing else SignalState.NEUTRAL
        nothing = np.zeros(last)
        table[name] = SignalColumns(np.full(last, state, dtype=np.int8), nothing, nothing, nothing > 0)
    return effective_signals(signals, bars, table, last)


def waves(n: int = DAYS) -> list[FloatArray]:
    """Four series without any correlation over 90 days."""
    turn = 2 * np.pi * np.arange(n) / DAYS
    return [np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn)]


def eigenvalue_ratio(columns: npt.NDArray[np.float64]) -> float:
    values = np.linalg.eigvalsh(np.corrcoef(columns))
    return float(values.sum() ** 2 / (values**2).sum())


@pytest.mark.parametrize("count", [2, 3, 4])
def test_signals_without_correlation_count_in_full(count: int) -> None:
    assert planted(*waves()[:count])[0] == pytest.approx(count, abs=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("count", [2, 5])
def test_signals_that_say_the_same_are_one(count: int, sign: float) -> None:
    one = waves()[0] * 3 + 1e6
    assert planted(one, *(sign * k * one for k in range(1, count)))[0] == pytest.approx(1.0, abs=1e-9)


def test_two_pairs_are_two_and_a_known_correlation_gives_a_known_number() -> None:
    a, b, c, _ = waves()
    assert planted(a, b, 5 * a - 1, 7 - b)[0] == pytest.approx(2.0, abs=1e-12)
    half = 0.6 * a + 0.8 * b  # correlation 0.6 with a: 4 / (2 + 2 x 0.36)
    assert planted(a, half)[0] == pytest.approx(4 / 2.72, abs=1e-12)
    assert planted(a, half, c)[0] == pytest.approx(9 / 3.72, abs=1e-12)


@pytest.mark.parametrize("count", [2, 3, 7, 9])
def test_it_is_the_participation_ratio_of_the_eigenvalues(count: int) -> None:
    rng = np.random.default_rng(count)
    mix = rng.normal(size=(count, count))
    series = mix @ rng.normal(size=(count, DAYS)) * rng.lognormal(0, 5, (count, 1))
    expected = eigenvalue_ratio(series)
    assert planted(*series)[0] == pytest.approx(expected, rel=1e-9)
    assert 1 < expected < count


def test_only_the_last_90_days_at_the_same_hour_count() -> None:
    rng = np.random.default_rng(5)
    per_day, n = 6, 6 * 120
    series = rng.normal(size=(3, n))
    rows = n - 1 - per_day * np.arange(DAYS)
    expected = eigenvalue_ratio(series[:, rows])
    assert planted(*series, per_day=per_day)[0] == pytest.approx(expected, rel=1e-9)
    other = rng.normal(size=(3, n)) * 50
    other[:, rows] = series[:, rows]
    assert planted(*other, per_day=per_day)[0] == planted(*series, per_day=per_day)[0]
    other[0, rows[-1]] += 1.0  # the oldest of them does count
    assert planted(*other, per_day=per_day)[0] != planted(*series, per_day=per_day)[0]


def test_what_is_missing_still_or_short_is_not_counted() -> None:
    a, b, c, d = waves()
    assert planted(a, b, c, missing=(1,))[0] == pytest.approx(2.0, abs=1e-12)
    still = np.full(DAYS, 43_021.7) * (1 + 1e-16 * np.arange(DAYS))
    assert planted(a, b, still)[0] == pytest.approx(2.0, abs=1e-12)
    assert planted(a, b, np.zeros(DAYS))[0] == pytest.approx(2.0, abs=1e-12)
    short = d.copy()
    short[: DAYS - 80] = np.nan  # 80 of 90 days
    assert planted(a, b, short)[0] == pytest.approx(2.0, abs=1e-12)
    short[DAYS - 81] = 0.3  # 81
    assert planted(a, b, short)[0] > 2.5


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 1)])
def test_fewer_than_two_have_no_number(missing: tuple[int, ...]) -> None:
    a, b, *_ = waves()
    assert np.isnan(planted(a, b, missing=missing)[0])
    assert np.isnan(planted(a, np.ones(DAYS))[0])
    assert np.isnan(planted(a)[0])
    assert planted(a, b)[0] == pytest.approx(2.0)


def test_before_90_days_there_is_no_number() -> None:
    a, b, *_ = waves(95)
    found = planted(a, b, last=95)
    assert np.isnan(found[: DAYS - 1]).all()
    assert np.isfinite(found[DAYS - 1 :]).all()
    assert np.isnan(planted(a[:40], b[:40], last=40)).all()


@settings(max_examples=300 if LONG else 25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(2, 7),
    lost=st.lists(st.tuples(st.integers(0, 6), st.integers(0, DAYS - 1)), max_size=30),
    scale=st.floats(1e-12, 1e12),
)
def test_it_lies_between_one_and_the_number_of_signals(
    seed: int, count: int, lost: list[tuple[int, int]], scale: float
) -> None:
    rng = np.random.default_rng(seed)
    series = rng.normal(size=(count, count)) @ rng.standard_t(2, size=(count, DAYS)) * scale
    for row, day in lost:
        series[row % count, day] = np.nan
    (found,) = planted(*series)
    counted = int((np.isfinite(series).sum(axis=1) >= 81).sum())
    if counted < 2:
        assert np.isnan(found)
    else:
        assert 1.0 <= found <= counted
    again = planted(*(series[::-1] * -3.0))[0]  # neither order nor sign nor unit matters
    assert again == pytest.approx(found, rel=1e-9, nan_ok=True)


# --- the declared signals --------------------------------------------------------------------------


@every_interval
def test_the_look_back_fits_a_window_of_120_days(interval: str, per_day: int) -> None:
    assert longest_signal_lookback(per_day) <= 120 * per_day + 1
    assert all(longest_signal_lookback(per_day) >= signal.lookback(per_day) for signal in SIGNALS)
    made = rich_history(140 * per_day, interval, seed=5)
    whole = signal_rows(made).effective
    first = longest_signal_lookback(per_day) - 1
    assert np.isfinite(whole[first:]).all()
    for one in SIGNALS:  # and each measure is there over all of it
        assert np.isfinite(one.measure(Bars(made))[first - 89 * per_day :]).mean() > 0.95, one.name


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("liquidations", {"liq_long_usd": [3.0] * 4, "liq_short_usd": [1.0] * 4}, -0.5),
        ("liquidations", {"liq_long_usd": [0.0] * 4, "liq_short_usd": [0.0, 5, 0, 0]}, 1.0),
        ("liquidations", {"liq_long_usd": [0.0] * 4, "liq_short_usd": [0.0] * 4}, np.nan),
        ("put_call", {"put_call": [1.0, 1, 1, 2]}, -np.log(2)),
        ("put_call", {"put_call": [1.0, 1, 1, 0]}, np.nan),
        ("whale_flows", {"exchange_inflow": [9.0, 1, 2, 3]}, -2.0),
        ("fear_greed", {"fear_greed": [9.0, 1, 2, 30]}, 30.0),
        ("price_and_open_interest", {"close": [8.0, 8, 8, 4], "open_interest": [1.0, 1, 1, 1.5]}, -0.5),
        ("price_and_open_interest", {"close": [8.0, 8, 8, 16], "open_interest": [1.0, 1, 1, 3]}, 0.5),
        ("price_and_open_interest", {"close": [8.0, 8, 8, 4], "open_interest": [1.0, 1, 1, 0.9]}, 0.0),
        ("funding", {"funding_rate": [0.0] + [3e-4] * 7, "funding_interval_hours": [4.0] * 8}, 6e-4),
        ("moving_average_cross", {"close": [1.0] * 9 + [2.0] * 20}, np.log(2)),
    ],
)
def test_what_each_signal_goes_by_rises_with_what_is_bullish(
    name: str, columns: dict[str, list[float]], expected: float
) -> None:
    (signal,) = [one for one in SIGNALS if one.name == name]
    made = rich_history(len(next(iter(columns.values()))), "1d")
    made = replace(made, frame=made.frame.assign(**columns))
    assert signal.measure(Bars(made))[-1] == pytest.approx(expected, nan_ok=True)


@every_interval
def test_a_window_of_the_look_back_gives_the_same_bits(interval: str, per_day: int) -> None:
    gaps = (100 * per_day, 100 * per_day + 1, 130 * per_day)
    made = rich_history(160 * per_day, interval, seed=8, missing=gaps)
    for name in ("put_call", "funding_rate", "liq_long_usd"):
        made = changed(made, slice(150 * per_day, 153 * per_day), {name: np.full(3 * per_day, np.nan)})
    whole = signal_rows(made).effective
    bars = longest_signal_lookback(per_day)
    rng = np.random.default_rng(1)
    ends = {
        len(made) - 1,
        bars - 1,
        151 * per_day,
        *rng.integers(bars, len(made), 60 if LONG else 12).tolist(),
    }
    for end in ends:
        for size in (bars, bars + 77):
            part = signal_rows(made.window(end, size), last=1).effective
            assert part.tobytes() == whole[end : end + 1].tobytes(), (end, size)
    for last in (1, 9, 1000):
        assert signal_rows(made, last=last).effective.tobytes() == whole[-last:].tobytes()
    assert len(np.unique(whole[np.isfinite(whole)])) > 20


@pytest.mark.parametrize("cut", [700, 801])
def test_no_row_sees_a_later_bar(cut: int) -> None:
    made, other = (rich_history(150 * 6, "4h", seed=seed) for seed in (8, 9))
    whole = signal_rows(made).effective
    after = slice(cut + 1, len(made))
    columns = [str(name) for name in made.frame]
    replaced = changed(made, after, {name: other.column(name)[after] for name in columns})
    emptied = changed(made, after, {name: np.full(len(made) - cut - 1, np.nan) for name in columns})
    for future in (replaced, emptied, made.window(cut, cut + 1)):
        assert signal_rows(future).effective[: cut + 1].tobytes() == whole[: cut + 1].tobytes()
    assert signal_rows(replaced).effective[cut + 1 :].tobytes() != whole[cut + 1 :].tobytes()
    assert np.isfinite(whole[cut])


def test_an_extra_that_repeats_another_adds_nothing_and_one_that_does_not_adds_one() -> None:
    made = rich_history(130 * 6, "4h", seed=5)
    without = made.frame.drop(columns=["put_call", "exchange_inflow", "liq_long_usd", "liq_short_usd"])
    four = signal_rows(replace(made, frame=without), last=1)
    echo = without.assign(put_call=np.exp(-made.column("fear_greed") / 50))  # fear & greed once more
    fresh = without.assign(put_call=made.column("put_call"))
    five = [signal_rows(replace(made, frame=frame), last=1) for frame in (echo, fresh)]
    assert [int(available(one.columns)[0]) for one in (four, *five)] == [4, 5, 5]
    base, repeated, new = (float(one.effective[0]) for one in (four, *five))
    assert base < 4
    assert repeated < base + 0.3
    assert new > base + 0.5


@settings(max_examples=100 if LONG else 6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    gaps=st.lists(st.integers(1, 179), max_size=8),
    lost=st.lists(st.sampled_from([one.inputs[0] for one in SIGNALS[1:]]), max_size=4, unique=True),
    calm=st.integers(0, 150),
)
def test_histories_of_any_kind_have_a_number_in_range_or_none(
    seed: int, gaps: list[int], lost: list[str], calm: int
) -> None:
    made = random_history(seed, 180, gaps, lost, calm)
    rows = signal_rows(made)
    there = np.isfinite(rows.effective)
    count = available(rows.columns)
    assert (rows.effective[there] >= 1).all()
    assert (rows.effective[there] <= count[there]).all()
    assert not there[count < 2].any()
    size = longest_signal_lookback(1)
    part = signal_rows(made.window(179, size), last=1).effective
    assert part.tobytes() == rows.effective[-1:].tobytes()


def test_the_table_alone_is_the_table_of_the_rows() -> None:
    made = rich_history(130 * 6, "4h", seed=5)
    assert list(signal_table(made, last=2)) == list(signal_rows(made, last=2).columns)
