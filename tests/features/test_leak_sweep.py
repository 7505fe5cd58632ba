"""The leak sweep: nothing sees the future, its history's start, or a column it does not declare.

Every feature and every signal goes through it, those to come as well. The probes are run once per
interval for all of them; each test then looks at one.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from histories import LONG, FloatArray, utc
from hypothesis import given, settings
from hypothesis import strategies as st
from leak_probes import (
    DECLARED,
    Declared,
    Failures,
    delayed,
    features_only,
    future_failures,
    input_failures,
    last_row_failures,
    merged,
    tables_equal,
    window_failures,
    words,
)
from rich_histories import (
    COLUMNS,
    CONTEXT_COLUMNS,
    changed,
    random_history,
    rich_history,
    rich_market,
)

from features.bars import Bars
from features.catalog import CATALOG, select
from features.declaration import Feature
from features.families.breadth import breadth_features
from features.families.liquidation_map import liquidation_features
from features.history import History
from features.pipeline import feature_matrix
from features.raw import INTERVALS, bars_per_day

ALL = (*features_only(CATALOG), *DECLARED)
DAYS = {"1h": 182, "4h": 200, "1d": 360}
CUTS = 20 if LONG else 3
ENDS = 25 if LONG else 3
PRESENCE_ONLY = {
    ("funding_negative_7d", "funding_interval_hours"),
    ("funding_sign_age_30d", "funding_interval_hours"),
}
"""Inputs whose value does not matter, only whether it is there: a sign has no interval."""
ONLY_THERE = {
    "1d": {("time_to_settlement", "funding_interval_hours")}
    | {(feature.name, "volume") for feature in liquidation_features()}
}
"""The same for one interval: a day's end is always a settlement, and a day of one bar has one entry
price, whatever its volume."""
STANDS_WITHOUT = {(feature.name, "close") for feature in breadth_features()}
"""What all symbols do can be told without one of them, this one too."""
FEW_VALUES = {"time_to_settlement", "settlement_interval", "fallen_share_60d"}
"""What steps between two or three values, or is the same on every daily bar."""
ENDS_EARLY = {"run_of_days_10d"}
"""What need not look as far back as it may: a run that has ended is known."""

every_interval = pytest.mark.parametrize("interval", INTERVALS)


@cache
def sweep_history(interval: str, seed: int = 3) -> History:
    """A history with gaps, early and late, and stretches without funding and open interest."""
    n = DAYS[interval] * bars_per_day(interval)
    gaps = (n // 3, n - n // 9) if interval == "1d" else (40, n // 6, n // 6 + 1, n - 60, n - 59)
    whole = rich_history(n, interval, seed=seed, missing=gaps)
    unknown = np.full(6, np.nan)
    return changed(whole, slice(n - 30, n - 24), {"funding_rate": unknown, "open_interest": unknown})


@cache
def failures(interval: str) -> Failures:
    """Every probe of one interval."""
    made, other = sweep_history(interval), sweep_history(interval, seed=4)
    n = len(made)
    rng = np.random.default_rng(20)
    cuts = sorted(int(cut) for cut in rng.integers(n // 3, n - 2, CUTS))
    # around the gaps and the stretches without funding and open interest, too
    ends = {n - 1, n - 20, n - 61, *(int(end) for end in rng.integers(n // 2, n, ENDS))}
    found = [
        future_failures(ALL, made, other, cuts),
        window_failures(ALL, made, ends),
        last_row_failures(ALL, made, (1, 9)),
    ]
    if interval != "1h" or LONG:
        presence_only = PRESENCE_ONLY | ONLY_THERE.get(interval, set())
        found.append(input_failures(ALL, made, presence_only, STANDS_WITHOUT))
    return merged(found)


@every_interval
@pytest.mark.parametrize("declared", ALL, ids=lambda declared: declared.name)
def test_no_leak(declared: Declared, interval: str) -> None:
    assert failures(interval).get(declared.name, []) == []


@every_interval
def test_there_is_something_to_compare(interval: str) -> None:
    made = sweep_history(interval)
    table = feature_matrix(made)
    poor = []
    for column, feature in enumerate(CATALOG):
        lookback, values = feature.lookback(made.per_day), table[:, column]
        seen = values[lookback - 1 :]
        if np.isfinite(seen).mean() < 0.3:
            poor.append((feature.name, "is mostly missing"))
        if lookback >= 10 and feature.name not in ENDS_EARLY and np.isfinite(values[: lookback // 4]).any():
            poor.append((feature.name, "needs less than a quarter of its look-back"))
        few = feature.name in FEW_VALUES
        if len(np.unique(values[np.isfinite(values)])) < (1 if few else 4):
            poor.append((feature.name, "hardly changes"))
    assert poor == []


@every_interval
def test_no_bit_depends_on_which_other_features_are_asked_for(interval: str) -> None:
    made = sweep_history(interval)
    backwards = feature_matrix(made, CATALOG[::-1]).view(np.uint32)[:, ::-1]
    assert (backwards == feature_matrix(made).view(np.uint32)).all()


@pytest.mark.parametrize("subject", ["funding", "open_interest", "positioning", "fear_greed", "put_call"])
def test_a_source_known_a_day_later_changes_no_row_before(subject: str) -> None:
    reads = {
        "funding": {"funding_rate", "funding_interval_hours"},
        "positioning": {name for name in COLUMNS if name.startswith(("liq_", "lsr_", "taker_"))},
    }.get(subject, {subject})
    raw = rich_market(150 * 6, "4h", seed=9)
    since = "2022-05-20"
    base = History.from_raw(raw)
    late = History.from_raw(delayed(raw, subject, since))
    before = int((base.time < utc(since)).sum())
    table, other = words(base, ALL), words(late, ALL)
    assert tables_equal(ALL, other[:before], table[:before], "an earlier row changed") == {}
    changes = set(tables_equal(ALL, other, table, "a later row changed"))
    readers = {one.name for one in ALL if reads & set(one.inputs)}
    assert changes <= readers
    assert len(changes) >= 0.8 * len(readers) > 0


def test_a_whole_funding_table_8_hours_late_is_the_same_column_8_rows_later() -> None:
    raw = rich_market(20 * 24, seed=9)
    base = History.from_raw(raw).column("funding_rate")
    late = History.from_raw(delayed(raw, "funding", "2000-01-01", hours=8)).column("funding_rate")
    np.testing.assert_array_equal(late[8:], base[:-8])


@settings(max_examples=150 if LONG else 8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(125, 190),
    gaps=st.lists(st.integers(1, 189), max_size=8),
    lost=st.lists(st.sampled_from((*COLUMNS[4:], *CONTEXT_COLUMNS)), max_size=4, unique=True),
    calm=st.integers(0, 40),
    cut=st.integers(60, 120),
)
def test_histories_of_any_kind_leak_nothing_and_raise_nothing(
    seed: int, n: int, gaps: list[int], lost: list[str], calm: int, cut: int
) -> None:
    made = random_history(seed, n, gaps, lost, calm)
    table = words(made, ALL)
    assert tables_equal(ALL, words(made.window(cut, cut + 1), ALL), table[: cut + 1], "cut") == {}
    assert window_failures(ALL, made, {n - 1, n - 7}) == {}
    assert not np.isinf(feature_matrix(made)).any()


# --- the probes can fail ---------------------------------------------------------------------------


def planted(compute: object, *, lookback_days: float = 3, inputs: tuple[str, ...] = ("close",)) -> Feature:
    return Feature("planted", "trend", lookback_days, "sd", inputs, "", compute, "", "")  # type: ignore[arg-type]


def tomorrow(bars: Bars) -> FloatArray:
    return np.append(bars.log_close[1:], np.nan) - bars.log_close


def since_the_start(bars: Bars) -> FloatArray:
    return np.nancumsum(bars.log_return)


def zero_for_missing(bars: Bars) -> FloatArray:
    return np.nan_to_num(bars.log_return)


def longer_than_declared(bars: Bars) -> FloatArray:
    return bars.mean("log_close", bars.log_close, 4)


def also_the_volume(bars: Bars) -> FloatArray:
    return bars.log_return * bars.column("volume")


def test_a_look_into_the_future_is_found() -> None:
    declared = features_only([planted(tomorrow)])
    made = sweep_history("4h")
    assert future_failures(declared, made, sweep_history("4h", seed=4), [500])


@pytest.mark.parametrize("compute", [since_the_start, longer_than_declared])
def test_a_memory_longer_than_declared_is_found(compute: object) -> None:
    declared = features_only([planted(compute)])
    assert window_failures(declared, sweep_history("4h"), [700])


@pytest.mark.parametrize("compute", [zero_for_missing, also_the_volume])
def test_a_silent_zero_and_an_undeclared_input_are_found(compute: object) -> None:
    declared = features_only([planted(compute)])
    assert input_failures(declared, sweep_history("1d"), ())


TIGHT = {
    **dict.fromkeys(("efficiency_3d", "rising_bars_5d", "skew_7d", "on_balance_volume_14d"), 1),
    **dict.fromkeys(("fear_greed_rank_90d", "return_rank_3d_in_90d"), 1),
    **dict.fromkeys(("funding_sign_age_30d", "fear_greed_change_3d", "put_call_rank_90d"), 1),
    **dict.fromkeys(("trend_line_120d", "range_position_60d", "high_age_120d", "volume_1d_over_30d"), 2),
    **dict.fromkeys(
        ("funding_level_7d", "money_flow_7d", "funding_z_7d_in_90d", "funding_rank_7d_in_60d"), 2
    ),
}
"""By how many bars the declared look-back exceeds one that is a bar too short: a mean of bars that
are whole in themselves is declared with a bar to spare."""


@every_interval
def test_a_look_back_one_bar_too_short_is_found(interval: str) -> None:
    made = sweep_history(interval)
    short = [
        Declared(feature.name, feature, feature.inputs, shorter=TIGHT[feature.name])
        for feature in select(list(TIGHT))
    ]
    found = window_failures(short, made, range(len(made) - 200, len(made), 9))
    assert {one.name for one in short} - set(found) == set()
