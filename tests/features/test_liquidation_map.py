"""The estimated liquidation map: its rules, its causality to the bit, what it does without inputs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from histories import LONG, FloatArray, frame_bits, history
from hypothesis import given, settings
from hypothesis import strategies as st
from liquidation_oracle import oracle

from features.bars import Bars
from features.declaration import Feature
from features.errors import UsageError
from features.families.liquidation_levels import cells_of
from features.families.liquidation_map import liquidation_features, liquidation_heatmap, liquidation_map
from features.families.liquidation_model import DEFAULT_MODEL, LiquidationModel
from features.families.liquidation_walls import SideColumn, side_columns
from features.history import History
from features.raw import INTERVALS, bars_per_day
from serving.margin import liquidation_price

FEATURES = tuple(liquidation_features())
SMALL = replace(DEFAULT_MODEL, memory_days=5)
"""Five days of memory: many maps in a short history."""
INPUTS = ("high", "low", "close", "volume", "open_interest")
every_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
every_interval = pytest.mark.parametrize("interval", INTERVALS)


def table(made: History, *, last: int | None = None) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """All features of the map in single precision, shape (n_rows, n_features)."""
    rows = len(made) if last is None else last
    bars = Bars(made, last=last)
    with np.errstate(all="ignore"):
        computed = [feature.compute(bars) for feature in FEATURES]
    columns = [values[len(values) - rows :] for values in computed]
    return np.column_stack(columns).astype(np.float32)


def changed(made: History, rows: slice, **columns: float | FloatArray) -> History:
    frame = made.frame.copy()
    for name, values in columns.items():
        whole = frame[name].to_numpy(np.float64).copy()
        whole[rows] = values
        frame[name] = whole
    return replace(made, frame=frame)


def columns(made: History, model: LiquidationModel = SMALL) -> FloatArray:
    with np.errstate(all="ignore"):
        return side_columns(Bars(made), model)


def flat(days: int, *, opened: int, closing: float = 100.0, rate: float = 0.5) -> History:
    """Price stands at 100, coins stand still, and on one day open interest grows by ``rate``."""
    n = days * 24
    time = pd.date_range("2022-01-03 01:00", periods=n, freq="h", tz="UTC", unit="ms", name="time")
    coins = np.where(np.arange(n) >= opened * 24 + 23, 1e6 * (1 + rate), 1e6)
    frame = pd.DataFrame({name: np.full(n, 100.0) for name in ("open", "high", "low", "close")}, index=time)
    frame["volume"], frame["open_interest"] = 10.0, coins * frame["close"]
    frame["funding_rate"] = frame["funding_interval_hours"] = np.nan
    return changed(History("TESTUSDT", "1h", frame), slice(n - 1, n), close=closing)


# ------------------------------------------------------------------------------------ its rules


def test_an_increase_of_open_interest_lies_where_the_margin_formula_puts_it() -> None:
    model = replace(SMALL, daily_turnover=0.0)
    made = liquidation_map(flat(8, opened=6), model=model)
    for side in ("short", "long"):
        found = made[made["side"] == side]
        expected = sorted(
            liquidation_price(side, 100.0, leverage, model.maintenance_rate) for leverage in model.leverages
        )
        np.testing.assert_allclose(found["price"], expected, rtol=model.cell)
        weights = np.array(model.leverage_weights) / 3  # a third of the open interest is new
        np.testing.assert_allclose(found["weight"], weights if side == "long" else weights[::-1])


def test_price_sweeps_what_it_reaches_and_nothing_else() -> None:
    model = replace(SMALL, daily_turnover=0.0)
    still = flat(9, opened=6)
    n = len(still)
    spiked = changed(still, slice(n - 5, n - 4), high=111.0)  # 10x and more: 109.45 and below
    before, after = liquidation_map(still, model=model), liquidation_map(spiked, model=model)
    pd.testing.assert_frame_equal(
        after, before[~before["price"].between(100.0, 111.0)].reset_index(drop=True)
    )
    swept = columns(spiked, model)[:, SideColumn.SWEPT]
    assert swept[0, n - 5] == pytest.approx((0.30 + 0.20 + 0.15 + 0.05) / 3)
    assert swept[0, n - 4 :].sum() == 0
    assert (swept[1, n - 24 :] == 0).all()


def test_a_fall_of_open_interest_thins_all_alike_and_opens_nothing() -> None:
    model = replace(SMALL, daily_turnover=0.0)
    n = 9 * 24
    made = changed(flat(9, opened=6), slice(n - 1, n), open_interest=0.6e6 * 100.0)
    before = liquidation_map(made, n - 25, model=model)
    after = liquidation_map(made, n - 1, model=model)
    assert len(before) == 12
    # Of all that is left the survivors are the same share: as many were closed of each.
    pd.testing.assert_frame_equal(before, after)


def test_turnover_replaces_a_tenth_a_day() -> None:
    made = columns(flat(9, opened=20))
    assert made[0, SideColumn.LIVING, -1] == pytest.approx(1 - 0.9**5)


@every_interval
@pytest.mark.parametrize("side", [1, -1])
def test_the_map_is_what_a_walk_through_the_history_gives(interval: str, side: int) -> None:
    per_day = bars_per_day(interval)
    made = history(24 * per_day, interval, seed=11)
    slow = oracle(made, side, SMALL)
    fast = columns(made)[0 if side == 1 else 1]
    full = slice(SMALL.memory_days * per_day, None)
    # the first day of the memory is the first that has a change of open interest
    start = (SMALL.memory_days + 1) * per_day - 1
    np.testing.assert_allclose(fast[SideColumn.LIVING, start:], slow.living[start:], atol=1e-12)
    np.testing.assert_allclose(fast[SideColumn.SWEPT, start + 1 :], slow.swept[start + 1 :], atol=1e-12)
    assert np.isnan(fast[SideColumn.LIVING, : full.start - 1]).all()
    assert (slow.swept[start + 1 :] > 0).sum() > 5


@pytest.mark.parametrize("side", ["short", "long"])
def test_the_table_for_a_plot_holds_what_the_walk_holds(side: str) -> None:
    made = history(20 * 24, seed=12)
    sign = 1 if side == "short" else -1
    weights: dict[int, float] = {}
    for _, cell, share in oracle(made, sign, SMALL).books[-1]:
        weights[cell] = weights.get(cell, 0.0) + share
    shown = liquidation_map(made, model=SMALL)
    shown = shown[shown["side"] == side]
    cells = np.round(sign * np.log(shown["price"]) / SMALL.cell - 0.5).astype(int)
    close = sign * np.log(made.column("close")[-1])
    within = {cell: w for cell, w in weights.items() if cell <= cells_of(np.array([close]), 0.0025)[0] + 200}
    assert dict(zip(cells, shown["weight"], strict=True)) == pytest.approx(within)
    assert (sign * np.log(shown["price"]) > close - SMALL.cell).all()


def test_what_was_there_is_swept_displaced_or_still_there() -> None:
    made = history(40 * 24, seed=5)
    values = columns(made, replace(DEFAULT_MODEL, memory_days=20))
    row = np.arange(30 * 24, 39 * 24)
    row = row[row % 24 != 23]  # at midnight the map changes
    for side in (0, 1):
        living, swept = values[side, SideColumn.LIVING], values[side, SideColumn.SWEPT]
        stay = row[row % 24 != 0]
        np.testing.assert_allclose(living[stay - 1], living[stay] + swept[stay], atol=1e-12)
        assert (living[row] >= 0).all()
        assert (living[row] <= 1).all()


def test_walls_are_nearer_when_less_makes_a_wall() -> None:
    made = history(150 * 24, seed=6)
    found = [
        columns(made, replace(DEFAULT_MODEL, wall_share=share))[:, :, -500:]
        for share in (0.01, 0.05, 0.2, 1.0)
    ]
    for near, far in pairwise(found):
        assert (near[:, SideColumn.WALL_DISTANCE] <= far[:, SideColumn.WALL_DISTANCE]).all()
    seen = found[1][:, SideColumn.WALL_DISTANCE] < DEFAULT_MODEL.reach
    assert seen.mean() > 0.5
    assert (found[1][:, SideColumn.WALL_WEIGHT][seen] >= 0.05).all()
    assert (found[-1][:, SideColumn.WALL_DISTANCE] == DEFAULT_MODEL.reach).all()
    assert (found[-1][:, SideColumn.WALL_WEIGHT] == 0).all()


def test_the_heatmap_holds_the_maps_of_the_days_ends() -> None:
    made = history(70 * 24, seed=7)
    picture = liquidation_heatmap(made, rungs=300, margin=0.6)
    assert picture.index[-1] == made.time[-1]
    shown = liquidation_map(made)
    assert picture.iloc[-1].sum() == pytest.approx(shown["weight"].sum())
    middle = (picture.iloc[-1] * picture.columns).sum() / picture.iloc[-1].sum()
    assert middle == pytest.approx((shown["price"] * shown["weight"]).sum() / shown["weight"].sum(), rel=0.01)


# ------------------------------------------------------------------- causal, and the same bits


@cache
def whole(interval: str) -> tuple[History, np.ndarray[tuple[int, ...], np.dtype[np.uint32]]]:
    """A history with gaps and a stretch without open interest, and its features to the last bit."""
    per_day = bars_per_day(interval)
    n = 200 * per_day
    gaps = (n // 3, n - 75) if per_day == 1 else (40, n // 6, n // 6 + 1, n - 60, n - 59)
    made = history(n, interval, seed=3, missing=gaps)
    hole = slice(n - 40 * per_day - 6, n - 40 * per_day)
    made = changed(made, hole, open_interest=np.full(6, np.nan)) if per_day > 1 else made
    return made, table(made).view(np.uint32)


@every_interval
@every_feature
def test_a_window_of_the_declared_look_back_gives_the_same_bits(feature: Feature, interval: str) -> None:
    made, bits = whole(interval)
    size, n = feature.lookback(bars_per_day(interval)), len(made)
    ends = {
        size - 1,
        *range(n - 26, n),
        *np.random.default_rng(1).integers(size, n, 60 if LONG else 8).tolist(),
    }
    seen = 0
    for end in sorted(ends):
        part = made.window(end, size)
        with np.errstate(all="ignore"):
            value = feature.compute(Bars(part, last=1))[-1:].astype(np.float32)
        assert value.view(np.uint32)[0] == bits[end, FEATURES.index(feature)], end
        seen += int(np.isfinite(value[0]))
    assert seen > len(ends) // 2


@every_interval
def test_a_look_back_too_short_would_be_caught(interval: str) -> None:
    made, bits = whole(interval)
    per_day, n = bars_per_day(interval), len(made)
    # Of daily bars the memory's oldest may be missing by the coverage rule, and weighs 0.2 %.
    short = 3 if per_day == 1 else per_day + 1
    for feature in FEATURES:
        if feature.lookback_days >= 119:
            continue  # these lean on the volatility, which bears a missing day of 119
        column = bits[:, FEATURES.index(feature)]
        size = feature.lookback(per_day) - short
        different = 0
        for end in range(n - 30, n):
            with np.errstate(all="ignore"):
                value = feature.compute(Bars(made.window(end, size), last=1))[-1:].astype(np.float32)
            different += int(value.view(np.uint32)[0] != column[end])
        assert different, feature.name


@every_interval
def test_nothing_later_changes_a_row(interval: str) -> None:
    made, bits = whole(interval)
    n, rng = len(made), np.random.default_rng(2)
    for cut in (n - 2, n - 2 - bars_per_day(interval) // 2, n - n // 5):
        part = table(made.window(cut, cut + 1)).view(np.uint32)
        assert (part == bits[: cut + 1]).all()
        order = rng.permutation(np.arange(cut + 1, n))
        noise = {name: made.column(name)[order] * 1.3 for name in INPUTS}
        assert (
            table(changed(made, slice(cut + 1, n), **noise)).view(np.uint32)[: cut + 1] == bits[: cut + 1]
        ).all()


@every_interval
def test_the_last_rows_alone_are_the_last_rows_of_all(interval: str) -> None:
    made, bits = whole(interval)
    for last in (1, 9, 49):
        assert (table(made, last=last).view(np.uint32) == bits[-last:]).all()


@given(
    seed=st.integers(0, 10_000),
    days=st.integers(8, 14),
    size=st.integers(7, 9),
    holes=st.lists(st.integers(0, 7 * 24), max_size=12),
)
@settings(max_examples=200 if LONG else 15, deadline=None)
def test_any_window_long_enough_holds_the_same_map(seed: int, days: int, size: int, holes: list[int]) -> None:
    made = history(days * 24 + seed % 24, seed=seed, missing=tuple({h for h in holes if h > 0}))
    window = made.window(len(made) - 1, size * 24)
    with np.errstate(all="ignore"):
        a = side_columns(Bars(made), SMALL)[:, :2, -1]
        b = side_columns(Bars(window, last=1), SMALL)[:, :2, -1]
    assert a.tobytes() == b.tobytes()
    np.testing.assert_array_less(-1e-15, np.nan_to_num(a))
    assert (np.nan_to_num(a) <= 1 + 1e-12).all()


# ------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize("name", INPUTS)
def test_without_an_input_all_is_nan(name: str) -> None:
    made, _ = whole("1h")
    assert np.isnan(table(changed(made, slice(None), **{name: np.nan}))).all()


def test_no_other_column_is_read() -> None:
    made, bits = whole("1h")
    other = changed(made, slice(None), open=1.0, funding_rate=0.5, funding_interval_hours=1.0)
    assert (table(other).view(np.uint32) == bits).all()


@pytest.mark.parametrize(("days", "known"), [(1, True), (2, True), (4, False)])
def test_a_few_days_without_open_interest_are_borne_and_more_are_not(days: int, known: bool) -> None:
    n = 90 * 24
    made = history(n, seed=8)
    made = changed(made, slice(60 * 24, (60 + days) * 24), open_interest=np.nan)
    living = columns(made, DEFAULT_MODEL)[0, SideColumn.LIVING]
    assert bool(np.isfinite(living[-24:]).all()) == known
    # While the day's own open interest is missing there is no map, whatever the memory holds.
    assert np.isnan(living[60 * 24 + 23 : (60 + days) * 24 + 23]).all()
    assert np.isfinite(living[60 * 24 : 60 * 24 + 22]).all()


def test_bars_without_volume_open_nothing_and_a_day_of_them_is_a_day_unknown() -> None:
    made = history(20 * 24, seed=9)
    one = changed(made, slice(15 * 24, 15 * 24 + 8), volume=0.0)
    assert np.isfinite(columns(one)[:, SideColumn.LIVING, -24:]).all()
    day = changed(made, slice(18 * 24, 19 * 24), volume=0.0)
    assert np.isnan(columns(day)[:, SideColumn.LIVING, -2]).all()


@pytest.mark.parametrize("n", [1, 23, 24, 100])
def test_a_history_too_short_gives_nan_and_an_empty_map(n: int) -> None:
    made = history(n, seed=1)
    assert np.isnan(table(made)).all()
    assert liquidation_map(made).empty
    assert list(liquidation_map(made).columns) == ["price", "side", "weight"]
    assert liquidation_heatmap(made).shape == (0, 200)


def test_prices_of_any_size_are_alike() -> None:
    made, _ = whole("1h")
    # Whole cells up or down: the same map, elsewhere.
    tiny = {name: made.column(name) * np.exp(-8000 * DEFAULT_MODEL.cell) for name in ("high", "low", "close")}
    np.testing.assert_allclose(table(changed(made, slice(None), **tiny)), table(made), rtol=1e-3, atol=0.02)


# ---------------------------------------------------------------------------------- bad requests


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"leverages": (10.0,)}, "leverage_weights"),
        ({"leverages": (), "leverage_weights": ()}, "leverage_weights"),
        ({"leverage_weights": (0.5, 0.1, 0.1, 0.1, 0.1, 0.2)}, "leverage_weights"),
        ({"leverages": (1.0, 5.0, 10.0, 20.0, 50.0, 100.0)}, "leverages"),
        ({"leverages": (3.0, 5.0, 10.0, 20.0, 50.0, 250.0)}, "leverages"),
        ({"maintenance_rate": -0.1}, "maintenance_rate"),
        ({"daily_turnover": 1.0}, "daily_turnover"),
        ({"daily_turnover": float("nan")}, "daily_turnover"),
        ({"memory_days": 0}, "memory_days"),
        ({"memory_days": 120}, "memory_days"),
        ({"slice_hours": 5}, "slice_hours"),
        ({"cell": 0.0}, "cell"),
        ({"wall_width": 0.0}, "wall_width"),
        ({"wall_share": 0.0}, "wall_share"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(DEFAULT_MODEL, **changes)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.field) == ("bad_liquidation_model", field)


@pytest.mark.parametrize("row", [100, -101])
def test_a_row_that_is_not_there_is_refused(row: int) -> None:
    with pytest.raises(UsageError, match="100 bars"):
        liquidation_map(history(100), row)


def test_a_heatmap_of_no_rungs_is_refused() -> None:
    with pytest.raises(UsageError, match="rungs"):
        liquidation_heatmap(history(100), rungs=0)


def test_features_are_declared_once_each() -> None:
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names) == 14
    assert all(feature.lookback_days <= 120 and feature.inputs == INPUTS for feature in FEATURES)


def test_the_history_is_not_changed() -> None:
    made, _ = whole("1h")
    before = frame_bits(made.frame)
    table(made)
    liquidation_map(made)
    assert frame_bits(made.frame) == before
