"""Hindsight regimes against a slow oracle, and settled labels that no later bar can change."""

from __future__ import annotations

import itertools
import math
import time
from functools import cache

import numpy as np
import pandas as pd
import pytest
from histories import LONG, MARKET, FloatArray, bar_table, needs_market, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataError
from features.history import History
from features.raw import RawMarket, bars_per_day
from features.regimes import REGIMES, Regime, drift_scores, hindsight_regimes, settled_path
from features.sources.files import load_files

PER_YEAR = 365.25


def examples(short: int, long: int) -> settings:
    return settings(max_examples=long if LONG else short, deadline=None)


def slow_path(costs: list[list[float]], switch: float) -> tuple[list[int], list[int]]:
    """All four surviving paths are written out at every bar; a row is settled once they agree."""
    total = list(costs[0])
    paths = [[state] for state in range(4)]
    states, settled_at = [-1] * len(costs), [-1] * len(costs)
    for u in range(1, len(costs)):
        source = total.index(min(total))
        entry = total[source] + switch
        came_from = [source if entry < total[state] else state for state in range(4)]
        total = [min(total[state], entry) + costs[u][state] for state in range(4)]
        paths = [[*paths[came_from[state]], state] for state in range(4)]
        for t in range(u + 1):
            if settled_at[t] < 0 and len({path[t] for path in paths}) == 1:
                states[t], settled_at[t] = paths[0][t], u
    return states, settled_at


def slow_scores(close: list[float], per_day: int) -> list[tuple[float, float] | None]:
    """The two scores of the design by plain loops; ``None`` where there is no score."""
    price: list[float] = []
    for value in close:
        price.append(price[-1] if math.isnan(value) else math.log(value))
    moves = [(b - a) ** 2 for a, b in itertools.pairwise(price)]
    weights = [0.5 ** (age / (42 * per_day)) for age in range(len(price))]
    scores: list[tuple[float, float] | None] = []
    for t in range(len(price)):
        if t < 120 * per_day or t + 20 * per_day >= len(price):
            scores.append(None)
            continue
        seen = moves[:t][::-1]  # newest first
        variance = sum(w * move for w, move in zip(weights, seen, strict=False)) / sum(weights[:t])
        sigma = math.sqrt(variance * per_day)
        slow = (price[t + 20 * per_day] - price[t - 120 * per_day]) / (sigma * math.sqrt(140))
        fast = (price[t + 3 * per_day] - price[t - 5 * per_day]) / (sigma * math.sqrt(8))
        scores.append((slow, fast))
    return scores


def slow_labels(close: list[float], per_day: int) -> tuple[list[int], list[int]]:
    """Class index and row of confirmation of each bar, -1 where null."""
    regime, confirmed = [-1] * len(close), [-1] * len(close)
    scored = [(t, score) for t, score in enumerate(slow_scores(close, per_day)) if score is not None]
    costs = []
    for _, (slow, fast) in scored:
        bear = max(0.0, slow + 0.3) + max(0.0, fast - 0.4)
        relief = max(0.0, slow + 0.3) + max(0.0, 0.4 - fast)
        costs.append([c / per_day for c in (bear, max(0.0, abs(slow) - 0.3), relief, max(0.0, 0.3 - slow))])
    if costs:
        first = scored[0][0]
        for row, (state, u) in enumerate(zip(*slow_path(costs, 0.3), strict=True)):
            if u >= 0:
                regime[first + row], confirmed[first + row] = state, first + u + 20 * per_day
    return regime, confirmed


def walk(n: int, interval: str, seed: int, missing: tuple[int, ...] = ()) -> History:
    """A bare random walk; its look-back of 140 days needs coarse bars to stay small."""
    bars = bar_table(n, interval, seed=seed).drop(index=list(missing)).reset_index(drop=True)
    return History.from_raw(RawMarket("TESTUSDT", interval, bars))


def with_close(made: History, close: FloatArray) -> History:
    """A history of the same bars whose four prices are ``close``."""
    table = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.ones(len(close))}
    return History.from_columns(made.symbol, made.interval, made.time, table)


def spliced(past: History, end: int, future: History) -> History:
    """``past`` up to row ``end`` (included), continued by the moves of ``future``."""
    close = past.column("close").copy()
    steps = np.diff(np.log(future.column("close")))[: len(close) - end - 1]
    level = pd.Series(close[: end + 1]).ffill().iloc[-1]
    close[end + 1 :] = level * np.exp(np.cumsum(steps))
    return with_close(past, close)


def as_rows(table: pd.DataFrame) -> tuple[list[int], list[int]]:
    regime = table["regime"].fillna(-1).astype("int64").tolist()
    index = pd.DatetimeIndex(table.index)
    confirmed = index.get_indexer(pd.DatetimeIndex(table["confirmed_at"])).tolist()
    return regime, confirmed


def test_the_classes_are_those_of_the_design() -> None:
    assert REGIMES == ("bear", "ranging", "relief_rally", "bull")
    assert [Regime(index).label for index in range(4)] == list(REGIMES)


costs_of_paths = st.integers(1, 60).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 1.0]), min_size=4, max_size=4),
        min_size=n,
        max_size=n,
    )
)


@examples(150, 1500)
@given(costs=costs_of_paths, switch=st.sampled_from([0.0, 0.1, 0.3, 0.5]))
def test_paths_with_ties_agree_with_the_oracle(costs: list[list[float]], switch: float) -> None:
    states, settled_at = settled_path(np.array(costs), switch)
    assert (states.tolist(), settled_at.tolist()) == slow_path(costs, switch)


@examples(60, 600)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 150), spread=st.sampled_from([0.02, 0.1, 0.4]))
def test_paths_over_drifting_costs_agree_with_the_oracle(seed: int, n: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    costs: FloatArray = np.abs(np.cumsum(rng.normal(0, spread, (n, 4)), axis=0))
    states, settled_at = settled_path(costs)
    assert (states.tolist(), settled_at.tolist()) == slow_path(costs.tolist(), 0.3)


@examples(30, 300)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 6))
def test_the_settled_part_lies_on_the_cheapest_of_all_paths(seed: int, n: int) -> None:
    costs = np.random.default_rng(seed).uniform(0, 1, (n, 4))
    states, _ = settled_path(costs)

    def cost(path: tuple[int, ...]) -> float:
        switches = sum(a != b for a, b in itertools.pairwise(path))
        return float(sum(costs[t, state] for t, state in enumerate(path))) + 0.3 * switches

    best = min(itertools.product(range(4), repeat=n), key=cost)
    assert [b for b, s in zip(best, states, strict=True) if s >= 0] == states[states >= 0].tolist()


@examples(60, 600)
@given(seed=st.integers(0, 10**6), end=st.integers(1, 120))
def test_a_settled_state_stays_whatever_follows(seed: int, end: int) -> None:
    rng = np.random.default_rng(seed)
    costs = np.abs(np.cumsum(rng.normal(0, 0.2, (120, 4)), axis=0))
    states, settled_at = settled_path(costs)
    known = (settled_at >= 0) & (settled_at < end)
    costs[end:] = rng.uniform(0, 3, (120 - end, 4))
    settled = np.flatnonzero(known)
    for other in (costs, costs[:end]):
        again, again_at = settled_path(other)
        assert again[settled].tolist() == states[settled].tolist()
        assert again_at[settled].tolist() == settled_at[settled].tolist()
        assert other is costs or not (np.delete(again, settled) >= 0).any()


@pytest.mark.parametrize(("interval", "n"), [("1d", 220), ("4h", 900)])
def test_scores_agree_with_plain_loops(interval: str, n: int) -> None:
    close = walk(n, interval, 5, (3, 100, 101, 170)).column("close")
    slow, fast = drift_scores(close, bars_per_day(interval))
    expected = slow_scores(close.tolist(), bars_per_day(interval))
    assert np.isfinite(slow).tolist() == np.isfinite(fast).tolist() == [one is not None for one in expected]
    there = [one for one in expected if one is not None]
    np.testing.assert_allclose(slow[np.isfinite(slow)], [one[0] for one in there], rtol=1e-9)
    np.testing.assert_allclose(fast[np.isfinite(fast)], [one[1] for one in there], rtol=1e-9, atol=1e-12)


@examples(40, 400)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(100, 420),
    missing=st.lists(st.integers(1, 90), max_size=4, unique=True),
)
def test_labels_agree_with_the_oracle(seed: int, n: int, missing: list[int]) -> None:
    made = walk(n, "1d", seed, tuple(missing))
    assert as_rows(hindsight_regimes(made)) == slow_labels(made.column("close").tolist(), 1)


def test_labels_of_4h_bars_agree_with_the_oracle() -> None:
    made = walk(1500, "4h", 11, (5, 700, 701))
    got = as_rows(hindsight_regimes(made))
    assert got == slow_labels(made.column("close").tolist(), 6)
    assert len({state for state in got[0] if state >= 0}) >= 3


@cache
def labelled(interval: str, n: int, seed: int) -> tuple[History, pd.DataFrame]:
    made = walk(n, interval, seed)
    return made, hindsight_regimes(made)


@pytest.mark.parametrize(("interval", "n"), [("1d", 700), ("4h", 2400)])
@examples(20, 300)
@given(data=st.data())
def test_a_confirmed_label_never_changes(interval: str, n: int, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 5), label="seed")
    end = data.draw(st.integers(1, n - 2), label="end")
    made, whole = labelled(interval, n, seed)
    now = made.time[end]
    known = (whole["confirmed_at"] <= now).to_numpy()
    truncated = hindsight_regimes(made.window(end, end + 1))
    expected = whole.iloc[: end + 1].apply(lambda column: column.where(known[: end + 1]))
    pd.testing.assert_frame_equal(truncated, expected, check_freq=False)
    future = data.draw(st.sampled_from(["another", "shuffled"]), label="future")
    if future == "another":
        other = spliced(made, end, labelled(interval, n, 77)[0])
    else:
        rng = np.random.default_rng(data.draw(st.integers(0, 1000), label="shuffle"))
        order = np.concatenate((np.arange(end + 1), end + 1 + rng.permutation(n - end - 1)))
        other = with_close(made, made.column("close")[order])
    again = hindsight_regimes(other)
    pd.testing.assert_frame_equal(again[known], whole[known], check_freq=False)


@pytest.mark.parametrize(("interval", "n"), [("1d", 700), ("4h", 2400)])
def test_nulls(interval: str, n: int) -> None:
    made, table = labelled(interval, n, 0)
    per_day = bars_per_day(interval)
    known = table["regime"].notna().to_numpy()
    assert (known == table["confirmed_at"].notna().to_numpy()).all()
    assert not known[: 120 * per_day].any()
    assert known[120 * per_day]
    assert not known[-20 * per_day :].any()
    delay = (table["confirmed_at"] - made.time.to_series()).dropna()
    assert delay.min() > pd.Timedelta(days=20)
    assert str(table["regime"].dtype) == "Int8"
    assert pd.DatetimeIndex(table["confirmed_at"].dropna()).isin(made.time).all()


@pytest.mark.parametrize("n", [1, 120, 140, 141])
def test_a_history_too_short_for_a_label_is_all_null(n: int) -> None:
    table = hindsight_regimes(walk(n, "1d", 1))
    assert len(table) == n
    assert table.isna().all(axis=None)


def test_a_price_that_never_moves_has_no_regime() -> None:
    made = walk(200, "1d", 1)
    with pytest.raises(DataError) as caught:
        hindsight_regimes(with_close(made, np.full(200, 5.0)))
    assert (caught.value.code, caught.value.field) == ("flat_price", "close")


def test_seven_years_of_hourly_bars_take_less_than_a_second() -> None:
    close = bar_table(56_000)["close"].to_numpy(np.float64)
    stamps = pd.date_range("2018-01-01", periods=len(close), freq="h", tz="UTC", unit="ms")
    table = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.ones(len(close))}
    made = History.from_columns("TESTUSDT", "1h", stamps, table)
    taken = []
    for _ in range(3):
        start = time.process_time()
        known = hindsight_regimes(made)["regime"].notna().sum()
        taken.append(time.process_time() - start)
    assert known > 40_000
    assert min(taken) < 1.0


@cache
def bitcoin() -> tuple[History, pd.DataFrame]:
    made = History.from_raw(load_files(MARKET, ["BTCUSDT"])[0])
    return made, hindsight_regimes(made)


@needs_market
@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2022-02-01", "2022-02-09"),
        ("2022-02-25", "2022-03-01"),
        ("2022-03-15", "2022-03-31"),
        ("2022-07-15", "2022-07-22"),
        ("2022-09-06", "2022-09-12"),
        ("2022-10-23", "2022-10-30"),
    ],
)
def test_the_relief_rallies_of_2022_are_named(first: str, last: str) -> None:
    _, table = bitcoin()
    days = table.loc[utc(first) + pd.Timedelta(days=1) : utc(last), "regime"]
    assert (days == Regime.RELIEF_RALLY).mean() > 0.9
    around = table.loc[utc(first) - pd.Timedelta(days=4) : utc(first), "regime"]
    assert (around == Regime.RELIEF_RALLY).mean() < 0.2


@needs_market
def test_shares_spells_and_drifts_of_bitcoin_are_near_the_stated_ones() -> None:
    made, table = bitcoin()
    known = table["regime"].dropna().astype("int64")
    shares = known.value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(shares, [0.22, 0.21, 0.05, 0.52], atol=0.03)
    years = (known.index[-1] - known.index[0]) / pd.Timedelta(days=PER_YEAR)
    assert 9 < int((known.diff() != 0).sum()) / years < 14
    rise = np.log(made.frame["close"].ffill()).diff().shift(-1).loc[known.index]
    drift = rise.groupby(known).mean() * 24 * 100
    np.testing.assert_allclose(drift, [-0.7, 0.0, 1.5, 0.4], atol=0.2)
